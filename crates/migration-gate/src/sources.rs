//! Where in the sources a query stands; only looked for when there is something to say about it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::queries::Query;

/// The Rust and SQL files beside the folders of queries.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// By the directory that a folder of queries lies in.
    files: BTreeMap<PathBuf, Vec<Source>>,
}

/// A file with its white space taken together.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
    /// Where in `text` each line begins.
    lines: Vec<usize>,
}

impl Sources {
    /// File and line of `query`; its JSON file where no source holds it word for word.
    pub(crate) fn place(&mut self, query: &Query) -> (String, u32) {
        let top = Path::new(&query.file).parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let files = self.files.entry(top.to_owned()).or_insert_with(|| read(top));
        let (text, _) = squeeze(&query.text);
        let found = files.iter().find_map(|it| Some((it, it.text.find(text.trim())?)));
        match found {
            Some((source, at)) if !text.trim().is_empty() => {
                let line = source.lines.partition_point(|begin| *begin <= at);
                (source.path.clone(), u32::try_from(line).unwrap_or(u32::MAX))
            }
            _ => (query.file.clone(), 1),
        }
    }
}

/// Sources first, then files of `query_file!`.
fn read(top: &Path) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(top, &mut paths);
    paths.sort_by_key(|path| (path.extension().is_some_and(|it| it == "sql"), path.clone()));
    let source = |path: &PathBuf| {
        let (text, lines) = squeeze(&fs::read_to_string(path).ok()?);
        Some(Source { path: path.display().to_string(), text, lines })
    };
    paths.iter().filter_map(source).collect()
}

fn walk(directory: &Path, paths: &mut Vec<PathBuf>) {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(here) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = directory.join(&*name);
        let Ok(kind) = entry.file_type() else { continue };
        let is_left_out = name.starts_with('.') || ["target", "node_modules", "migrations"].contains(&&*name);
        if kind.is_dir() && !is_left_out {
            walk(&path, paths);
        } else if kind.is_file() && (name.ends_with(".rs") || name.ends_with(".sql")) {
            paths.push(path);
        }
    }
}

/// One space for all white space; a backslash before a quote or the end of a line is Rust's, not the query's.
fn squeeze(text: &str) -> (String, Vec<usize>) {
    let mut squeezed = String::with_capacity(text.len());
    let mut lines = vec![0];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek().is_some_and(|it| *it == '"' || it.is_whitespace()) => {}
            '\n' | ' ' | '\t' | '\r' => {
                if !squeezed.ends_with(' ') {
                    squeezed.push(' ');
                }
                if character == '\n' {
                    lines.push(squeezed.len());
                }
            }
            other => squeezed.push(other),
        }
    }
    (squeezed, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_found_however_it_is_written_down() {
        let (text, lines) =
            squeeze("fn a() {\n    query!(\n        \"SELECT \\\"id\\\" \\\n         FROM t\",\n    )\n}\n");
        let at = text.find("SELECT \"id\" FROM t").unwrap();

        assert_eq!(lines.partition_point(|begin| *begin <= at), 3);
    }
}
