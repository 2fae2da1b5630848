//! Objects that change hands: to one role, from everybody or from one.

use sqlx::PgConnection;

use crate::{
    error::Error,
    target::{lost, run},
};

const HAND_OVER: &str = include_str!("hand_over.sql");
/// What the SQL is told.
const FROM_AND_TO: &str =
    "SELECT set_config('gate.old_owner', coalesce($1, ''), false), set_config('gate.new_owner', $2, false)";

/// Gives everything in the database that `from` owns, or that anybody owns, to `to`; what extensions have made stays.
pub(crate) async fn hand_over(admin: &mut PgConnection, from: Option<&str>, to: &str) -> Result<(), Error> {
    let doing = "giving everything to one role";
    sqlx::query(FROM_AND_TO)
        .bind(from)
        .bind(to)
        .execute(&mut *admin)
        .await
        .map_err(|error| lost(doing, &error))?;
    run(admin, HAND_OVER.into()).await.map_err(|error| lost(doing, &error))
}
