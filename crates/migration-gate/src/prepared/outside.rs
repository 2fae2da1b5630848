//! Code of other packages that can make queries in a member: macros, and path dependencies that have their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use serde::{Deserialize, Serialize};

use super::{
    Place, calls, literal,
    sources::{rust_files, shown, tokens},
};

/// The sources that another package's users are compiled with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Library {
    name: String,
    folder: PathBuf,
    /// Whether it is made of procedural macros.
    pub(super) has_macros: bool,
}

impl Library {
    /// Nothing where a package has programs only.
    pub(super) fn of(package: &cargo_metadata::Package) -> Option<Self> {
        let library = package.targets.iter().find(|it| it.is_lib() || it.is_proc_macro())?;
        Some(Self {
            name: package.name.to_string(),
            folder: library.src_path.as_std_path().parent()?.to_owned(),
            has_macros: package.targets.iter().any(cargo_metadata::Target::is_proc_macro),
        })
    }
}

/// Where the package can make queries, if it can: its first place.
pub(super) fn makes_queries(library: &Library, root: &Path) -> Option<Place> {
    for file in rust_files(&library.folder) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if !text.contains("sqlx") && !text.contains(calls::EXPANSION) {
            continue;
        }
        let can = match tokens(&text) {
            Ok(stream) if library.has_macros => names_sqlx(stream),
            Ok(stream) => calls::can_become_query(stream),
            Err(_) => true,
        };
        if can {
            let why =
                format!("package `{}` can make queries that are not written in the workspace", library.name);
            return Some(Place { file: shown(&file, root), line: None, why });
        }
    }
    None
}

/// Whether code that makes code mentions sqlx together with the name of a query macro, in words or in strings.
fn names_sqlx(stream: TokenStream) -> bool {
    let (mut sqlx, mut query) = (false, false);
    look(stream, &mut |word| {
        sqlx |= word.contains("sqlx");
        query |= word.contains("query");
    });
    sqlx && query
}

fn look(stream: TokenStream, see: &mut dyn FnMut(&str)) {
    let mut doc = false;
    for token in stream {
        match token {
            TokenTree::Group(group) => look(group.stream(), see),
            TokenTree::Ident(name) => {
                doc = name == "doc";
                see(&name.to_string());
            }
            TokenTree::Literal(text) if !doc => see(&literal::string(&text).unwrap_or_default()),
            TokenTree::Literal(_) | TokenTree::Punct(_) => {}
        }
    }
}
