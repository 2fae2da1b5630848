//! What a step's verdict depends on, as the step declares it.

use crate::context::Context;

/// Everything that can change what a step comes to, besides the tool itself, its programs and the environment, which
/// count for every step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// Patterns of paths below the root; the last one that matches decides, and `!` takes away. `folder/` is all below,
    /// `*.rs` an ending, `**/Cargo.toml` a name in any folder, `a*b` anything in between, `/*.md` only at the root, `**` all.
    pub(crate) files: Vec<String>,
    /// Documents at the root count where a source names them.
    pub(crate) named_documents: bool,
    /// What the step reads of the configuration.
    pub(crate) settings: Vec<String>,
    /// Programs besides those that the table of tools names for the step.
    pub(crate) programs: Vec<String>,
    /// The gate's own binaries judge.
    pub(crate) gate: bool,
    /// A scratch Postgres is started.
    pub(crate) server: bool,
    pub(crate) git: Git,
    /// Patterns of files whose dates decide, such as a waiver's last day.
    pub(crate) dates: Vec<String>,
    /// The answer is one of today.
    pub(crate) day: bool,
    /// The images of its last run must still exist.
    pub(crate) images: bool,
}

/// What a step asks git for, besides the tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Git {
    #[default]
    Nothing,
    /// Tags, and where the branch left its base.
    Releases,
    /// Every commit since the base.
    Commits,
}

/// What every compile reads, wherever it lies.
const MANIFESTS: &[&str] =
    &["**/Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/", "**/build.rs"];

impl Inputs {
    pub(crate) fn files<T: Into<String>>(patterns: impl IntoIterator<Item = T>) -> Self {
        Self { files: patterns.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// All that a compile of the workspace, or one of its tests, may read: everything but the documents at the root that no
    /// source names.
    pub(crate) fn of_workspace() -> Self {
        Self { named_documents: true, ..Self::files(["**", "!LICENSE*", "!/*.md"]) }
    }

    /// What the given crates and their tests are compiled of: their folders, those of the crates that they stand on, and
    /// what decides over all of them.
    pub(crate) fn of_crates<'a>(cx: &Context, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut inputs = Self::files(MANIFESTS.iter().copied());
        for name in cx.crates_below(names) {
            let Some(folder) = cx.folder_of(&name) else { continue };
            inputs.files.push(if folder.is_empty() { "**".into() } else { folder });
        }
        inputs
    }

    pub(crate) fn and<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.files.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// A part of the configuration, as it is after defaults.
    pub(crate) fn setting(mut self, value: impl std::fmt::Debug) -> Self {
        self.settings.push(format!("{value:?}"));
        self
    }

    /// Whether a path is among the files; who asks about many asks [`Self::patterns`].
    pub(crate) fn reads(&self, path: &str) -> bool {
        self.patterns().read(path)
    }

    /// The patterns, made ready to be asked about every path of a tree.
    pub(crate) fn patterns(&self) -> Patterns<'_> {
        Patterns::of(&self.files)
    }
}

/// Patterns that were looked at once: a run asks each step about every path.
#[derive(Debug)]
pub(crate) struct Patterns<'a> {
    /// The last one first, with whether it takes in or away.
    patterns: Vec<(Pattern<'a>, bool)>,
}

/// What a pattern means; see [`Inputs::files`].
#[derive(Debug, Clone, Copy)]
enum Pattern<'a> {
    All,
    Below(&'a str),
    Named(&'a str),
    Exactly(&'a str),
    Between(&'a str, &'a str),
    /// As the one before, and only at the root.
    AtRoot(&'a str, &'a str),
}

impl<'a> Patterns<'a> {
    pub(crate) fn of<T: AsRef<str>>(patterns: &'a [T]) -> Self {
        let ready = |pattern: &'a T| match pattern.as_ref().strip_prefix('!') {
            Some(pattern) => (Pattern::of(pattern), false),
            None => (Pattern::of(pattern.as_ref()), true),
        };
        Self { patterns: patterns.iter().rev().map(ready).collect() }
    }

    /// Whether the last pattern that means a path takes it in.
    pub(crate) fn read(&self, path: &str) -> bool {
        for (pattern, takes_in) in &self.patterns {
            if pattern.means(path) {
                return *takes_in;
            }
        }
        false
    }
}

impl<'a> Pattern<'a> {
    fn of(pattern: &'a str) -> Self {
        if pattern == "**" {
            return Self::All;
        }
        if let Some(name) = pattern.strip_prefix("**/") {
            return Self::Named(name);
        }
        if pattern.ends_with('/') {
            return Self::Below(pattern);
        }
        let (at_root, pattern) = match pattern.strip_prefix('/') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        match pattern.split_once('*') {
            Some((start, end)) if at_root => Self::AtRoot(start, end),
            Some((start, end)) => Self::Between(start, end),
            None => Self::Exactly(pattern),
        }
    }

    fn means(self, path: &str) -> bool {
        let between = |start: &str, end: &str| {
            path.len() >= start.len() + end.len() && path.starts_with(start) && path.ends_with(end)
        };
        match self {
            Self::All => true,
            Self::Below(folder) => path.starts_with(folder),
            Self::Named(name) => path.strip_suffix(name).is_some_and(|it| it.is_empty() || it.ends_with('/')),
            Self::Exactly(name) => path == name,
            Self::Between(start, end) => between(start, end),
            Self::AtRoot(start, end) => between(start, end) && !path.contains('/'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_folder_an_ending_a_name_or_a_place() {
        for (pattern, path) in [
            ("**", "a/b"),
            ("crates/store/", "crates/store/src/lib.rs"),
            ("*.rs", "crates/store/src/lib.rs"),
            ("**/Cargo.toml", "crates/store/Cargo.toml"),
            ("**/Cargo.toml", "Cargo.toml"),
            ("/*.md", "README.md"),
            ("/README.md", "README.md"),
            ("compose*.yaml", "compose.external.yaml"),
            ("Cargo.lock", "Cargo.lock"),
        ] {
            assert!(Pattern::of(pattern).means(path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("crates/store/", "crates/store2/src/lib.rs"),
            ("**/Cargo.toml", "NotCargo.toml"),
            ("/*.md", "crates/README.md"),
            ("/README.md", "crates/README.md"),
            ("/README.md", "README.md.orig"),
            ("Cargo.lock", "other/Cargo.lock"),
            ("a*a", "a"),
        ] {
            assert!(!Pattern::of(pattern).means(path), "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let inputs = Inputs::files(["**", "!/*.md", "ARCHITECTURE.md"]);
        assert!(inputs.reads("src/lib.rs"));
        assert!(!inputs.reads("README.md"));
        assert!(inputs.reads("ARCHITECTURE.md"));
    }
}
