//! Sessions with the database: read-only ones for looking, guarded ones for applying, and the lock between migrators.

use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::failure::{Failure, message_of};
use crate::plan::Applied;
use crate::settings::Login;

/// The ledger table, as sqlx names it.
pub(crate) const LEDGER: &str = "_sqlx_migrations";

/// How long the server may take to let one in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a look waits where somebody has locked the ledger itself.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the lock is asked for. A session that waits *in* the server would hold back `CREATE INDEX CONCURRENTLY`.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// What a session may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Look, and nothing else: the server refuses any write.
    ReadOnly,
    /// Apply; no statement waits longer than this for a table.
    Apply { lock_timeout: Duration },
}

/// What a role sees of the ledger.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// There is none: nothing has been applied.
    Absent,
    /// It is there, but this role may not read it.
    Unreadable,
    /// What has been applied, by version.
    Rows(Vec<Applied>),
}

/// Logs in.
pub(crate) async fn open(login: Login<'_>, access: Access) -> Result<PgConnection, Failure> {
    let options = PgConnectOptions::from_str(login.url.expose()).map_err(|_| {
        let variable = login.variable;
        Failure::Usage(format!("`{variable}` is malformed: write it as `postgres://USER@HOST:PORT/DATABASE`"))
    })?;
    let options = options.application_name("migrator").options(session_settings(access));
    let unreachable = |reason: String| Failure::Unreachable { variable: login.variable, reason };
    match tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unreachable(reason(&error))),
        Err(_) => Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// Why nobody was let in, in words that lead to what is wrong with the way there.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => message_of(database.as_ref()),
        // The handshake's own words come as an input error.
        sqlx::Error::Io(error) if error.to_string().contains("certificate") => {
            format!("{error} (its authority is in the file that `sslrootcert` or PGSSLROOTCERT names)")
        }
        sqlx::Error::Io(error) if error.kind() == ErrorKind::NotFound => {
            format!(
                "its socket, or the file that `sslrootcert` or PGSSLROOTCERT names, is not there ({error})"
            )
        }
        other => other.to_string(),
    }
}

/// Reads the ledger, and never creates it.
pub(crate) async fn read_ledger(connection: &mut PgConnection) -> Result<Ledger, Failure> {
    let readable: Option<bool> =
        sqlx::query_scalar("SELECT has_table_privilege(to_regclass('_sqlx_migrations')::oid, 'SELECT')")
            .fetch_one(&mut *connection)
            .await?;
    match readable {
        None => return Ok(Ledger::Absent),
        Some(false) => return Ok(Ledger::Unreadable),
        Some(true) => {}
    }
    let rows: Vec<(i64, String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT version, description, checksum,
                to_char(installed_on AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
         FROM _sqlx_migrations ORDER BY version",
    )
    .fetch_all(connection)
    .await
    .map_err(|error| Failure::of_look(&error))?;
    let applied = |(version, name, checksum, at)| Applied { version, name, checksum, at };
    Ok(Ledger::Rows(rows.into_iter().map(applied).collect()))
}

/// Takes the lock between migrators, the same that sqlx's own migrator takes; it ends with the session.
pub(crate) async fn lock(connection: &mut PgConnection, wait: Duration) -> Result<(), Failure> {
    let database: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut *connection).await?;
    let key = lock_key(&database);
    let deadline = Instant::now() + wait;
    loop {
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut *connection)
            .await?;
        if taken {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::Locked(wait));
        }
        sleep(LOCK_POLL).await;
    }
}

fn session_settings(access: Access) -> Vec<(&'static str, String)> {
    match access {
        Access::ReadOnly => vec![
            ("default_transaction_read_only", "on".to_owned()),
            ("lock_timeout", format!("{}ms", LOOK_TIMEOUT.as_millis())),
        ],
        Access::Apply { lock_timeout } => vec![
            ("lock_timeout", format!("{}ms", lock_timeout.as_millis())),
            // Else a statement goes on, and holds its locks, after the migrator that sent it was killed.
            ("client_connection_check_interval", "500ms".to_owned()),
        ],
    }
}

/// sqlx's key: the CRC-32 (IEEE) of the database's name, times a number it chose.
fn lock_key(database: &str) -> i64 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = database.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    0x3d32_ad9e * i64::from(!crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_built_on_the_standard_crc_32() {
        assert_eq!(lock_key("123456789"), 0x3d32_ad9e * 0xcbf4_3926);
    }
}
