//! Images as `podman save` writes them: an archive of docker's or of OCI's layout, or a folder of the latter.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{
    Contents, SbomError,
    files::{Files, Hashed, LayError, hex, read_some},
};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// How often a name in an archive may lead to another one.
const LINKS_MAX: usize = 8;

/// What the names of an image's parts lead to.
struct Parts {
    path: PathBuf,
    /// Where each part lies in an archive; nothing for a folder.
    archive: Option<BTreeMap<String, Part>>,
}

enum Part {
    At { offset: u64, size: u64 },
    Link(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    config: Inside,
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
struct Inside {
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

pub(super) fn read(path: &Path) -> Result<Contents, SbomError> {
    let parts = Parts::open(path)?;
    let (config, layers) = parts.named()?;
    let bytes = parts.bytes(&config)?;
    let config: Config = parts.parsed(&bytes)?;
    if config.rootfs.diff_ids.len() != layers.len() {
        return Err(parts.no_image("its configuration tells of other layers than it has"));
    }
    let mut files = Files::default();
    for (layer, digest) in layers.iter().zip(&config.rootfs.diff_ids) {
        parts.lay(layer, digest, &mut files)?;
    }
    let mut labels = config.config.labels.unwrap_or_default();
    Ok(Contents {
        id: format!("sha256:{}", hex(&Sha256::digest(&bytes))),
        title: labels.remove("org.opencontainers.image.title"),
        version: labels.remove("org.opencontainers.image.version"),
        files,
    })
}

impl Parts {
    fn open(path: &Path) -> Result<Self, SbomError> {
        if path.is_dir() {
            return Ok(Self { path: path.into(), archive: None });
        }
        let failed = |source| SbomError::Read { path: path.into(), source };
        let mut archive = tar::Archive::new(File::open(path).map_err(failed)?);
        let mut parts = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?.to_string_lossy().trim_start_matches("./").to_owned();
            let link = entry.link_name().map_err(failed)?;
            let part = match link {
                Some(target) => Part::Link(beside(&name, &target.to_string_lossy())),
                None => Part::At { offset: entry.raw_file_position(), size: entry.size() },
            };
            parts.insert(name, part);
        }
        Ok(Self { path: path.into(), archive: Some(parts) })
    }

    /// The names of the image's configuration and of its layers, lowest first.
    fn named(&self) -> Result<(String, Vec<String>), SbomError> {
        if self.has("manifest.json") {
            let saved: Vec<Saved> = self.parsed(&self.bytes("manifest.json")?)?;
            let one = self.only(saved)?;
            return Ok((one.config, one.layers));
        }
        if !self.has("index.json") {
            return Err(self.no_image("it holds neither `manifest.json` nor `index.json`"));
        }
        let index: Index = self.parsed(&self.bytes("index.json")?)?;
        let manifest = self.bytes(&blob(&self.only(index.manifests)?.digest))?;
        let manifest: Manifest = self.parsed(&manifest)?;
        Ok((blob(&manifest.config.digest), manifest.layers.iter().map(|it| blob(&it.digest)).collect()))
    }

    fn only<T>(&self, mut several: Vec<T>) -> Result<T, SbomError> {
        match (several.len(), several.pop()) {
            (1, Some(one)) => Ok(one),
            (count, _) => Err(SbomError::SeveralImages { path: self.path.clone(), count }),
        }
    }

    fn lay(&self, name: &str, digest: &str, files: &mut Files) -> Result<(), SbomError> {
        let failed = |source| SbomError::Read { path: self.path.clone(), source };
        let mut content = BufReader::new(self.reader(name)?);
        let mut first = [0; 4];
        let count = read_some(&mut content, &mut first).map_err(failed)?;
        let start = io::Cursor::new(first[..count].to_vec());
        let whole = start.clone().chain(content);
        let unpacked: Box<dyn Read> = if first.starts_with(GZIP) {
            Box::new(flate2::read::MultiGzDecoder::new(whole))
        } else if first == ZSTD {
            return Err(SbomError::Compression);
        } else {
            Box::new(whole)
        };
        let mut hashed = Hashed::of(unpacked);
        files.lay(&mut hashed).map_err(|error| match error {
            LayError::Read(source) => failed(source),
            LayError::Sbom(error) => error,
        })?;
        // What follows the last entry belongs to the digest too.
        io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
        if format!("sha256:{}", hashed.hex()) == digest {
            Ok(())
        } else {
            Err(SbomError::WrongDigest { digest: digest.to_owned() })
        }
    }

    fn has(&self, name: &str) -> bool {
        match &self.archive {
            Some(parts) => parts.contains_key(name),
            None => self.path.join(name).is_file(),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, SbomError> {
        let mut bytes = Vec::new();
        let read = self.reader(name)?.read_to_end(&mut bytes);
        read.map_err(|source| SbomError::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    fn parsed<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, SbomError> {
        serde_json::from_slice(bytes).map_err(|error| self.no_image(&error.to_string()))
    }

    fn reader(&self, name: &str) -> Result<io::Take<File>, SbomError> {
        let failed = |source| SbomError::Read { path: self.path.clone(), source };
        let missing = || self.no_image(&format!("`{name}` is missing"));
        let Some(parts) = &self.archive else {
            if name.split('/').any(|it| it == "..") {
                return Err(missing());
            }
            let file = File::open(self.path.join(name)).map_err(|_| missing())?;
            return Ok(file.take(u64::MAX));
        };
        let mut part = parts.get(name).ok_or_else(missing)?;
        for _ in 0..LINKS_MAX {
            match part {
                Part::At { offset, size } => {
                    let mut file = File::open(&self.path).map_err(failed)?;
                    file.seek(SeekFrom::Start(*offset)).map_err(failed)?;
                    return Ok(file.take(*size));
                }
                Part::Link(target) => part = parts.get(target).ok_or_else(missing)?,
            }
        }
        Err(missing())
    }

    fn no_image(&self, reason: &str) -> SbomError {
        SbomError::NotAnImage { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// Where a blob lies in OCI's layout.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// A link's target, from the folder of the link's own name.
fn beside(name: &str, target: &str) -> String {
    let mut folder: Vec<&str> = name.split('/').collect();
    folder.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(folder.pop()),
            "." | "" => {}
            part => folder.push(part),
        }
    }
    folder.join("/")
}
