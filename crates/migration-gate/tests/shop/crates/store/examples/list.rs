//! Nor is an example's.

fn main() {
    drop(all);
}

async fn all(connection: &mut sqlx::PgConnection) -> sqlx::Result<usize> {
    Ok(sqlx::query!("SELECT name, email FROM customers").fetch_all(connection).await?.len())
}
