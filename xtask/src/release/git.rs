//! What a release asks of git, and the commit, the tag and the push that it makes.

use cargo_metadata::semver::Version;

use crate::{
    context::Context,
    outcome::StepError,
    process::{Finished, Log, Process},
};

/// What helps when a remote did not take what was pushed.
const AGAIN: &str = "see to what the remote says, then run the release again: it looks at the remote first";

/// git in the workspace that is released.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Git<'a> {
    cx: &'a Context,
}

/// Commits on a remote.
#[derive(Debug, Default)]
pub(crate) struct OnRemote {
    /// Where the branch is.
    pub(crate) branch: Option<String>,
    /// What the tag is at.
    pub(crate) tag: Option<String>,
}

impl<'a> Git<'a> {
    pub(crate) fn new(cx: &'a Context) -> Self {
        Self { cx }
    }

    fn process(self, arguments: &[&str]) -> Process {
        // Nobody sits there to be asked.
        self.cx.process("git").env("GIT_TERMINAL_PROMPT", "0").args(arguments)
    }

    /// What git answers; nothing where it refuses or says nothing.
    fn ask(self, arguments: &[&str]) -> Option<String> {
        self.process(arguments).answer().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
    }

    /// The commit that a name stands for.
    pub(crate) fn commit(self, name: &str) -> Option<String> {
        self.ask(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])
    }

    /// The branch that is checked out; nothing where a commit is.
    pub(crate) fn branch(self) -> Option<String> {
        self.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"])
    }

    /// Paths that differ from the commit, untracked ones too; nothing where there is no repository.
    pub(crate) fn changes(self) -> Option<Vec<String>> {
        let arguments = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all"];
        let listed = self.process(&arguments).answer()?;
        Some(listed.split('\0').filter_map(|it| it.get(3..)).map(str::to_owned).collect())
    }

    /// A file's text in a commit.
    pub(crate) fn text(self, commit: &str, path: &str) -> Option<String> {
        self.process(&["cat-file", "blob", &format!("{commit}:{path}")]).answer()
    }

    /// The highest released version whose tag HEAD stands on.
    pub(crate) fn last_release(self) -> Option<Version> {
        let tags = self.ask(&["tag", "--merged", "HEAD", "--list", "v*"])?;
        tags.lines().filter_map(|it| Version::parse(it.strip_prefix('v')?).ok()).max()
    }

    /// The versions whose tags are at HEAD.
    pub(crate) fn versions_here(self) -> Vec<Version> {
        let tags = self.ask(&["tag", "--points-at", "HEAD", "--list", "v*"]).unwrap_or_default();
        tags.lines().filter_map(|it| Version::parse(it.strip_prefix('v')?).ok()).collect()
    }

    /// Whether a tag has a message of its own, and is no mere name.
    pub(crate) fn is_annotated(self, tag: &str) -> bool {
        self.ask(&["cat-file", "-t", &format!("refs/tags/{tag}")]).as_deref() == Some("tag")
    }

    /// The branch's place on a remote, as far as it is known here: its upstream, else the one of the same name.
    pub(crate) fn remote_branch(self, branch: &str, remote: &str) -> Option<String> {
        let upstream = self.ask(&["for-each-ref", "--format=%(upstream)", &format!("refs/heads/{branch}")]);
        let same = || Some(format!("refs/remotes/{remote}/{branch}"));
        upstream.or_else(same).filter(|it| self.commit(it).is_some())
    }

    /// How many commits `there` has that HEAD has not, and the other way round.
    pub(crate) fn apart(self, there: &str) -> Option<(u64, u64)> {
        let counted = self.ask(&["rev-list", "--count", "--left-right", &format!("{there}...HEAD")])?;
        let mut numbers = counted.split_whitespace().map_while(|it| it.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    }

    /// Paths that HEAD changed since it left `there`.
    pub(crate) fn changed_since(self, there: &str) -> Vec<String> {
        let listed = self.process(&["diff", "--name-only", "-z", &format!("{there}...HEAD")]).answer();
        let listed = listed.unwrap_or_default();
        listed.split('\0').filter(|it| !it.is_empty()).map(str::to_owned).collect()
    }

    /// Whether the first is the second or stands below it; nothing where git does not know one of them.
    pub(crate) fn is_ancestor(self, first: &str, second: &str) -> Option<bool> {
        self.commit(first)?;
        self.commit(second)?;
        let finished = self.process(&["merge-base", "--is-ancestor", first, second]).run().ok()?;
        Some(finished.success())
    }

    /// The known places of a branch, here or on a remote.
    pub(crate) fn places(self, branch: &str, remote: &str) -> Vec<String> {
        let names = [format!("refs/remotes/{remote}/{branch}"), format!("refs/heads/{branch}")];
        names.into_iter().filter(|it| self.commit(it).is_some()).collect()
    }

    /// The moment of a commit in RFC 3339.
    pub(crate) fn time(self, commit: &str) -> Option<String> {
        self.ask(&["show", "--no-patch", "--format=%cI", commit])
    }

    /// What a remote has now of a branch and a tag; nothing of it is fetched.
    ///
    /// # Errors
    /// When the remote cannot be asked, in git's own words.
    pub(crate) fn on_remote(self, remote: &str, branch: &str, tag: &str) -> Result<OnRemote, String> {
        let (branch, tag) = (format!("refs/heads/{branch}"), format!("refs/tags/{tag}"));
        let commit = format!("{tag}^{{}}");
        let process = self.process(&["ls-remote", remote, &branch, &tag, &commit]);
        let finished = process.run().map_err(|error| error.to_string())?;
        if !finished.success() {
            return Err(words(&finished));
        }
        let mut found = OnRemote::default();
        for (id, name) in finished.stdout.lines().filter_map(|it| it.split_once('\t')) {
            match name {
                it if it == branch => found.branch = Some(id.to_owned()),
                // A tag with a message comes twice: itself, and then the commit that it is at.
                it if it == tag || it == commit => found.tag = Some(id.to_owned()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Commits these paths and nothing else.
    ///
    /// # Errors
    /// When git refuses, in its own words.
    pub(crate) fn make_commit(self, log: &Log, message: &str, paths: &[&str]) -> Result<(), StepError> {
        let arguments = [&["commit", "--quiet", "--message", message, "--"], paths].concat();
        self.must(log, "the version cannot be committed", &arguments)
    }

    /// Tags HEAD with a message.
    ///
    /// # Errors
    /// When git refuses, in its own words.
    pub(crate) fn make_tag(self, log: &Log, tag: &str, message: &str) -> Result<(), StepError> {
        self.must(log, "the tag cannot be made", &["tag", "--annotate", "--message", message, tag, "HEAD"])
    }

    /// Pushes branch and tag, both or neither. Hooks are for pushes that nobody judged.
    ///
    /// # Errors
    /// When git refuses, in its own words.
    pub(crate) fn push(
        self,
        log: &Log,
        remote: &str,
        branch: Option<&str>,
        tag: &str,
    ) -> Result<(), StepError> {
        let tag = format!("refs/tags/{tag}");
        let branch = branch.map(|it| format!("refs/heads/{it}"));
        let names: Vec<&str> = branch.iter().map(String::as_str).chain([tag.as_str()]).collect();
        let arguments = [&["push", "--quiet", "--atomic", "--no-verify", remote], names.as_slice()].concat();
        let failed = format!("`{remote}` took neither branch nor tag");
        self.must(log, &failed, &arguments).map_err(|error| match error {
            // Pushing by hand would end in the same way; a new look says what is different there now.
            StepError::Environment { lacks, .. } => StepError::environment(lacks, AGAIN),
            error => error,
        })
    }

    fn must(self, log: &Log, failed: &str, arguments: &[&str]) -> Result<(), StepError> {
        let process = self.process(arguments).log(log);
        let finished = process.run()?;
        if finished.success() {
            return Ok(());
        }
        Err(StepError::environment(format!("{failed}: {}", words(&finished)), process.display()))
    }
}

fn words(finished: &Finished) -> String {
    let lines =
        finished.stderr.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with("hint:"));
    let words: Vec<&str> =
        lines.map(|it| it.trim_start_matches("fatal: ").trim_start_matches("error: ")).collect();
    if words.is_empty() { "git gave no reason".into() } else { words.join("; ") }
}
