//! The ledger's seal: an entry that no snapshot put there is a finding.

use crate::project::{Project, Verdict};

const BASE: [&str; 2] = ["--base", "main"];

/// Adds an entry for the pending migration by hand.
fn with_entry_by_hand(project: Project, role: &str) -> Project {
    let ledger = project.read("migrations/applied.toml");
    let checksum = project.checksum("0004_tags");
    let entry = format!(
        "\n[[migration]]\nversion = 4\nname = \"tags\"\nchecksum = \"{checksum}\"\nrole = \"{role}\"\n"
    );
    project.with("migrations/applied.toml", ledger + &entry)
}

fn replaced(project: Project, old: &str, new: &str) -> Project {
    let ledger = project.read("migrations/applied.toml");
    assert!(ledger.contains(old), "{ledger}");
    project.with("migrations/applied.toml", ledger.replacen(old, new, 1))
}

#[test]
fn an_entry_that_was_added_by_hand_to_quiet_a_migration_is_found() {
    // It alters the owner's table: red, as long as it is pending.
    let project = Project::of_pairs().pair(
        "0004_tags",
        "ALTER TABLE accounts ADD COLUMN email text;\n",
        "ALTER TABLE accounts DROP COLUMN email;\n",
    );
    project.check().expect(&["error[not-owner]"]);

    insta::assert_snapshot!(with_entry_by_hand(project, "owner").check().expect(&["error[ledger-unproven]"]), @"
    error[ledger-unproven] migrations/applied.toml:21: the ledger's seal does not match its entries: entries were added, changed or removed by hand
      production: what is listed is taken for applied and is not judged; production may refuse it, or not have it at all
      do: `cargo xtask migrations snapshot` reads the ledger from production and seals it
    ");
}

#[test]
fn an_entry_that_the_base_does_not_have_is_named() {
    let project = with_entry_by_hand(Project::of_pairs().committed(), "deployer");

    insta::assert_snapshot!(project.check_with(&BASE).expect(&["error[ledger-unproven]"]), @"
    error[ledger-unproven] migrations/applied.toml:27: the ledger's seal does not match its entries: 4 `tags` was added or changed by hand
      production: what is listed is taken for applied and is not judged; production may refuse it, or not have it at all
      do: `cargo xtask migrations snapshot` reads the ledger from production and seals it
    ");
}

#[test]
fn a_role_that_was_changed_by_hand_is_found() {
    let project = replaced(Project::of_pairs(), "role = \"deployer\"", "role = \"owner\"");
    let codes = project.check();
    assert!(codes.stdout.contains("error[ledger-unproven]"), "{}", codes.stdout);
}

#[test]
fn a_ledger_without_a_seal_is_found() {
    let project = Project::of_pairs();
    let ledger = project.read("migrations/applied.toml");
    let entries = ledger[..ledger.find("[seal]").unwrap()].to_owned();

    insta::assert_snapshot!(project.with("migrations/applied.toml", entries).check().expect(&["error[ledger-unproven]"]), @"
    error[ledger-unproven] migrations/applied.toml:3: the ledger has no seal: nothing says which database its entries were read from
      production: what is listed is taken for applied and is not judged; production may refuse it, or not have it at all
      do: `cargo xtask migrations snapshot` reads the ledger from production and seals it
    ");
    // Production has nothing yet.
    Project::of_pending_pairs()
        .with("migrations/applied.toml", "# Nothing has been applied yet.\n")
        .check()
        .expect_clean();
}

#[test]
fn a_ledger_that_is_older_than_the_base_s_is_found() {
    let project = Project::of_pairs().committed();
    let older = project.applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")]);
    older.check_with(&BASE).expect_clean();

    let base = older.git(&["checkout", "--quiet", "migrations/applied.toml"]);
    let base = base.applied_at(
        "2026-06-30T12:00:00Z",
        &[("0001_accounts", "owner"), ("0002_orders", "deployer"), ("0003_order_state", "deployer")],
    );
    let older = base.committed().applied(&[("0001_accounts", "owner"), ("0002_orders", "deployer")]);
    insta::assert_snapshot!(older.check_with(&BASE).expect(&["error[ledger-unproven]"]), @"
    error[ledger-unproven] migrations/applied.toml:15: the ledger was read at 2026-01-31T12:00:00Z, before the one of the base (2026-06-30T12:00:00Z)
      production: what is listed is taken for applied and is not judged; production may refuse it, or not have it at all
      do: `cargo xtask migrations snapshot` reads the ledger from production and seals it
    ");
}

#[test]
fn a_seal_cannot_be_waived() {
    let waiver = "[[waiver]]\ncode = \"ledger-unproven\"\nfile = \"applied.toml\"\nreason = \"haste\"\nexpires = 2999-12-31\n";
    let project = with_entry_by_hand(Project::of_pairs(), "deployer").with("migrations/waivers.toml", waiver);

    let verdict: Verdict = project.check();

    assert_eq!(verdict.exit_code, 2);
    insta::assert_snapshot!(verdict.stderr, @"error: migrations/waivers.toml:2: `ledger-unproven` cannot be waived; do what the finding says");
}
