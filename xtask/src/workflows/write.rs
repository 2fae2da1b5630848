//! What the workflow files say.

use std::fmt::Write as _;

use crate::{
    config::Workflows,
    context::Context,
    release::{self, Publisher},
    steps::{Lane, Step},
};

/// Where Gitea looks for workflows; where it exists, `.github/workflows` is not read at all.
pub(crate) const FOLDER: &str = ".gitea/workflows";
/// The first line of a file that is ours to write.
const MARK: &str =
    "# Written by `cargo xtask workflows` from the step table; change the table or .config/xtask.toml.";
/// Every action that a workflow uses, by its commit: a tag can be moved.
const CHECKOUT: &str =
    "https://github.com/actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";

/// The workflow that publishes, and its only job.
pub(super) const RELEASE: &str = "release.yml";
pub(super) const PUBLISH: &str = "publish";

/// What a release is published with; nothing but the release sees it, and what is empty counts as not set.
const PUBLISHER: &[(&str, &str)] = &[
    ("SLIPWAY_REGISTRY_USER", "vars.REGISTRY_USER"),
    ("SLIPWAY_REGISTRY_PASSWORD", "secrets.REGISTRY_TOKEN"),
    ("SLIPWAY_SIGNING_KEY", "secrets.SIGNING_KEY"),
    ("SLIPWAY_SIGNING_PASSPHRASE", "secrets.SIGNING_PASSPHRASE"),
    ("SLIPWAY_URL", "vars.SLIPWAY_URL"),
    ("SLIPWAY_TOKEN", "secrets.SLIPWAY_TOKEN"),
];

/// A job: its name is the lane's, its only line the gate with the lane's steps.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) steps: Vec<&'static str>,
    /// Jobs that must be green before it starts.
    pub(super) needs: Vec<&'static str>,
    /// After that many minutes the runner ends it.
    minutes: u32,
}

/// Every file, with its text.
pub(super) fn files(cx: &Context) -> Vec<(String, String)> {
    let settings = &cx.config.workflows;
    let mut files = vec![(format!("{FOLDER}/ci.yml"), ci(settings, &jobs(cx)))];
    if cx.config.release.publisher == Some(Publisher::Gitea) {
        files.push((format!("{FOLDER}/{RELEASE}"), release(settings, &cx.config.release)));
    }
    files
}

/// Files that were written once and are no longer asked for.
pub(super) fn obsolete(cx: &Context) -> Vec<String> {
    let wanted: Vec<String> = files(cx).into_iter().map(|(path, _)| path).collect();
    let Ok(folder) = std::fs::read_dir(cx.root.join(FOLDER)) else { return Vec::new() };
    let mut paths: Vec<String> =
        folder.flatten().map(|file| format!("{FOLDER}/{}", file.file_name().to_string_lossy())).collect();
    paths.sort();
    paths.retain(|path| {
        let ours = || std::fs::read_to_string(cx.root.join(path)).is_ok_and(|text| text.starts_with(MARK));
        !wanted.contains(path) && ours()
    });
    paths
}

/// A job for each lane that has a step; the cheap lane first, since without it nothing else is worth its minutes.
pub(super) fn jobs(cx: &Context) -> Vec<Job> {
    let steps = Step::all(cx);
    let in_lane = |lane: Lane| -> Vec<&'static str> {
        steps.iter().filter(|step| step.lane == lane).map(|step| step.name).collect()
    };
    let lanes = Lane::ALL.into_iter().filter(|lane| !in_lane(*lane).is_empty());
    lanes
        .map(|lane| Job {
            name: lane.name(),
            steps: in_lane(lane),
            needs: if lane == Lane::Source || in_lane(Lane::Source).is_empty() {
                Vec::new()
            } else {
                vec![Lane::Source.name()]
            },
            minutes: minutes(lane),
        })
        .collect()
}

/// Several times what a lane takes on two cores from nothing, so that a job which hangs ends some day.
fn minutes(lane: Lane) -> u32 {
    match lane {
        Lane::Source => 30,
        Lane::Compile | Lane::Database => 60,
        Lane::Image => 90,
    }
}

fn ci(settings: &Workflows, jobs: &[Job]) -> String {
    let mut text = head("ci");
    text.push_str("on:\n  push:\n");
    let branches = settings.branches.join(", ");
    writeln!(text, "    branches: [{branches}]\n  pull_request:").ok();
    text.push_str(&concurrency("ci-${{ github.ref }}", "${{ github.event_name == 'pull_request' }}"));
    text.push_str("jobs:\n");
    for job in jobs {
        let steps = job.steps.join(" ");
        let setup = if settings.setup { " --setup" } else { "" };
        let run = format!("cargo xtask ci{setup} {steps}");
        text.push_str(&self::job(job.name, &job.needs, &settings.runs_on, job.minutes, &run));
    }
    text
}

fn release(settings: &Workflows, release: &release::Settings) -> String {
    let mut text = head("release");
    text.push_str("on:\n  push:\n    tags: ['v*']\n");
    text.push_str(&concurrency("release", "false"));
    text.push_str("jobs:\n");
    let setup = if settings.setup { " --setup" } else { "" };
    let accepts: String = release.workflow_accepts.iter().map(|it| format!(" {}", it.flag())).collect();
    let run = format!("cargo xtask release --from-tag{setup}{accepts}");
    text.push_str(&job(PUBLISH, &[], &settings.release_runs_on, 120, &run));
    text.push_str("        env:\n");
    for (name, from) in PUBLISHER {
        writeln!(text, "          {name}: ${{{{ {from} }}}}").ok();
    }
    text
}

fn head(name: &str) -> String {
    format!("{MARK}\nname: {name}\n")
}

/// What every workflow may do, and that a later run of the same thing replaces or waits for an earlier one.
fn concurrency(group: &str, cancel: &str) -> String {
    format!(
        "permissions:\n  contents: read\nconcurrency:\n  group: {group}\n  cancel-in-progress: {cancel}\n"
    )
}

fn job(name: &str, needs: &[&str], runs_on: &str, minutes: u32, run: &str) -> String {
    let mut text = format!("  {name}:\n    name: {name}\n");
    if !needs.is_empty() {
        writeln!(text, "    needs: [{}]", needs.join(", ")).ok();
    }
    write!(
        text,
        "    runs-on: {runs_on}
    timeout-minutes: {minutes}
    steps:
      - uses: {CHECKOUT}
        with:
          fetch-depth: 0
          persist-credentials: false
      - run: {run}
"
    )
    .ok();
    text
}
