//! Where the statements of a file begin. Only ever used to point at a line: what is executed is the whole file.

/// One statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement<'s> {
    /// The line of its first word, from 1.
    pub(crate) line: u32,
    /// From its first word up to its semicolon.
    pub(crate) text: &'s str,
}

impl Statement<'_> {
    /// Whether it begins with `words`, which are in upper case.
    pub(crate) fn begins(&self, words: &str) -> bool {
        let mut own = self.text.split(|it: char| it.is_whitespace() || it == ';').filter(|it| !it.is_empty());
        words.split(' ').all(|word| own.next().is_some_and(|it| it.eq_ignore_ascii_case(word)))
    }

    /// Whether it speaks of `name`, however that is written.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.text.to_lowercase().contains(&name.to_lowercase())
    }
}

/// The line of the first statement that `is_it`, else the first line.
pub(crate) fn line_where(sql: &str, is_it: impl Fn(&Statement<'_>) -> bool) -> u32 {
    split(sql).iter().find(|statement| is_it(statement)).map_or(1, |it| it.line)
}

/// The line that holds the character at `position`, both from 1.
pub(crate) fn line_at(sql: &str, position: usize) -> u32 {
    let newlines = sql.chars().take(position.saturating_sub(1)).filter(|it| *it == '\n').count();
    u32::try_from(newlines + 1).unwrap_or(u32::MAX)
}

/// Splits at semicolons outside of quotes, comments and parentheses.
pub(crate) fn split(sql: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    // Where the statement at hand begins, and on which line.
    let mut start: Option<(usize, u32)> = None;
    let mut depth = 0_usize;
    let (mut at, mut line) = (0, 1);
    while at < sql.len() {
        let (token, length) = token(&sql[at..]);
        match token {
            Token::Blank => {}
            Token::Semicolon if depth == 0 => {
                statements.extend(start.take().map(|from| statement(sql, from, at)));
            }
            other => {
                start.get_or_insert((at, line));
                match other {
                    Token::Open => depth += 1,
                    Token::Close => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        let newlines = sql[at..at + length].matches('\n').count();
        line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        at += length;
    }
    statements.extend(start.map(|from| statement(sql, from, sql.len())));
    statements
}

enum Token {
    /// White space or a comment.
    Blank,
    Semicolon,
    Open,
    Close,
    Other,
}

fn statement(sql: &str, (from, line): (usize, u32), to: usize) -> Statement<'_> {
    Statement { line, text: sql[from..to].trim_end() }
}

/// The token at the start of `rest`, which is not empty, and its length in bytes.
fn token(rest: &str) -> (Token, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        _ if first.is_whitespace() => (Token::Blank, first.len_utf8()),
        '-' if rest.starts_with("--") => (Token::Blank, rest.find('\n').map_or(rest.len(), |it| it + 1)),
        '/' if rest.starts_with("/*") => (Token::Blank, block_comment(rest)),
        ';' => (Token::Semicolon, 1),
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        '\'' => (Token::Other, quoted(rest, 1, '\'', Backslash::IsItself)),
        '"' => (Token::Other, quoted(rest, 1, '"', Backslash::IsItself)),
        'e' | 'E' if rest[1..].starts_with('\'') => (Token::Other, quoted(rest, 2, '\'', Backslash::Escapes)),
        '$' => (Token::Other, dollar_quoted(rest)),
        _ if first.is_alphanumeric() || first == '_' => (Token::Other, word(rest)),
        _ => (Token::Other, first.len_utf8()),
    }
}

#[derive(PartialEq)]
enum Backslash {
    Escapes,
    IsItself,
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// A doubled quote needs no care: it ends one string and begins the next.
fn quoted(rest: &str, from: usize, quote: char, backslash: Backslash) -> usize {
    let mut characters = rest[from..].char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return from + at + 1;
        }
        if character == '\\' && backslash == Backslash::Escapes {
            characters.next();
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &str) -> usize {
    let tag_end = rest[1..].find(|it: char| !(it.is_alphanumeric() || it == '_')).map(|it| it + 1);
    match tag_end.filter(|end| rest[*end..].starts_with('$')) {
        Some(end) => {
            let tag = &rest[..=end];
            rest[tag.len()..].find(tag).map_or(rest.len(), |it| it + 2 * tag.len())
        }
        None => 1,
    }
}

/// A word may hold a `$`, which then quotes nothing.
fn word(rest: &str) -> usize {
    rest.find(|it: char| !(it.is_alphanumeric() || it == '_' || it == '$')).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[(u32, &str)]) {
        let found: Vec<_> = split(sql).into_iter().map(|it| (it.line, it.text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_semicolon_in_quotes_comments_or_parentheses_ends_nothing() {
        check("SELECT 1;\n\n-- a; b\nSELECT ';', \";\" ;", &[(1, "SELECT 1"), (4, "SELECT ';', \";\"")]);
        check("/* a /* ; */ ; */ SELECT 'it''s;'; x", &[(1, "SELECT 'it''s;'"), (1, "x")]);
        check(r"SELECT E'\';'; SELECT '\'; y", &[(1, r"SELECT E'\';'"), (1, r"SELECT '\'"), (1, "y")]);
        check("DO $a$ x; $$ y; $a$;\nDO $$;$$", &[(1, "DO $a$ x; $$ y; $a$"), (2, "DO $$;$$")]);
        check(
            "CREATE RULE r AS ON INSERT TO t DO (x; y); z",
            &[(1, "CREATE RULE r AS ON INSERT TO t DO (x; y)"), (1, "z")],
        );
    }

    #[test]
    fn what_is_not_closed_goes_to_the_end() {
        check("SELECT 'a; b", &[(1, "SELECT 'a; b")]);
        check("SELECT $x$ a; b", &[(1, "SELECT $x$ a; b")]);
        check("/* a; b", &[]);
    }

    #[test]
    fn a_position_counts_characters_not_bytes() {
        assert_eq!(line_at("-- äöü\nSELECT", 8), 2);
        assert_eq!(line_at("SELECT", 1), 1);
    }
}
