//! Where a release stands, from git and the workspace's files alone; nothing is changed.

use std::fs;

use cargo_metadata::semver::Version;

use super::{
    Edit, Publisher, Wanted, What,
    changelog::Changelog,
    checks::{Check, Refusal},
    edits,
    git::Git,
    tag_of,
};
use crate::{context::Context, verdict};

/// The remote whose branches count where the configuration names none.
const REMOTE: &str = "origin";

/// What is known before anything is done.
#[derive(Debug)]
pub(crate) struct Situation {
    /// The commit that is checked out.
    pub(crate) head: String,
    /// The branch that is checked out; nothing where a commit is.
    pub(crate) branch: Option<String>,
    /// What the manifest says now.
    pub(crate) now: Option<Version>,
    /// What is released; nothing for a snapshot, or where it cannot be told.
    pub(crate) version: Option<Version>,
    /// What is still to be changed and committed; empty where the commit has it all.
    pub(crate) edits: Vec<Edit>,
    /// Whether git has the tag, at this commit.
    pub(crate) tagged: bool,
    /// Tags that follow the newest images of this branch.
    pub(crate) moving: Vec<String>,
    pub(crate) checks: Vec<Check>,
}

impl Situation {
    /// Whether this run pushes images: a snapshot and a tag's run always do.
    pub(crate) fn publishes(cx: &Context, wanted: &Wanted) -> bool {
        matches!(wanted.what, What::Snapshot | What::FromTag)
            || cx.config.release.publisher == Some(Publisher::Local)
    }

    fn check(&mut self, name: &'static str, result: Result<String, Refusal>) {
        self.checks.push(match result {
            Ok(how) => Check::holds(name, how),
            Err(refusal) => Check::refuses(name, refusal),
        });
    }
}

/// Looks at the workspace and judges everything that needs no registry and no gate.
pub(crate) fn survey(cx: &Context, wanted: &Wanted) -> Situation {
    let git = Git::new(cx);
    let mut it = Situation {
        head: git.commit("HEAD").unwrap_or_default(),
        branch: git.branch(),
        now: None,
        version: None,
        edits: Vec::new(),
        tagged: false,
        moving: Vec::new(),
        checks: Vec::new(),
    };
    it.check("configuration", configured(cx));
    if it.head.is_empty() {
        let message = "there is no git repository with a commit here";
        let fix = "git init && git add --all && git commit";
        it.check("git", Err(Refusal::usage("release-no-git", message, fix)));
        return it;
    }
    match &wanted.what {
        What::Version(version) => of_version(cx, git, &mut it, version),
        What::FromTag => of_tag(cx, git, &mut it),
        What::Snapshot => of_snapshot(cx, git, &mut it),
    }
    it
}

fn of_version(cx: &Context, git: Git<'_>, it: &mut Situation, version: &Version) {
    it.version = Some(version.clone());
    let tag = tag_of(version);
    let at = git.commit(&format!("refs/tags/{tag}"));
    it.tagged = at.as_deref() == Some(it.head.as_str());
    match edits::committed(git).map_or_else(|| edits::current(cx), Ok) {
        Ok(now) => {
            it.now = Some(now.clone());
            it.check(
                "version",
                if it.tagged {
                    Ok(format!("{version} is this commit's"))
                } else {
                    higher(git, &now, version)
                },
            );
            let set = set(cx, git, &now, version);
            if !set && !it.tagged {
                match edits::edits(cx, git, &now, version, &day(cx, version)) {
                    Ok(edits) => it.edits = edits,
                    Err(refusal) => it.check("changelog", Err(refusal)),
                }
            }
            if !it.edits.is_empty() || set || it.tagged {
                it.check("changelog", Ok(changelog_holds(cx, it, version)));
            }
        }
        Err(refusal) => it.check("version", Err(refusal)),
    }
    it.check("tree", clean(cx, git, &it.edits));
    it.check("branch", branch_may(it.branch.as_deref(), &cx.config.release.branches, "a version"));
    it.check("remote", in_step(cx, git, it));
    it.check("tag", free(&it.head, &tag, at, git));
    if let Some(refusal) = edits::refused_requirement(cx, version) {
        it.check("requirements", Err(refusal));
    }
    // What is only tried out does not take the place of what is released.
    let branch = it.branch.as_ref().filter(|_| version.pre.is_empty());
    it.moving = branch.and_then(|it| cx.config.release.moving.get(it)).cloned().into_iter().collect();
}

fn of_tag(cx: &Context, git: Git<'_>, it: &mut Situation) {
    let versions = git.versions_here();
    let now = edits::current(cx).ok();
    it.now.clone_from(&now);
    let found = now.as_ref().filter(|it| versions.contains(it)).cloned();
    let result = match (&found, versions.first(), &now) {
        (Some(version), ..) => Ok(format!("`{}` is checked out", tag_of(version))),
        (None, Some(other), now) => {
            let said = now.as_ref().map_or_else(|| "no version".into(), ToString::to_string);
            let message = format!("`{}` is checked out, but its Cargo.toml says {said}", tag_of(other));
            let fix = format!(
                "make the tag anew by `cargo xtask release {other} --execute`, from a commit without one"
            );
            Err(Refusal::fault("release-tag-of-another-version", message, fix))
        }
        (None, None, _) => {
            let message = "no release's tag is checked out";
            Err(Refusal::usage("release-no-tag", message, "git checkout vX.Y.Z"))
        }
    };
    it.version = found;
    it.tagged = it.version.is_some();
    it.check("tag", result);
    it.check("tree", clean(cx, git, &[]));
    let release = &cx.config.release;
    let remote = release.remote.as_deref().unwrap_or(REMOTE);
    let holds = |branch: &String| {
        git.places(branch, remote).iter().any(|place| git.is_ancestor("HEAD", place) == Some(true))
    };
    let known = release.branches.iter().any(|branch| !git.places(branch, remote).is_empty());
    let on = release.branches.iter().find(|it| holds(it)).cloned();
    let result = match &on {
        Some(branch) => Ok(format!("the commit is on `{branch}`")),
        None if !known => Ok("none of the branches that may be released is known here".into()),
        None => Err(Refusal::fault(
            "release-branch",
            format!(
                "the tag's commit is on none of the branches that may be released: {}",
                listed(&release.branches)
            ),
            "merge it there, or name its branch under `branches` of `[release]` in `.config/xtask.toml`",
        )),
    };
    it.check("branch", result);
    let pre = it.version.as_ref().is_some_and(|it| !it.pre.is_empty());
    it.moving = on.filter(|_| !pre).and_then(|it| release.moving.get(&it).cloned()).into_iter().collect();
}

fn of_snapshot(cx: &Context, git: Git<'_>, it: &mut Situation) {
    it.now = edits::current(cx).ok();
    let moving = &cx.config.release.moving;
    let branches: Vec<String> = moving.keys().cloned().collect();
    it.check("tree", clean(cx, git, &[]));
    it.check("branch", branch_may(it.branch.as_deref(), &branches, "a snapshot"));
    it.check("remote", in_step(cx, git, it));
    it.moving = it.branch.as_ref().and_then(|it| moving.get(it)).cloned().into_iter().collect();
}

/// What every release needs of the configuration.
fn configured(cx: &Context) -> Result<String, Refusal> {
    let release = &cx.config.release;
    let lacks = |code, what: &str, example: &str| {
        let message = format!("`[release]` in `.config/xtask.toml` says no {what}");
        Refusal::usage(code, message, format!("write `{example}` under `[release]`"))
    };
    let Some(publisher) = release.publisher else {
        return Err(lacks(
            "release-no-publisher",
            "`publisher`: nobody is to push images",
            "publisher = \"local\"",
        ));
    };
    let Some(registry) = &release.registry else {
        return Err(lacks("release-no-registry", "`registry`", "registry = \"registry.example.com\""));
    };
    let Some(path) = &release.path else {
        return Err(lacks("release-no-registry", "`path` on the registry", "path = \"team/product\""));
    };
    if release.trusted_keys.is_empty() {
        let example = "trusted-keys = [\".config/release.pub\"]";
        return Err(lacks("release-no-trusted-key", "`trusted-keys`: hosts could verify nothing", example));
    }
    if let Some(missing) = release.trusted_keys.iter().find(|it| !cx.root.join(it).is_file()) {
        let message = format!("the trusted key `{missing}` does not exist");
        return Err(Refusal::usage("release-no-trusted-key", message, super::binary::NEW_KEY));
    }
    let services = cx.services().map_err(|error| {
        Refusal::usage("release-no-images", format!("{error:#}"), "correct the crate's manifest")
    })?;
    if services.is_empty() {
        let message = "no crate has `[package.metadata.service]`, so there is no image to release";
        return Err(Refusal::usage(
            "release-no-images",
            message,
            "give a crate `[package.metadata.service]` and an image",
        ));
    }
    let who = match publisher {
        Publisher::Local => "this machine pushes",
        Publisher::Gitea => "a workflow pushes",
    };
    Ok(format!("{who} to {registry}/{path}"))
}

/// Whether the number is one that can come next.
fn higher(git: Git<'_>, now: &Version, version: &Version) -> Result<String, Refusal> {
    let next = Version::new(now.major, now.minor + 1, 0);
    let fix = format!("cargo xtask release {next}");
    if version < now {
        let message = format!("{version} is not greater than {now}, which the manifest says");
        return Err(Refusal::fault("release-version-not-greater", message, fix));
    }
    match git.last_release().filter(|last| version <= last) {
        Some(last) if last == *version => Ok(format!("{version} was tagged before")),
        Some(last) => {
            let message = format!("{version} is not greater than {last}, which was released");
            Err(Refusal::fault("release-version-not-greater", message, fix))
        }
        None if version == now => Ok(format!("{version}, which the manifest says already")),
        None => Ok(format!("{now} → {version}")),
    }
}

/// Whether HEAD has the version and its section.
fn set(cx: &Context, git: Git<'_>, now: &Version, version: &Version) -> bool {
    let text = git.text("HEAD", &cx.config.release.changelog).unwrap_or_default();
    now == version && Changelog::new(&text).of(&version.to_string()).is_some()
}

fn changelog_holds(cx: &Context, it: &Situation, version: &Version) -> String {
    let path = &cx.config.release.changelog;
    let edit = it.edits.iter().find(|edit| edit.path == *path);
    edit.map_or_else(|| format!("`{path}` tells of {version}"), |edit| edit.what.clone())
}

/// The day in a section that an earlier run wrote, else today's.
fn day(cx: &Context, version: &Version) -> String {
    let text = fs::read_to_string(cx.root.join(&cx.config.release.changelog)).unwrap_or_default();
    let written = Changelog::new(&text).day_of(&version.to_string()).map(str::to_owned);
    written.unwrap_or_else(verdict::today)
}

/// Nothing is uncommitted but what this very release writes.
fn clean(cx: &Context, git: Git<'_>, edits: &[Edit]) -> Result<String, Refusal> {
    let changes = git.changes().unwrap_or_default();
    let ours = |path: &String| {
        let text = fs::read_to_string(cx.root.join(path)).ok();
        edits.iter().any(|edit| edit.path == *path && Some(&edit.text) == text.as_ref())
    };
    let others: Vec<&String> = changes.iter().filter(|it| !ours(it)).collect();
    match others.as_slice() {
        [] if changes.is_empty() => Ok("nothing is uncommitted".into()),
        [] => Ok("only what this release wrote before is uncommitted".into()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let message =
                format!("`{first}`{more} differs from the commit, and only a commit can be released");
            Err(Refusal::fault("release-dirty-tree", message, "git status; then commit, stash or remove it"))
        }
    }
}

fn branch_may(branch: Option<&str>, allowed: &[String], what: &str) -> Result<String, Refusal> {
    let fix = |branch: &str| format!("git switch {branch}");
    let first = allowed.first().map_or("main", String::as_str);
    match branch {
        Some(branch) if allowed.iter().any(|it| it == branch) => Ok(format!("`{branch}` may be released")),
        Some(branch) => {
            let key = if what == "a version" { "branches" } else { "moving" };
            let message = format!(
                "{what} is released from {}, and `{branch}` is checked out (`{key}` of `[release]` in `{}`)",
                listed(allowed),
                crate::config::CONFIG_FILE
            );
            Err(Refusal::fault("release-branch", message, fix(first)))
        }
        None => {
            let message =
                format!("{what} is released from a branch, and a commit without one is checked out");
            Err(Refusal::fault("release-branch", message, fix(first)))
        }
    }
}

/// What is released is what everybody else has, but for the release's own commit.
fn in_step(cx: &Context, git: Git<'_>, it: &Situation) -> Result<String, Refusal> {
    let Some(branch) = &it.branch else { return Ok("no branch is checked out".into()) };
    let remote = cx.config.release.remote.as_deref().unwrap_or(REMOTE);
    let Some(there) = git.remote_branch(branch, remote) else {
        return Ok(format!("no remote's `{branch}` is known here"));
    };
    let shown = there.trim_start_matches("refs/remotes/");
    let commits = |count: u64| if count == 1 { "1 commit".into() } else { format!("{count} commits") };
    match git.apart(&there) {
        Some((0, 0)) => Ok(format!("`{branch}` is `{shown}`")),
        Some((0, ahead)) if own_commit(cx, git, it, &there) => Ok(format!(
            "only the release's own {} not on `{shown}` yet",
            if ahead == 1 { "commit is" } else { "commits are" }
        )),
        Some((0, ahead)) => {
            let message = format!(
                "{} of `{branch}` {} not on `{shown}`: nobody else has seen what would be released",
                commits(ahead),
                if ahead == 1 { "is" } else { "are" }
            );
            Err(Refusal::fault("release-ahead-of-remote", message, format!("git push {remote} {branch}")))
        }
        Some((behind, _)) => {
            let message = format!("`{branch}` lacks {} of `{shown}`", commits(behind));
            Err(Refusal::fault(
                "release-behind-remote",
                message,
                format!("git pull --ff-only {remote} {branch}"),
            ))
        }
        None => Ok(format!("`{shown}` has nothing in common with this branch")),
    }
}

/// Whether what HEAD has more is a release's commit: the version is set, and nothing but its files was changed.
fn own_commit(cx: &Context, git: Git<'_>, it: &Situation, there: &str) -> bool {
    let own = ["Cargo.toml", "Cargo.lock", cx.config.release.changelog.as_str()];
    let set = it.version.is_some() && it.version == it.now && it.edits.is_empty();
    set && git.changed_since(there).iter().all(|path| own.contains(&path.as_str()))
}

fn free(head: &str, tag: &str, at: Option<String>, git: Git<'_>) -> Result<String, Refusal> {
    match at {
        None => Ok(format!("`{tag}` does not exist yet")),
        Some(at) if at == head && git.is_annotated(tag) => Ok(format!("`{tag}` is at this commit")),
        Some(at) if at == head => {
            let message = format!("`{tag}` is at this commit, but has no message: it is not a release's tag");
            Err(Refusal::fault(
                "release-tag-exists",
                message,
                format!("git tag --delete {tag}, if nobody has it yet"),
            ))
        }
        Some(at) => {
            let short = at.get(..12).unwrap_or(&at);
            let message = format!("`{tag}` exists at another commit, {short}: a version is released once");
            let fix = format!(
                "take the next version; `git checkout {tag} && cargo xtask release --from-tag` goes on with that one"
            );
            Err(Refusal::fault("release-tag-exists", message, fix))
        }
    }
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}
