//! Reads a database's catalog again and again; what has not changed since the last look is not asked for twice.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sqlx::{Connection as _, PgConnection, Row};

use super::{ASPECT, Catalog, IDENTITY, VALUE, aspects};
use crate::{
    error::Error,
    target::{Target, lost, run},
};

const MARKS: &str = include_str!("marks.sql");
const FACTS: &str = include_str!("facts.sql");
const DOING: &str = "reading the catalog";

/// A superuser's connection that reads one database.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: PgConnection,
    ledger: String,
    known: HashMap<Key, Known>,
}

/// Class and number of something that facts may be about, or that others may speak of.
type Key = (String, i64);

/// Of each, which transactions wrote it, and its schema and name.
type Marks = BTreeMap<Key, (i64, String)>;

/// What was found at the last look.
#[derive(Debug)]
struct Known {
    mark: i64,
    name: String,
    object: String,
    facts: Arc<str>,
}

impl Reader {
    pub(crate) async fn of(target: &Target) -> Result<Self, Error> {
        let mut connection = target.admin().await?;
        // The questions are large and asked often: they are planned once.
        let settings = "SET search_path TO pg_catalog; SET jit TO off; SET lock_timeout TO '10s'; \
                        SET plan_cache_mode TO force_generic_plan";
        run(&mut connection, settings.into()).await.map_err(|error| lost(DOING, &error))?;
        Ok(Self { connection, ledger: target.ledger_name().into(), known: HashMap::new() })
    }

    /// What the database holds now.
    pub(crate) async fn read(&mut self) -> Result<Catalog, Error> {
        let marks = self.marks().await?;
        if self.known.iter().any(|(key, known)| marks.get(key).is_some_and(|(_, name)| *name != known.name)) {
            self.known.clear();
        }
        let mut catalog = self.read_changed(&marks).await?;
        if catalog.is_none() {
            self.known.clear();
            catalog = self.read_changed(&marks).await?;
        }
        for (key, (mark, name)) in marks {
            let named = || Known { mark, name, object: String::new(), facts: "".into() };
            self.known.entry(key).or_insert_with(named);
        }
        Ok(catalog.unwrap_or_default())
    }

    /// Asks for what is not known. Nothing where a column has another name than before: others speak of it by its
    /// name, and their own rows have not changed.
    async fn read_changed(&mut self, marks: &Marks) -> Result<Option<Catalog>, Error> {
        let (known, stale): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.known)
            .into_iter()
            .partition(|(key, known)| marks.get(key).is_some_and(|(mark, _)| *mark == known.mark));
        self.known = known;
        let missing = |class: &str| -> Vec<i64> {
            let keys = marks.keys().filter(|key| key.0 == class && !self.known.contains_key(*key));
            keys.map(|key| key.1).collect()
        };
        let (relations, routines) = (missing("r"), missing("f"));
        let told = self.known.values().filter(|it| !it.object.is_empty());
        let mut objects: BTreeMap<_, _> = told.map(|it| (it.object.clone(), Arc::clone(&it.facts))).collect();
        for (object, facts) in self.facts(&relations, &routines).await? {
            let facts: Arc<str> = facts.into();
            if let Some(key) = key_of(&facts) {
                if stale.get(&key).is_some_and(|it| has_renamed_column(&it.facts, &facts)) {
                    return Ok(None);
                }
                if let Some((mark, name)) = marks.get(&key) {
                    let (mark, name) = (*mark, name.clone());
                    let known = Known { mark, name, object: object.clone(), facts: Arc::clone(&facts) };
                    self.known.insert(key, known);
                }
            }
            objects.insert(object, facts);
        }
        Ok(Some(Catalog { objects }))
    }

    pub(crate) async fn close(self) {
        drop(self.connection.close().await);
    }

    async fn marks(&mut self) -> Result<Marks, Error> {
        let rows = sqlx::query(MARKS)
            .bind(&self.ledger)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| lost(DOING, &error))?;
        Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect())
    }

    async fn facts(&mut self, relations: &[i64], routines: &[i64]) -> Result<Vec<(String, String)>, Error> {
        let rows = sqlx::query(FACTS)
            .bind(relations)
            .bind(routines)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| lost(DOING, &error))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// The first aspect of a relation and of a routine is its class and number.
fn key_of(facts: &str) -> Option<Key> {
    let (aspect, value) = facts.split(ASPECT).next()?.split_once(VALUE)?;
    let number = value.get(1..)?.parse().ok()?;
    (aspect.len() == 1 && aspect.starts_with(IDENTITY)).then(|| (value[..1].to_owned(), number))
}

/// Whether a column that both have is called differently.
fn has_renamed_column(before: &str, after: &str) -> bool {
    let columns = |facts| -> BTreeMap<String, String> {
        let columns = aspects(facts)
            .into_iter()
            .filter_map(|(aspect, value)| Some((value, aspect.strip_prefix(IDENTITY)?)));
        columns.map(|(number, name)| (number.to_owned(), name.to_owned())).collect()
    };
    let (before, after) = (columns(before), columns(after));
    before.iter().any(|(number, name)| after.get(number).is_some_and(|now| now != name))
}
