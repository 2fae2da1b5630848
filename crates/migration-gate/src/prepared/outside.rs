//! Code of other packages that can make queries in a member: macros, and path dependencies that have their own.

use std::{fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};

use super::{
    Place, calls, literal,
    sources::{rust_files, shown, tokens},
};

/// Where `package` can make queries, if it can: its first place.
pub(super) fn makes_queries(package: &cargo_metadata::Package, root: &Path) -> Option<Place> {
    let macros = has_macros(package);
    let library = package.targets.iter().find(|it| it.is_lib() || it.is_proc_macro())?;
    for file in rust_files(library.src_path.as_std_path().parent()?) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if !text.contains("sqlx") && !text.contains(calls::EXPANSION) {
            continue;
        }
        let can = match tokens(&text) {
            Ok(stream) if macros => names_sqlx(stream),
            Ok(stream) => calls::can_become_query(stream),
            Err(_) => true,
        };
        if can {
            let why =
                format!("package `{}` can make queries that are not written in the workspace", package.name);
            return Some(Place { file: shown(&file, root), line: None, why });
        }
    }
    None
}

/// Whether it is made of procedural macros.
pub(super) fn has_macros(package: &cargo_metadata::Package) -> bool {
    package.targets.iter().any(cargo_metadata::Target::is_proc_macro)
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
