//! The three outages that the gate is there for.

use crate::project::Project;

#[test]
fn two_branches_took_one_slot_and_production_has_the_other_one() {
    let project = Project::of_pairs().renumbered("0003_order_state", "0003_order_stage").pair(
        "0003_order_stage",
        "ALTER TABLE orders ADD COLUMN stage text;\n",
        "ALTER TABLE orders DROP COLUMN stage;\n",
    );

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[slot-applied]", "info[not-judged]"]), @r"
    error[slot-applied] migrations/0003_order_stage.up.sql:1: slot 3 is taken: production applied `order_state` there (migrations/applied.toml:15)
      production: the deployment stops with `migration 3 was previously applied but has been modified`, and this file is never applied
      do: git mv migrations/0003_order_stage.up.sql migrations/0005_order_stage.up.sql && git mv migrations/0003_order_stage.down.sql migrations/0005_order_stage.down.sql, then bring the applied `order_state` into the branch (merge the one that has it)
    info[not-judged] not run because the tree does not hold what production applied as 3: 0004_tags.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    ");
}

#[test]
fn a_merge_that_holds_both_files_of_the_slot_is_told_for_production_and_for_new_databases() {
    let project =
        Project::of_pairs().pair("0003_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[slot-duplicate]", "error[slot-applied]"]), @r#"
    error[slot-duplicate] migrations/0003_labels.up.sql:1: number 3 is also that of `0003_order_state.up.sql`
      production: whichever runs second stops with `duplicate key value violates unique constraint "_sqlx_migrations_pkey"`
      do: git mv migrations/0003_labels.up.sql migrations/0005_labels.up.sql && git mv migrations/0003_labels.down.sql migrations/0005_labels.down.sql
    error[slot-applied] migrations/0003_labels.up.sql:1: slot 3 is taken: production applied `order_state` there (migrations/applied.toml:15)
      production: the deployment stops with `migration 3 was previously applied but has been modified`, and this file is never applied
      do: git mv migrations/0003_labels.up.sql migrations/0005_labels.up.sql && git mv migrations/0003_labels.down.sql migrations/0005_labels.down.sql
    "#);
}

#[test]
fn following_the_fix_of_a_taken_slot_makes_the_project_good() {
    let project =
        Project::of_pairs().pair("0003_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");
    let fix = project
        .check()
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("  do: ").map(str::to_owned))
        .unwrap();

    let moved = std::process::Command::new("sh")
        .args(["-c", &fix.replace("git mv", "mv")])
        .current_dir(project.root())
        .status()
        .unwrap();

    assert!(moved.success());
    project.check().expect_clean();
}

#[test]
fn a_pending_migration_names_a_column_that_an_earlier_one_dropped() {
    let project = Project::of_pairs()
        .pair(
            "0003_order_state",
            "ALTER TABLE orders ADD COLUMN state text;\n\n-- The note moved elsewhere.\nALTER TABLE orders\n    DROP COLUMN note;\n",
            "ALTER TABLE orders DROP COLUMN state, ADD COLUMN note text;\n",
        )
        .applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "deployer")])
        .pair(
            "0004_tags",
            "CREATE TABLE tags (tag text);\n\nUPDATE orders\nSET note = 'none'\nWHERE note IS NULL;\n",
            "DROP TABLE tags;\n",
        )
        .pair("0005_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[apply-failed]", "info[not-judged]"]), @r#"
    error[apply-failed] migrations/0004_tags.up.sql:5: column "note" does not exist (SQLSTATE 42703)
      production: `0003_order_state.up.sql:5` has dropped column `note` of `orders`; the deployment stops here and nothing of the file is kept
      do: write it for the schema that the earlier migrations leave: without what was dropped
    info[not-judged] not run because `0004_tags.up.sql` was refused: 0005_labels.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}

#[test]
fn a_pending_migration_alters_a_table_that_another_role_owns() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "CREATE TABLE tags (tag text);\n\n-- The owner made it.\nALTER TABLE accounts ADD COLUMN IF NOT EXISTS name text;\n",
        "DROP TABLE tags;\n",
    );

    let verdict = project.check();

    insta::assert_snapshot!(verdict.expect(&["error[not-owner]"]), @r#"
    error[not-owner] migrations/0004_tags.up.sql:4: `gate_deployer` alters table `accounts`, which `gate_owner` owns: must be owner of table accounts (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: leave `accounts` alone and put the change into something that `gate_deployer` makes and owns; or let `gate_owner` apply `0004_tags.up.sql` in production and have the ledger say so (`role = "owner"`); grants do not help
    "#);
}

#[test]
fn what_a_superuser_may_is_refused_to_a_deployer_that_resets_its_role() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "RESET SESSION AUTHORIZATION;\nRESET ROLE;\nALTER TABLE accounts ADD COLUMN email text;\n",
        "ALTER TABLE accounts DROP COLUMN email;\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[not-owner]"]), @r#"
    error[not-owner] migrations/0004_tags.up.sql:3: `gate_deployer` alters table `accounts`, which `gate_owner` owns: must be owner of table accounts (SQLSTATE 42501)
      production: the deployment stops here and nothing of the file is kept
      do: leave `accounts` alone and put the change into something that `gate_deployer` makes and owns; or let `gate_owner` apply `0004_tags.up.sql` in production and have the ledger say so (`role = "owner"`); grants do not help
    "#);
}
