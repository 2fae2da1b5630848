//! The queries of a package: its source files, found as the compiler finds them, from each target's root downwards.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use proc_macro2::TokenStream;
use sha2::{Digest as _, Sha256};

use super::{
    Place,
    calls::Source,
    glance,
    scan::{self, Inclusion},
    truth::Truth,
    workspace::Package,
};

/// A query that is compiled into the workspace, once for all places that have it.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    /// Whether a build has it; `Maybe` where only the compiler knows.
    pub(super) truth: Truth,
    /// The first place that has it for sure, or else the first.
    pub(super) place: Place,
    /// How many arguments each place binds, with the places.
    pub(super) arguments: Vec<(usize, Place)>,
}

/// What the packages hold.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// By the hash of the text, which sqlx names the files by.
    pub(super) queries: BTreeMap<String, Query>,
    /// What can become a query and is not written as one.
    pub(super) hidden: Vec<Place>,
    /// Files of queries that do not exist and that a build needs for sure.
    pub(super) absent: Vec<Place>,
}

impl Sources {
    /// Takes in a package's targets. Paths are shown relative to `root`.
    pub(super) fn add(&mut self, package: &Package, root: &Path) {
        let mut walk = Walk { package, root, seen: HashMap::new(), sources: self };
        for target in &package.targets {
            walk.file(&target.file, &target.folder(), target.truth.and(package.truth));
        }
        walk.left_over(&package.folder.join("src"));
    }

    fn call(&mut self, text: String, arguments: usize, truth: Truth, place: Place) {
        let query = self.queries.entry(hash(&text)).or_insert_with(|| Query {
            text,
            truth,
            place: place.clone(),
            arguments: Vec::new(),
        });
        if truth > query.truth {
            query.truth = truth;
            query.place = place.clone();
        }
        query.arguments.push((arguments, place));
    }
}

/// The name that sqlx gives a query's file, without `query-` and `.json`.
pub(super) fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Walk<'w> {
    package: &'w Package,
    root: &'w Path,
    /// The files that were read, and whether they are compiled.
    seen: HashMap<PathBuf, Truth>,
    sources: &'w mut Sources,
}

impl Walk<'_> {
    /// Reads a file whose modules lie in `children`.
    fn file(&mut self, file: &Path, children: &Path, truth: Truth) {
        if self.seen.get(file).is_some_and(|&before| before >= truth) {
            return;
        }
        self.seen.insert(file.to_owned(), truth);
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return self.hide(file, 1, &format!("it cannot be read: {error}"), truth),
        };
        if !glance::matters(&text) {
            return;
        }
        let stream = match tokens(&text) {
            Ok(stream) => stream,
            Err(line) => return self.hide(file, line, "this is no Rust that can be read", truth),
        };
        let feature = |name: &str| self.package.feature(name);
        let scanned = scan::file(stream, truth, &feature);
        for hidden in &scanned.hidden {
            self.hide(file, hidden.line, &hidden.why, Truth::Yes);
        }
        for call in scanned.calls.into_iter().filter(|call| call.truth > Truth::No) {
            let place = self.place(file, call.line, "");
            match call.source {
                Source::Text(text) => self.sources.call(text, call.arguments, call.truth, place),
                Source::File(path) => self.query_file(&path, call.arguments, call.truth, place),
            }
        }
        for inclusion in &scanned.inclusions {
            self.include(file, children, inclusion);
        }
    }

    /// `query_file!("path")`, which is relative to the package and has a folder.
    fn query_file(&mut self, path: &str, arguments: usize, truth: Truth, place: Place) {
        let relative = Path::new(path);
        let fits = relative.is_relative() && relative.parent().is_some_and(|it| !it.as_os_str().is_empty());
        if !fits {
            let why = format!("sqlx takes no path like `{path}`");
            return self.sources.hidden.push(Place { why, ..place });
        }
        match fs::read_to_string(self.package.folder.join(relative)) {
            Ok(text) => self.sources.call(text, arguments, truth, place),
            Err(error) => {
                let file = shown(&self.package.folder.join(relative), self.root);
                let place = Place { why: format!("cannot read the query's file `{file}`: {error}"), ..place };
                if truth == Truth::Yes { &mut self.sources.absent } else { &mut self.sources.hidden }
                    .push(place);
            }
        }
    }

    /// Follows `mod name;` and `include!`.
    fn include(&mut self, file: &Path, children: &Path, inclusion: &Inclusion) {
        let own = file.parent().unwrap_or(self.root);
        let within: PathBuf = inclusion.within.iter().collect();
        let inside = children.join(within);
        let (Some(name), path) = (&inclusion.module, &inclusion.path) else {
            let included = own.join(inclusion.path.as_deref().unwrap_or_default());
            return self.file(&included, children, inclusion.truth);
        };
        if let Some(path) = path {
            let base = if inclusion.within.is_empty() { own } else { &inside };
            let named = normal(&base.join(path));
            let folder = named.parent().unwrap_or(self.root).to_owned();
            return self.file(&named, &folder, inclusion.truth);
        }
        let flat = inside.join(format!("{name}.rs"));
        let deep = inside.join(name).join("mod.rs");
        if flat.is_file() {
            self.file(&flat, &inside.join(name), inclusion.truth);
        } else if deep.is_file() {
            self.file(&deep, &inside.join(name), inclusion.truth);
        } else {
            let why = format!("module `{name}` has no file");
            self.hide(file, inclusion.line, &why, inclusion.truth);
        }
    }

    /// Files that no module names, but that a macro may bring in.
    fn left_over(&mut self, folder: &Path) {
        for file in rust_files(folder) {
            if !self.seen.contains_key(&file)
                && fs::read_to_string(&file).is_ok_and(|it| it.contains("query"))
            {
                let children = file.with_extension("");
                self.file(&file, &children, Truth::Maybe);
            }
        }
    }

    fn hide(&mut self, file: &Path, line: u32, why: &str, truth: Truth) {
        if truth > Truth::No {
            let place = self.place(file, line, why);
            self.sources.hidden.push(place);
        }
    }

    fn place(&self, file: &Path, line: u32, why: &str) -> Place {
        Place { file: shown(file, self.root), line: Some(line), why: why.into() }
    }
}

/// A file's text as tokens; else the line that is none.
pub(super) fn tokens(text: &str) -> Result<TokenStream, u32> {
    let text = text.trim_start_matches('\u{feff}');
    let script = text.starts_with("#!") && !text[2..].trim_start().starts_with('[');
    let text = if script { text.replacen("#!", "//", 1) } else { text.to_owned() };
    // The compiler reads a line end of two characters as one, also in strings.
    TokenStream::from_str(&text.replace("\r\n", "\n"))
        .map_err(|error| u32::try_from(error.span().start().line).unwrap_or(1))
}

/// All Rust files below a folder, in order.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.flatten().map(|it| it.path()) {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A path as people see it: relative to the workspace where it lies below.
pub(super) fn shown(file: &Path, root: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

/// Without `..`, so that one file has one path.
fn normal(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
