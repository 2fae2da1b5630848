//! Credentials in images: in any layer, also where a later one takes the file away, and in what the image says of itself.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    archive::{Entry, Kind},
    build::Image,
    containerfile::{Containerfile, FILE},
    contents::Contents,
};
use crate::{
    context::Context,
    mask::is_secret,
    outcome::{Finding, StepError},
    process::Log,
    steps::secrets,
};

/// Names of files that hold credentials, whatever is in them.
const NAMES: &[&str] = &[
    ".env",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "auth.json",
    "credentials.toml",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
];
/// Ends of such paths.
const ENDS: &[&str] =
    &[".aws/credentials", ".docker/config.json", ".kube/config", ".key", ".p12", ".pfx", ".jks"];
/// Bytes of a file that are searched; what is larger is no text that somebody wrote.
const SEARCHED_MAX: u64 = 1 << 20;

/// A place in an image, as people are told.
#[derive(Debug, Clone)]
struct Place {
    images: Vec<String>,
    what: String,
    line: Option<u32>,
    fix: &'static str,
}

const OF_FILE: &str = "take it out of what is copied (`.containerignore`), hand it over by `RUN --mount=type=secret`, and revoke it";
const OF_SETTING: &str =
    "hand it over when the container is started, as a file below /run/secrets, and revoke it";

/// Finds what looks like a credential in the images.
///
/// # Errors
/// When the scanner cannot be run.
pub(super) fn find(
    cx: &Context,
    log: &Log,
    contents: &Contents,
    file: &Containerfile,
    images: &[Image],
) -> Result<Vec<Finding>, StepError> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut searched: BTreeMap<String, Place> = BTreeMap::new();
    let folder = cx.target().join("image-secrets");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", cx.shown(&folder)))?;
    for (index, image) in images.iter().enumerate() {
        let lines = contents.lines(index, file, image);
        for (number, layer) in contents.archive.images[index].layers.iter().enumerate() {
            for entry in contents.layers.get(layer).into_iter().flatten().filter(|it| it.kind == Kind::File) {
                let place = || Place {
                    images: vec![image.service.name.clone()],
                    what: format!("`/{}`", entry.path),
                    line: lines.get(number).copied().flatten(),
                    fix: OF_FILE,
                };
                let key = format!("{layer} {}", entry.path);
                if named_like_one(&entry.path) {
                    add(&mut places, key, place());
                } else if let Some(text) = text(contents, entry)? {
                    let name =
                        write(&folder, &format!("{}-{}", searched.len(), base_name(&entry.path)), &text)?;
                    let known =
                        searched.values().any(|it| it.what == place().what && it.line == place().line);
                    if known {
                        fs::remove_file(folder.join(&name)).ok();
                    } else {
                        searched.insert(name, place());
                    }
                }
            }
        }
        for (what, text, line) in said(&contents.archive.images[index].config, file, image) {
            let place = Place { images: vec![image.service.name.clone()], what, line, fix: OF_SETTING };
            let (name, value) = text.split_once('=').unwrap_or(("", &text));
            if is_secret(name) && !value.is_empty() {
                add(&mut places, format!("{} {name}", image.service.name), place);
                continue;
            }
            let name =
                write(&folder, &format!("{}-{}", searched.len(), image.service.name), text.as_bytes())?;
            searched.insert(name, place);
        }
    }
    for name in secrets::scanned(cx, log, &folder)? {
        if let Some(place) = searched.remove(&name) {
            add(&mut places, name, place);
        }
    }
    fs::remove_dir_all(&folder).ok();
    Ok(places.into_values().map(finding).collect())
}

fn add(places: &mut BTreeMap<String, Place>, key: String, place: Place) {
    match places.get_mut(&key) {
        Some(known) => known.images.extend(place.images),
        None => drop(places.insert(key, place)),
    }
}

fn finding(place: Place) -> Finding {
    let images = place.images.join("`, `");
    let message = format!(
        "the image of `{images}` holds what looks like a credential: {}; a later layer does not take it out",
        place.what
    );
    Finding::error("image-secret", message).at(FILE, place.line).fix(place.fix)
}

fn named_like_one(path: &str) -> bool {
    let name = base_name(path);
    // Keys that everyone may have are no secret, and neither are examples.
    if name.ends_with(".pub") || name.contains("example") || path.starts_with("usr/share/") {
        return false;
    }
    NAMES.contains(&name) || name.starts_with(".env.") || ENDS.iter().any(|it| path.ends_with(it))
}

/// A file's content where it is text that can be searched.
fn text(contents: &Contents, entry: &Entry) -> Result<Option<Vec<u8>>, StepError> {
    if entry.size == 0 || entry.size > SEARCHED_MAX {
        return Ok(None);
    }
    let bytes = contents.archive.content(entry, SEARCHED_MAX)?;
    Ok((!bytes.contains(&0)).then_some(bytes))
}

/// What an image says of itself, each with the line that says it: variables, labels, and how each layer was made.
fn said(config: &Value, file: &Containerfile, image: &Image) -> Vec<(String, String, Option<u32>)> {
    let stage = file.stage(&image.recorded.target);
    let instructions: Vec<_> = stage
        .map(|it| file.chain(it))
        .unwrap_or_default()
        .iter()
        .flat_map(|it| it.instructions.iter())
        .collect();
    let line = |instruction: &[&str], text: &str| {
        let names = |it: &&&super::containerfile::Instruction| {
            instruction.contains(&it.name.as_str()) && it.rest.contains(text)
        };
        instructions.iter().find(names).map(|it| it.line)
    };
    let mut found = Vec::new();
    for variable in config["config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let name = variable.split('=').next().unwrap_or(variable);
        found.push((format!("the variable `{name}`"), variable.into(), line(&["ENV", "ARG"], name)));
    }
    for (key, value) in config["config"]["Labels"].as_object().into_iter().flatten() {
        let text = format!("{key}={}", value.as_str().unwrap_or_default());
        let is_own = key.starts_with("org.opencontainers.image.") || key.starts_with("dev.slipway.");
        if !is_own {
            found.push((format!("the label `{key}`"), text, line(&["LABEL"], key)));
        }
    }
    for step in config["history"].as_array().into_iter().flatten() {
        let Some(text) = step["created_by"].as_str() else { continue };
        for argument in arguments(text) {
            let name = argument.split('=').next().unwrap_or_default().to_owned();
            let at = line(&["ARG"], &name);
            found.push((format!("the build argument `{name}` in its history"), argument, at));
        }
        // The others are known by what they leave, or say nothing but digests.
        if !text.contains("#(nop)") {
            let command = text.split_once("/bin/sh -c ").map_or(text, |(_, it)| it).to_owned();
            let at = instructions.iter().find(|it| command.contains(&it.rest)).map(|it| it.line);
            found.push(("a step of its history".into(), command, at));
        }
    }
    found
}

/// `|2 NAME=value OTHER=value /bin/sh -c …`: what a RUN was given.
fn arguments(step: &str) -> Vec<String> {
    let Some(rest) = step.strip_prefix('|') else { return Vec::new() };
    let words = rest.split_whitespace().skip(1).take_while(|it| !it.starts_with('/'));
    words.filter(|it| it.contains('=')).map(str::to_owned).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<String, StepError> {
    fs::write(folder.join(name), bytes).with_context(|| format!("cannot write `{}`", folder.display()))?;
    Ok(name.to_owned())
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_credentials_are_known_by_their_names() {
        for path in [
            "app/.env",
            ".env.production",
            "root/.docker/config.json",
            "etc/tls/server.key",
            "home/x/.ssh/id_rsa",
        ] {
            assert!(named_like_one(path), "{path}");
        }
        for path in [
            "etc/ssl/certs/ca-certificates.crt",
            "id_rsa.pub",
            ".env.example",
            "usr/share/zoneinfo/Asia/Tokyo",
        ] {
            assert!(!named_like_one(path), "{path}");
        }
    }

    #[test]
    fn arguments_of_a_build_are_read_from_the_history() {
        assert_eq!(arguments("|1 A=b /bin/sh -c make X=y"), ["A=b"]);
        assert!(arguments("/bin/sh -c make").is_empty());
    }
}
