//! The SQL of a trial.

use super::trial::At;
use crate::shape::Type;

/// A text that nothing is called by.
pub(super) const SAMPLE: &str = "gate_sample";

/// Where each stage begins.
pub(super) const SAVEPOINT: &str = "SAVEPOINT gate_planned";
pub(super) const BACK: &str = "ROLLBACK TO gate_planned";
pub(super) const EXPLAIN: &str = "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)";
/// How each trial ends.
pub(super) const END: &[&str] = &["ROLLBACK", "DEALLOCATE gate_query"];

/// Commands of a trial that stand or fall together, between the savepoint and the end.
pub(super) struct Stage {
    pub(super) commands: Vec<String>,
    pub(super) at: At,
}

/// A query is planned, run with nulls, and run with plain values.
pub(super) fn stages(parameters: &[Type]) -> Vec<Stage> {
    let execute = |values: Vec<String>| match values.is_empty() {
        true => "EXECUTE gate_query".to_owned(),
        false => format!("EXECUTE gate_query ({})", values.join(", ")),
    };
    // What is put off to the end of the transaction happens now.
    let run = |execute: String, at: At| {
        let commands = vec![execute, "SET CONSTRAINTS ALL IMMEDIATE".to_owned(), BACK.to_owned()];
        Stage { commands, at }
    };
    let nulls = execute(vec!["NULL".into(); parameters.len()]);
    let explain = Stage { commands: vec![format!("{EXPLAIN} {nulls}")], at: At::Later };
    let mut stages = vec![explain, run(nulls, At::Later)];
    if !parameters.is_empty() {
        stages.push(run(execute(parameters.iter().map(sample).collect()), At::WithSamples));
    }
    stages
}

/// A plain value of the type, as SQL; a null where none is known.
fn sample(parameter: &Type) -> String {
    let plain = match parameter.name.as_str() {
        array if array.ends_with("[]") => Some("{}"),
        "bool" => Some("true"),
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => Some("1"),
        "text" | "varchar" | "bpchar" => Some(SAMPLE),
        "uuid" => Some("00000000-0000-0000-0000-000000000001"),
        "date" | "timestamp" | "timestamptz" => Some("2001-01-01"),
        "interval" => Some("1 minute"),
        "json" | "jsonb" => Some("{}"),
        _ => parameter.labels.first().map(String::as_str),
    };
    plain.map_or("NULL".into(), |it| format!("'{}'", it.replace('\'', "''")))
}

/// Statements without a plan take no parameters from `EXECUTE`.
pub(super) fn with_nulls(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let digits = rest[at + 1..].find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len() - at - 1);
        text += &rest[..at];
        text += if digits == 0 { "$" } else { "NULL" };
        rest = &rest[at + 1 + digits..];
    }
    text + rest
}
