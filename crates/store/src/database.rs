//! The connections to the database: how many, how long each wait may take, and what waiting costs.

mod connection;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::Error;

pub(crate) use connection::Connection;

/// How long a connection may take to say that it is usable, whatever it was asked before; then it is closed.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How much longer than the server's own limit a statement may take: what the way there and back takes.
const WAY: Duration = Duration::from_secs(2);

/// How a process uses the database.
#[derive(Clone)]
pub struct Options {
    /// What the server's own lists call the process.
    pub application: &'static str,
    /// Connections that it holds at most.
    pub connections_max: u32,
    /// How long a query waits for a connection. Short: a caller is waiting behind it.
    pub acquire_timeout: Duration,
    /// How long a statement may take before the server ends it.
    pub statement_timeout: Duration,
    /// How long a statement waits for what another transaction holds.
    pub lock_timeout: Duration,
    /// Hears of every wait for a connection.
    pub observer: Option<Observer>,
    /// Says in which span of a trace the caller is, as a `traceparent`: it is kept with the work that a change causes.
    pub traceparent: fn() -> Option<String>,
}

/// Hears how long each wait for a connection took, and whether there was one in the end.
pub type Observer = Arc<dyn Fn(Duration, Acquired) + Send + Sync>;

/// How a wait for a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// With a connection.
    Connection,
    /// With none in time.
    TimedOut,
    /// With another error of the database.
    Failed,
}

/// How many connections are in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Open, and used by nobody.
    pub idle: u32,
    /// Open, and in use.
    pub in_use: u32,
    /// As many as may be open.
    pub max: u32,
}

/// The pool; clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    pool: PgPool,
    observer: Option<Observer>,
    traceparent: fn() -> Option<String>,
    /// How long an answer to a statement is waited for.
    limit: Duration,
}

impl Options {
    /// What holds where nothing else is said, for a process of that name.
    pub fn of(application: &'static str) -> Self {
        Self {
            application,
            connections_max: 8,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            observer: None,
            traceparent: || None,
        }
    }
}

impl Database {
    /// A pool that connects at the first query.
    pub(crate) fn open(url: &str, options: Options) -> Result<Self, Error> {
        let Options { application, connections_max, acquire_timeout, observer, traceparent, .. } = options;
        let limit = options.statement_timeout + WAY;
        let connect: PgConnectOptions = url.parse().map_err(Error::from_url)?;
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let connect = connect.application_name(application).options([
            ("statement_timeout", milliseconds(options.statement_timeout)),
            ("lock_timeout", milliseconds(options.lock_timeout)),
            // A transaction whose process hangs does not hold up the others for ever.
            ("idle_in_transaction_session_timeout", milliseconds(options.statement_timeout * 2)),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(acquire_timeout)
            // The pool itself asks for a sign of life without a limit: a wire that died in silence would keep the place, and
            // who gets such a connection would wait as long as for a free one.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_lazy_with(connect);
        Ok(Self { pool, observer, traceparent, limit })
    }

    /// Where it is: host, port and name.
    pub(crate) fn place(&self) -> String {
        let options = self.pool.connect_options();
        let host =
            options.get_socket().map_or_else(|| options.get_host().to_owned(), |it| it.display().to_string());
        let name = options.get_database().unwrap_or(options.get_username());
        format!("{host}:{}/{name}", options.get_port())
    }

    /// Connects beside the pool, which tries again where this says at once what is wrong.
    pub(crate) async fn reach(&self) -> Result<(), Error> {
        let mut connection = PgConnection::connect_with(&self.pool.connect_options()).await?;
        connection.ping().await?;
        connection.close().await?;
        Ok(())
    }

    /// A connection for some queries.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        let asked = Instant::now();
        let acquired = self.pool.acquire().await;
        self.tell(asked, &acquired);
        Ok(Connection::plain(acquired?, self))
    }

    /// A transaction.
    pub(crate) async fn begin(&self) -> Result<Connection, Error> {
        let asked = Instant::now();
        // The wait for a connection has a limit of its own; this one is for the first statement.
        let begun = within(self.pool.options().get_acquire_timeout() + WAY, self.pool.begin()).await;
        self.tell(asked, &begun);
        Ok(Connection::transaction(begun?, self))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn state(&self) -> PoolState {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        let in_use = self.pool.size().saturating_sub(idle);
        PoolState { idle, in_use, max: self.pool.options().get_max_connections() }
    }

    fn tell<T>(&self, asked: Instant, acquired: &Result<T, sqlx::Error>) {
        if let Some(observer) = &self.observer {
            let how = match acquired {
                Ok(_) => Acquired::Connection,
                Err(sqlx::Error::PoolTimedOut) => Acquired::TimedOut,
                Err(_) => Acquired::Failed,
            };
            observer(asked.elapsed(), how);
        }
    }
}

/// Whether a connection has come to the end of what it was asked, so that it can be used.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    within(ANSWERS_WITHIN, connection.ping()).await.map(|()| true)
}

/// What a database says within this time; that it says nothing is an error of the connection.
async fn within<T>(
    limit: Duration,
    said: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, said).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> sqlx::Error {
    let message =
        "the database has not answered in time, nor ended the statement: the connection may be dead";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("application", &self.application)
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Database").field(&self.pool).finish()
    }
}
