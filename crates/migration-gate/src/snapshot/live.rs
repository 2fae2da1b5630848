//! The live database, read in one read-only transaction: its ledger, who owns what, and which database it is.

use std::{collections::BTreeMap, str::FromStr};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row, postgres::PgConnectOptions,
};

use crate::{error::Error, refusal::Refusal, seal::Source, target::lost};

/// Where the address may stand, since a command line is read by everybody on the machine.
const VARIABLE: &str = "MIGRATION_GATE_DATABASE_URL";
/// Whatever this connection is made to do, the server refuses to write; it waits for nobody.
const SETTINGS: [(&str, &str); 3] =
    [("default_transaction_read_only", "on"), ("lock_timeout", "2s"), ("statement_timeout", "30s")];

/// Every object with an owner that is not PostgreSQL's own, as [`super::evidence`] names it.
const OWNERS: &str = "
    SELECT o.identity, pg_catalog.pg_get_userbyid(x.owner)::text
    FROM (
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid, relowner AS owner
        FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
        UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proowner FROM pg_catalog.pg_proc
        UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typowner
        FROM pg_catalog.pg_type WHERE typtype IN ('d', 'e', 'r')
        UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, nspowner FROM pg_catalog.pg_namespace
    ) AS x, pg_catalog.pg_identify_object(x.class, x.oid, 0) AS o
    WHERE x.oid >= 16384 AND o.schema IS DISTINCT FROM 'pg_toast'";

/// Where the live database is.
#[derive(Debug)]
pub struct Live(PgConnectOptions);

/// What the live database says.
#[derive(Debug)]
pub(super) struct Recorded {
    /// In the order of application.
    pub(super) rows: Vec<Applied>,
    /// Owners by the identity of what they own.
    pub(super) owners: BTreeMap<String, String>,
    pub(super) source: Source,
}

/// A row of the ledger in the database.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) version: i64,
    /// With `_` for the spaces of sqlx's description.
    pub(super) name: String,
    /// sha384 in lower-case hex.
    pub(super) checksum: String,
}

impl Live {
    /// The database that the user means: the flag's address, else the variable's, else that in the variable's file.
    ///
    /// # Errors
    /// When there is no address, or the flag's holds a password.
    pub fn named(flag: Option<&str>) -> Result<Self, Error> {
        if let Some(url) = flag {
            if has_password(url) {
                return Err(Error::Configuration(format!(
                    "`--database-url` holds a password, which everybody on this machine can read; put the address into the \
                     variable {VARIABLE} (or a file's name into {VARIABLE}_FILE), or the password into ~/.pgpass"
                )));
            }
            return Self::at(url, "`--database-url`");
        }
        if let Ok(url) = std::env::var(VARIABLE) {
            return Self::at(&url, VARIABLE);
        }
        let Ok(file) = std::env::var(format!("{VARIABLE}_FILE")) else {
            return Err(Error::Configuration(format!(
                "which database? set {VARIABLE} (or {VARIABLE}_FILE to a file that holds it) to the address of production's, \
                 for any role that may read it; or give `--database-url` without a password"
            )));
        };
        let url = std::fs::read_to_string(&file)
            .map_err(|error| Error::unreadable("the address's file", file.as_ref(), &error))?;
        Self::at(url.trim(), &format!("{VARIABLE}_FILE"))
    }

    fn at(url: &str, place: &str) -> Result<Self, Error> {
        // The parser's own error may quote the address, and with it a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            Error::Configuration(format!("{place} is not of the form `postgres://USER@HOST:PORT/DATABASE`"))
        })?;
        Ok(Self(options.application_name("migration-gate snapshot").options(SETTINGS)))
    }
}

impl Recorded {
    pub(super) async fn read(live: &Live, table: &str) -> Result<Self, Error> {
        let mut connection = live.0.connect().await.map_err(|error| unreachable(&error))?;
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let mut transaction = connection.begin_with(begin).await.map_err(|error| unreachable(&error))?;
        let table = find(&mut transaction, table).await?;
        let rows = rows(&mut transaction, &table).await?;
        let owners = sqlx::query_as(OWNERS).fetch_all(&mut *transaction).await;
        let owners: Vec<(String, String)> = owners.map_err(|error| lost("reading who owns what", &error))?;
        let source = source(&mut transaction).await?;
        drop(transaction.rollback().await);
        drop(connection.close().await);
        Ok(Self { rows, owners: owners.into_iter().collect(), source })
    }
}

/// The ledger's table, quoted; a name without a schema may stand in any.
async fn find(connection: &mut PgConnection, table: &str) -> Result<String, Error> {
    let name = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
    let schema = table.rsplit_once('.').map(|(schema, _)| schema.trim_matches('"'));
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND ($2::text IS NULL OR n.nspname = $2) ORDER BY 1",
    )
    .bind(name)
    .bind(schema)
    .fetch_all(connection)
    .await
    .map_err(|error| lost("looking for the ledger", &error))?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::Configuration(format!(
            "the database has no table `{table}`: sqlx has not migrated it; see that it is production's, or name the \
             ledger with `--table SCHEMA.NAME`"
        ))),
        several => Err(Error::Configuration(format!(
            "the database has {} ledgers, {}; name production's with `--table SCHEMA.NAME`",
            several.len(),
            several.join(" and ")
        ))),
    }
}

async fn rows(connection: &mut PgConnection, table: &str) -> Result<Vec<Applied>, Error> {
    let query = format!(
        "SELECT version, description, success, encode(checksum, 'hex') FROM {table} ORDER BY installed_on, version"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(connection).await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            return Err(match Refusal::of(error) {
                Ok(refusal) => Error::Configuration(format!(
                    "cannot read {table}: {refusal}; let its owner run `GRANT SELECT ON {table} TO` the role of the address"
                )),
                Err(error) => lost("reading the ledger", &error),
            });
        }
    };
    let mut applied = Vec::with_capacity(rows.len());
    for row in rows {
        let (version, description): (i64, String) = (row.get(0), row.get(1));
        if !row.get::<bool, _>(2) {
            return Err(Error::Configuration(format!(
                "{table} says that migration {version} has failed half-way; mend production first"
            )));
        }
        applied.push(Applied { version, name: description.replace(' ', "_"), checksum: row.get(3) });
    }
    Ok(applied)
}

async fn source(connection: &mut PgConnection) -> Result<Source, Error> {
    let doing = "asking which database this is";
    let may: bool = sqlx::query_scalar(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| lost(doing, &error))?;
    let cluster = if may {
        "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"
    } else {
        "'unknown'"
    };
    let query = format!(
        "SELECT {cluster}, current_database()::text,
                to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    );
    let (cluster, database, taken_at) = sqlx::query_as(AssertSqlSafe(query))
        .fetch_one(connection)
        .await
        .map_err(|error| lost(doing, &error))?;
    Ok(Source { cluster, database, taken_at })
}

/// Says why without the address, which may hold a password.
fn unreachable(error: &sqlx::Error) -> Error {
    let cause = match error {
        sqlx::Error::Database(refused) => refused.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        _ => "no answer that PostgreSQL would give".into(),
    };
    Error::NoLiveDatabase(cause)
}

/// Whether the address carries a password, before the host or among the parameters.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
    user.contains(':')
        || parameters.split('&').any(|it| it.starts_with("password=") || it.starts_with("sslpassword="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_wherever_an_address_can_hold_one() {
        for with in [
            "postgres://u:p@h/d",
            "postgres://u:@h/d",
            "postgres://h/d?user=u&password=p",
            "postgres://u:p@/d",
        ] {
            assert!(has_password(with), "{with}");
        }
        for without in ["postgres://u@h:5432/d", "postgres:///d?host=/run/postgresql", "postgres://h:5432/d"]
        {
            assert!(!has_password(without), "{without}");
        }
    }
}
