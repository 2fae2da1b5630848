//! A connection whose every statement is a span of the trace that it belongs to, and ends in bounded time.
//!
//! The server ends a statement that takes too long; a wire that died in silence has nobody who would say so, and TCP tries for
//! a quarter of an hour. A span names what is done to which tables and never a value. It is at level DEBUG: where traces are not exported, making one
//! costs a look at a flag.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction};
use tokio::time::Sleep;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{Database, within};

type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = Result<T, sqlx::Error>> + Send + 'a>>;
type Steps<'a> = Pin<Box<dyn Stream<Item = Result<Either<PgQueryResult, PgRow>, sqlx::Error>> + Send + 'a>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection for some queries, or a transaction.
pub(crate) struct Connection {
    held: Held,
    /// How long a statement may go without its end, the server's own limit included.
    limit: Duration,
    traceparent: fn() -> Option<String>,
}

enum Held {
    Plain(PoolConnection<Postgres>),
    Transaction(Transaction<'static, Postgres>),
}

impl Connection {
    pub(super) fn plain(held: PoolConnection<Postgres>, of: &Database) -> Self {
        Self { held: Held::Plain(held), limit: of.limit, traceparent: of.traceparent }
    }

    pub(super) fn transaction(held: Transaction<'static, Postgres>, of: &Database) -> Self {
        Self { held: Held::Transaction(held), limit: of.limit, traceparent: of.traceparent }
    }

    /// In which span the caller is.
    pub(crate) fn traceparent(&self) -> Option<String> {
        (self.traceparent)()
    }

    /// Makes the transaction's writes so; those of a plain connection are already.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.held {
            Held::Plain(_) => Ok(()),
            Held::Transaction(transaction) => within(self.limit, transaction.commit()).await,
        }
    }

    fn postgres(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Plain(connection) => connection,
            Held::Transaction(transaction) => transaction,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Steps<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        let span = span(query.sql.as_str());
        let limit = Box::pin(tokio::time::sleep(self.limit));
        Box::pin(Statements { steps: self.postgres().fetch_many(query), limit, span })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> Future<'e, Option<PgRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        let span = span(query.sql.as_str());
        let found = within(self.limit, self.postgres().fetch_optional(query));
        let outer = span.clone();
        let traced = async move { found.await.inspect_err(|error| failed(&span, error)) };
        Box::pin(traced.instrument(outer))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> Future<'e, PgStatement>
    where
        'c: 'e,
    {
        Box::pin(within(self.limit, self.postgres().prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> Future<'e, Describe<Postgres>>
    where
        'c: 'e,
    {
        Box::pin(within(self.limit, self.postgres().describe(sql)))
    }
}

/// A query whose text can be looked at before it is sent.
struct Statement {
    sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Result<Option<PgArguments>, BoxError>,
    persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Self {
        let arguments = query.take_arguments();
        let (prepared, persistent) = (query.statement().cloned(), query.persistent());
        Self { arguments, prepared, persistent, sql: query.sql() }
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// The rows of a query; dropped, its span ends.
struct Statements<'a> {
    steps: Steps<'a>,
    limit: Pin<Box<Sleep>>,
    span: Span,
}

impl Stream for Statements<'_> {
    type Item = Result<Either<PgQueryResult, PgRow>, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let span = self.span.clone();
        let mut step = span.in_scope(|| self.steps.as_mut().poll_next(cx));
        if step.is_pending() && self.limit.as_mut().poll(cx).is_ready() {
            step = Poll::Ready(Some(Err(super::silent())));
        }
        if let Poll::Ready(Some(Err(error))) = &step {
            failed(&span, error);
        }
        step
    }
}

/// The span of a statement, named by OpenTelemetry's conventions.
fn span(sql: &str) -> Span {
    let span = tracing::debug_span!(
        "query",
        otel.kind = "client",
        otel.name = Empty,
        otel.status = Empty,
        db.system.name = "postgresql",
        db.query.summary = Empty,
        db.response.status_code = Empty,
    );
    if !span.is_disabled() {
        let summary = summary(sql);
        span.record("otel.name", &summary).record("db.query.summary", &summary);
    }
    span
}

fn failed(span: &Span, error: &sqlx::Error) {
    span.record("otel.status", "error");
    if let Some(code) = error.as_database_error().and_then(|database| database.code()) {
        span.record("db.response.status_code", &*code);
    }
}

/// What a statement does to which tables: `SELECT releases`, `UPDATE jobs`. Names of `WITH` are none of them.
fn summary(sql: &str) -> String {
    let mut summary: Vec<&str> = Vec::new();
    let mut before = "";
    let mut named = "";
    for word in sql.split_whitespace().map(|it| it.trim_start_matches('(').trim_end_matches([')', ',', ';']))
    {
        match (before, word) {
            (_, "SELECT" | "INSERT" | "DELETE") => summary.push(word),
            ("WITH", name) => named = name,
            ("UPDATE", table) if is_table(table) => summary.extend(["UPDATE", table]),
            ("FROM" | "JOIN" | "INTO" | "USING", table) if is_table(table) && table != named => {
                summary.push(table);
            }
            _ => {}
        }
        before = word;
    }
    if summary.is_empty() { "query".to_owned() } else { summary.join(" ") }
}

/// Neither a keyword nor a call.
fn is_table(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_says_what_is_done_to_which_tables_and_no_value() {
        for (sql, wanted) in [
            ("SELECT id FROM releases WHERE version = $1", "SELECT releases"),
            ("INSERT INTO jobs (id) VALUES ($1)", "INSERT jobs"),
            ("UPDATE jobs SET attempts = 0 WHERE id = $1", "UPDATE jobs"),
            ("SELECT id FROM jobs LIMIT 1 FOR UPDATE SKIP LOCKED", "SELECT jobs"),
            ("SELECT id FROM jobs FOR UPDATE", "SELECT jobs"),
            (
                "WITH due AS (SELECT id FROM jobs) UPDATE jobs SET attempts = 1 FROM due WHERE true",
                "SELECT jobs UPDATE jobs",
            ),
            ("SELECT o.id FROM observations o\n JOIN releases r ON true", "SELECT observations releases"),
            ("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs)", "DELETE jobs SELECT jobs"),
            ("SELECT 1 AS \"one!\"", "SELECT"),
            (
                "SELECT EXTRACT(EPOCH FROM now() - min(at)) FROM (SELECT at FROM events) AS it",
                "SELECT SELECT events",
            ),
            ("BEGIN", "query"),
        ] {
            assert_eq!(summary(sql), wanted, "{sql}");
        }
    }
}
