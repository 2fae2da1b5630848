//! How owner and deployer stand to each other, and how a project's migrators log in and start.

use crate::{
    input::{on, own_server},
    project::{Project, Verdict},
};

/// Roles as the gate makes them, and what the project says of its migrator.
const DEPLOYED: [&str; 2] = ["--lock-timeout", "5s"];

/// The good project, where the gate makes the roles and the pending migration is this one.
fn pending(up: &str, down: &str) -> Project {
    Project::of_pairs().without("prelude.sql").pair("0004_tags", up, down)
}

/// Each on a server of its own, to which memberships belong.
async fn check(project: &Project, policy: &str) -> Verdict {
    let server = own_server().await;
    let mut command = on(&server, project);
    command.args(["--policy", policy]).args(DEPLOYED);
    let verdict = Verdict::of(command);
    server.stop().await.unwrap();
    verdict
}

#[tokio::test]
async fn what_the_owner_made_may_be_altered_where_the_policy_says_so_and_only_there() {
    let project =
        pending("ALTER TABLE accounts ADD COLUMN email text;\n", "ALTER TABLE accounts DROP COLUMN email;\n");

    check(&project, "split").await.expect(&["error[not-owner]"]);
    check(&project, "member").await.expect_clean();
    check(&project, "set-role").await.expect_clean();
}

#[tokio::test]
async fn a_role_that_the_policy_names_may_be_taken_and_no_other() {
    let taken = pending(
        "SET LOCAL ROLE gate_owner;\nCREATE TABLE tags (tag text);\nRESET ROLE;\n",
        "SET LOCAL ROLE gate_owner;\nDROP TABLE tags;\n",
    );
    check(&taken, "member").await.expect_clean();

    let left = pending("SET ROLE NONE;\nSELECT 1;\n", "SELECT 1;\n");
    let said = check(&left, "set-role").await;
    assert!(said.expect(&["error[role-escape]"]).contains("leaves the session as `gate_deployer`"));
    check(&left, "split").await.expect_clean();
}

#[tokio::test]
async fn what_a_member_makes_in_its_own_name_is_not_the_owner_s() {
    let project = pending("CREATE TABLE tags (id bigint PRIMARY KEY);\n", "DROP TABLE tags;\n");

    check(&project, "member").await.expect(&["error[foreign-ownership]"]);
    check(&project, "set-role").await.expect_clean();
    check(&project, "split").await.expect_clean();
}

#[tokio::test]
async fn a_role_that_a_migration_makes_belongs_to_the_whole_server() {
    let server = own_server().await;
    let up = "CREATE TABLE tags (tag text);\nCREATE ROLE gate_reporting;\n";
    let project = Project::of_pairs()
        .with("prelude.sql", format!("{}ALTER ROLE gate_deployer CREATEROLE;\n", crate::project::PRELUDE))
        .pair("0004_tags", up, "DROP TABLE tags;\nDROP ROLE gate_reporting;\n");

    let verdict = Verdict::of(on(&server, &project));

    server.stop().await.unwrap();
    insta::assert_snapshot!(verdict.expect(&["warning[framing]", "info[not-judged]"]), @r#"
    warning[framing] migrations/0004_tags.up.sql:2: what one database accepts, a second one on the same server refuses: role "gate_reporting" already exists (SQLSTATE 42710)
      production: a server that has it already, for another database or from a restored one, refuses the deployment
      do: let a database administrator make it once, and the prelude here; or let the file pass over what is there
    info[not-judged] not run because a second database on the same server refuses it: role "gate_reporting" already exists (SQLSTATE 42710): 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}

#[test]
fn a_policy_that_means_nothing_is_wrong_usage() {
    let verdict = Project::of_pairs().check_with(&["--policy", "shared"]);

    assert_eq!(verdict.exit_code, 2);
    assert!(verdict.stderr.contains("[possible values: split, member, set-role]"), "{}", verdict.stderr);
}

#[test]
fn a_lock_timeout_that_the_migrator_sets_counts() {
    let prelude = crate::project::PRELUDE.replace("'5s'", "'0'");
    let project = Project::of_pairs().with("prelude.sql", prelude);

    project.check().expect(&["warning[no-lock-timeout]"]);
    project.check_with(&DEPLOYED).expect_clean();
}

#[test]
fn two_of_sqlxs_migrators_that_start_together_are_tried_where_an_index_is_built_concurrently() {
    let index = Project::of_pairs().pair(
        "0005_tag_index",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY tags_tag_idx ON tags (tag);\n",
        "DROP INDEX tags_tag_idx;\n",
    );

    let said = index.check();
    let said = said.expect(&["warning[concurrent-boot]"]);
    assert!(said.contains("migrations/0005_tag_index.up.sql:1"), "{said}");
    assert!(said.contains("deadlock detected` (SQLSTATE 40P01)"), "{said}");
    index.check_with(&["--boot", "polls"]).expect_clean();
    index.check_with(&["--boot", "alone"]).expect_clean();
}

#[test]
fn two_migrators_that_start_together_are_nobodys_fault_without_it() {
    Project::of_pairs()
        .pair("0005_vacuum", "-- no-transaction\nVACUUM orders;\n", "SELECT 1;\n")
        .check_with(&["--boot", "waits"])
        .expect_clean();
}
