//! What `IF NOT EXISTS` would have made, beside what exists; tried out as superuser and rolled back.

use sqlx::{Connection as _, PgConnection};

use crate::{
    error::Error,
    target::{Target, identifier, lost, run},
};

/// Columns, constraints and definition of a relation, a line each.
const SHAPE: &str = "
    SELECT format('column %s %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' NOT NULL' END)
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p', 'v', 'm', 'f')
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND ($2 IS NULL OR attname = $2)
    UNION ALL
    SELECT 'constraint ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass($1) AND $2 IS NULL
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass($1)
    ORDER BY 1";

/// How the two compare.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Also where it could not be tried: then nobody knows better.
    Same,
    /// What one of them has and the other one has not.
    Differs(String),
}

/// Takes the existing `name` away, or the column `name` of a relation, runs `statement`, compares, and rolls back.
pub(crate) async fn compare(
    target: &Target,
    statement: &str,
    (name, relation): (&str, Option<&str>),
    search_path: &str,
) -> Result<Shape, Error> {
    let mut admin = target.admin().await?;
    let mut transaction =
        admin.begin().await.map_err(|error| lost("comparing what exists with a migration", &error))?;
    let compared = attempt(&mut transaction, statement, (name, relation), search_path).await;
    drop(transaction.rollback().await);
    drop(admin.close().await);
    // A statement that superusers are refused here too says nothing about the shape.
    Ok(compared.unwrap_or(Shape::Same))
}

async fn attempt(
    connection: &mut PgConnection,
    statement: &str,
    (name, relation): (&str, Option<&str>),
    search_path: &str,
) -> Result<Shape, sqlx::Error> {
    run(connection, format!("SET LOCAL search_path = {search_path}")).await?;
    let object = relation.unwrap_or(name);
    let Some(place) = place(connection, statement, object).await? else { return Ok(Shape::Same) };
    let column = relation.is_some().then_some(name);
    let existing = lines(connection, &place, column).await?;
    let removal = removal(connection, &place, column).await?;
    run(connection, removal).await?;
    run(connection, statement.to_owned()).await?;
    let wanted = lines(connection, &place, column).await?;
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|it| !those.contains(it)).cloned().collect::<Vec<_>>().join(", ")
    };
    let (lacks, has) = (only(&wanted, &existing), only(&existing, &wanted));
    Ok(match (lacks.is_empty(), has.is_empty()) {
        (true, true) => Shape::Same,
        (false, true) => Shape::Differs(format!("there is no {lacks}")),
        (true, false) => Shape::Differs(format!("there is also {has}")),
        (false, false) => Shape::Differs(format!("there is {has} instead of {lacks}")),
    })
}

/// Where the relation called `object` is: in the schema that the statement names, else on the search path.
async fn place(
    connection: &mut PgConnection,
    statement: &str,
    object: &str,
) -> Result<Option<String>, sqlx::Error> {
    let places: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT c.oid::regclass::text, n.nspname::text, pg_table_is_visible(c.oid) FROM pg_class AS c \
         JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = $1",
    )
    .bind(object)
    .fetch_all(connection)
    .await?;
    let text = statement.replace('"', "").to_lowercase();
    let named =
        places.iter().find(|(_, schema, _)| text.contains(&format!("{schema}.{object}").to_lowercase()));
    let visible = places.iter().find(|(_, _, visible)| *visible);
    Ok(named.or(visible).map(|(place, _, _)| place.clone()))
}

async fn lines(
    connection: &mut PgConnection,
    place: &str,
    column: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(SHAPE).bind(place).bind(column).fetch_all(connection).await
}

async fn removal(
    connection: &mut PgConnection,
    place: &str,
    column: Option<&str>,
) -> Result<String, sqlx::Error> {
    if let Some(column) = column {
        return Ok(format!("ALTER TABLE {place} DROP COLUMN {} CASCADE", identifier(column)));
    }
    let kind: String = sqlx::query_scalar(
        "SELECT CASE relkind WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' \
         WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END \
         FROM pg_class WHERE oid = to_regclass($1)",
    )
    .bind(place)
    .fetch_one(connection)
    .await?;
    Ok(format!("DROP {kind} {place} CASCADE"))
}
