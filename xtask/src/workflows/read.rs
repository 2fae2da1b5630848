//! Reads a workflow back, in the one form that the step table writes; anything else is refused with its line.

use anyhow::bail;

/// A job as a runner sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) needs: Vec<String>,
    /// The lines of its steps, in order.
    pub(super) runs: Vec<String>,
    /// Variables that the runner sets from what the server keeps for it.
    pub(super) given: Vec<String>,
}

/// The jobs of a workflow, in the order of the file.
///
/// # Errors
/// When the file holds what the step table does not write: what is not understood must not be passed over.
pub(super) fn jobs(text: &str, path: &str) -> anyhow::Result<Vec<Job>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let place = || format!("{path}:{}", index + 1);
        if line.trim_start().starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            inside = line == "jobs:";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(name) = line.strip_prefix("  ").filter(|it| !it.starts_with(' ')) {
            jobs.push(Job { name: name.trim_end_matches(':').into(), ..Job::default() });
            continue;
        }
        let Some(job) = jobs.last_mut() else { bail!("{}: stands outside of a job", place()) };
        let line = line.trim_start();
        if let Some(run) = line.strip_prefix("- run: ") {
            job.runs.push(run.into());
        } else if let Some(needs) = line.strip_prefix("needs: [").and_then(|it| it.strip_suffix(']')) {
            job.needs = needs.split(", ").map(Into::into).collect();
        } else if let Some((name, _)) = line.split_once(": ${{ ") {
            job.given.push(name.into());
        } else if !PASSED_OVER.iter().any(|known| line.starts_with(known)) {
            bail!(
                "{}: `{line}` is not what the step table writes, so it cannot be replayed; `{}` writes the file anew",
                place(),
                super::REFRESH
            );
        }
    }
    Ok(jobs)
}

/// What a runner does by itself, or what a replay has no use for.
const PASSED_OVER: &[&str] = &[
    "name: ",
    "runs-on: ",
    "timeout-minutes: ",
    "steps:",
    "- uses: https://github.com/actions/checkout@",
    "with:",
    "fetch-depth: 0",
    "persist-credentials: false",
    "env:",
];

#[cfg(test)]
mod tests {
    use super::*;

    const CI: &str = "name: ci\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: one\n  b:\n    needs: [a]\n    \
                      steps:\n      - run: two\n";

    #[test]
    fn jobs_come_in_order_with_what_they_need_and_run() {
        let [a, b] = &jobs(CI, "ci.yml").unwrap()[..] else { panic!("two jobs") };
        assert_eq!((a.name.as_str(), &a.needs[..], &a.runs[..]), ("a", &[][..], &["one".to_owned()][..]));
        assert_eq!((b.name.as_str(), &b.needs[..]), ("b", &["a".to_owned()][..]));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let services = CI.replace("    runs-on: x\n", "    services:\n      db: {}\n");
        insta::assert_snapshot!(jobs(&services, "ci.yml").unwrap_err(), @"ci.yml:4: `services:` is not what the step table writes, so it cannot be replayed; `cargo xtask workflows` writes the file anew");
    }
}
