//! What a release would do, looked up before anything is done, and told to people.

use serde::Serialize;

use super::{
    Situation, Wanted, What,
    binary::{Accepted, Binary, Order, Ordered, Seen, TagState},
    checks::{Answer, Check, Refusal, refusals},
    git::Git,
    images::{self, Ready},
    survey, tag_of,
};
use crate::{
    context::Context,
    images as workspace_images,
    outcome::StepError,
    podman::Podman,
    process::Log,
    steps::{STEPS, Step, deny},
    verdict::{Decision, Verdicts, tree::Tree},
};

/// What a step of the gate has to say before it runs.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    step: &'static str,
    what: String,
}

/// Everything that is known before a release, and whether it can be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) situation: Situation,
    gate: Vec<Judged>,
    images: Vec<Ready>,
    seen: Seen,
}

/// Looks at everything: git, files, verdicts, podman's store and the registry. Changes nothing.
///
/// # Errors
/// When the run is interrupted, or what is needed to look does not work.
pub(crate) fn look(cx: &Context, wanted: &Wanted, log: &Log) -> Result<Plan, StepError> {
    let mut situation = survey(cx, wanted);
    let verdicts = Verdicts::of(cx, Tree::read(&cx.root));
    let gate = gate(cx, &verdicts, &situation);
    situation.checks.push(advisories(cx, &verdicts, wanted));
    situation.checks.push(bases(cx, wanted));
    situation.checks.extend(remote(cx, &situation));
    let mut plan = Plan { situation, gate, images: Vec::new(), seen: Seen::default() };
    // What is not fit to be released need not be asked about.
    let hopeless = refusals(&plan.situation.checks).any(|it| it.kind != super::checks::Kind::Environment);
    if hopeless || !Situation::publishes(cx, wanted) {
        return Ok(plan);
    }
    let podman = match Podman::find(cx, log) {
        Ok(podman) => podman,
        Err(StepError::Environment { lacks, fix }) => {
            let refusal = Refusal::environment("release-no-podman", lacks, fix);
            plan.situation.checks.push(Check::refuses("podman", refusal));
            return Ok(plan);
        }
        Err(error) => return Err(error),
    };
    if plan.situation.edits.is_empty() {
        plan.images = images::look_up(cx, &podman, log, &images::tested(cx)).unwrap_or_default();
    }
    let order = order(cx, wanted, &plan.situation, &plan.images)?;
    let binary = Binary { cx, wanted, podman: &podman };
    plan.seen = binary.look(log, &order)?;
    plan.situation.checks.push(registry(&plan.seen));
    Ok(plan)
}

/// What the registry is asked about, and later told.
///
/// # Errors
/// When a crate's manifest cannot be read.
pub(crate) fn order(
    cx: &Context,
    wanted: &Wanted,
    it: &Situation,
    ready: &[Ready],
) -> Result<Order, StepError> {
    let settings = &cx.config.release;
    let commit = it.edits.is_empty().then_some(it.head.as_str());
    let version = it.version.as_ref().map(ToString::to_string);
    let images = if ready.is_empty() {
        let services = cx.services()?.into_iter().map(|it| it.name);
        services.map(|service| Ordered { service, reference: None, id: None }).collect()
    } else {
        ready.iter().map(Ordered::of).collect()
    };
    let mut stand_ins: Vec<String> = ready.iter().flat_map(|it| it.stand_ins.clone()).collect();
    stand_ins.sort();
    stand_ins.dedup();
    let name =
        version.clone().unwrap_or_else(|| format!("snapshot-{}", it.head.get(..12).unwrap_or(&it.head)));
    Ok(Order {
        immutable: settings.immutable(version.as_deref(), commit),
        moving: it.moving.clone(),
        version,
        commit: commit.unwrap_or_default().to_owned(),
        created_at: Git::new(cx).time(&it.head).unwrap_or_default(),
        registry: settings.registry.clone().unwrap_or_default(),
        path: settings.path.clone().unwrap_or_default(),
        images,
        trusted_keys: settings.trusted_keys.iter().map(|it| cx.root.join(it)).collect(),
        evidence: std::collections::BTreeMap::new(),
        accepted: Accepted { no_advisories: wanted.accepted.no_advisories, stand_in_bases: stand_ins },
        folder: cx.target().join("release").join(name),
    })
}

/// Moving tags never go back: one that leads to a later commit already stays where it is.
pub(crate) fn forward(cx: &Context, order: &Order, seen: &Seen, log: &Log) -> Vec<String> {
    let git = Git::new(cx);
    let later = |tag: &String| {
        let tags = seen.images.iter().flat_map(|it| &it.tags).filter(|it| it.tag == *tag);
        let mut commits = tags.filter_map(|it| it.built_from.as_deref());
        commits.any(|it| it != order.commit && git.is_ancestor(&order.commit, it) == Some(true))
    };
    let (stay, move_on): (Vec<String>, Vec<String>) = order.moving.iter().cloned().partition(later);
    for tag in stay {
        log.remark(&format!("`{tag}` leads to a later commit and stays there"));
    }
    move_on
}

fn gate(cx: &Context, verdicts: &Verdicts<'_>, it: &Situation) -> Vec<Judged> {
    let told = |step: &&'static Step| {
        let what = match (step.skip)(cx) {
            Some(reason) => format!("skip  {reason}"),
            None if !it.edits.is_empty() => "run   on the commit that is to be made".into(),
            None => match verdicts.decide(step) {
                Decision::Hit(hit) => format!("keep  {}", hit.reason),
                Decision::Run { reason, .. } => format!("run   {reason}"),
            },
        };
        Judged { step: step.name, what }
    };
    cx.steps.iter().map(told).collect()
}

/// Whether the remote, as it is now, would take branch and tag. It is asked: what was fetched last may be old.
fn remote(cx: &Context, it: &Situation) -> Option<Check> {
    let (remote, version, branch) =
        (cx.config.release.remote.as_ref()?, it.version.as_ref()?, it.branch.as_ref()?);
    let name = "push";
    let (git, tag) = (Git::new(cx), tag_of(version));
    let found = match git.on_remote(remote, branch, &tag) {
        Ok(found) => found,
        Err(why) => {
            let message = format!("the remote `{remote}` does not say what it has: {why}");
            let refusal = Refusal::environment("release-remote", message, format!("git ls-remote {remote}"));
            return Some(Check::refuses(name, refusal));
        }
    };
    let is_made = it.edits.is_empty();
    if let Some(at) = found.tag.filter(|at| !(is_made && *at == it.head)) {
        let short = at.get(..12).unwrap_or(&at);
        let message =
            format!("`{remote}` has `{tag}` at another commit, {short}: a version is released once");
        let fix = format!("git fetch --tags {remote}; take the next version");
        return Some(Check::refuses(name, Refusal::fault("release-tag-exists", message, fix)));
    }
    let behind = found.branch.filter(|at| git.is_ancestor(at, "HEAD") != Some(true));
    let Some(at) = behind else {
        return Some(Check::holds(name, format!("`{remote}` can take `{branch}` and `{tag}`")));
    };
    let short = at.get(..12).unwrap_or(&at);
    let message = format!("`{branch}` lacks what `{remote}` has of it since, up to {short}");
    // A tag that nobody has yet goes to the commit that is made anew.
    let fix = match it.tagged {
        true => format!("git tag --delete {tag} && git pull --rebase {remote} {branch}"),
        false => format!("git pull --rebase {remote} {branch}"),
    };
    Some(Check::refuses(name, Refusal::fault("release-behind-remote", message, fix)))
}

/// Whether the last verdict on the dependencies knew the advisories.
fn advisories(cx: &Context, verdicts: &Verdicts<'_>, wanted: &Wanted) -> Check {
    let name = "advisories";
    let Some(step) = STEPS.iter().find(|it| it.name == "deny") else {
        return Check::holds(name, "not asked for");
    };
    let unjudged = match ((step.skip)(cx), verdicts.decide(step)) {
        (Some(reason), _) => Some(format!("the step `deny` does not apply: {reason}")),
        (None, Decision::Hit(hit)) => {
            hit.findings.iter().find(|it| it.code == deny::NOT_JUDGED).map(|it| it.message.clone())
        }
        (None, Decision::Run { .. }) => return Check::holds(name, "the gate judges them"),
    };
    match unjudged {
        None => Check::holds(name, "they were judged"),
        Some(_) if wanted.accepted.no_advisories => Check::holds(name, "not judged, and accepted so"),
        Some(why) => Check::refuses(name, no_advisories(&why)),
    }
}

/// Nobody has judged the advisories.
pub(crate) fn no_advisories(why: &str) -> Refusal {
    let why = why.trim_end_matches("; a release is refused until they are");
    Refusal::environment(
        "release-no-advisories",
        format!("advisories were not judged: {why}"),
        "have `cargo xtask ci deny --force` judge them, where the network allows it, or say `--accept-no-advisories`",
    )
}

/// Whether the images start from the genuine bases.
fn bases(cx: &Context, wanted: &Wanted) -> Check {
    let name = "bases";
    let used = cx.config.images.bases.iter().filter(|(_, it)| it.argument.is_some());
    let stand_ins: Vec<String> = used
        .filter_map(|(name, base)| workspace_images::base_in_store(cx, name).filter(|it| *it != base.image))
        .collect();
    match stand_ins.as_slice() {
        [] => Check::holds(name, "no stand-in is used"),
        _ if wanted.accepted.stand_in_bases => {
            Check::holds(name, format!("{} stands in, and is accepted so", stand_ins.join(", ")))
        }
        _ => Check::refuses(name, stand_in_bases(&stand_ins)),
    }
}

/// Images start from what only stands in for the public bases.
pub(crate) fn stand_in_bases(stand_ins: &[String]) -> Refusal {
    Refusal::environment(
        "release-stand-in-bases",
        format!("images start from a stand-in for a public base: {}", stand_ins.join(", ")),
        "have `cargo xtask images bases` pull it, where its registry can be reached, or say `--accept-stand-in-bases`",
    )
}

/// The refusals of the registry's side as one check each would be told twice; the first speaks.
fn registry(seen: &Seen) -> Check {
    let name = "registry";
    match seen.refusals.first() {
        None => Check::holds(name, "no tag is taken by another image"),
        Some(first) => {
            let (code, message, fix) = (first.code.clone().into(), first.message.clone(), first.fix.clone());
            Check::refuses(name, Refusal { code, kind: first.kind.kind(), message, fix })
        }
    }
}

impl Plan {
    /// The plan as people read it, a line each.
    pub(crate) fn lines(&self, cx: &Context, wanted: &Wanted) -> Vec<String> {
        let mut lines = self.head(wanted);
        lines.push(String::new());
        lines.push("checks".into());
        let checks = &self.situation.checks;
        let width = checks.iter().map(|it| it.name.len()).max().unwrap_or_default();
        for check in checks {
            match &check.answer {
                Answer::Holds { how } => lines.push(format!("  {:width$}  holds    {how}", check.name)),
                Answer::Refuses(refusal) => {
                    lines.push(format!("  {:width$}  REFUSES  {}", check.name, refusal.message));
                    lines.push(format!("  {:width$}           fix: {}", "", refusal.fix));
                }
            }
        }
        lines.extend(self.files());
        lines.extend(self.gate_lines());
        if let (Some(version), false) = (&self.situation.version, self.situation.tagged) {
            lines.extend([String::new(), "git".into(), format!("  tag {}, annotated", tag_of(version))]);
        }
        lines.extend(self.images(cx));
        lines.push(String::new());
        lines.push(self.verdict(wanted, cx));
        lines
    }

    fn head(&self, wanted: &Wanted) -> Vec<String> {
        let it = &self.situation;
        let now = it.now.as_ref().map_or_else(|| "?".into(), ToString::to_string);
        let branch = it.branch.as_deref().unwrap_or("no branch");
        let short = it.head.get(..12).unwrap_or(&it.head);
        let what = match (&wanted.what, &it.version) {
            (What::Snapshot, _) => format!("snapshot of `{branch}`"),
            (_, Some(version)) if Some(version) == it.now.as_ref() => format!("version {version}"),
            (_, Some(version)) => format!("version {now} → {version}"),
            (_, None) => "version unknown".into(),
        };
        vec![format!("{what}, from {short} on `{branch}`")]
    }

    fn files(&self) -> Vec<String> {
        let edits = &self.situation.edits;
        if edits.is_empty() {
            return Vec::new();
        }
        let width = edits.iter().map(|it| it.path.len()).max().unwrap_or_default();
        let mut lines = vec![String::new(), "files, in one commit".into()];
        lines.extend(edits.iter().map(|it| format!("  {:width$}  {}", it.path, it.what)));
        lines
    }

    fn gate_lines(&self) -> Vec<String> {
        let width = self.gate.iter().map(|it| it.step.len()).max().unwrap_or_default();
        let mut lines = vec![String::new(), "gate".into()];
        lines.extend(self.gate.iter().map(|it| format!("  {:width$}  {}", it.step, it.what)));
        lines
    }

    fn images(&self, cx: &Context) -> Vec<String> {
        let settings = &cx.config.release;
        let place =
            [settings.registry.as_deref(), settings.path.as_deref()].map(Option::unwrap_or_default).join("/");
        let mut lines = vec![String::new(), format!("images, to {place}")];
        for service in cx.services().unwrap_or_default() {
            let ready = self.images.iter().find(|it| it.service == service.name);
            let built = match ready.map(|it| it.fingerprint.as_deref().unwrap_or(&it.id)) {
                Some(name) => format!("built, {}", name.get(..19).unwrap_or(name)),
                None => "still to be built".into(),
            };
            lines.push(format!("  {}  {built}", service.name));
            let seen = self.seen.images.iter().find(|it| it.service == service.name);
            for tag in seen.iter().flat_map(|it| &it.tags) {
                let digest = tag.digest.as_deref().unwrap_or_default();
                let moves = self.situation.moving.contains(&tag.tag);
                let state = match tag.state {
                    TagState::Free => "free".into(),
                    TagState::Same => format!("done, {digest}"),
                    TagState::Other | TagState::There if moves => format!("moves from {digest}"),
                    TagState::Other => format!("TAKEN by {digest}"),
                    TagState::There => format!("{digest} is there, compared once the image is built"),
                };
                lines.push(format!("    {}  {state}", tag.tag));
            }
        }
        lines
    }

    fn verdict(&self, wanted: &Wanted, cx: &Context) -> String {
        let refused = refusals(&self.situation.checks).count();
        match refused {
            0 => format!("nothing was changed; to do it: {}", wanted.again(cx)),
            1 => "1 check refuses; nothing was changed".into(),
            count => format!("{count} checks refuse; nothing was changed"),
        }
    }

    /// The plan for programs.
    pub(crate) fn value(&self) -> serde_json::Value {
        let it = &self.situation;
        let files: Vec<_> =
            it.edits.iter().map(|it| serde_json::json!({ "path": it.path, "what": it.what })).collect();
        serde_json::json!({
            "schema": 1,
            "command": "release",
            "commit": it.head,
            "branch": it.branch,
            "now": it.now.as_ref().map(ToString::to_string),
            "version": it.version.as_ref().map(ToString::to_string),
            "checks": it.checks,
            "files": files,
            "gate": self.gate,
            "images": self.images,
            "registry": self.seen,
        })
    }
}
