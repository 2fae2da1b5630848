//! What a query writes, and what it leaves out, as its plan shows; no SQL is read for it.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{PgConnection, Row as _};

use crate::{error::Error, target::lost};

/// Schema and name of a table.
pub(crate) type Table = (String, String);

/// One table that a query changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) table: Table,
    /// `INSERT`, `UPDATE`, `DELETE` or `MERGE`.
    pub(crate) operation: String,
    /// Places from 1 of the columns that get a null, since the query does not name them and they have no default.
    nulls: Vec<i16>,
}

/// A column that every new row must fill.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Required {
    pub(crate) table: Table,
    pub(crate) column: String,
    /// The type as SQL spells it.
    pub(crate) is: String,
    /// Whether a trigger may fill it before it is looked at.
    pub(crate) may_be_filled: bool,
}

/// The required columns of a database, by table and place.
pub(crate) type RequiredColumns = BTreeMap<(Table, i16), Required>;

/// Everything that the plan changes, also in common table expressions.
pub(crate) fn of(plan: &Value) -> Vec<Write> {
    let mut writes = Vec::new();
    visit(&plan[0]["Plan"], &mut writes);
    writes
}

fn visit(node: &Value, writes: &mut Vec<Write>) {
    let plans = node["Plans"].as_array().map(Vec::as_slice).unwrap_or_default();
    if node["Node Type"] == "ModifyTable"
        && let (Some(schema), Some(name)) = (node["Schema"].as_str(), node["Relation Name"].as_str())
    {
        let operation = node["Operation"].as_str().unwrap_or_default().to_uppercase();
        let rows = plans.iter().find(|it| it["Parent Relationship"] == "Outer");
        let outputs = rows.and_then(|it| it["Output"].as_array()).filter(|_| operation == "INSERT");
        let is_null = |output: &Value| output.as_str().is_some_and(|it| it.starts_with("NULL::"));
        let nulls = (1..).zip(outputs.into_iter().flatten()).filter(|(_, output)| is_null(output));
        writes.push(Write {
            table: (schema.into(), name.into()),
            operation,
            nulls: nulls.map(|(place, _)| place).collect(),
        });
    }
    plans.iter().for_each(|it| visit(it, writes));
}

impl Write {
    /// The columns among `required` that the rows of this insert leave empty.
    pub(crate) fn leaves_out<'r>(&self, required: &'r RequiredColumns) -> impl Iterator<Item = &'r Required> {
        self.nulls.iter().filter_map(|place| required.get(&(self.table.clone(), *place)))
    }
}

/// Every column that must not be null and that nothing fills but the query.
pub(crate) async fn required(admin: &mut PgConnection) -> Result<RequiredColumns, Error> {
    let rows = sqlx::query(
        "SELECT n.nspname::text, c.relname::text, a.attnum, a.attname::text, format_type(a.atttypid, a.atttypmod),
             EXISTS (
                 SELECT FROM pg_trigger AS g
                 -- Before each row of an INSERT, or instead of it.
                 WHERE g.tgrelid = c.oid AND g.tgtype & 1 <> 0 AND g.tgtype & 66 <> 0 AND g.tgtype & 4 <> 0
             )
         FROM pg_class AS c
         JOIN pg_namespace AS n ON n.oid = c.relnamespace
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         JOIN pg_type AS t ON t.oid = a.atttypid
         WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
             AND (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL",
    )
    .fetch_all(admin)
    .await
    .map_err(|error| lost("reading which columns must be filled", &error))?;
    let required = |row: &sqlx::postgres::PgRow| {
        let table: Table = (row.get(0), row.get(1));
        let column =
            Required { table: table.clone(), column: row.get(3), is: row.get(4), may_be_filled: row.get(5) };
        ((table, row.get(2)), column)
    };
    Ok(rows.iter().map(required).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_inside_an_expression_is_found_with_what_it_leaves_out() {
        let plan = r#"[{"Plan": {"Node Type": "CTE Scan", "Plans": [
            {"Node Type": "ModifyTable", "Operation": "Insert", "Schema": "public", "Relation Name": "t", "Plans": [
                {"Parent Relationship": "Outer", "Output": ["$1", "NULL::integer"]}]}]}}]"#;

        let writes = of(&serde_json::from_str(plan).unwrap());

        assert_eq!(writes.len(), 1);
        assert_eq!((writes[0].operation.as_str(), &writes[0].nulls[..]), ("INSERT", &[2][..]));
    }
}
