//! One snapshot of everything in a database that migrations make, and what differs between two.

mod difference;
mod reader;
mod rights;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(crate) use self::{
    difference::{Difference, Sides, line_of, told},
    reader::Reader,
};

/// Between an aspect and its value.
const VALUE: char = '\u{1f}';
/// Between two aspects.
const ASPECT: char = '\u{1e}';
/// An aspect that begins so tells an object's identity; it is nothing that could differ.
const IDENTITY: char = '#';

/// Objects, as people call them, each with its facts in the order of their aspects.
///
/// Neither the ledger of migrations is in it, nor what an extension has made, nor the place of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    objects: BTreeMap<String, Arc<str>>,
}

/// A table that was there, or a column of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    table: String,
    /// 0 for the table itself.
    number: i32,
}

impl Catalog {
    /// What this one has and `other` has not, and the other way round, in the order of their names.
    pub(crate) fn difference(&self, other: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (object, before) in &self.objects {
            match other.objects.get(object) {
                Some(after) if Arc::ptr_eq(before, after) || before == after => {}
                Some(after) => {
                    difference::of_facts(object, &aspects(before), &aspects(after), &mut differences);
                }
                None => differences.push(Difference::gone(object)),
            }
        }
        let news = other.objects.keys().filter(|object| !self.objects.contains_key(*object));
        differences.extend(news.map(|object| Difference::new(object)));
        differences.sort();
        difference::without_consequences(&mut differences, self, other);
        differences
    }

    /// What is said of `aspect` of `object`; an object that is nothing but itself has one aspect without a name.
    pub(crate) fn fact(&self, object: &str, aspect: &str) -> Option<&str> {
        self.facts(object).into_iter().find(|(name, _)| *name == aspect).map(|(_, value)| value)
    }

    /// Every aspect of `object` with what is said of it.
    pub(crate) fn facts(&self, object: &str) -> Vec<(&str, &str)> {
        self.objects.get(object).map_or_else(Vec::new, |facts| aspects(facts))
    }

    /// Every role that owns something.
    pub(crate) fn owners(&self) -> BTreeSet<String> {
        let facts = self.objects.values().flat_map(|facts| aspects(facts));
        facts.filter(|(aspect, _)| *aspect == "owner").map(|(_, role)| role.to_owned()).collect()
    }

    /// Every table and every column of one, with the name that it has.
    ///
    /// A rename keeps the place; what is dropped and made again under its name has another one.
    pub(crate) fn places(&self) -> BTreeMap<Place, String> {
        let mut places = BTreeMap::new();
        for (object, facts) in self.objects.iter().filter(|(object, _)| object.starts_with("table ")) {
            let facts = aspects(facts);
            let Some((_, table)) = facts.iter().find(|(aspect, _)| *aspect == "#") else { continue };
            for (aspect, value) in &facts {
                let Some(column) = aspect.strip_prefix(IDENTITY) else { continue };
                let (number, name) = if column.is_empty() {
                    (0, object.clone())
                } else {
                    (value.parse().unwrap_or_default(), format!("column {column} of {object}"))
                };
                places.insert(Place { table: (*table).to_owned(), number }, name);
            }
        }
        places
    }
}

fn aspects(facts: &str) -> Vec<(&str, &str)> {
    facts.split(ASPECT).filter_map(|fact| fact.split_once(VALUE)).collect()
}
