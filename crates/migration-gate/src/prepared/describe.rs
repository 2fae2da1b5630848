//! What the server says to a query, as sqlx's macros ask and write it down.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Either, Executor as _, PgConnection, SqlSafeStr as _};
use tokio::task::JoinSet;

use crate::{
    error::Error,
    target::{Target, lost, run},
};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;

/// How a version of sqlx's macros asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// 0.8: plans as the server does by default; does not write down where a column comes from.
    Default,
    /// 0.9: plans without the values of parameters, which changes what outer joins are thought to give.
    Generic,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Described {
    /// What `.sqlx` holds, and the number of parameters.
    As(Value, usize),
    /// What the server has against the query.
    Refused(String),
    /// Why it cannot be told.
    Unclear(String),
}

impl Style {
    /// How this version asks, where that is known.
    pub(super) fn of(version: &str) -> Option<Self> {
        if version.starts_with("0.8.") {
            Some(Self::Default)
        } else if version.starts_with("0.9.") {
            Some(Self::Generic)
        } else {
            None
        }
    }
}

/// Asks about all `queries`, which are given and answered by hash.
///
/// # Errors
/// When the server is lost.
pub(super) async fn all(
    target: &Target,
    queries: &[(&str, &str)],
    style: Style,
) -> Result<BTreeMap<String, Described>, Error> {
    let mut tasks = JoinSet::new();
    for share in queries.chunks(queries.len().div_ceil(CONNECTIONS).max(1)) {
        let target = target.clone();
        let share: Vec<_> = share.iter().map(|&(hash, text)| (hash.to_owned(), text.to_owned())).collect();
        tasks.spawn(async move {
            let mut connection = target.admin().await?;
            if style == Style::Generic {
                let sql = "SET plan_cache_mode = force_generic_plan".to_owned();
                run(&mut connection, sql).await.map_err(|error| lost("asking about queries", &error))?;
            }
            let mut found = Vec::with_capacity(share.len());
            for (hash, text) in share {
                let described = one(&mut connection, &hash, &text, style).await?;
                found.push((hash, described));
            }
            drop(connection.close().await);
            Ok::<_, Error>(found)
        });
    }
    let mut found = BTreeMap::new();
    while let Some(share) = tasks.join_next().await {
        let broken = |error: tokio::task::JoinError| Error::Lost {
            doing: "asking about queries".into(),
            cause: error.to_string(),
        };
        found.extend(share.map_err(broken)??);
    }
    Ok(found)
}

async fn one(
    connection: &mut PgConnection,
    hash: &str,
    text: &str,
    style: Style,
) -> Result<Described, Error> {
    let described = match connection.describe(AssertSqlSafe(text.to_owned()).into_sql_str()).await {
        Ok(described) => described,
        Err(sqlx::Error::Database(refused)) => return Ok(Described::Refused(refused.message().to_owned())),
        Err(error @ sqlx::Error::Io(_)) => return Err(lost("asking about queries", &error)),
        Err(error) => return Ok(Described::Unclear(error.to_string())),
    };
    let parameters = match described.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    };
    let Ok(mut description) = serde_json::to_value(&described) else {
        return Ok(Described::Unclear("what the server said has no JSON form".into()));
    };
    if style == Style::Default {
        let columns = description["columns"].as_array_mut().into_iter().flatten();
        for column in columns.filter_map(Value::as_object_mut) {
            column.remove("origin");
        }
    }
    let data = json!({ "db_name": "PostgreSQL", "query": text, "describe": description, "hash": hash });
    Ok(Described::As(data, parameters))
}
