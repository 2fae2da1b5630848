//! Rows in tables that would be empty: two in each, made up so that every constraint of the schema holds.
//!
//! The first row fills every column, the second one leaves out what may be NULL. Columns that refer to another table take
//! the values of its rows. Where checks speak of several columns, the server itself picks values that they allow.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    error::Error,
    refusal::Refusal,
    target::{identifier, lost, run},
};

/// How many combinations of values the server may try for the checks of one table.
const COMBINATIONS: usize = 50_000;

/// What was put in.
#[derive(Debug, Default)]
pub(crate) struct Seeded {
    /// Tables that hold nothing but made-up rows, as SQL spells them.
    pub(crate) tables: Vec<String>,
    /// Tables that no row could be made up for, and what the server said to it.
    pub(crate) empty: Vec<(String, String)>,
}

/// A table that is to be filled.
#[derive(Debug)]
struct Table {
    oid: i64,
    /// As SQL spells it.
    name: String,
    columns: Vec<Column>,
    checks: Vec<Check>,
    /// Columns here, and the table and columns that they refer to.
    references: Vec<Reference>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Its type under all domains, as SQL spells it, and with its size where it has one of its own.
    sql_type: String,
    /// The same as the catalog names it, such as `int4`.
    base: String,
    /// The labels of an enum.
    labels: Vec<String>,
    /// What an array holds, as the catalog names it.
    element: Option<String>,
    required: bool,
    default: Option<String>,
}

/// What a check, a domain or the bounds of a partition ask for.
#[derive(Debug)]
struct Check {
    columns: Vec<String>,
    condition: String,
}

#[derive(Debug)]
struct Reference {
    columns: Vec<String>,
    table: String,
    table_oid: i64,
    their_columns: Vec<String>,
}

/// Which of the two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Sparse,
}

/// Fills every table that production has and that is empty.
pub(crate) async fn fill(admin: &mut PgConnection) -> Result<Seeded, Error> {
    let failed = |error: sqlx::Error| lost("making up rows", &error);
    let tables = parents_first(read_tables(admin).await.map_err(failed)?);
    let empty = empty_ones(admin, &tables).await.map_err(failed)?;
    run(admin, "SET session_replication_role = replica".into()).await.map_err(failed)?;
    let mut seeded = Seeded::default();
    for table in tables.iter().filter(|it| empty.contains(&it.oid)) {
        match fill_one(admin, table).await? {
            Some(said) => seeded.empty.push((table.name.clone(), said)),
            None => seeded.tables.push(table.name.clone()),
        }
    }
    run(admin, "RESET session_replication_role".into()).await.map_err(failed)?;
    Ok(seeded)
}

/// Takes all rows out of `tables`; no trigger and no foreign key hinders it.
pub(crate) async fn clear(admin: &mut PgConnection, tables: &[String]) -> Result<(), Error> {
    if tables.is_empty() {
        return Ok(());
    }
    let mut sql = String::from("SET session_replication_role = replica;");
    for table in tables {
        // A migration may have dropped or renamed it meanwhile.
        sql += &format!(
            "DO $do$ BEGIN IF to_regclass($name${table}$name$) IS NOT NULL THEN EXECUTE $name$DELETE FROM {table}$name$; \
             END IF; END $do$;"
        );
    }
    sql += "RESET session_replication_role;";
    run(admin, sql).await.map_err(|error| lost("taking rows out", &error))
}

/// Puts both rows in; what the server said where it took neither.
async fn fill_one(admin: &mut PgConnection, table: &Table) -> Result<Option<String>, Error> {
    let mut said = None;
    let mut taken = false;
    for kind in [Kind::Full, Kind::Sparse] {
        let values = allowed(admin, table, kind).await;
        let names: Vec<String> = values.iter().map(|(name, _)| identifier(name)).collect();
        let values: Vec<String> = values.into_iter().map(|(_, value)| value).collect();
        let insert = if names.is_empty() {
            format!("INSERT INTO {} DEFAULT VALUES", table.name)
        } else {
            format!(
                "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                table.name,
                names.join(", "),
                values.join(", ")
            )
        };
        match run(admin, insert).await.map_err(Refusal::of) {
            Ok(()) => taken = true,
            Err(Ok(refusal)) => said = said.or(Some(refusal.message)),
            Err(Err(error)) => return Err(lost("making up rows", &error)),
        }
    }
    Ok(said.filter(|_| !taken))
}

/// A value for each column that gets one: the first that is offered, or what the checks allow.
async fn allowed(admin: &mut PgConnection, table: &Table, kind: Kind) -> Vec<(String, String)> {
    let mut offers: Vec<(&Column, Vec<String>)> =
        table.columns.iter().map(|column| (column, table.offers(column, kind))).collect();
    offers.retain(|(_, values)| !values.is_empty());
    for group in groups(&table.checks) {
        let mut columns: Vec<&mut (&Column, Vec<String>)> =
            offers.iter_mut().filter(|(column, _)| group.columns.contains(&column.name)).collect();
        let mut combinations = columns.iter().map(|it| it.1.len()).product::<usize>();
        while combinations > COMBINATIONS {
            // The last ones are the least likely.
            if let Some(longest) = columns.iter_mut().max_by_key(|it| it.1.len()) {
                longest.1.pop();
            }
            combinations = columns.iter().map(|it| it.1.len()).product();
        }
        let choice: Vec<(&str, &[String])> =
            columns.iter().map(|it| (it.0.name.as_str(), it.1.as_slice())).collect();
        if let Some(picked) = pick(admin, &choice, &group.conditions).await {
            for (column, picked) in columns.iter_mut().zip(picked) {
                column.1.swap(0, picked);
            }
        }
    }
    let first =
        |(column, values): (&Column, Vec<String>)| Some((column.name.clone(), values.into_iter().next()?));
    offers.into_iter().filter_map(first).collect()
}

/// Lets the server look for a combination that all conditions allow; places in `choice`'s lists.
async fn pick(
    admin: &mut PgConnection,
    choice: &[(&str, &[String])],
    conditions: &[&str],
) -> Option<Vec<usize>> {
    let lists = choice.iter().enumerate().map(|(index, (name, values))| {
        let rows: Vec<String> =
            values.iter().enumerate().map(|(place, value)| format!("({place}, {value})")).collect();
        format!("(VALUES {}) AS c{index} (p{index}, {})", rows.join(", "), identifier(name))
    });
    let places: Vec<String> = (0..choice.len()).map(|index| format!("p{index}")).collect();
    let sql = format!(
        "SELECT ARRAY[{}]::int[] FROM {} WHERE {} ORDER BY {} LIMIT 1",
        places.join(", "),
        lists.collect::<Vec<_>>().join(" CROSS JOIN "),
        conditions.iter().map(|it| format!("({it}) IS NOT FALSE")).collect::<Vec<_>>().join(" AND "),
        places.join(" + "),
    );
    // A condition that the server cannot compute here leaves the first values, which it then takes or not.
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_optional(admin).await.ok()??;
    let picked: Vec<i32> = row.get(0);
    picked.into_iter().map(|it| usize::try_from(it).ok()).collect()
}

/// Checks that share columns.
struct Group<'c> {
    columns: BTreeSet<&'c String>,
    conditions: Vec<&'c str>,
}

fn groups(checks: &[Check]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for check in checks {
        let mut joined =
            Group { columns: check.columns.iter().collect(), conditions: vec![check.condition.as_str()] };
        let (related, others) =
            groups.into_iter().partition::<Vec<_>, _>(|it| !it.columns.is_disjoint(&joined.columns));
        for group in related {
            joined.columns.extend(group.columns);
            joined.conditions.extend(group.conditions);
        }
        groups = others;
        groups.push(joined);
    }
    groups
}

impl Table {
    /// Values for `column`, the likeliest first; none where it is left to its default.
    fn offers(&self, column: &Column, kind: Kind) -> Vec<String> {
        let place = usize::from(kind == Kind::Sparse);
        let reference = self.references.iter().find_map(|it| {
            let index = it.columns.iter().position(|name| *name == column.name)?;
            Some((it, it.their_columns.get(index)?))
        });
        let mut offers = match reference {
            Some((reference, _)) if reference.table_oid == self.oid => values::of(column, place, &[]),
            Some((reference, theirs)) => vec![their_value(&reference.table, theirs, place)],
            None => {
                let mine = self.checks.iter().filter(|it| it.columns.contains(&column.name));
                let conditions: Vec<&str> = mine.map(|it| it.condition.as_str()).collect();
                values::of(column, place, &conditions)
            }
        };
        offers.extend(column.default.clone());
        let null = format!("NULL::{}", column.sql_type);
        match kind {
            _ if column.required => {}
            Kind::Full => offers.push(null),
            Kind::Sparse => offers.insert(0, null),
        }
        offers
    }
}

/// The value of row `place` of another table, or of its last one.
fn their_value(table: &str, column: &str, place: usize) -> String {
    format!(
        "(SELECT {} FROM {table} ORDER BY ctid LIMIT 1 \
         OFFSET (SELECT greatest(least({place}, count(*) - 1), 0) FROM {table}))",
        identifier(column)
    )
}

/// Tables that others refer to come before those; of a circle, whichever is met first.
fn parents_first(tables: Vec<Table>) -> Vec<Table> {
    fn visit(oid: i64, left: &mut BTreeMap<i64, Table>, order: &mut Vec<Table>) {
        let Some(table) = left.remove(&oid) else { return };
        for reference in &table.references {
            visit(reference.table_oid, left, order);
        }
        order.push(table);
    }
    let oids: Vec<i64> = tables.iter().map(|it| it.oid).collect();
    let mut left: BTreeMap<i64, Table> = tables.into_iter().map(|it| (it.oid, it)).collect();
    let mut order = Vec::new();
    for oid in oids {
        visit(oid, &mut left, &mut order);
    }
    order
}

async fn empty_ones(admin: &mut PgConnection, tables: &[Table]) -> Result<BTreeSet<i64>, sqlx::Error> {
    if tables.is_empty() {
        return Ok(BTreeSet::new());
    }
    let questions: Vec<String> = tables
        .iter()
        .map(|it| format!("SELECT {}::int8 WHERE NOT EXISTS (SELECT FROM {})", it.oid, it.name))
        .collect();
    let rows = sqlx::raw_sql(AssertSqlSafe(questions.join(" UNION ALL "))).fetch_all(admin).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn read_tables(admin: &mut PgConnection) -> Result<Vec<Table>, sqlx::Error> {
    let mut tables: Vec<Table> = sqlx::query(include_str!("seed/tables.sql"))
        .map(|row: sqlx::postgres::PgRow| Table {
            oid: row.get(0),
            name: row.get(1),
            columns: Vec::new(),
            checks: Vec::new(),
            references: Vec::new(),
        })
        .fetch_all(&mut *admin)
        .await?;
    let places: BTreeMap<i64, usize> = tables.iter().enumerate().map(|(at, it)| (it.oid, at)).collect();
    for row in sqlx::query(include_str!("seed/columns.sql")).fetch_all(&mut *admin).await? {
        let Some(table) = places.get(&row.get(0)).and_then(|at| tables.get_mut(*at)) else { continue };
        table.columns.push(Column {
            name: row.get(1),
            sql_type: row.get(2),
            base: row.get(3),
            labels: row.get(4),
            element: row.get(5),
            required: row.get(6),
            default: row.get(7),
        });
    }
    for row in sqlx::query(include_str!("seed/checks.sql")).fetch_all(&mut *admin).await? {
        let Some(table) = places.get(&row.get(0)).and_then(|at| tables.get_mut(*at)) else { continue };
        table.checks.push(Check { columns: row.get(1), condition: row.get(2) });
    }
    for row in sqlx::query(include_str!("seed/references.sql")).fetch_all(admin).await? {
        let Some(table) = places.get(&row.get(0)).and_then(|at| tables.get_mut(*at)) else { continue };
        table.references.push(Reference {
            columns: row.get(1),
            table: row.get(2),
            table_oid: row.get(3),
            their_columns: row.get(4),
        });
    }
    Ok(tables)
}
