//! An image made by hand, written in every layout that podman writes.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Layers of files, and a folder for what is written.
pub(crate) struct Image {
    layers: Vec<Vec<u8>>,
    damaged: bool,
    folder: TempDir,
}

impl Default for Image {
    fn default() -> Self {
        Self { layers: Vec::new(), damaged: false, folder: tempfile::tempdir().unwrap() }
    }
}

impl Image {
    pub(crate) fn layer(&mut self, files: &[(&str, &[u8])]) {
        self.layers.push(tar(files));
    }

    /// From now on the first layer that is written is not the one that the configuration names.
    pub(crate) fn damage(&mut self) {
        self.damaged = true;
    }

    pub(crate) fn docker_archive(&self) -> PathBuf {
        let config = self.config();
        let name = format!("{}.json", hex(&config));
        let mut files = vec![(name.clone(), config)];
        let mut layers = Vec::new();
        for layer in self.written() {
            let name = format!("{}.tar", hex(&layer));
            layers.push(name.clone());
            files.push((name, layer));
        }
        let manifest = json!([{ "Config": name, "RepoTags": ["localhost/edge:1"], "Layers": layers }]);
        files.push(("manifest.json".into(), spelled(&manifest)));
        self.archive("docker.tar", &files)
    }

    pub(crate) fn oci_archive(&self) -> PathBuf {
        self.archive("oci.tar", &self.oci())
    }

    pub(crate) fn oci_folder(&self) -> PathBuf {
        let folder = self.folder.path().join("oci");
        for (name, content) in self.oci() {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    /// With compressed layers, as OCI's layout mostly has them.
    fn oci(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut add = |content: Vec<u8>| {
            let descriptor = json!({ "digest": format!("sha256:{}", hex(&content)), "size": content.len() });
            files.push((format!("blobs/sha256/{}", hex(&content)), content));
            descriptor
        };
        let config = add(self.config());
        let layers: Vec<Value> = self.written().into_iter().map(|it| add(gzip(&it))).collect();
        let manifest = add(spelled(&json!({ "schemaVersion": 2, "config": config, "layers": layers })));
        files.push(("index.json".into(), spelled(&json!({ "manifests": [manifest] }))));
        files
    }

    fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.layers.iter().map(|it| format!("sha256:{}", hex(it))).collect();
        let labels =
            json!({ "org.opencontainers.image.title": "edge", "org.opencontainers.image.version": "1.4.0" });
        spelled(
            &json!({ "config": { "Labels": labels }, "rootfs": { "type": "layers", "diff_ids": diff_ids } }),
        )
    }

    fn written(&self) -> Vec<Vec<u8>> {
        let mut layers = self.layers.clone();
        if self.damaged {
            layers[0] = tar(&[("usr/bin/other", b"other")]);
        }
        layers
    }

    fn archive(&self, name: &str, files: &[(String, Vec<u8>)]) -> PathBuf {
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let path: PathBuf = Path::join(self.folder.path(), name);
        File::create(&path).unwrap().write_all(&tar(&files)).unwrap();
        path
    }
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn spelled(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
