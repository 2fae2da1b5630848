//! Queries of orders: rows of a type of one's own, an enum, an array, many lines.

use sqlx::PgConnection;

#[derive(Debug)]
pub struct Order {
    pub id: i64,
    pub total: i32,
    pub tags: Vec<String>,
    pub email: Option<String>,
}

#[derive(Debug, sqlx::Type)]
#[sqlx(type_name = "order_state", rename_all = "lowercase")]
pub enum State {
    Open,
    Paid,
}

pub async fn open(connection: &mut PgConnection) -> sqlx::Result<Vec<Order>> {
    let query = sqlx::query_as!(
        Order,
        "SELECT o.id, o.total, o.tags, c.email
         FROM orders o
         JOIN customers c ON c.id = o.customer_id
         WHERE o.state = $1",
        State::Open as _,
    );
    query.fetch_all(connection).await
}

pub async fn paid_by(connection: &mut PgConnection, customer: i64) -> sqlx::Result<i32> {
    let sum = sqlx::query_scalar!(
        "SELECT total FROM orders \
         WHERE customer_id = $1 AND state = 'paid'",
        customer
    );
    Ok(sum.fetch_all(connection).await?.iter().sum())
}
