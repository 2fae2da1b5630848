//! Queries of a shop, in the shapes in which people write them.

pub mod customers;
mod orders;

pub use orders::{Order, open, paid_by};

/// Only the tests have this query, and nobody prepares it.
#[cfg(test)]
mod tests {
    async fn emails(connection: &mut sqlx::PgConnection) -> Vec<Option<String>> {
        sqlx::query_scalar!("SELECT email FROM customers ORDER BY 1").fetch_all(connection).await.unwrap()
    }
}

/// A feature that is on unless somebody turns it off.
#[cfg(feature = "reports")]
pub async fn report(connection: &mut sqlx::PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM totals"#).fetch_one(connection).await
}

/// A feature that is off.
#[cfg(feature = "exports")]
pub async fn export(connection: &mut sqlx::PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT name FROM customers WHERE email IS NOT NULL").fetch_all(connection).await
}
