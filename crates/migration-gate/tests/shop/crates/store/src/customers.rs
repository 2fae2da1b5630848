//! Queries of customers: literals put together, a file, no result.

use sqlx::{PgConnection, query, query_file};

pub async fn add(connection: &mut PgConnection, name: &str) -> sqlx::Result<i64> {
    let row = query!("INSERT INTO customers (name) " + "VALUES ($1) " + r"RETURNING id", name);
    Ok(row.fetch_one(connection).await?.id)
}

pub async fn rename(connection: &mut PgConnection, id: i64, name: &str) -> sqlx::Result<()> {
    query!("UPDATE customers SET name = $2 WHERE id = $1", id, name).execute(connection).await?;
    Ok(())
}

pub async fn spent(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, Option<i64>)>> {
    let rows = query_file!("queries/spent.sql").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.total)).collect())
}
