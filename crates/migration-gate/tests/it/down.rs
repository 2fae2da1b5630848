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
fn an_up_that_cannot_be_applied_again_is_found_and_the_later_migrations_are_still_judged() {
    let project = Project::of_pairs()
        .pair(
            "0004_tags",
            "CREATE TYPE tag_kind AS ENUM ('shop');\nCREATE TABLE tags (kind tag_kind);\n",
            "DROP TABLE tags;\n",
        )
        .pair("0005_labels", "CREATE TABLE labels (id int);\n", "DROP TABLE label;\n");

    insta::assert_snapshot!(project.check().expect(&["error[reup-fails]", "error[down-fails]"]), @r#"
    error[reup-fails] migrations/0004_tags.up.sql:1: after its down, the up is refused: type "tag_kind" already exists (SQLSTATE 42710)
      production: after a rollback this release, repaired, cannot be deployed again
      do: let `migrations/0004_tags.down.sql` undo everything that the up makes; now it leaves type tag_kind: only after the down
    error[down-fails] migrations/0005_labels.down.sql:1: table "label" does not exist (SQLSTATE 42P01)
      production: in the incident that needs it, the rollback stops here
      do: correct the statement so that it undoes what the up does, on the schema that the up leaves
    "#);
}

#[test]
fn a_down_that_leaves_another_schema_is_found_with_what_differs() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "ALTER TABLE orders DROP COLUMN note;\n\
         CREATE TABLE IF NOT EXISTS tags (id bigserial, tag text);\nGRANT SELECT ON orders TO gate_app;\n\
         CREATE OR REPLACE FUNCTION price() RETURNS int LANGUAGE sql AS 'SELECT 1';\n\
         COMMENT ON TABLE orders IS 'of a shop';\n",
        "-- Back to notes.\nALTER TABLE orders ADD COLUMN note varchar(200) NOT NULL DEFAULT '';\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[down-leaves-drift]"]), @"
    error[down-leaves-drift] migrations/0004_tags.down.sql:2: the schema is not what it was before the up: function price(): only after the down; table orders: column note: text -> character varying(200) NOT NULL DEFAULT ''::character varying; table orders: comment: only after the down; table orders: rights of gate_app: only after the down; and 1 more
      production: after a rollback the old release runs on a schema that nobody has ever tested
      do: let the down undo everything that `0004_tags.up.sql` does, and nothing else
    ");
}

#[test]
fn an_enum_s_label_cannot_be_taken_back_and_is_found() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'sent' BEFORE 'paid';\n",
        "SELECT 1;\n",
    );

    insta::assert_snapshot!(project.check().expect(&["error[down-leaves-drift]"]), @"
    error[down-leaves-drift] migrations/0004_tags.down.sql:1: the schema is not what it was before the up: type order_state: labels: 'open', 'paid' -> 'open', 'sent', 'paid'
      production: after a rollback the old release runs on a schema that nobody has ever tested
      do: PostgreSQL cannot take back an enum's label: waive this, and say in the down that it stays
    ");
}

#[test]
fn a_down_that_makes_a_table_anew_under_its_old_name_is_told() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "ALTER TABLE orders RENAME TO purchases;\n",
        "DROP TABLE purchases;\n\
         CREATE TABLE orders (id bigint CONSTRAINT orders_pkey PRIMARY KEY, note text, state order_state NOT NULL DEFAULT 'open');\n",
    );

    insta::assert_snapshot!(project.check().expect(&["info[down-leaves-drift]"]), @"
    info[down-leaves-drift] migrations/0004_tags.down.sql:2: the down drops table orders, which was there before the up, and makes it anew
      production: the schema is as before, but what stood in it is gone after a rollback
      do: rename it back instead of making it again, if what it holds is still needed
    ");
}

#[test]
fn a_second_up_that_makes_another_schema_is_found() {
    let up = "CREATE TABLE tags (tag text);\n\
              DO $$ BEGIN\n    IF NOT EXISTS (SELECT FROM orders) THEN COMMENT ON TABLE tags IS 'first'; END IF;\nEND $$;\n\
              INSERT INTO orders (id) VALUES (-1) ON CONFLICT DO NOTHING;\n";
    let project =
        Project::of_pairs().pair("0004_tags", up, "DROP TABLE tags;\nDELETE FROM orders WHERE id = -1;\n");
    project.check().expect_clean();
    let project = project.with("migrations/0004_tags.down.sql", "DROP TABLE tags;\n");

    insta::assert_snapshot!(project.check().expect(&["error[down-leaves-drift]"]), @"
    error[down-leaves-drift] migrations/0004_tags.up.sql:1: applied after its down, the up makes another schema: table tags: comment: missing after the second up
      production: a database that was rolled back once is not what the others are
      do: let `migrations/0004_tags.down.sql` put back what the up builds on
    ");
}

#[test]
fn the_place_of_a_column_is_no_drift() {
    let project = Project::of_pairs().pair(
        "0004_tags",
        "ALTER TABLE orders DROP COLUMN note;\n",
        "ALTER TABLE orders ADD COLUMN note text;\n",
    );

    project.check().expect_clean();
}
