//! Which earlier migration took away what a pending one asks for; found by running them again, never by reading SQL.

use std::{collections::BTreeMap, fmt};

use sqlx::{Connection as _, PgConnection, Row};

use crate::{
    error::Error,
    files::MigrationFile,
    plan::Step,
    refusal::Refusal,
    target::lost,
    upgrade::{Logins, Scene},
};

/// Every column of every relation that is not PostgreSQL's own.
const COLUMNS: &str = "
    SELECT c.oid::int8, c.relname::text, a.attnum::int4, a.attname::text
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// A column or relation that was there and is not any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    /// As in: column `note` of `orders`.
    object: String,
    /// The new name, where it has one.
    pub(crate) renamed_to: Option<String>,
    file: String,
    line: Option<u32>,
}

/// What an error says is missing.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    relation: Option<String>,
    column: Option<String>,
}

/// Relation and column by their places, which a rename keeps.
type Columns = BTreeMap<(i64, i32), (String, String)>;

/// The migration that removed what `refusal` misses; nothing where none did.
pub(crate) async fn removal(
    scene: &Scene<'_>,
    refused: &Step<'_>,
    refusal: &Refusal,
) -> Result<Option<Removal>, Error> {
    let Some(missing) = Missing::of(refusal) else { return Ok(None) };
    let again = scene.target.history();
    again.create().await?;
    // A prelude that makes roles without asking whether they exist cannot be run twice on one server.
    let found = match again.set_up(scene.project).await {
        Ok(_) => search(&Scene { target: &again, ..*scene }, refused, &missing).await,
        Err(Error::Configuration(_)) => Ok(None),
        Err(error) => Err(error),
    };
    again.remove().await?;
    found
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.renamed_to {
            Some(name) => write!(f, "` has renamed {} to `{name}`", self.object),
            None => write!(f, "` has dropped {}", self.object),
        }
    }
}

impl Missing {
    fn of(refusal: &Refusal) -> Option<Self> {
        let mut quoted = refusal.message.split('"').skip(1).step_by(2).map(str::to_owned);
        let unqualified = |name: String| name.rsplit('.').next().map(str::to_owned);
        match refusal.sqlstate.as_str() {
            "42P01" => Some(Self { relation: quoted.next().and_then(unqualified), column: None }),
            "42703" => {
                let (column, relation) = match quoted.next() {
                    Some(column) => (column, quoted.next()),
                    // `column o.note does not exist`: what stands before the dot may be an alias.
                    None => (refusal.message.split(' ').nth(1)?.to_owned(), None),
                };
                Some(Self { column: unqualified(column), relation: relation.and_then(unqualified) })
            }
            _ => None,
        }
    }

    fn is(&self, relation: &str, column: &str) -> bool {
        self.relation.as_deref().is_none_or(|it| it == relation)
            && self.column.as_deref().is_none_or(|it| it == column)
    }
}

async fn search(scene: &Scene<'_>, refused: &Step<'_>, missing: &Missing) -> Result<Option<Removal>, Error> {
    let mut logins = Logins::new(scene);
    let mut admin = scene.target.admin().await?;
    let mut before = columns(&mut admin).await?;
    let mut found = None;
    let earlier = scene.plan.pending.iter().take_while(|step| step.up.version != refused.up.version);
    for step in scene.plan.applied.iter().chain(earlier) {
        if logins.apply(step).await?.is_some() {
            break;
        }
        let after = columns(&mut admin).await?;
        found = difference(&before, &after, missing).map(|it| it.by(step.up)).or(found);
        before = after;
    }
    logins.close().await;
    drop(admin.close().await);
    Ok(found)
}

async fn columns(admin: &mut PgConnection) -> Result<Columns, Error> {
    let rows =
        sqlx::query(COLUMNS).fetch_all(admin).await.map_err(|error| lost("reading the catalog", &error))?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(2)), (row.get(1), row.get(3)))).collect())
}

/// What `missing` lost between two catalogs.
fn difference(before: &Columns, after: &Columns, missing: &Missing) -> Option<Removal> {
    let now = |name: &(String, String)| after.values().any(|it| it == name);
    let (place, (relation, column)) =
        before.iter().find(|(_, name)| missing.is(&name.0, &name.1) && !now(name))?;
    let (object, renamed_to) = if missing.column.is_some() {
        let renamed = after.get(place).filter(|it| it.1 != *column).map(|it| it.1.clone());
        (format!("column `{column}` of `{relation}`"), renamed)
    } else {
        let renamed = after.get(place).filter(|it| it.0 != *relation).map(|it| it.0.clone());
        (format!("`{relation}`"), renamed)
    };
    Some(Removal { object, renamed_to, file: String::new(), line: None })
}

impl Removal {
    /// Placed where the file first speaks of it.
    fn by(self, file: &MigrationFile) -> Self {
        let word = self.object.split('`').nth(1).unwrap_or_default();
        Self { file: file.file_name(), line: file.line_with(word), ..self }
    }
}
