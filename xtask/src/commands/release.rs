//! `cargo xtask release`: the plan, or the run that carries it out, one phase after the other.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;

use super::{
    gate::{as_in_the_table, lock, missing, set_up},
    say, unusable,
};
use crate::{
    cli::{MessageFormat, ReleaseArgs},
    context::Context,
    engine::{Going, OnFailure, Plan, Policy, Run},
    events::StepRecord,
    outcome::{EXIT_USAGE, Finding, Outcome, Status, StepError, StepResult},
    podman::Podman,
    process::Log,
    release::{
        Accepted, Situation, Wanted, What,
        binary::{Binary, Done, Evidence, Order, Published},
        checks::{self, Kind, Refusal},
        edits,
        git::Git,
        images::{self, Ready},
        plan, steps, survey, tag_of, words,
    },
    report::{Pages, Report},
    steps::{Step, deny},
    terminal,
    verdict::tree::Tree,
};

/// Bytes of a password; more is none.
const PASSWORD_MAX: u64 = 64 << 10;

pub(super) fn run(cx: &Context, args: ReleaseArgs) -> anyhow::Result<u8> {
    let format = args.message_format;
    let does = args.execute || (args.version.is_none() && !args.plan);
    let wanted = wanted(&args)?;
    if does { execute(cx, &args, &wanted) } else { show(cx, &wanted, format) }
}

fn wanted(args: &ReleaseArgs) -> anyhow::Result<Wanted> {
    let what = match &args.version {
        Some(version) => What::Version(version.clone()),
        None if args.snapshot => What::Snapshot,
        None => What::FromTag,
    };
    let password = args.password_stdin.then(|| {
        let mut bytes = Vec::new();
        std::io::stdin().take(PASSWORD_MAX).read_to_end(&mut bytes).map(|_| bytes)
    });
    let password = password.transpose().context("cannot read the password from standard input")?;
    // The binary runs in another folder than where this was typed.
    let absolute = |path: &Option<PathBuf>| {
        path.as_ref().map(std::path::absolute).transpose().context("cannot name a file from here")
    };
    let accepted =
        Accepted { no_advisories: args.accept_no_advisories, stand_in_bases: args.accept_stand_in_bases };
    let (auth_file, signing_key) = (absolute(&args.authfile)?, absolute(&args.signing_key)?);
    Ok(Wanted { what, accepted, auth_file, signing_key, password })
}

/// Shows what would be done.
fn show(cx: &Context, wanted: &Wanted, format: MessageFormat) -> anyhow::Result<u8> {
    let path = cx.target().join("logs").join("release.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    let plan = plan::look(cx, wanted, &log).map_err(StepError::into_error)?;
    if format == MessageFormat::Json {
        say(&plan.value().to_string());
    } else {
        plan.lines(cx, wanted).iter().for_each(|line| say(crate::mask::masked(line).trim_end()));
    }
    Ok(checks::exit_code(&plan.situation.checks))
}

/// Carries it out.
fn execute(cx: &Context, args: &ReleaseArgs, wanted: &Wanted) -> anyhow::Result<u8> {
    let _lock = lock(cx)?;
    let situation = survey(cx, wanted);
    if let Some(refusal) = checks::refusals(&situation.checks).find(|it| it.kind == Kind::Usage) {
        return Err(unusable(anyhow::anyhow!("{}; try: {}", refusal.message, refusal.fix)));
    }
    let gate: Vec<&'static Step> = Step::all(cx);
    if args.setup {
        let applies = |step: &&'static Step| (step.skip)(cx).is_none();
        set_up(cx, &gate.iter().copied().filter(applies).collect::<Vec<_>>())?;
    }
    let before: Vec<&'static Step> = match wanted.what {
        What::Version(_) => vec![steps::CHECKS, steps::VERSION],
        What::Snapshot | What::FromTag => vec![steps::CHECKS],
    };
    let after = after_the_gate(cx, wanted);
    let all: Vec<&'static Step> = [before.as_slice(), &gate, &after].concat();
    let mut report = Report::new(&cx.target());
    let mut pages = Pages::new(cx);
    let mut terminal = terminal::listener(cx, args.message_format, args.telling.detail());
    let release = Release::new(wanted);
    let mut listeners: [&mut dyn crate::events::Listener; 3] = [&mut report, &mut pages, terminal.as_mut()];
    let tree = Tree::read(&cx.root);
    let mut going = Going::begin(cx, "release", &all, tree.as_ref(), &mut listeners)?;
    release.phases(cx, &mut going, [&before, &gate, &after])?;
    let run = going.end()?;
    pages.warnings.iter().for_each(|it| eprintln!("warning: {it}"));
    if args.message_format != MessageFormat::Json {
        words::last(cx, wanted, &run, release.known().published.as_ref()).iter().for_each(|line| say(line));
    }
    Ok(if release.is_misused() { EXIT_USAGE } else { run.verdict.exit_code() })
}

/// What comes once the gate is green.
fn after_the_gate(cx: &Context, wanted: &Wanted) -> Vec<&'static Step> {
    let mut after = vec![steps::EVIDENCE];
    if matches!(wanted.what, What::Version(_)) {
        after.push(steps::TAG);
        if cx.config.release.remote.is_some() {
            after.push(steps::REMOTE);
        }
    }
    if Situation::publishes(cx, wanted) {
        after.extend([steps::PUSH, steps::VERIFY, steps::PUBLISH]);
        if std::env::var_os("SLIPWAY_URL").is_some_and(|it| !it.is_empty()) {
            after.push(steps::ANNOUNCE);
        }
    }
    after
}

/// A release that is being made: what its steps tell each other.
struct Release<'a> {
    wanted: &'a Wanted,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Refusals of the kind that is wrong usage, which the report's verdict has no word for.
    misused: bool,
    images: Vec<Ready>,
    evidence: Vec<StepRecord>,
    published: Option<Published>,
}

impl<'a> Release<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        Self { wanted, known: Mutex::default() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_misused(&self) -> bool {
        self.known().misused
    }

    /// Everything in its order; what fails is the last thing that is done.
    fn phases(
        &self,
        cx: &Context,
        going: &mut Going<'_, '_>,
        [before, gate, after]: [&[&'static Step]; 3],
    ) -> anyhow::Result<()> {
        for step in before {
            if !own(going, cx, step, &|cx, log| self.step(step, cx, log))? {
                return Ok(());
            }
        }
        // The version is another one now.
        let cx = &Context::load(Some(&cx.root))?;
        let judged = Plan {
            command: "release",
            steps: gate.to_vec(),
            on_failure: OnFailure::Stop,
            verdicts: Policy::Use,
            narrowed: BTreeMap::new(),
            lacks: &|steps| missing(cx, "ci", steps),
            run: &as_in_the_table,
        };
        let green = going.phase(cx, &judged, Tree::read(&cx.root))?;
        if !green {
            return Ok(());
        }
        self.known().evidence =
            going.steps().iter().filter(|it| gate.iter().any(|step| step.name == it.name)).cloned().collect();
        for step in after {
            if !own(going, cx, step, &|cx, log| self.step(step, cx, log))? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step, cx: &Context, log: &Log) -> StepResult {
        match step.name {
            "checks" => self.checks(cx, log),
            "version" => self.version(cx, log),
            "evidence" => self.evidence(cx, log),
            "tag" => self.tag(cx, log),
            "remote" => self.remote(cx, log),
            name => self.publish(cx, log, name),
        }
    }

    /// Nothing is changed before everything that can refuse was asked.
    fn checks(&self, cx: &Context, log: &Log) -> StepResult {
        let plan = plan::look(cx, self.wanted, log)?;
        let found = &plan.situation.checks;
        let refusals: Vec<&Refusal> = checks::refusals(found).collect();
        let Some(first) = refusals.first() else { return Ok(Outcome::Judged(Vec::new())) };
        self.known().misused = refusals.iter().any(|it| it.kind == Kind::Usage);
        if refusals.iter().all(|it| it.kind == Kind::Environment) {
            return Err(first.error());
        }
        Ok(Outcome::Judged(refusals.iter().map(|it| it.finding()).collect()))
    }

    /// Writes the version and the changelog's section, and commits them.
    fn version(&self, cx: &Context, log: &Log) -> StepResult {
        let situation = survey(cx, self.wanted);
        let Some(version) = &situation.version else { return Ok(Outcome::Judged(Vec::new())) };
        if situation.edits.is_empty() {
            log.remark("the commit has it");
            return Ok(Outcome::Judged(Vec::new()));
        }
        for edit in &situation.edits {
            log.line(&format!("{}: {}", edit.path, edit.what));
            edits::write(cx, edit)?;
        }
        let paths: Vec<&str> = situation.edits.iter().map(|it| it.path.as_str()).collect();
        Git::new(cx).make_commit(log, &format!("Release {version}"), &paths)?;
        Ok(Outcome::Judged(Vec::new()))
    }

    /// Looks at what the gate said and at the images that it tested.
    fn evidence(&self, cx: &Context, log: &Log) -> StepResult {
        let evidence = self.known().evidence.clone();
        let mut findings = Vec::new();
        let accepted = self.wanted.accepted;
        let deny = evidence.iter().find(|it| it.name == "deny");
        let unjudged = deny.and_then(|it| match it.status {
            Status::Skipped => Some(format!("the step `deny` does not apply: {}", it.reason)),
            _ => it.findings.iter().find(|it| it.code == deny::NOT_JUDGED).map(|it| it.message.clone()),
        });
        match unjudged {
            Some(why) if !accepted.no_advisories => return Err(plan::no_advisories(&why).error()),
            Some(why) => findings.push(Finding::warning("release-no-advisories", format!("accepted: {why}"))),
            None => {}
        }
        let status = evidence.iter().find(|it| it.name == "images").map_or(Status::Skipped, |it| it.status);
        let podman = Podman::find(cx, log)?;
        let images = images::look_up(cx, &podman, log, &images::tested_by(cx, status))?;
        let services = cx.services()?;
        if let Some(lost) = services.iter().find(|it| !images.iter().any(|image| image.service == it.name)) {
            let message = format!("the gate tested no image of `{}`", lost.name);
            return Err(StepError::environment(message, "cargo xtask ci images --force"));
        }
        let mut stand_ins: Vec<String> = images.iter().flat_map(|it| it.stand_ins.clone()).collect();
        stand_ins.sort();
        stand_ins.dedup();
        if !stand_ins.is_empty() {
            if !accepted.stand_in_bases {
                return Err(plan::stand_in_bases(&stand_ins).error());
            }
            let message = format!("accepted: {} stands in for a public base", stand_ins.join(", "));
            findings.push(Finding::warning("release-stand-in-bases", message));
        }
        self.known().images = images;
        Ok(Outcome::Judged(findings))
    }

    fn tag(&self, cx: &Context, log: &Log) -> StepResult {
        let situation = survey(cx, self.wanted);
        // Somebody may have committed, or tagged, while the gate ran.
        let refusals: Vec<Finding> = checks::refusals(&situation.checks).map(Refusal::finding).collect();
        let (Some(version), true) = (&situation.version, refusals.is_empty() && situation.edits.is_empty())
        else {
            return Ok(Outcome::Judged(refusals));
        };
        if situation.tagged {
            log.remark("it is there");
            return Ok(Outcome::Judged(Vec::new()));
        }
        Git::new(cx).make_tag(log, &tag_of(version), &format!("Release {version}"))?;
        Ok(Outcome::Judged(Vec::new()))
    }

    fn remote(&self, cx: &Context, log: &Log) -> StepResult {
        let situation = survey(cx, self.wanted);
        if let (Some(remote), Some(version)) = (&cx.config.release.remote, &situation.version) {
            Git::new(cx).push(log, remote, situation.branch.as_deref(), &tag_of(version))?;
        }
        Ok(Outcome::Judged(Vec::new()))
    }

    /// One part of what the binary `release` does: push, verify, publish, announce.
    fn publish(&self, cx: &Context, log: &Log, part: &str) -> StepResult {
        let podman = Podman::find(cx, log)?;
        let binary = Binary { cx, wanted: self.wanted, podman: &podman };
        let mut order = self.order(cx)?;
        if part == "publish" {
            let seen = binary.look(log, &order)?;
            order.moving = plan::forward(cx, &order, &seen, log);
        }
        match binary.does(log, part, &order)? {
            Done::Refused(outcome) => Ok(outcome),
            Done::All(published) => {
                // What was announced is what was published before, and has no tags.
                if part != "announce" {
                    self.known().published = Some(published);
                }
                Ok(Outcome::Judged(Vec::new()))
            }
        }
    }

    fn order(&self, cx: &Context) -> Result<Order, StepError> {
        let situation = survey(cx, self.wanted);
        let known = self.known();
        let mut order = plan::order(cx, self.wanted, &situation, &known.images)?;
        order.evidence = known.evidence.iter().map(evidence).collect();
        Ok(order)
    }
}

fn evidence(step: &StepRecord) -> (String, Evidence) {
    let verdict = if step.status == Status::Skipped { "skipped" } else { "passed" };
    (step.name.to_owned(), Evidence { verdict, fingerprint: step.fingerprint.clone() })
}

/// Runs one of a release's own steps; whether it is as it should be.
fn own(
    going: &mut Going<'_, '_>,
    cx: &Context,
    step: &'static Step,
    work: &(dyn Fn(&Context, &Log) -> StepResult + Sync),
) -> anyhow::Result<bool> {
    let run: Run<'_> = &|_, cx, log| work(cx, log);
    let plan = Plan {
        command: "release",
        steps: vec![step],
        on_failure: OnFailure::Stop,
        verdicts: Policy::Leave,
        narrowed: BTreeMap::from([(step.name, step.proves.to_owned())]),
        lacks: &|_| BTreeMap::new(),
        run,
    };
    going.phase(cx, &plan, None)
}
