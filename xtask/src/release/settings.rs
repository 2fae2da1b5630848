//! `[release]` of the configuration: who publishes, where to, from which branches, and under which tags.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{CONFIG_FILE, ConfigError};

/// What a template of a tag may stand for.
const VERSION: &str = "{version}";
const COMMIT: &str = "{commit}";
/// The most characters of a tag that registries take.
const LONGEST_TAG: usize = 128;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Who pushes images; without it nothing is released.
    pub(crate) publisher: Option<Publisher>,
    /// Host and port of the registry, such as `registry.example.com`.
    pub(crate) registry: Option<String>,
    /// What stands before an image's name there, such as `acme/slipway`.
    pub(crate) path: Option<String>,
    /// Branches that a version may be released from.
    pub(crate) branches: Vec<String>,
    /// Tags that are never moved; `{version}` and `{commit}` are put in.
    pub(crate) tags: Vec<String>,
    /// Branches with the tag that follows their newest images.
    pub(crate) moving: BTreeMap<String, String>,
    /// Files of the public keys that hosts trust, relative to the root; the signing key must belong to one of them.
    pub(crate) trusted_keys: Vec<String>,
    /// What the generated workflow releases in spite of; whoever releases by hand says it on the command line.
    pub(crate) workflow_accepts: Vec<Accept>,
    /// The git remote that branch and tag are pushed to; without it that is left to whoever releases.
    pub(crate) remote: Option<String>,
    /// The document whose section `Unreleased` becomes the version's.
    pub(crate) changelog: String,
}

/// The one place that images are pushed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Publisher {
    /// Whoever runs `cargo xtask release --execute`.
    Local,
    /// A workflow that starts at the tag.
    Gitea,
}

/// Something that keeps a release from being made unless it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Accept {
    /// Advisories that were not judged.
    NoAdvisories,
    /// Bases that stand in for genuine ones.
    StandInBases,
}

impl Accept {
    /// The flag of `cargo xtask release` that says the same.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::NoAdvisories => "--accept-no-advisories",
            Self::StandInBases => "--accept-stand-in-bases",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let own = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let moving = [("main", "latest"), ("develop", "dev")];
        Self {
            publisher: None,
            registry: None,
            path: None,
            branches: own(&["main"]),
            tags: own(&["v{version}", "sha-{commit}"]),
            moving: moving.map(|(branch, tag)| (branch.to_owned(), tag.to_owned())).into(),
            trusted_keys: Vec::new(),
            workflow_accepts: Vec::new(),
            remote: None,
            changelog: "CHANGELOG.md".into(),
        }
    }
}

impl Settings {
    /// Whether tags can be tags and none of them can be taken for another one; `text` is the file that it was read from.
    ///
    /// # Errors
    /// When one cannot, with its line.
    pub(crate) fn check(&self, text: &str) -> Result<(), ConfigError> {
        let refuse = |word: &str, what: &str| {
            let line = text.lines().position(|it| it.contains(&format!("\"{word}\""))).map_or(1, |it| it + 1);
            Err(ConfigError::new(format!("{CONFIG_FILE}:{line}: `{word}` {what}")))
        };
        for template in &self.tags {
            if !template.contains(VERSION) && !template.contains(COMMIT) {
                return refuse(
                    template,
                    "would be the same for every release; put `{version}` or `{commit}` in it",
                );
            }
            if !is_tag(&filled(template, "1.2.3", &"0".repeat(40))) {
                return refuse(template, "makes no tag that a registry takes");
            }
        }
        for tag in self.moving.values() {
            if !is_tag(tag) {
                return refuse(tag, "is no tag that a registry takes");
            }
            // What never moves must be recognisable by its name alone.
            let begins = |template: &String| {
                let fixed = template.split('{').next().unwrap_or_default();
                fixed.is_empty()
                    || tag
                        .strip_prefix(fixed)
                        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_hexdigit()))
            };
            if self.tags.iter().any(begins) {
                return refuse(tag, "looks like a tag that never moves; take another name");
            }
        }
        Ok(())
    }

    /// The tags that never move, as far as version and commit are known.
    pub(crate) fn immutable(&self, version: Option<&str>, commit: Option<&str>) -> Vec<String> {
        let known = |it: &&String| {
            (version.is_some() || !it.contains(VERSION)) && (commit.is_some() || !it.contains(COMMIT))
        };
        let fill = |it: &String| filled(it, version.unwrap_or_default(), commit.unwrap_or_default());
        self.tags.iter().filter(known).map(fill).collect()
    }
}

fn filled(template: &str, version: &str, commit: &str) -> String {
    template.replace(VERSION, version).replace(COMMIT, commit)
}

fn is_tag(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first && text.len() <= LONGEST_TAG && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> String {
        let settings: Settings = toml::from_str(text).unwrap();
        settings.check(text).map_or_else(|error| error.to_string(), |()| "fine".into())
    }

    #[test]
    fn a_tag_that_moves_cannot_be_taken_for_one_that_does_not() {
        assert_eq!(checked(""), "fine");
        insta::assert_snapshot!(checked("publisher = \"local\"\n[moving]\nmain = \"v1\"\n"), @".config/xtask.toml:3: `v1` looks like a tag that never moves; take another name");
        insta::assert_snapshot!(checked("[moving]\nmain = \"sha-1\"\n"), @".config/xtask.toml:2: `sha-1` looks like a tag that never moves; take another name");
        insta::assert_snapshot!(checked("[moving]\n\"a/b\" = \"a/b\"\n"), @".config/xtask.toml:2: `a/b` is no tag that a registry takes");
    }

    #[test]
    fn a_tag_for_every_release_is_refused() {
        insta::assert_snapshot!(checked("tags = [\"stable\"]\n"), @".config/xtask.toml:1: `stable` would be the same for every release; put `{version}` or `{commit}` in it");
    }

    #[test]
    fn a_snapshot_has_no_tag_of_a_version() {
        let settings = Settings::default();
        assert_eq!(settings.immutable(Some("1.4.0"), Some("abc")), ["v1.4.0", "sha-abc"]);
        assert_eq!(settings.immutable(None, Some("abc")), ["sha-abc"]);
        assert_eq!(settings.immutable(Some("1.4.0"), None), ["v1.4.0"]);
    }
}
