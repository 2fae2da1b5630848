//! `bench`: the gate beside the shell pipeline that it replaces, in turn, on the same commit; it prints ratios.

mod checkout;
mod plain;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use self::{checkout::Checkout, plain::Plain};
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
    let gate = Checkout::clone(cx, "gate", &log)?;
    let pipeline = Plain::prepare(cx, Checkout::clone(cx, "plain", &log)?, &log)?;
    let line = changed_file(cx)?;
    let mut measured = Vec::new();
    for case in Case::ALL {
        let wanted = cases.is_empty() || cases.contains(&case);
        // A later case needs what the cold run compiles, whether or not somebody wants to know how long that takes.
        if !wanted && case != Case::Cold {
            continue;
        }
        let times = if case == Case::Cold { 1 } else { rounds };
        for number in 0..times {
            if case == Case::OneLine {
                let text = format!("// Round {number}.\n");
                gate.append(&line, &text)?;
                pipeline.checkout.append(&line, &text)?;
            }
            let plain = timed(|| pipeline.run(&log))?;
            let ours = timed(|| through_gate(cx, &gate, &log))?;
            let round = Round { case, plain_s: plain.as_secs_f64(), gate_s: ours.as_secs_f64() };
            say(&format!(
                "{:9}  pipeline {:8.2} s   gate {:8.2} s   ratio {:.3}",
                case.name(),
                round.plain_s,
                round.gate_s,
                round.gate_s / round.plain_s
            ));
            measured.push(round);
        }
    }
    summary(&measured, say);
    write_whole(&cx.target().join("bench.json"), &measured)
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

/// As typed: cargo's own start, and the tool's compilation in a fresh clone, are part of it.
fn through_gate(cx: &Context, gate: &Checkout, log: &Log) -> anyhow::Result<()> {
    let process = gate.process("cargo").arg("xtask");
    let process = if cx.root == cx.home {
        process
    } else {
        // A workspace without the tool is judged by this one.
        process.folder(&cx.home).arg("-C").arg(&gate.root)
    };
    succeed(&process.args(["ci", "--message-format", "plain"]).log(log))
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
