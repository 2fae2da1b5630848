//! The superuser's session on a server: creates and drops databases, also those that a killed run left.
//!
//! It lives on a thread of its own, for as long as the server or one of its databases is held. Databases are named
//! after an advisory lock that the session holds: whose lock can be taken has lost its owner. That holds across hosts
//! and containers, where process numbers say nothing.

use std::{sync::mpsc as blocking, thread, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::sync::{mpsc, oneshot};

use crate::{error::Error, options::identifier};

/// How long dropping a database may hold up whoever drops it.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// How long a server may take to answer a first connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The name of a scratch database; the group is its owner's lock.
const NAME_PATTERN: &str = "^scratch_.*_([0-9a-f]{16})_[0-9]+$";

/// What the server says about itself and about who we are on it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) version_num: u32,
    pub(crate) version: String,
    pub(crate) role: String,
    pub(crate) superuser: bool,
    pub(crate) create_database: bool,
    pub(crate) create_role: bool,
}

/// A handle on the session's thread; the thread ends with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    commands: mpsc::UnboundedSender<Request>,
}

#[derive(Debug)]
enum Request {
    Create { prefix: String, reply: oneshot::Sender<Result<String, Error>> },
    Drop { name: String, reply: blocking::Sender<Result<(), Error>> },
    Reap { reply: oneshot::Sender<Result<Vec<String>, Error>> },
}

impl Session {
    /// Connects as superuser.
    pub(crate) async fn open(url: String, run_id: String) -> Result<(Self, Facts), sqlx::Error> {
        let (commands, requests) = mpsc::unbounded_channel();
        let (opened, when_opened) = oneshot::channel();
        thread::Builder::new()
            .name("scratch-postgres session".to_owned())
            .spawn(move || serve(&url, &run_id, opened, requests))
            .map_err(sqlx::Error::Io)?;
        let facts = when_opened.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?;
        Ok((Self { commands }, facts))
    }

    /// Creates a database and tells its name.
    pub(crate) async fn create(&self, prefix: &str) -> Result<String, Error> {
        let (reply, when_done) = oneshot::channel();
        let gone = || Error::Gone(format!("create a database for `{prefix}`"));
        self.commands.send(Request::Create { prefix: prefix.to_owned(), reply }).map_err(|_| gone())?;
        when_done.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Drops a database, together with whoever is connected to it. Blocks until it is gone.
    pub(crate) fn drop_database(&self, name: &str) -> Result<(), Error> {
        let (reply, when_done) = blocking::channel();
        let gone = || Error::Gone(format!("drop database `{name}`"));
        self.commands.send(Request::Drop { name: name.to_owned(), reply }).map_err(|_| gone())?;
        when_done.recv_timeout(DROP_DEADLINE).unwrap_or_else(|_| Err(gone()))
    }

    /// Drops the databases whose owner is gone, and tells their names.
    pub(crate) async fn reap(&self) -> Result<Vec<String>, Error> {
        let (reply, when_done) = oneshot::channel();
        let gone = || Error::Gone("drop the databases of killed runs".to_owned());
        self.commands.send(Request::Reap { reply }).map_err(|_| gone())?;
        when_done.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn serve(
    url: &str,
    run_id: &str,
    opened: oneshot::Sender<Result<Facts, sqlx::Error>>,
    requests: mpsc::UnboundedReceiver<Request>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send(Err(sqlx::Error::Io(error)))),
    };
    runtime.block_on(async {
        match connect(url).await {
            Ok((connection, facts)) => {
                if opened.send(Ok(facts)).is_ok() {
                    answer(connection, url, run_id, requests).await;
                }
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
}

async fn connect(url: &str) -> Result<(PgConnection, Facts), sqlx::Error> {
    let late = |_| sqlx::Error::PoolTimedOut;
    let mut connection =
        tokio::time::timeout(CONNECT_DEADLINE, PgConnection::connect(url)).await.map_err(late)??;
    let row = connection
        .fetch_one(
            "SELECT current_setting('server_version_num')::int4 AS version_num, \
             current_setting('server_version') AS version, rolname::text AS role, rolsuper, rolcreatedb, rolcreaterole \
             FROM pg_roles WHERE rolname = current_user",
        )
        .await?;
    let facts = Facts {
        version_num: row.try_get::<i32, _>("version_num")?.unsigned_abs(),
        version: row.try_get("version")?,
        role: row.try_get("role")?,
        superuser: row.try_get("rolsuper")?,
        create_database: row.try_get("rolcreatedb")?,
        create_role: row.try_get("rolcreaterole")?,
    };
    Ok((connection, facts))
}

async fn answer(
    mut connection: PgConnection,
    url: &str,
    run_id: &str,
    mut requests: mpsc::UnboundedReceiver<Request>,
) {
    // Negative keys are as good as positive ones; the name shows the bits.
    let key = i64::from_ne_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[0; 8]));
    let mut made = 0_u32;
    while let Some(request) = requests.recv().await {
        // The server may have been ended and started again since.
        if connection.ping().await.is_err()
            && let Ok((again, _)) = connect(url).await
        {
            connection = again;
        }
        match request {
            Request::Create { prefix, reply } => {
                made += 1;
                let name = database_name(&prefix, run_id, key, made);
                let done = create(&mut connection, key, &name).await;
                drop(reply.send(done.map(|()| name)));
            }
            Request::Drop { name, reply } => drop(reply.send(remove(&mut connection, &name).await)),
            Request::Reap { reply } => drop(reply.send(reap(&mut connection).await)),
        }
    }
    // The server notices a connection that just closes as well.
    drop(connection.close().await);
}

/// At most 63 bytes, what Postgres keeps of a name.
fn database_name(prefix: &str, run_id: &str, key: i64, number: u32) -> String {
    let short = |text: &str| identifier(text).chars().take(14).collect::<String>();
    format!("scratch_{}_{}_{key:016x}_{number}", short(prefix), short(run_id))
}

async fn create(connection: &mut PgConnection, key: i64, name: &str) -> Result<(), Error> {
    let doing = |source| Error::Database { doing: format!("create database `{name}`"), source };
    // Taken again each time (a lock counts) so that it is there also after a first failure.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut *connection).await.map_err(doing)?;
    // Copying files takes half the time of writing all of it to the log, and so does dropping it, where the server knows the choice.
    let how = if connection.server_version_num() >= Some(150_000) { " STRATEGY file_copy" } else { "" };
    // `template0` because nobody can be connected to it.
    let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE template0{how}");
    connection.execute(AssertSqlSafe(sql)).await.map_err(doing)?;
    Ok(())
}

async fn remove(connection: &mut PgConnection, name: &str) -> Result<(), Error> {
    let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
    let done = connection.execute(AssertSqlSafe(sql)).await;
    done.map_err(|source| Error::Database { doing: format!("drop database `{name}`"), source })?;
    Ok(())
}

async fn reap(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let doing = |source| Error::Database { doing: "list the databases of killed runs".to_owned(), source };
    let left: Vec<(String, String)> = sqlx::query_as(
        "SELECT datname::text, substring(datname::text FROM $1) FROM pg_database WHERE datname ~ $1",
    )
    .bind(NAME_PATTERN)
    .fetch_all(&mut *connection)
    .await
    .map_err(doing)?;
    let mut reaped = Vec::new();
    for (name, lock) in left {
        let Ok(bits) = u64::from_str_radix(&lock, 16) else { continue };
        let key = bits.cast_signed();
        let (free,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut *connection)
            .await
            .map_err(doing)?;
        if free {
            remove(connection, &name).await?;
            let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(key);
            unlock.execute(&mut *connection).await.map_err(doing)?;
            reaped.push(name);
        }
    }
    Ok(reaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_after_run_and_lock_in_at_most_63_bytes() {
        insta::assert_snapshot!(database_name("Store-Jobs", "p1f", 255, 3), @"scratch_store_jobs_p1f_00000000000000ff_3");
        assert!(database_name(&"x".repeat(80), &"y".repeat(80), -1, 99_999).len() <= 63);
    }
}
