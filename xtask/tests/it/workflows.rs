//! The workflows are what the step table writes, and a runner comes to the local verdict by them.

use crate::project::Project;

#[test]
fn a_workflow_that_was_changed_by_hand_turns_workflows_red_at_its_line() {
    let project = Project::copy();
    assert_eq!(project.xtask(&["workflows", "--check"]).code, 0);
    project.replace(
        ".gitea/workflows/ci.yml",
        "run: cargo xtask ci --setup fmt",
        "run: make fmt && cargo xtask ci",
    );
    let said = project.xtask(&["workflows", "--check"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    workflows  FAILED     <time>
        .gitea/workflows/ci.yml:22: error[workflow-drift]
          is `- run: make fmt && cargo xtask ci workflows house secrets deny`, but the step table asks for `- run: cargo xtask ci --setup fmt workflows house secrets deny`
          fix: cargo xtask workflows

    workflows failed
        log        target/xtask/logs/workflows.log
        reproduce  cargo xtask -C <root> ci workflows
        fix        cargo xtask workflows
    RED  1 failed  <time>
    ");
    insta::assert_snapshot!(project.xtask(&["workflows"]).stdout, @".gitea/workflows/ci.yml");
    assert_eq!(project.xtask(&["workflows", "--check"]).code, 0);
}

#[test]
fn a_release_is_published_by_a_workflow_only_where_the_configuration_says_so() {
    let project = Project::copy();
    project.append(".config/xtask.toml", "\n[release]\npublisher = \"gitea\"\n");
    insta::assert_snapshot!(project.xtask(&["workflows"]).stdout, @".gitea/workflows/release.yml");
    insta::assert_snapshot!(project.read(".gitea/workflows/release.yml"), @"
    # Written by `cargo xtask workflows` from the step table; change the table or .config/xtask.toml.
    name: release
    on:
      push:
        tags: ['v*']
    permissions:
      contents: read
    concurrency:
      group: release
      cancel-in-progress: false
    jobs:
      publish:
        name: publish
        runs-on: rust-release
        timeout-minutes: 120
        steps:
          - uses: https://github.com/actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
            with:
              fetch-depth: 0
              persist-credentials: false
          - run: cargo xtask release --from-tag --setup
            env:
              SLIPWAY_REGISTRY_USER: ${{ vars.REGISTRY_USER }}
              SLIPWAY_REGISTRY_PASSWORD: ${{ secrets.REGISTRY_TOKEN }}
              SLIPWAY_SIGNING_KEY: ${{ secrets.SIGNING_KEY }}
              SLIPWAY_SIGNING_PASSPHRASE: ${{ secrets.SIGNING_PASSPHRASE }}
              SLIPWAY_URL: ${{ vars.SLIPWAY_URL }}
              SLIPWAY_TOKEN: ${{ secrets.SLIPWAY_TOKEN }}
    ");
    project.replace(".config/xtask.toml", "publisher = \"gitea\"", "publisher = \"local\"");
    assert_eq!(project.xtask(&["workflows", "--check"]).code, 1);
    assert_eq!(project.xtask(&["workflows"]).code, 0);
    assert!(!project.root.join(".gitea/workflows/release.yml").exists());
}

#[test]
fn branch_protection_is_told_what_to_require() {
    insta::assert_snapshot!(Project::copy().xtask(&["workflows", "contexts"]).stdout, @"
    ci / source (pull_request)
    ci / compile (pull_request)
    ci / database (pull_request)
    ci / image (pull_request)
    ");
}

/// Everything that is in the copy, as one more commit.
fn committed(project: &Project, message: &str) {
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
}

#[test]
fn a_runner_comes_to_the_local_verdict_in_a_clean_clone() {
    let project = Project::copy();
    committed(&project, "Judge this");
    assert_eq!(project.xtask(&["ci", "fmt", "workflows", "house", "secrets", "deny"]).code, 0);
    let said = project.xtask(&["workflows", "replay", "source"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    source     ok      <time>  `cargo xtask ci --setup fmt workflows house secrets deny`
    the runner's verdict is the local one, in 5 steps
    ");
    assert!(!project.root.join("target/xtask/replay").exists(), "the clone is still there");
}

#[test]
fn a_changed_line_of_a_job_turns_the_replay_red_and_stops_what_needs_it() {
    let project = Project::copy();
    project.replace(
        ".gitea/workflows/ci.yml",
        "run: cargo xtask ci --setup fmt",
        "run: cargo xtsk ci --setup fmt",
    );
    committed(&project, "Mistype a job");
    let said = project.xtask(&["workflows", "replay"]);
    assert_eq!(said.code, 1, "{}\n{}", said.stdout, said.stderr);
    insta::assert_snapshot!(project.masked(&said.stdout), @"
    source     FAILED  <time>  `cargo xtsk ci --setup fmt workflows house secrets deny` ended with 101
        error: no such command: `xtsk`

        help: a command with a similar name exists: `xtask`

        help: view all installed commands with `cargo --list`
        help: find a package to install `xtsk` with `cargo search cargo-xtsk`
        log  target/xtask/logs/replay-source.log
    compile    not run: it needs `source`
    database   not run: it needs `source`
    image      not run: it needs `source`
    ");
}

#[test]
fn a_job_that_does_not_exist_is_answered_with_those_that_do() {
    let project = Project::copy();
    committed(&project, "Judge this");
    let said = project.xtask(&["workflows", "replay", "sauce"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr.trim_end(), @"error: there is no job `sauce`; there are source, compile, database, image");
}

#[test]
fn long_a_runner_comes_to_the_local_verdict_in_every_lane() {
    let project = Project::copy();
    committed(&project, "Judge this");
    let local = project.xtask(&["ci"]);
    assert_eq!(local.code, 0, "{}\n{}", local.stdout, local.stderr);
    let said = project.xtask(&["workflows", "replay"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.ends_with("the runner's verdict is the local one, in 10 steps\n"), "{}", said.stdout);
}
