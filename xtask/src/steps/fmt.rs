//! `fmt`: the sources are formatted.

use crate::{
    context::Context,
    outcome::{Finding, Outcome, StepError, StepResult},
    process::Log,
    verdict::inputs::Inputs,
};

pub(crate) fn inputs(_: &Context) -> Inputs {
    Inputs::files([
        "*.rs",
        "**/rustfmt.toml",
        "**/.rustfmt.toml",
        "**/Cargo.toml",
        "rust-toolchain.toml",
        "rust-toolchain",
    ])
}

pub(crate) fn check(cx: &Context, log: &Log) -> StepResult {
    let finished = cx.cargo().args(["fmt", "--all", "--check", "--", "--color", "never"]).log(log).run()?;
    if finished.success() {
        return Ok(Outcome::Judged(Vec::new()));
    }
    if finished.stderr.contains("no such command: `fmt`") || finished.stderr.contains("is not installed") {
        return Err(StepError::environment("`rustfmt` is not installed", "rustup component add rustfmt"));
    }
    let root = format!("{}/", cx.root.display());
    let output = format!("{}{}", finished.stdout, finished.stderr).replace(&root, "");
    let mut findings: Vec<Finding> = output.lines().filter_map(unformatted).collect();
    findings.dedup_by(|a, b| a.file == b.file);
    if findings.is_empty() {
        findings.push(Finding::error("unformatted", "rustfmt refused the sources"));
    }
    Ok(Outcome::ToolFailed { findings, output })
}

/// rustfmt heads each difference with `Diff in FILE:LINE:`.
fn unformatted(line: &str) -> Option<Finding> {
    let place = line.strip_prefix("Diff in ")?.trim_end_matches(':');
    let (file, line) = place.rsplit_once(':')?;
    Some(Finding::error("unformatted", "not formatted").at(file, line.parse().ok()).fix("cargo fmt --all"))
}
