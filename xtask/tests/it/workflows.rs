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

    workflows
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
              REGISTRY_USER: ${{ vars.REGISTRY_USER }}
              REGISTRY_TOKEN: ${{ secrets.REGISTRY_TOKEN }}
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
