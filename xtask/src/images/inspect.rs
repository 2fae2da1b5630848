//! `images inspect`: what is in each image, how large it is, and which line of the Containerfile brought it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    archive::Kind,
    build::Image,
    containerfile::Containerfile,
    contents::{Contents, mb},
    record,
};
use crate::{cli::InspectFormat, context::Context, outcome::StepError, podman::Podman, process::Log};

/// How many of a layer's files are shown, the largest first.
const SHOWN_FILES: usize = 8;

/// All images, as scripts read them.
#[derive(Debug, Serialize)]
struct Inspected {
    images: Vec<One>,
    /// Bytes of all layers, what images share counted once.
    together_bytes: u64,
}

#[derive(Debug, Serialize)]
struct One {
    service: String,
    reference: String,
    id: String,
    /// What a registry would call it, before it recompresses layers.
    digest: String,
    revision: Option<String>,
    fingerprint: Option<String>,
    /// Whether the gate has found it good as it is.
    green: bool,
    size_bytes: u64,
    /// Bytes of layers that another image has too.
    shared_bytes: u64,
    labels: BTreeMap<String, String>,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Layer {
    digest: String,
    size_bytes: u64,
    /// The line of the Containerfile that made it; a base's layers have that of the base.
    line: Option<u32>,
    instruction: Option<String>,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    size_bytes: u64,
    mode: String,
    owner: String,
}

/// What is in the images, spelled as it was asked for.
///
/// # Errors
/// When podman cannot save them.
pub(super) fn text(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    images: &[Image],
    format: InspectFormat,
) -> Result<String, StepError> {
    let contents = Contents::of(cx, podman, log, images)?;
    let file = Containerfile::read(&cx.root);
    let mut all = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let digest = ["image", "inspect", "--format={{.Digest}}", &image.recorded.reference];
        let digest = podman.answer(cx, log, &digest)?;
        all.push(one(&contents, &file, index, image, digest));
    }
    share(&mut all);
    let recorded: Vec<record::Recorded> = images
        .iter()
        .enumerate()
        .map(|(index, it)| record::Recorded { layers: contents.sizes(index), ..it.recorded.clone() })
        .collect();
    let inspected = Inspected { images: all, together_bytes: record::together(&recorded) };
    Ok(match format {
        InspectFormat::Json => serde_json::to_string_pretty(&inspected).unwrap_or_default(),
        InspectFormat::Markdown => inspected.table(),
        InspectFormat::Human => inspected.told(),
    })
}

fn one(contents: &Contents, file: &Containerfile, index: usize, image: &Image, digest: String) -> One {
    let sizes = contents.sizes(index);
    let lines = contents.lines(index, file, image);
    let saved = &contents.archive.images[index];
    let instruction = |line: u32| {
        let mut all = file.stages.iter().flat_map(|it| &it.instructions);
        all.find(|it| it.line == line).map(|it| format!("{} {}", it.name, it.rest))
    };
    let layers = saved.layers.iter().zip(&sizes).enumerate().map(|(number, (name, (digest, size)))| {
        let line = lines.get(number).copied().flatten();
        let entries = contents.layers.get(name).into_iter().flatten();
        let files = entries.filter(|it| it.kind != Kind::Folder).map(|it| File {
            path: format!("/{}", it.path),
            size_bytes: it.size,
            mode: format!("{:04o}", it.mode & 0o7777),
            owner: format!("{}:{}", it.owner.0, it.owner.1),
        });
        let mut files: Vec<File> = files.collect();
        files.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then(a.path.cmp(&b.path)));
        Layer {
            digest: digest.clone(),
            size_bytes: *size,
            line,
            instruction: line.and_then(instruction),
            files,
        }
    });
    let labels = saved.config["config"]["Labels"].as_object().into_iter().flatten();
    One {
        service: image.service.name.clone(),
        reference: image.recorded.reference.clone(),
        id: image.recorded.id.clone(),
        digest,
        revision: image.recorded.revision.clone(),
        fingerprint: image.recorded.fingerprint.clone(),
        green: image.recorded.green.is_some(),
        size_bytes: sizes.iter().map(|(_, size)| size).sum(),
        shared_bytes: 0,
        labels: labels.map(|(key, it)| (key.clone(), Value::as_str(it).unwrap_or_default().into())).collect(),
        layers: layers.collect(),
    }
}

/// Counts what more than one image has.
fn share(all: &mut [One]) {
    let mut users: BTreeMap<String, u32> = BTreeMap::new();
    for layer in all.iter().flat_map(|it| &it.layers) {
        *users.entry(layer.digest.clone()).or_default() += 1;
    }
    for image in all {
        let shared = image.layers.iter().filter(|it| users.get(&it.digest).is_some_and(|count| *count > 1));
        image.shared_bytes = shared.map(|it| it.size_bytes).sum();
    }
}

impl Inspected {
    /// A table for documents.
    fn table(&self) -> String {
        let mut text = "| image | size | of it shared | digest |\n|---|---|---|---|\n".to_owned();
        for image in &self.images {
            let (size, shared) = (mb(image.size_bytes), mb(image.shared_bytes));
            text += &format!("| {} | {size} | {shared} | `{}` |\n", image.service, image.digest);
        }
        text + &format!("| together, what is shared counted once | {} | | |\n", mb(self.together_bytes))
    }

    fn told(&self) -> String {
        let mut text = String::new();
        for image in &self.images {
            text += &format!("{}  {}\n", image.service, image.reference);
            let green = if image.green { "the gate found it good" } else { "the gate has not found it good" };
            let (size, shared) = (mb(image.size_bytes), mb(image.shared_bytes));
            text += &format!("  {size}, of which {shared} shared; {green}\n  {}\n", image.digest);
            for (key, value) in &image.labels {
                text += &format!("  {key}={value}\n");
            }
            for layer in &image.layers {
                let line = layer.line.map_or_else(|| "base".into(), |it| format!("line {it}"));
                let instruction = layer.instruction.as_deref().unwrap_or_default();
                text += &format!("  {line}  {instruction}  {}\n", mb(layer.size_bytes));
                for file in layer.files.iter().take(SHOWN_FILES) {
                    let size = format!("{:>10}", file.size_bytes);
                    text += &format!("    {size}  {} {}  {}\n", file.mode, file.owner, file.path);
                }
                if layer.files.len() > SHOWN_FILES {
                    text += &format!("    and {} more\n", layer.files.len() - SHOWN_FILES);
                }
            }
        }
        text + &format!("together {}, what is shared counted once", mb(self.together_bytes))
    }
}
