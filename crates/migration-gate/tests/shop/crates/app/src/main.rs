//! A program with a query of its own, and one that the store has, too.

fn main() {
    drop(counted);
}

async fn counted(connection: &mut sqlx::PgConnection) -> sqlx::Result<usize> {
    sqlx::query!("SELECT id, state::text AS state FROM orders").fetch_all(&mut *connection).await?;
    sqlx::query!("UPDATE customers SET name = $2 WHERE id = $1", 1, "same").execute(&mut *connection).await?;
    Ok(store::open(connection).await?.len())
}
