//! What lies in built images, layer by layer, and what of it does not belong there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    archive::{Archive, Entry, Kind},
    build::Image,
    containerfile::{Containerfile, FILE},
    finish::{self, Temporary},
    leaks, record,
};
use crate::{
    config::CONFIG_FILE,
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::Log,
};

/// Bytes of a megabyte as the configuration counts.
pub(super) const MEGABYTE: u64 = 1_000_000;
/// Folders of programs.
const PROGRAMS: &[&str] = &["bin/", "sbin/", "usr/bin/", "usr/sbin/", "usr/local/bin/", "usr/local/sbin/"];
const SHELLS: &[&str] =
    &["ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "toybox", "zsh"];
const PACKAGE_MANAGERS: &[&str] = &[
    "apk", "apt", "apt-get", "dnf", "dpkg", "microdnf", "opkg", "pacman", "pip", "pip3", "rpm", "yum",
    "zypper",
];
/// What begins the name of a file that says that another one is gone.
const GONE: &str = ".wh.";
const ALL_GONE: &str = ".wh..wh..opq";

/// Images, saved, each with its layers read.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) archive: Archive,
    /// The files of each layer, by the layer's name in the archive.
    pub(super) layers: BTreeMap<String, Vec<Entry>>,
    _file: Temporary,
}

impl Contents {
    /// Saves the images and reads their layers.
    ///
    /// # Errors
    /// When podman cannot save them.
    pub(super) fn of(cx: &Context, podman: &Podman, log: &Log, images: &[Image]) -> Result<Self, StepError> {
        let ids: Vec<&str> = images.iter().map(|it| it.recorded.id.as_str()).collect();
        let file = finish::save(cx, podman, log, &ids, "saved")?;
        let archive = Archive::open(&file.0)?;
        let mut layers = BTreeMap::new();
        for name in archive.images.iter().flat_map(|it| &it.layers) {
            if !layers.contains_key(name) {
                layers.insert(name.clone(), archive.layer(name)?);
            }
        }
        Ok(Self { archive, layers, _file: file })
    }

    /// Bytes of an image's layers by their digests, the lowest first.
    pub(super) fn sizes(&self, image: usize) -> Vec<(String, u64)> {
        let saved = &self.archive.images[image];
        let digests = saved.config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        let digests = digests.filter_map(Value::as_str).map(str::to_owned);
        digests.zip(saved.layers.iter().map(|it| self.archive.size(it))).collect()
    }

    /// The files that an image has in the end, each with the number of its layer.
    pub(super) fn files(&self, image: usize) -> BTreeMap<&str, (usize, &Entry)> {
        let mut files: BTreeMap<&str, (usize, &Entry)> = BTreeMap::new();
        for (number, layer) in self.archive.images[image].layers.iter().enumerate() {
            let entries = self.layers.get(layer).map_or(&[][..], Vec::as_slice);
            for entry in entries {
                let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
                let below = |path: &str| folder.is_empty() || path.starts_with(&format!("{folder}/"));
                if name == ALL_GONE {
                    files.retain(|path, (layer, _)| *layer == number || !below(path));
                } else if let Some(gone) = name.strip_prefix(GONE) {
                    let gone = if folder.is_empty() { gone.to_owned() } else { format!("{folder}/{gone}") };
                    files.retain(|path, _| *path != gone && !path.starts_with(&format!("{gone}/")));
                } else {
                    files.insert(entry.path.trim_end_matches('/'), (number, entry));
                }
            }
        }
        files
    }

    /// What is in the images that does not belong there: shells, what is secret, too much of everything.
    ///
    /// # Errors
    /// When the scanner for credentials cannot be run.
    pub(super) fn judge(
        &self,
        cx: &Context,
        log: &Log,
        file: &Containerfile,
        images: &[Image],
    ) -> Result<Vec<Finding>, StepError> {
        let mut findings = Vec::new();
        for (index, image) in images.iter().enumerate() {
            findings.extend(self.too_large(cx, index, image));
            findings.extend(self.shells(index, file, image));
        }
        findings.extend(together(cx, images));
        findings.extend(leaks::find(cx, log, self, file, images)?);
        Ok(findings)
    }

    fn too_large(&self, cx: &Context, index: usize, image: &Image) -> Option<Finding> {
        let sizes = self.sizes(index);
        let size: u64 = sizes.iter().map(|(_, size)| size).sum();
        let max = cx.config.images.max_size_mb;
        if size <= max * MEGABYTE {
            return None;
        }
        let mut files: Vec<(&str, u64)> =
            self.files(index).iter().map(|(path, (_, entry))| (*path, entry.size)).collect();
        files.sort_by_key(|it| std::cmp::Reverse(it.1));
        let largest = files.iter().take(3).map(|(path, size)| format!("`/{path}` {}", mb(*size)));
        let message = format!(
            "the image of `{}` takes {}; {max} MB is the most. Its largest files: {}",
            image.service.name,
            mb(size),
            largest.collect::<Vec<_>>().join(", ")
        );
        let fix =
            format!("leave out what the binary does not need, or raise `max-size-mb` in `{CONFIG_FILE}`");
        Some(Finding::error("image-too-large", message).at(FILE, image.line).fix(fix))
    }

    fn shells(&self, index: usize, file: &Containerfile, image: &Image) -> Option<Finding> {
        let lines = self.lines(index, file, image);
        let files = self.files(index);
        let program = |path: &str| PROGRAMS.iter().find_map(|it| path.strip_prefix(it)).map(str::to_owned);
        let found: Vec<(&str, usize, &str)> = files
            .iter()
            .filter(|(_, (_, entry))| matches!(entry.kind, Kind::File | Kind::Link))
            .filter_map(|(path, (layer, _))| {
                let name = program(path)?;
                let what = if SHELLS.contains(&name.as_str()) {
                    "a shell"
                } else if PACKAGE_MANAGERS.contains(&name.as_str()) {
                    "a package manager"
                } else {
                    return None;
                };
                Some((*path, *layer, what))
            })
            .collect();
        let (path, layer, what) = found.first()?;
        let more = if found.len() > 1 {
            format!(" and {} more of the kind", found.len() - 1)
        } else {
            String::new()
        };
        let message = format!(
            "the image of `{}` holds {what}, `/{path}`{more}: whoever breaks into the service can use it",
            image.service.name
        );
        let line = lines.get(*layer).copied().flatten().unwrap_or(image.line);
        let fix = "begin with `FROM scratch` and copy what the binary needs";
        Some(Finding::error("image-shell", message).at(FILE, line).fix(fix))
    }

    /// The line of the Containerfile that made each layer; a base's layers have none.
    pub(super) fn lines(&self, index: usize, file: &Containerfile, image: &Image) -> Vec<Option<u32>> {
        let count = self.archive.images[index].layers.len();
        let chain = file.stage(&image.recorded.target).map(|it| file.chain(it)).unwrap_or_default();
        let instructions = chain.iter().flat_map(|it| &it.instructions).filter(|it| it.adds_layer());
        let mut lines: Vec<Option<u32>> = instructions.map(|it| Some(it.line)).collect();
        while lines.len() > count {
            lines.remove(0);
        }
        let mut of_base = vec![chain.first().map(|it| it.line); count - lines.len()];
        of_base.append(&mut lines);
        of_base
    }
}

/// All images in one place, where what they share lies once.
fn together(cx: &Context, images: &[Image]) -> Option<Finding> {
    let max = cx.config.images.max_together_mb?;
    let size = record::together(images.iter().map(|it| &it.recorded));
    let message =
        format!("all images together take {}, what they share counted once; {max} MB is the most", mb(size));
    let fix = format!("let them share their layers, or raise `max-together-mb` in `{CONFIG_FILE}`");
    (size > max * MEGABYTE).then(|| {
        Finding::error("image-too-large", message).at(FILE, images.first().map(|it| it.line)).fix(fix)
    })
}

/// Megabytes with one digit, as people read them.
pub(super) fn mb(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(MEGABYTE);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
