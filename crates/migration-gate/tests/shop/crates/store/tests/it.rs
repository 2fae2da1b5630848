//! A test's own query is part of no build that `cargo sqlx prepare` makes.

pub async fn paid(connection: &mut sqlx::PgConnection) -> sqlx::Result<usize> {
    Ok(sqlx::query!("SELECT id FROM orders WHERE state = 'paid'").fetch_all(connection).await?.len())
}
