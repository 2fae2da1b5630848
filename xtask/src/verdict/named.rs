//! Documents at the root that a source names, such as `include_str!("../README.md")`: only those are inputs of a compile.

use std::{
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde::{Deserialize, Serialize};

use super::tree::{Content, Tree};
use crate::{context::Context, report::write_whole};

/// What the last look found, below `target/xtask`.
const FILE: &str = "named.json";

#[derive(Debug, Serialize, Deserialize)]
struct Looked {
    /// What was looked at.
    sources: u64,
    named: BTreeSet<String>,
}

/// Looks through the sources, unless they are those of the last time.
pub(super) fn documents(cx: &Context, tree: &Tree) -> BTreeSet<String> {
    let documents: Vec<&str> =
        tree.files.keys().map(String::as_str).filter(|it| !it.contains('/') && it.ends_with(".md")).collect();
    let mut hasher = DefaultHasher::new();
    documents.hash(&mut hasher);
    let sources: Vec<(&String, &Content)> =
        tree.files.iter().filter(|(path, _)| path.ends_with(".rs")).collect();
    for (path, content) in &sources {
        path.hash(&mut hasher);
        match content {
            Content::Known(id) => id.hash(&mut hasher),
            Content::Opaque(_) => path.hash(&mut hasher),
        }
    }
    let current = hasher.finish();
    let path = cx.target().join(FILE);
    let last = fs::read(&path).ok().and_then(|it| serde_json::from_slice::<Looked>(&it).ok());
    if let Some(last) = last.filter(|it| it.sources == current) {
        return last.named;
    }
    let mut named = BTreeSet::new();
    for (source, _) in sources {
        let text = fs::read_to_string(cx.root.join(source)).unwrap_or_default();
        named.extend(documents.iter().filter(|it| names(&text, it)).map(|&it| it.to_owned()));
    }
    // Nothing is lost where it cannot be kept: the next run looks again.
    fs::create_dir_all(cx.target()).ok();
    write_whole(&path, &Looked { sources: current, named: named.clone() }).ok();
    named
}

/// Whether a text names a file in a path or as a string, not only in a sentence.
fn names(text: &str, document: &str) -> bool {
    text.match_indices(document).any(|(at, _)| text[..at].ends_with(['"', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_named_by_a_path_and_not_by_a_sentence() {
        assert!(names("#![doc = include_str!(\"../README.md\")]", "README.md"));
        assert!(names("root.join(\"README.md\")", "README.md"));
        assert!(!names("/// See README.md for more.", "README.md"));
    }
}
