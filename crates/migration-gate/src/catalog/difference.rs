//! One thing in which two catalogs differ, and how people read it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, IDENTITY, rights};
use crate::files::MigrationFile;

/// How many differences a finding tells.
const TOLD: usize = 4;
/// How much of one value is shown, in characters.
const SHOWN: usize = 72;
/// The aspect that ties a sequence to its column.
const OWNED_BY: &str = "owned by";

/// An object that only one side has, or an aspect of one that both have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// As people call it: `table orders`.
    pub(crate) object: String,
    /// `column note`; empty where the object itself is the difference.
    pub(crate) aspect: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// What the two sides are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    /// As in: missing `after the down`, only `after the down`.
    pub(crate) after: &'static str,
}

impl Difference {
    pub(super) fn gone(object: &str) -> Self {
        Self { object: object.into(), aspect: String::new(), before: Some(String::new()), after: None }
    }

    pub(super) fn new(object: &str) -> Self {
        Self { object: object.into(), aspect: String::new(), before: None, after: Some(String::new()) }
    }

    /// The first line of `file` that speaks of what differs, else of the object.
    pub(crate) fn line_in(&self, file: &MigrationFile) -> Option<u32> {
        let named = self.aspect.split_once(' ').and_then(|(_, name)| line_of(file, name));
        named.or_else(|| line_of(file, &self.object))
    }

    /// One line without its end.
    pub(crate) fn told(&self, sides: &Sides) -> String {
        let mut line = self.object.clone();
        if !self.aspect.is_empty() {
            line += &format!(": {}", self.aspect);
        }
        match (&self.before, &self.after) {
            // What stands in `public` is seldom called by its full name.
            (Some(before), Some(after)) => {
                line += &format!(": {}", change(before, after)).replace("public.", "")
            }
            (Some(_), None) => line += &format!(": missing {}", sides.after),
            (None, _) => line += &format!(": only {}", sides.after),
        }
        line
    }
}

/// The first line of `file` that speaks of `object`, which is called as a catalog calls it.
pub(crate) fn line_of(file: &MigrationFile, object: &str) -> Option<u32> {
    let name = object.split('(').next().unwrap_or(object);
    file.line_with(name.rsplit([' ', '.']).next().unwrap_or(name).trim_matches('"'))
}

/// The first few of `differences`, and how many there are besides.
pub(crate) fn told(differences: &[Difference], sides: &Sides) -> String {
    let mut parts: Vec<String> = differences.iter().take(TOLD).map(|it| it.told(sides)).collect();
    if differences.len() > TOLD {
        parts.push(format!("and {} more", differences.len() - TOLD));
    }
    parts.join("; ")
}

/// What differs in one object that both sides have.
pub(super) fn of_facts(
    object: &str,
    before: &[(&str, &str)],
    after: &[(&str, &str)],
    differences: &mut Vec<Difference>,
) {
    let facts = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        let told = list.iter().filter(|(aspect, _)| !aspect.starts_with(IDENTITY));
        told.flat_map(|(aspect, value)| spelled(aspect, value)).collect()
    };
    let (before, after) = (facts(before), facts(after));
    let aspects: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for aspect in aspects {
        let (was, is) = (before.get(aspect), after.get(aspect));
        if was != is {
            differences.push(Difference {
                object: object.into(),
                aspect: aspect.clone(),
                before: was.cloned(),
                after: is.cloned(),
            });
        }
    }
}

/// Rights are one aspect for each role.
fn spelled(aspect: &str, value: &str) -> Vec<(String, String)> {
    let Some(at) = aspect.find("rights") else { return vec![(aspect.into(), value.into())] };
    let (prefix, rest) = (&aspect[..at], &aspect[at + "rights".len()..]);
    rights::by_role(value)
        .into_iter()
        .map(|(role, may)| (format!("{prefix}rights of {role}{rest}"), may))
        .collect()
}

/// A sequence comes and goes with the column that owns it; nobody needs to be told twice.
pub(super) fn without_consequences(differences: &mut Vec<Difference>, before: &Catalog, after: &Catalog) {
    let changed: BTreeSet<String> = differences
        .iter()
        .filter(|it| it.before.is_none() || it.after.is_none())
        .map(|it| format!("{} {}", it.object, it.aspect).trim_end().to_owned())
        .collect();
    differences.retain(|it| {
        if !it.aspect.is_empty() || !it.object.starts_with("sequence ") {
            return true;
        }
        let side = if it.before.is_some() { before } else { after };
        let Some((table, column)) = side.fact(&it.object, OWNED_BY).and_then(|owner| owner.rsplit_once('.'))
        else {
            return true;
        };
        !changed.contains(&format!("table {table}"))
            && !changed.contains(&format!("table {table} column {column}"))
    });
}

/// Short values whole, of long ones where they part.
fn change(before: &str, after: &str) -> String {
    if !before.contains('\n') && !after.contains('\n') && before.len().max(after.len()) <= SHOWN {
        return format!("{before} -> {after}");
    }
    let (mut was, mut is) = (before.lines(), after.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (was.next(), is.next()) {
            (Some(was), Some(is)) if was == is => {}
            (None, None) => return "differs".into(),
            (was, is) => {
                let (was, is) = parting(was.unwrap_or_default(), is.unwrap_or_default());
                let place = if before.contains('\n') { format!("line {line}: ") } else { String::new() };
                return format!("{place}{was} -> {is}");
            }
        }
    }
}

/// What stands after the words that both begin with, cut to what is shown.
fn parting(was: &str, is: &str) -> (String, String) {
    let same =
        was.chars().zip(is.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>();
    let from = was[..same].rfind(' ').map_or(0, |space| space + 1);
    let shown = |text: &str| {
        let mut part: String = text[from..].trim().chars().take(SHOWN).collect();
        if part.is_empty() {
            part.push_str("nothing");
        }
        if from > 0 { format!("… {part}") } else { part }
    };
    (shown(was), shown(is))
}
