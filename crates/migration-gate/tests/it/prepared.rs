//! `.sqlx` judged without compiling: the verdicts are those of `cargo sqlx prepare --check`, or none.

mod cases;
mod shop;

use self::{cases::CASES, shop::Shop};

#[tokio::test]
async fn every_way_in_which_queries_and_schema_part_is_found_without_compiling() {
    let shop = Shop::new().await;
    let mut verdicts = String::new();
    for case in CASES {
        shop.reset().await;
        (case.change)(&shop);
        shop.alter(case.sql).await;
        let judged = shop.judged();
        assert_eq!(shop.judged_again().stdout, judged.stdout, "{}: what was kept decides", case.name);
        verdicts += &format!("{}: {}\n", case.name, judged.told());
    }
    shop.end().await;
    insta::assert_snapshot!(verdicts, @"
    nothing happened: green
    the text of a query is edited: red error[query-missing] warning[query-unused]
    a space is added to a query: red error[query-missing] warning[query-unused]
    a query is added: red error[query-missing]
    a query is removed: green warning[query-unused] warning[query-unused]
    the type of a column changes: red error[query-stale]
    a column can be null now: red error[query-stale]
    a parameter has another type: red error[query-stale]
    an enum has one more value: red error[query-stale]
    a column is gone: red error[query-broken]
    what no query asks for changes: green
    a query is no SQL: red error[query-broken] warning[query-unused]
    a file that no query has lies in the folder: green warning[query-unused]
    a prepared query is edited: red error[query-stale]
    a prepared query is cut off: red error[query-stale]
    the query's file is edited: red error[query-missing] warning[query-unused]
    the query's file is gone: red error[query-broken] warning[query-unused]
    a new query is only in the tests of a module: green
    a new query is only in a test: green
    a new query stands below a feature that is on: red error[query-missing]
    a new query stands below a feature that is off: green
    a new query is for this platform: open info[query-unseen]
    a new query is for another platform: open info[query-unseen]
    a new query is in a file that no module names: open info[query-unseen]
    a new query is in a module's file that has another name: red error[query-missing]
    a new query is in a file that is included: red error[query-missing]
    a new query is in code that the build makes: open info[query-unseen]
    a macro makes a query that is prepared: open info[query-unseen]
    a macro makes a query that is not prepared: open info[query-unseen]
    a macro of another crate makes a query: open info[query-unseen]
    a macro of sqlx has another name: open info[query-unseen]
    sqlx itself has another name: open info[query-unseen]
    a query has more parameters than arguments: open info[query-unseen]
    a file is no Rust: open info[query-unseen]
    sqlx has settings of its own: open info[query-unseen]
    a member that is not built by default has a new query: green
    ");
}

#[tokio::test]
async fn long_the_real_command_comes_to_the_same_verdict_wherever_one_is_given() {
    let shop = Shop::new().await;
    let mut verdicts = String::new();
    for case in CASES {
        shop.reset().await;
        (case.change)(&shop);
        shop.alter(case.sql).await;
        let (judged, real) = (shop.judged(), shop.real());
        let agree = judged.exit_code == 3 || (judged.exit_code == 0) == real.is_green;
        assert!(agree, "{}: {}, but {}\n{}", case.name, judged.told(), real.told(), real.said);
        verdicts += &format!("{}: {}\n", case.name, real.told());
    }
    shop.end().await;
    insta::assert_snapshot!(verdicts, @"
    nothing happened: green
    the text of a query is edited: red, missing
    a space is added to a query: red, missing
    a query is added: red, missing
    a query is removed: green
    the type of a column changes: red, different
    a column can be null now: red, does not compile
    a parameter has another type: red, does not compile
    an enum has one more value: red, different
    a column is gone: red, does not compile
    what no query asks for changes: green
    a query is no SQL: red, does not compile
    a file that no query has lies in the folder: green
    a prepared query is edited: red, different
    a prepared query is cut off: red
    the query's file is edited: red, missing
    the query's file is gone: red, does not compile
    a new query is only in the tests of a module: green
    a new query is only in a test: green
    a new query stands below a feature that is on: red, missing
    a new query stands below a feature that is off: green
    a new query is for this platform: red, missing
    a new query is for another platform: green
    a new query is in a file that no module names: green
    a new query is in a module's file that has another name: red, missing
    a new query is in a file that is included: red, missing
    a new query is in code that the build makes: red, missing
    a macro makes a query that is prepared: green
    a macro makes a query that is not prepared: red, missing
    a macro of another crate makes a query: red, missing
    a macro of sqlx has another name: red, missing
    sqlx itself has another name: red, missing
    a query has more parameters than arguments: red, does not compile
    a file is no Rust: red, does not compile
    sqlx has settings of its own: red, does not compile
    a member that is not built by default has a new query: green
    ");
}

#[tokio::test]
async fn a_finding_names_the_place_and_the_difference() {
    let shop = Shop::new().await;
    shop.alter("ALTER TABLE customers ALTER name DROP NOT NULL, DROP COLUMN email").await;
    let judged = shop.judged();
    shop.end().await;
    insta::assert_snapshot!(format!("{}{}", judged.stdout, judged.stderr), @"
    error[query-stale] crates/store/src/customers.rs:16: what `.sqlx` holds of `SELECT c.name, t.total FROM customers c LEFT JOIN totals t ON t.customer_id = c.id ORDER BY c.name` is out of date: column `name`: NOT NULL → nullable
      production: the code is compiled for another schema than the one that it meets
      do: cargo sqlx prepare --workspace
    error[query-broken] crates/store/src/orders.rs:21: column c.email does not exist
      production: the query fails wherever it is sent
      do: correct the query, or the migration that it needs
    prepared queries are not what the queries say: 7 in the sources
    ");
}

#[tokio::test]
async fn what_only_a_build_can_tell_is_named_with_its_place() {
    let shop = Shop::new().await;
    shop.append(
        "crates/app/src/main.rs",
        "\nmacro_rules! all {\n    ($table:literal) => { sqlx::query!(\"SELECT id FROM \" + $table) };\n}\n",
    );
    let judged = shop.judged();
    shop.end().await;
    assert_eq!(judged.exit_code, 3);
    insta::assert_snapshot!(format!("{}{}", judged.stdout, judged.stderr), @"
    info[query-unseen] crates/app/src/main.rs:13: a macro that is defined here makes queries
      production: nothing; only a build can tell whether `.sqlx` is complete
      do: cargo sqlx prepare --check --workspace
    prepared queries are for a build to judge: 7 in the sources
    ");
}

/// Name, change and verdict.
type Change = (&'static str, fn(&Shop), &'static str);

/// What makes the gate ask cargo again, or not; what is kept says nonsense.
const CHANGES: &[Change] = &[
    ("nothing happened", |_| {}, "open info[query-unseen]"),
    ("a source is edited", |shop| shop.append("crates/store/src/orders.rs", "\n"), "open info[query-unseen]"),
    ("a manifest is edited", |shop| shop.append("crates/store/Cargo.toml", "# edited\n"), "green"),
    ("the workspace's manifest is edited", |shop| shop.append("Cargo.toml", "# edited\n"), "green"),
    (
        "a feature is switched on that a query stands below",
        |shop| shop.replace("crates/store/Cargo.toml", r#"["reports"]"#, r#"["reports", "exports"]"#),
        "red error[query-missing]",
    ),
    (
        "the lock file is of other versions",
        |shop| shop.write("Cargo.lock", "version = 4\n"),
        "open info[query-unseen]",
    ),
    (
        "a program is added that no manifest names",
        |shop| {
            let query = "fn main() { let _ = sqlx::query!(\"SELECT 7 AS seven\"); }\n";
            shop.write("crates/app/src/bin/more.rs", query);
        },
        "red error[query-missing]",
    ),
    (
        "a member is added that the lock file does not know",
        |shop| shop.write("crates/new/Cargo.toml", "[package]\nname = \"new\"\n"),
        "open info[query-unseen]",
    ),
    ("cargo gets settings", |shop| shop.write(".cargo/config.toml", "[term]\nquiet = true\n"), "green"),
    (
        "what was kept is cut off",
        |shop| {
            let text = std::fs::read(shop.kept()).unwrap();
            std::fs::write(shop.kept(), &text[..text.len() / 2]).unwrap();
        },
        "green",
    ),
    ("what was kept is gone", |shop| std::fs::remove_file(shop.kept()).unwrap(), "green"),
];

#[tokio::test]
async fn what_was_kept_counts_until_anything_changes_that_it_depends_on() {
    let shop = Shop::new().await;
    for (name, change, verdict) in CHANGES {
        shop.reset().await;
        shop.keep_nonsense();
        change(&shop);
        let judged = shop.judged_again();
        assert_eq!(judged.told(), *verdict, "{name}\n{}", judged.stdout);
        // The version that nobody knows is believed only where nothing else than a source has changed.
        let believed = judged.stdout.contains("how sqlx 0.1.");
        assert_eq!(
            believed,
            ["nothing happened", "a source is edited"].contains(name),
            "{name}\n{}",
            judged.stdout
        );
    }
    shop.end().await;
}
