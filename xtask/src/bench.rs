//! `bench`: the gate beside the shell pipeline that it replaces, in turn, on the same commit; it prints ratios.

mod checkout;
mod plain;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use self::{
    checkout::{Begin, Checkout, State, Warm},
    plain::Plain,
};
use crate::{
    context::Context,
    process::{Log, Process},
    report::write_whole,
    services::Kind,
};

/// What has happened since the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// A fresh clone with an empty target folder and no layer of the images; cargo's registry is there.
    Cold,
    /// One line of one service has changed.
    OneLine,
    /// Nothing.
    NoChange,
}

impl Case {
    /// In the order in which they must be measured: each stands on the one before.
    const ALL: [Self; 3] = [Self::Cold, Self::OneLine, Self::NoChange];

    fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::OneLine => "one line",
            Self::NoChange => "no change",
        }
    }
}

/// Both ways through one round of a case, seconds of wall time.
#[derive(Debug, Serialize)]
struct Round {
    case: Case,
    plain_s: f64,
    gate_s: f64,
}

/// Measures the cases, `rounds` times each but the cold one, and says how they compare.
///
/// What the cold case compiled stays below `target/xtask/bench`: on the same commit the other cases begin with it.
///
/// # Errors
/// When one of the two ways ends red: then there is nothing to compare.
pub(crate) fn run(
    cx: &Context,
    cases: &[Case],
    rounds: u32,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let path = cx.target().join("logs").join("bench.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    let wanted = |case: Case| cases.is_empty() || cases.contains(&case);
    let tree = cx.tree();
    if tree.as_ref().is_some_and(|it| it.dirty) {
        say("what is not committed is not measured");
    }
    let commit = tree.and_then(|it| it.commit).unwrap_or_default();
    let warm = Warm::of(cx, &commit, if wanted(Case::Cold) { Begin::Anew } else { Begin::WithWhatIsThere })?;
    let both = Both {
        cx,
        gate: Checkout::of(cx, "gate", warm.state, &log)?,
        pipeline: Plain::prepare(cx, Checkout::of(cx, "plain", warm.state, &log)?, &log)?,
        log: &log,
    };
    both.pipeline.told().iter().for_each(|line| say(line));
    let mut measured = Vec::new();
    for case in Case::ALL {
        let times = match case {
            // A later case needs what the cold run compiles, whether or not somebody wants to know how long that takes.
            Case::Cold => u32::from(warm.state == State::Nothing),
            _ if wanted(case) => rounds,
            _ => 0,
        };
        if case != Case::Cold && times > 0 && measured.is_empty() {
            // What ran here last may have been in another environment.
            both.through_gate()?;
        }
        for number in 0..times {
            let round = both.round(case, number)?;
            say(&format!(
                "{:9}  pipeline {:8.2} s   gate {:8.2} s   ratio {:.3}",
                case.name(),
                round.plain_s,
                round.gate_s,
                round.gate_s / round.plain_s
            ));
            measured.push(round);
            // As it comes: a case that fails takes nothing from those before.
            write_whole(&cx.target().join("bench.json"), &measured)?;
        }
        if case == Case::Cold {
            warm.keep()?;
        }
    }
    summary(&measured, say);
    Ok(())
}

/// The two ways, each in a checkout of its own.
struct Both<'a> {
    cx: &'a Context,
    gate: Checkout,
    pipeline: Plain,
    log: &'a Log,
}

impl Both<'_> {
    /// One after the other; who comes second finds the files in memory, so they take turns, and the gate begins.
    fn round(&self, case: Case, number: u32) -> anyhow::Result<Round> {
        if case == Case::OneLine {
            let (line, text) = (changed_file(self.cx)?, format!("// Round {number}.\n"));
            self.gate.append(&line, &text)?;
            self.pipeline.checkout.append(&line, &text)?;
        }
        let (plain, gate) = if number.is_multiple_of(2) {
            let gate = timed(|| self.through_gate())?;
            (timed(|| self.pipeline.run(self.log))?, gate)
        } else {
            let plain = timed(|| self.pipeline.run(self.log))?;
            (plain, timed(|| self.through_gate())?)
        };
        Ok(Round { case, plain_s: plain.as_secs_f64(), gate_s: gate.as_secs_f64() })
    }

    /// As typed: cargo's own start, and the tool's compilation in a fresh clone, are part of it.
    fn through_gate(&self) -> anyhow::Result<()> {
        let process = self.gate.process("cargo").arg("xtask");
        let process = if self.cx.root == self.cx.home {
            process
        } else {
            // A workspace without the tool is judged by this one.
            process.folder(&self.cx.home).arg("-C").arg(&self.gate.root)
        };
        succeed(&process.args(["ci", "--message-format", "plain"]).log(self.log))
    }
}

/// The middle ratio of each case.
fn summary(measured: &[Round], say: &mut dyn FnMut(&str)) {
    for case in Case::ALL {
        let mut ratios: Vec<f64> =
            measured.iter().filter(|it| it.case == case).map(|it| it.gate_s / it.plain_s).collect();
        ratios.sort_by(f64::total_cmp);
        if let Some(middle) = ratios.get(ratios.len() / 2) {
            say(&format!("{}: the gate takes {middle:.3} of the pipeline's time", case.name()));
        }
    }
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// Runs a command that must be green.
fn succeed(process: &Process) -> anyhow::Result<()> {
    let finished = process.run()?;
    anyhow::ensure!(
        finished.success(),
        "`{}` ended with {}, so there is nothing to compare; see target/xtask/logs/bench.log",
        process.display(),
        finished.code()
    );
    Ok(())
}

/// The source file that the one line goes into: of the first service, or of the first crate where there is none.
fn changed_file(cx: &Context) -> anyhow::Result<String> {
    let services = cx.services()?;
    let service = services.iter().find(|it| it.manifest.kind == Kind::Service);
    let packages = cx.metadata.workspace_packages();
    let package = match service {
        Some(service) => packages.iter().find(|it| it.name.as_str() == service.name),
        None => packages.first(),
    };
    let target =
        package.and_then(|it| it.targets.first()).context("this workspace has nothing to compile")?;
    Ok(cx.shown(target.src_path.as_std_path()))
}
