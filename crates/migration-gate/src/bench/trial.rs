//! What came of a query, and whether values other than those that it was tried with would help.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stage::SAMPLE;
use crate::{
    queries::Query,
    refusal::{Moment, Refusal},
    shape::Type,
    writes::Required,
};

/// What came of a query.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trial {
    /// Why it cannot work, whatever the parameters.
    pub(crate) failure: Option<Refusal>,
    /// The plan as `EXPLAIN` shows it; none for what has no plan.
    pub(crate) plan: Option<Value>,
    /// Nulls were not welcome; the query may work with values.
    pub(super) excused: Option<Refusal>,
}

/// What came of queries in one database, by role, text and parameters: nobody tries one there again.
#[derive(Debug, Default)]
pub(crate) struct Trials(BTreeMap<(String, String, Vec<Type>), Trial>);

impl Trials {
    pub(crate) fn keep(&mut self, query: &Query, trial: Trial) {
        self.0.insert(key(query), trial);
    }

    pub(crate) fn of(&self, query: &Query) -> Option<&Trial> {
        self.0.get(&key(query))
    }
}

fn key(query: &Query) -> (String, String, Vec<Type>) {
    (query.role.clone(), query.text.clone(), query.shape.parameters.clone())
}

/// When the server refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// Reading the query: its own words are at fault.
    Preparing,
    /// Planning it, or running it with nulls.
    Later,
    /// Running it with values that nobody has meant.
    WithSamples,
}

impl Trial {
    /// Sorts what the server said: a failure, or what only nulls are to blame for.
    pub(super) fn after(mut self, refusal: Option<Refusal>, at: At) -> Self {
        let is_failure = |refusal: &Refusal| match at {
            At::Preparing => true,
            At::Later => is_failure(refusal),
            At::WithSamples => is_missing(refusal),
        };
        match refusal {
            Some(refusal) if is_failure(&refusal) => self.failure = Some(refusal),
            Some(refusal) if !matches!(at, At::WithSamples) => self.excused = Some(refusal),
            _ => {}
        }
        self
    }
}

/// Whether no values of the parameters would help.
fn is_failure(refusal: &Refusal) -> bool {
    match refusal.sqlstate.as_str() {
        // Nulls are not what a policy wants, and a function may raise this itself.
        "42501" => {
            ["permission denied", "must be ", "must have "].iter().any(|it| refusal.message.starts_with(it))
        }
        // A parameter whose type only its value tells.
        "42P18" => false,
        "55000" => refusal.message.contains("replica identity"),
        other => ["0A", "3F", "42"].contains(&&other[..2]),
    }
}

/// Whether something is not there, or not allowed, that the sample itself has not named.
fn is_missing(refusal: &Refusal) -> bool {
    let is_of_sample = refusal.message.contains(SAMPLE);
    let is_denied = refusal.sqlstate == "42501" && refusal.message.starts_with("permission denied for ");
    !is_of_sample && (is_denied || ["42703", "42883", "42P01"].contains(&refusal.sqlstate.as_str()))
}

/// The setting that a policy or function reads and that nobody has made.
pub(super) fn unset(refusal: &Refusal) -> Option<String> {
    let name = refusal.message.strip_prefix("unrecognized configuration parameter \"")?;
    name.strip_suffix('"').filter(|it| it.contains('.')).map(str::to_owned)
}

pub(super) fn several_statements() -> Refusal {
    foreseen("42601", "cannot insert multiple commands into a prepared statement".into())
}

/// What the server would say.
fn foreseen(sqlstate: &str, message: String) -> Refusal {
    let moment = Moment::File;
    Refusal { sqlstate: sqlstate.into(), message, detail: None, hint: None, position: None, moment }
}

impl Refusal {
    /// What an INSERT hears that does not fill `column`.
    pub(crate) fn left_out(column: &Required) -> Self {
        let Required { table: (_, table), column, .. } = column;
        foreseen(
            "23502",
            format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"),
        )
    }
}
