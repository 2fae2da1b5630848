//! The Containerfile as far as builds need to know it: its stages, and where each begins.

use std::{fs, path::Path};

/// Where it lies, relative to the workspace's root.
pub(super) const FILE: &str = "Containerfile";

/// One `FROM … AS name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) line: u32,
    parent: String,
}

/// All stages that have a name.
pub(super) fn stages(root: &Path) -> Vec<Stage> {
    parse(&fs::read_to_string(root.join(FILE)).unwrap_or_default())
}

/// The stages that no other one begins with, besides the images: keeping these in the store keeps what all were made
/// of, so the next build finds it.
pub(super) fn worth_keeping<'a>(stages: &'a [Stage], images: &[&str]) -> Vec<&'a str> {
    let names = stages.iter().map(|it| it.name.as_str());
    names.filter(|name| !images.contains(name) && !stages.iter().any(|it| it.parent == *name)).collect()
}

fn parse(text: &str) -> Vec<Stage> {
    let lines = (1_u32..).zip(text.lines());
    lines.filter_map(|(line, text)| stage(line, text)).collect()
}

fn stage(line: u32, text: &str) -> Option<Stage> {
    let mut words = text.split_whitespace().filter(|it| !it.starts_with("--"));
    let is = |word: Option<&str>, wanted: &str| word.is_some_and(|it| it.eq_ignore_ascii_case(wanted));
    if !is(words.next(), "FROM") {
        return None;
    }
    let parent = words.next()?.to_owned();
    if !is(words.next(), "AS") {
        return None;
    }
    Some(Stage { name: words.next()?.to_owned(), line, parent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stages_besides_the_images_are_worth_keeping() {
        let text = "ARG B=x:1\nFROM ${B} AS skeleton\nRUN x\nfrom --platform=linux/amd64 ${B} as deps\nFROM deps AS system\n\
                    FROM scratch AS runtime\nFROM runtime AS a-runtime\n";
        let stages = parse(text);
        assert_eq!(worth_keeping(&stages, &["a-runtime"]), ["skeleton", "system"]);
        assert_eq!(stages[4], Stage { name: "a-runtime".into(), line: 7, parent: "runtime".into() });
    }
}
