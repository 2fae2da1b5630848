//! Is `.sqlx` what the queries say? The verdict of `cargo sqlx prepare --check --workspace`, without compiling.
//!
//! The queries are read from the sources as tokens, described by the server as sqlx's macros have it described, and
//! compared with what `.sqlx` holds. Whatever only a build can see is told, and leaves the verdict open: then the real
//! command decides. A fault that is certain needs no further look.
//!
//! That the code compiles with what `.sqlx` holds is for the compiler to say, which reads `.sqlx` at every build.

mod calls;
mod describe;
mod difference;
mod glance;
mod kept;
mod literal;
mod outside;
mod scan;
mod sources;
mod truth;
mod workspace;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    describe::{Described, Style},
    sources::{Query, Sources},
    truth::Truth,
    workspace::Workspace,
};
use crate::{
    codes::{self, Level},
    error::Error,
    finding::Finding,
    target::Target,
};

/// Characters of a query that a finding shows.
const SHOWN: usize = 100;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// Root of the cargo workspace.
    pub root: PathBuf,
    /// The folder that `cargo sqlx prepare` has written; relative to the root.
    pub queries: PathBuf,
    /// A superuser's address on the server: `postgres://…`.
    pub server_url: String,
    /// A database there that has the schema.
    pub database: String,
    /// A file for what cargo and the packages of registries say, which holds until either changes.
    pub keep: Option<PathBuf>,
}

/// The answer.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Faults and warnings; with [`codes::QUERY_UNSEEN`] what leaves the verdict open.
    pub findings: Vec<Finding>,
    /// Queries that the sources have.
    pub queries: usize,
}

/// A place in the workspace, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    file: String,
    line: Option<u32>,
    why: String,
}

impl Prepared {
    /// Whether `.sqlx` is at fault for sure.
    pub fn is_red(&self) -> bool {
        self.findings.iter().any(|it| it.level == Level::Error)
    }

    /// Whether only a build can tell.
    pub fn is_open(&self) -> bool {
        !self.is_red() && self.findings.iter().any(|it| it.code == codes::QUERY_UNSEEN.name)
    }

    /// 0 it is what the queries say, 1 it is not, 3 only a build can tell.
    pub fn exit_code(&self) -> u8 {
        if self.is_red() {
            1
        } else if self.is_open() {
            3
        } else {
            0
        }
    }
}

/// Compares the sources, `.sqlx` and the schema.
///
/// # Errors
/// When the server is lost, or `.sqlx` cannot be read.
pub async fn prepared(inquiry: &Inquiry) -> Result<Prepared, Error> {
    let target = Target::new(&inquiry.server_url, &inquiry.database)?;
    let committed = committed(&inquiry.root.join(&inquiry.queries))?;
    let (workspace, sources) = match read(&inquiry.root, inquiry.keep.as_deref()) {
        Ok(read) => read,
        Err(said) => {
            let why = format!("cargo cannot read the workspace: {said}");
            let place = Place { file: "Cargo.toml".into(), line: None, why };
            return Ok(Prepared { findings: vec![unseen(place)], queries: 0 });
        }
    };
    let mut judge = Judge { inquiry, committed: &committed, findings: Vec::new(), open: Vec::new() };
    judge.open.extend(workspace.hidden.iter().chain(&sources.hidden).cloned());
    for place in &sources.absent {
        judge.found(broken(place, &place.why));
    }
    match workspace.sqlx.as_deref().map(|version| (version, Style::of(version))) {
        Some((_, Some(style))) => {
            let asked: Vec<_> =
                sources.queries.iter().map(|(hash, query)| (hash.as_str(), query.text.as_str())).collect();
            let described = describe::all(&target, &asked, style).await?;
            for (hash, query) in &sources.queries {
                judge.query(hash, query, described.get(hash));
            }
        }
        Some((version, None)) => {
            let why = format!("how sqlx {version} has queries described is not known here");
            judge.open.push(Place { file: "Cargo.lock".into(), line: None, why });
        }
        None => {}
    }
    judge.unused(&sources);
    Ok(Prepared { findings: judge.verdict(), queries: sources.queries.len() })
}

/// Everything that the sources tell.
fn read(root: &Path, keep: Option<&Path>) -> Result<(Workspace, Sources), String> {
    let workspace = workspace::read(root, keep)?;
    let mut sources = Sources::default();
    for package in &workspace.packages {
        sources.add(package, &workspace.root);
    }
    Ok((workspace, sources))
}

/// The files of the folder that sqlx takes for queries, by name.
fn committed(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::unreadable("the folder of queries", folder, &error)),
    };
    let mut found = BTreeMap::new();
    for path in entries.flatten().map(|it| it.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            found.insert(name, path);
        }
    }
    Ok(found)
}

struct Judge<'j> {
    inquiry: &'j Inquiry,
    committed: &'j BTreeMap<String, PathBuf>,
    findings: Vec<Finding>,
    /// What leaves the verdict open.
    open: Vec<Place>,
}

impl Judge<'_> {
    fn query(&mut self, hash: &str, query: &Query, described: Option<&Described>) {
        let fault = match described {
            Some(Described::As(now, parameters)) => {
                for (arguments, place) in query.arguments.iter().filter(|(it, _)| it != parameters) {
                    let why = format!("{arguments} arguments are counted here for {parameters} parameters");
                    self.open.push(Place { why, ..place.clone() });
                }
                self.compare(hash, query, now)
            }
            Some(Described::Refused(message)) => Some(broken(&query.place, message)),
            Some(Described::Unclear(why)) => return self.leave_open(query, why),
            None => return self.leave_open(query, "the server said nothing to this query"),
        };
        match fault {
            Some(fault) if query.truth == Truth::Yes => self.found(fault),
            Some(fault) => {
                let why = format!("{}, and only a build tells whether it is compiled", fault.what);
                self.leave_open(query, &why);
            }
            None => {}
        }
    }

    fn compare(&self, hash: &str, query: &Query, now: &Value) -> Option<Finding> {
        let folder = self.inquiry.queries.display();
        let name = format!("query-{hash}.json");
        let Some(path) = self.committed.get(&name) else {
            let what = format!("the query `{}` is not in `{folder}`", short(&query.text));
            return Some(
                Finding::new(&codes::QUERY_MISSING, what)
                    .at(&query.place.file, query.place.line.unwrap_or(1))
                    .means("a build without a database, such as an image's, does not compile")
                    .fix(REFRESH),
            );
        };
        let difference = match fs::read(path).map(|it| serde_json::from_slice::<Value>(&it)) {
            Ok(Ok(committed)) if committed == *now => return None,
            Ok(Ok(committed)) => difference::told(&committed, now),
            Ok(Err(error)) => format!("`{folder}/{name}` is no JSON: {error}"),
            Err(error) => format!("`{folder}/{name}` cannot be read: {error}"),
        };
        let what = format!("what `{folder}` holds of `{}` is out of date: {difference}", short(&query.text));
        Some(
            Finding::new(&codes::QUERY_STALE, what)
                .at(&query.place.file, query.place.line.unwrap_or(1))
                .means("the code is compiled for another schema than the one that it meets")
                .fix(REFRESH),
        )
    }

    /// What lies in the folder and no build has; not told where a build may have more than can be seen.
    fn unused(&mut self, sources: &Sources) {
        if !self.open.is_empty() {
            return;
        }
        let folder = self.inquiry.queries.display();
        for (name, path) in self.committed {
            let hash = name.trim_start_matches("query-").trim_end_matches(".json");
            if sources.queries.contains_key(hash) {
                continue;
            }
            let text = fs::read(path).ok().and_then(|it| serde_json::from_slice::<Value>(&it).ok());
            let query = text.as_ref().and_then(|it| it["query"].as_str()).unwrap_or(name);
            let finding =
                Finding::new(&codes::QUERY_UNUSED, format!("the query `{}` is used nowhere", short(query)))
                    .at(format!("{folder}/{name}"), 1)
                    .means("nothing; it is checked in vain")
                    .fix(REFRESH);
            self.found(finding);
        }
    }

    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn leave_open(&mut self, query: &Query, why: &str) {
        self.open.push(Place { why: why.into(), ..query.place.clone() });
    }

    /// A fault decides over what is open; without one, everything open is told.
    fn verdict(mut self) -> Vec<Finding> {
        if self.findings.iter().any(|it| it.level == Level::Error) {
            return self.findings;
        }
        self.open.dedup();
        self.findings.extend(self.open.into_iter().map(unseen));
        self.findings
    }
}

const REFRESH: &str = "cargo sqlx prepare --workspace";

fn broken(place: &Place, message: &str) -> Finding {
    Finding::new(&codes::QUERY_BROKEN, message)
        .at(&place.file, place.line.unwrap_or(1))
        .means("the query fails wherever it is sent")
        .fix("correct the query, or the migration that it needs")
}

fn unseen(place: Place) -> Finding {
    let finding = Finding::new(&codes::QUERY_UNSEEN, place.why)
        .means("nothing; only a build can tell whether `.sqlx` is complete")
        .fix("cargo sqlx prepare --check --workspace");
    Finding { file: Some(place.file), line: place.line, ..finding }
}

/// A query on one line, cut where it is long.
fn short(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
