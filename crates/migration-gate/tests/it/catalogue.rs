//! The catalogue of hazards: each is put into a good project and has to be found, by its own code and no other.

mod compatibility;
mod down;
mod files;
mod good;
mod locks;
mod roles;
mod row;

use std::{collections::BTreeSet, ops::RangeInclusive};

use migration_gate::codes::CODES;

use self::row::{NO_HAZARD, Row};

/// How many there are.
const HAZARDS: u8 = 72;

/// Hazards that nothing but the reason keeps from being caught; the crate's documentation has the same list.
const OUT_OF_REACH: &[u8] = &[];

/// Codes that another command tells, or that tell of nothing but a stop.
const ELSEWHERE: &[(&str, &str)] = &[
    ("query-missing", "`prepared` tells it: the cases of its own tests"),
    ("query-stale", "`prepared` tells it"),
    ("query-unused", "`prepared` tells it"),
    ("query-unseen", "`prepared` tells it"),
    ("not-judged", "what waits for the correction of another fault"),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    [files::ROWS, roles::ROWS, compatibility::ROWS, locks::ROWS, down::ROWS].into_iter().flatten()
}

/// Puts each of these hazards into its good project.
#[track_caller]
fn found(hazards: RangeInclusive<u8>) {
    let wrong: Vec<String> =
        rows().filter(|row| hazards.contains(&row.hazard)).filter_map(Row::run).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! groups {
    ($($name:ident: $hazards:expr;)*) => {
        $(#[test] fn $name() { found($hazards); })*
        const GROUPS: &[RangeInclusive<u8>] = &[$($hazards),*];
    };
}

groups! {
    codes_that_no_hazard_names: NO_HAZARD..=NO_HAZARD;
    hazards_1_to_5_slots_and_the_ledger: 1..=5;
    hazards_6_to_9_names_bytes_and_order: 6..=9;
    hazards_10_to_13_pairs_and_the_marker: 10..=13;
    hazards_14_to_16_transactions: 14..=16;
    hazards_17_to_19_owners_and_grants_that_do_nothing: 17..=19;
    hazards_20_to_22_roles_and_first_grants: 20..=22;
    hazards_23_to_25_grants_in_detail: 23..=25;
    hazards_26_to_29_who_owns_and_who_sees: 26..=29;
    hazards_30_to_33_siblings_extensions_and_the_boot: 30..=33;
    hazards_34_to_36_what_the_release_reads: 34..=36;
    hazards_37_to_40_what_the_release_writes_and_decodes: 37..=40;
    hazards_41_to_44_what_the_release_meets: 41..=44;
    hazards_45_to_48_names_stars_and_dropped_columns: 45..=48;
    hazards_49_to_51_locks_and_walks: 49..=51;
    hazards_52_to_53_rewrites: 52..=53;
    hazards_54_to_57_locks_held_and_awaited: 54..=57;
    hazards_58_to_60_indexes_and_labels: 58..=60;
    hazards_61_to_65_rows_names_and_shapes: 61..=65;
    hazards_66_to_69_downs: 66..=69;
    hazards_70_to_72_again_and_from_nothing: 70..=72;
}

#[test]
fn good_projects_are_clean() {
    for good in good::ALL {
        let verdict = good.check(&good.project());
        assert_eq!((verdict.exit_code, verdict.stdout.as_str()), (0, ""), "{good:?}: {}", verdict.stderr);
    }
}

#[test]
fn every_hazard_is_in_the_catalogue_and_in_one_group() {
    let caught: BTreeSet<u8> = rows().map(|row| row.hazard).collect();
    for hazard in 1..=HAZARDS {
        assert_ne!(caught.contains(&hazard), OUT_OF_REACH.contains(&hazard), "{hazard}");
    }
    for hazard in caught {
        assert_eq!(GROUPS.iter().filter(|group| group.contains(&hazard)).count(), 1, "{hazard}");
    }
}

#[test]
fn few_hazards_are_out_of_reach_and_the_documentation_names_them() {
    assert!(OUT_OF_REACH.len() <= 10);
    assert!(!OUT_OF_REACH.iter().any(|it| (1..=27).contains(it) || (34..=47).contains(it)));
    let documented: Vec<u8> = include_str!("../../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! - Hazard ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(documented, OUT_OF_REACH);
}

#[test]
fn every_code_has_a_row() {
    let told: BTreeSet<&str> = rows().map(Row::code).chain(ELSEWHERE.iter().map(|(code, _)| *code)).collect();
    let known: BTreeSet<&str> = CODES.iter().map(|code| code.name).collect();
    assert_eq!(told, known);
}
