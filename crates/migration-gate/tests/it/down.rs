//! Each pending migration is taken back and applied again.

use crate::project::Project;

#[test]
fn a_down_that_does_not_run_is_found_and_the_later_migrations_are_still_judged() {
    let project = Project::of_pairs()
        .with("migrations/0004_tags.down.sql", "-- The table was called labels once.\n\nDROP TABLE labels;\n")
        .pair("0005_shops", "CREATE TABLE shops (id int);\n", "DROP TABLE shops\nCASCADE RESTRICT;\n");

    insta::assert_snapshot!(project.check().expect(&["error[down-fails]", "error[down-fails]"]), @r#"
    error[down-fails] migrations/0004_tags.down.sql:3: table "labels" does not exist (SQLSTATE 42P01)
      production: in the incident that needs it, the rollback stops here
      do: correct the statement so that it undoes what the up does, on the schema that the up leaves
    error[down-fails] migrations/0005_shops.down.sql:2: syntax error at or near "RESTRICT" (SQLSTATE 42601)
      production: in the incident that needs it, the rollback stops here
      do: correct the statement so that it undoes what the up does, on the schema that the up leaves
    "#);
}

#[test]
fn a_down_that_touches_what_the_owner_made_is_found() {
    let project =
        Project::of_pairs().with("migrations/0004_tags.down.sql", "DROP TABLE tags;\nDROP TABLE accounts;\n");

    insta::assert_snapshot!(project.check().expect(&["error[down-fails]"]), @r"
    error[down-fails] migrations/0004_tags.down.sql:2: must be owner of table accounts (SQLSTATE 42501)
      production: in the incident that needs it, the rollback stops here
      do: undo only what the up does: the rest is not `gate_deployer`'s
    ");
}

#[test]
fn an_up_that_cannot_be_applied_again_is_found() {
    let project = Project::of_pairs()
        .pair(
            "0004_tags",
            "CREATE TYPE tag_kind AS ENUM ('shop');\nCREATE TABLE tags (kind tag_kind);\n",
            "DROP TABLE tags;\n",
        )
        .pair("0005_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE labels;\n");

    insta::assert_snapshot!(project.check().expect(&["error[reup-fails]", "info[not-judged]"]), @r#"
    error[reup-fails] migrations/0004_tags.up.sql:1: after its down, the up is refused: type "tag_kind" already exists (SQLSTATE 42710)
      production: after a rollback this release, repaired, cannot be deployed again
      do: let `migrations/0004_tags.down.sql` undo everything that the up makes
    info[not-judged] not run because `0004_tags.up.sql` cannot be applied again: 0005_labels.up.sql
      production: nobody knows yet whether it would accept them
      do: correct what is reported as an error and check again
    "#);
}
