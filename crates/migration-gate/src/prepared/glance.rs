//! A glance at a file's text, which tells without tokens that it brings in nothing; that is so for most files.

/// Whether the file can bring in a query, a module or a definition of a macro. Too often yes, as comments and strings count,
/// and where comments stand between words.
pub(super) fn matters(text: &str) -> bool {
    text.contains("macro_rules")
        || text.contains("expand_query")
        || text.contains("sqlx") && text.contains("quote")
        || follows(text, "query", |rest| {
            let behind = rest.trim_start_matches(is_of_name).trim_start();
            behind.starts_with(['!', '/']) || is_alias(behind)
        })
        || follows(text, "include", |rest| rest.trim_start().starts_with(['!', '/']))
        || follows(text, "mod", |rest| !rest.starts_with(is_of_name) && names_file(rest.trim_start()))
}

/// Whether `is` holds of what stands behind a `word`.
fn follows(text: &str, word: &str, is: impl Fn(&str) -> bool) -> bool {
    text.match_indices(word).any(|(at, _)| is(&text[at + word.len()..]))
}

/// `as other`
fn is_alias(rest: &str) -> bool {
    rest.strip_prefix("as").is_some_and(|it| !it.starts_with(is_of_name))
}

/// `name;`, or what may be that behind a comment.
fn names_file(rest: &str) -> bool {
    let name = rest.strip_prefix("r#").unwrap_or(rest);
    let behind = name.trim_start_matches(is_of_name);
    behind.trim_start().starts_with([';', '/']) && (behind.len() < name.len() || behind.starts_with('/'))
}

fn is_of_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::matters;

    #[test]
    fn what_can_bring_in_something_is_read_however_it_is_spaced() {
        for text in [
            "sqlx::query!(\"SELECT 1\")",
            "query_file_as_unchecked !(Row, \"a/b.sql\")",
            "query_as /* checked */ ! (Row, \"SELECT 1\")",
            "use sqlx::query as q;",
            "sqlx_macros::expand_query!(source = \"SELECT 1\")",
            "quote!(sqlx::#name!(#text))",
            "macro_rules! all { () => {} }",
            "pub(crate) mod orders;",
            "mod r#move;",
            "mod orders /* of customers */ ;",
            "mod /* of customers */ orders;",
            "mod tests { mod deep; }",
            "include!(\"more.rs\")",
            "std::include ! (\"more.rs\")",
        ] {
            assert!(matters(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_read() {
        for text in [
            "sqlx::query(\"SELECT 1\").execute(&pool)",
            "let query = other;",
            "include_str!(\"a.sql\")",
            "mod tests { fn modest(model: Model) {} }",
            "fn modulo(a: u8) -> u8 { a }",
        ] {
            assert!(!matters(text), "{text}");
        }
    }
}
