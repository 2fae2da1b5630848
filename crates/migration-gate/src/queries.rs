//! The queries that the code sends, as `cargo sqlx prepare` has stored them in `.sqlx` folders.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    error::Error,
    git::{Blob, Repository},
    project::QueryFolder,
    shape::Shape,
};

/// One prepared query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) text: String,
    /// What the code was compiled against.
    pub(crate) shape: Shape,
    /// The path of its JSON file.
    pub(crate) file: String,
    /// The role that sends it.
    pub(crate) role: String,
    /// Whether sqlx 0.9 or later described it, which plans without parameters' values.
    pub(crate) is_generic: bool,
}

/// The queries of some folders, each query once for each role that sends it.
#[derive(Debug, Default)]
pub(crate) struct QuerySet {
    pub(crate) queries: Vec<Query>,
    /// Files that are no prepared query, and why.
    pub(crate) broken: Vec<(String, String)>,
    /// QuerySet queries of another database.
    pub(crate) foreign: usize,
}

impl QuerySet {
    /// Reads the folders as they are on disk.
    ///
    /// # Errors
    /// When one does not exist or cannot be read.
    pub(crate) fn read(folders: &[QueryFolder], app: &str) -> Result<Self, Error> {
        let mut prepared = Self::default();
        for folder in folders {
            let unreadable = |error| Error::unreadable("the folder of queries", &folder.path, &error);
            let mut paths = Vec::new();
            for entry in fs::read_dir(&folder.path).map_err(unreadable)? {
                paths.push(entry.map_err(unreadable)?.path());
            }
            paths.sort();
            for path in paths.iter().filter(|it| is_query(it)) {
                let bytes = fs::read(path).map_err(|error| Error::unreadable("the query", path, &error))?;
                prepared.add(path.display().to_string(), &bytes, folder.role.as_deref().unwrap_or(app));
            }
        }
        Ok(prepared)
    }

    /// Reads the folders as they were at `revision`; where it had none of them, every `.sqlx` folder that it had.
    ///
    /// # Errors
    /// When the revision is unknown, or git fails.
    pub(crate) fn at(
        repository: &Repository,
        revision: &str,
        folders: &[QueryFolder],
        app: &str,
    ) -> Result<Self, Error> {
        let mut prepared = Self::default();
        for folder in folders {
            for Blob { path, bytes } in repository.files(revision, &folder.path)? {
                let path = folder.path.join(path);
                if is_query(&path) {
                    prepared.add(path.display().to_string(), &bytes, folder.role.as_deref().unwrap_or(app));
                }
            }
        }
        if prepared.is_empty() {
            for folder in repository.folders_called(revision, ".sqlx")? {
                for Blob { path, bytes } in repository.files(revision, &folder)? {
                    let path = folder.join(path);
                    if is_query(&path) {
                        prepared.add(path.display().to_string(), &bytes, app);
                    }
                }
            }
        }
        Ok(prepared)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.broken.is_empty()
    }

    fn add(&mut self, file: String, bytes: &[u8], role: &str) {
        match parse(bytes) {
            Ok(None) => self.foreign += 1,
            Ok(Some((text, describe))) => {
                let Some(shape) = Shape::of(&describe) else {
                    self.broken.push((file, "its `describe` is not one of sqlx's".into()));
                    return;
                };
                if !self.queries.iter().any(|it| it.role == role && it.text == text) {
                    let columns = describe["columns"].as_array().into_iter().flatten();
                    let is_generic = columns.into_iter().any(|it| it.get("origin").is_some());
                    self.queries.push(Query { text, shape, file, role: role.into(), is_generic });
                }
            }
            Err(because) => self.broken.push((file, because)),
        }
    }
}

impl Query {
    /// The query in one line, cut short.
    pub(crate) fn excerpt(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(60) {
            Some((end, _)) => format!("{}…", line[..end].trim_end()),
            None => line,
        }
    }
}

fn is_query(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("query-") && name.ends_with(".json")
}

/// Text and description; nothing where the query is for another kind of database.
fn parse(bytes: &[u8]) -> Result<Option<(String, Value)>, String> {
    let mut json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = json["query"].as_str().ok_or("it has no `query`")?.to_owned();
    let database = json["db_name"].as_str().unwrap_or("PostgreSQL");
    Ok((database == "PostgreSQL").then(|| (text, json["describe"].take())))
}
