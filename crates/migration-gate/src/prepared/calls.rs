//! The macros of sqlx that check a query while it compiles: their names, and what one is called with.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::literal;

/// What stands in a macro besides the arguments that it binds.
#[derive(Debug, Clone, Copy)]
struct Shape {
    name: &'static str,
    first: First,
    text: Text,
}

/// What stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// The query.
    Query,
    /// The type of a row.
    Row,
}

/// Where the query's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Here,
    InFile,
}

const FAMILY: &[Shape] = &[
    shape("query", First::Query, Text::Here),
    shape("query_unchecked", First::Query, Text::Here),
    shape("query_as", First::Row, Text::Here),
    shape("query_as_unchecked", First::Row, Text::Here),
    shape("query_scalar", First::Query, Text::Here),
    shape("query_scalar_unchecked", First::Query, Text::Here),
    shape("query_file", First::Query, Text::InFile),
    shape("query_file_unchecked", First::Query, Text::InFile),
    shape("query_file_as", First::Row, Text::InFile),
    shape("query_file_as_unchecked", First::Row, Text::InFile),
    shape("query_file_scalar", First::Query, Text::InFile),
    shape("query_file_scalar_unchecked", First::Query, Text::InFile),
];

/// What all of them expand to.
pub(super) const EXPANSION: &str = "expand_query";

/// Where a query's text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Text(String),
    /// As sqlx reads it: relative to the folder of the package.
    File(String),
}

/// Whether a macro of sqlx has this name.
pub(super) fn is_query(name: &str) -> bool {
    FAMILY.iter().any(|shape| shape.name == name)
}

/// The query and the number of arguments in a call of the macro `name`; nothing where it is not written in the call.
pub(super) fn read(name: &str, call: TokenStream) -> Option<(Source, usize)> {
    let shape = FAMILY.iter().find(|shape| shape.name == name)?;
    let mut parts = arguments(call, shape.first).into_iter();
    if shape.first == First::Row {
        parts.next()?;
    }
    let text = concatenated(&parts.next()?)?;
    let source = match shape.text {
        Text::Here => Source::Text(text),
        Text::InFile => Source::File(text),
    };
    Some((source, parts.count()))
}

/// Whether these tokens, in a macro's definition, can become a query: one is named, or a macro that the caller names.
pub(super) fn can_become_query(stream: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    tokens.iter().enumerate().any(|(at, token)| {
        let next = |offset: usize| tokens.get(at + offset);
        match token {
            TokenTree::Group(group) => can_become_query(group.stream()),
            TokenTree::Ident(name) if name == EXPANSION => true,
            TokenTree::Ident(name) if is_query(&name.to_string()) => is_call(next(1), next(2)),
            // `sqlx::$name`, `sqlx::#name`
            TokenTree::Ident(name) if name == "sqlx" => next(3).is_some_and(is_hole),
            // `$name!(…)`, `#name!(…)`
            hole if is_hole(hole) => {
                matches!(next(1), Some(TokenTree::Ident(name)) if name != "crate")
                    && is_call(next(2), next(3))
            }
            _ => false,
        }
    })
}

/// Whether `!` and a group follow, which makes the word before them a macro.
pub(super) fn is_call(mark: Option<&TokenTree>, group: Option<&TokenTree>) -> bool {
    matches!(mark, Some(TokenTree::Punct(it)) if it.as_char() == '!')
        && matches!(group, Some(TokenTree::Group(it)) if it.delimiter() != Delimiter::None)
}

fn is_hole(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(it) if matches!(it.as_char(), '$' | '#'))
}

/// What stands between the commas; those inside `<…>` do not count. `<` compares, except after `::` and in a type, which
/// stands first where `row` says so.
fn arguments(stream: TokenStream, first: First) -> Vec<Vec<TokenTree>> {
    let mut parts: Vec<Vec<TokenTree>> = vec![Vec::new()];
    let mut depth = 0_u32;
    for token in stream {
        let of_type = first == First::Row && parts.len() == 1 || depth > 0;
        let Some(part) = parts.last_mut() else { continue };
        if let TokenTree::Punct(mark) = &token {
            let before = match part.last() {
                Some(TokenTree::Punct(it)) => it.as_char(),
                _ => ' ',
            };
            match (mark.as_char(), before) {
                ('<', _) if of_type || before == ':' => depth += 1,
                // The ends of `->` and `=>`.
                ('>', '-' | '=') => {}
                ('>', _) => depth = depth.saturating_sub(1),
                (',', _) if depth == 0 => {
                    parts.push(Vec::new());
                    continue;
                }
                _ => {}
            }
        }
        part.push(token);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// `"a" + "b"`.
fn concatenated(tokens: &[TokenTree]) -> Option<String> {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Literal(it) if at % 2 == 0 => text += &literal::string(it)?,
            TokenTree::Punct(it) if at % 2 == 1 && it.as_char() == '+' => {}
            _ => return None,
        }
    }
    (tokens.len() % 2 == 1).then_some(text)
}

const fn shape(name: &'static str, first: First, text: Text) -> Shape {
    Shape { name, first, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, call: &str) -> Option<(Source, usize)> {
        read(name, call.parse().unwrap())
    }

    fn text(text: &str, arguments: usize) -> Option<(Source, usize)> {
        Some((Source::Text(text.into()), arguments))
    }

    #[test]
    fn a_call_gives_its_text_and_the_number_of_its_arguments() {
        assert_eq!(called("query", r#""SELECT 1""#), text("SELECT 1", 0));
        assert_eq!(called("query", r##""SELECT " + r#"$1"#, id,"##), text("SELECT $1", 1));
        assert_eq!(
            called("query_as", r#"Page::<u8, Vec<Row>>, "SELECT $1, $2", a < b, c::<D, E>(f, g) as _"#),
            text("SELECT $1, $2", 2)
        );
        assert_eq!(called("query_as", r#"Page<u8, Row>, "SELECT 1""#), text("SELECT 1", 0));
        assert_eq!(
            called("query_file_as", r#"crate::Row, "queries/one.sql", id"#),
            Some((Source::File("queries/one.sql".into()), 1))
        );
    }

    #[test]
    fn a_text_that_is_not_in_the_call_is_not_guessed() {
        for call in ["$sql", "concat!(\"a\", \"b\")", "\"a\" +", "b\"a\"", "", "\"a\" \"b\""] {
            assert_eq!(called("query", call), None, "{call}");
        }
        assert_eq!(called("query_as", "\"SELECT 1\""), None);
    }

    #[test]
    fn a_definition_that_can_become_a_query_is_known() {
        let can = |definition: &str| can_become_query(definition.parse().unwrap());
        assert!(can("($q:expr) => { sqlx::query!($q) }"));
        assert!(can("($q:expr) => {{ let q = $crate::sqlx::query_as!(Row, $q); q }}"));
        assert!(can("($m:ident, $q:expr) => { ::sqlx::$m!($q) }"));
        assert!(can("($m:ident, $q:expr) => { $m!($q) }"));
        assert!(can("() => { sqlx::sqlx_macros::expand_query!(source = \"SELECT 1\") }"));
        assert!(!can("($query:expr) => { sqlx::query($query).bind(1) }"));
        assert!(!can("($a:expr) => { assert!($a != 1); $crate::other!($a) }"));
    }
}
