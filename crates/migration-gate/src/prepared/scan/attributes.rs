//! Attributes: whether what they stand on is compiled, where its file is, and how far they reach.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::prepared::{
    literal,
    truth::{self, Truth},
};

/// Attributes that leave the code below them as it is.
const KEEPING: &[&str] = &[
    "allow",
    "async_trait",
    "automatically_derived",
    "cold",
    "default",
    "deny",
    "deprecated",
    "derive",
    "doc",
    "error",
    "expect",
    "forbid",
    "from",
    "ignore",
    "inline",
    "instrument",
    "macro_export",
    "macro_use",
    "main",
    "must_use",
    "no_mangle",
    "non_exhaustive",
    "repr",
    "serde",
    "should_panic",
    "skip",
    "source",
    "sqlx",
    "track_caller",
    "warn",
];

/// Whose `test` attribute leaves nothing of a function in a build that is no test.
const TEST_OF: &[&str] = &["actix_rt", "actix_web", "async_std", "core", "sqlx", "std", "tokio"];

/// What the attributes in front of something say.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) truth: Truth,
    /// Of `#[path = "…"]`.
    pub(super) path: Option<String>,
    /// Whether `#[path]` itself depends on what only the compiler knows.
    pub(super) path_open: bool,
    /// The index of the first token behind them.
    pub(super) end: usize,
}

impl Attributes {
    /// The attributes that begin at `at`; none when `end` is `at`.
    pub(super) fn outer(tokens: &[TokenTree], at: usize, feature: &dyn Fn(&str) -> Truth) -> Self {
        let mut found = Self { truth: Truth::Yes, path: None, path_open: false, end: at };
        while let (Some(TokenTree::Punct(mark)), Some(TokenTree::Group(group))) =
            (tokens.get(found.end), tokens.get(found.end + 1))
            && mark.as_char() == '#'
            && group.delimiter() == Delimiter::Bracket
        {
            found.take(group.stream(), Truth::Yes, feature);
            found.end += 2;
        }
        found
    }

    /// What `#![cfg(…)]` says of the code around it.
    pub(super) fn inner(tokens: &[TokenTree], feature: &dyn Fn(&str) -> Truth) -> Truth {
        let mut found = Self { truth: Truth::Yes, path: None, path_open: false, end: 0 };
        for three in tokens.windows(3) {
            if let [TokenTree::Punct(mark), TokenTree::Punct(bang), TokenTree::Group(group)] = three
                && (mark.as_char(), bang.as_char()) == ('#', '!')
                && is_word(group.stream().into_iter().next().as_ref(), &["cfg", "cfg_attr"])
            {
                found.take(group.stream(), Truth::Yes, feature);
            }
        }
        found.truth
    }

    /// Takes in one attribute, which stands there as far as `there` says.
    fn take(&mut self, attribute: TokenStream, there: Truth, feature: &dyn Fn(&str) -> Truth) {
        let tokens: Vec<TokenTree> = attribute.into_iter().collect();
        let names: Vec<String> = tokens
            .iter()
            .take_while(|it| matches!(it, TokenTree::Ident(_)) || it.to_string() == ":")
            .filter(|it| matches!(it, TokenTree::Ident(_)))
            .map(ToString::to_string)
            .collect();
        let inside = match tokens.last() {
            Some(TokenTree::Group(group)) => group.stream(),
            _ => TokenStream::new(),
        };
        let Some(name) = names.last() else { return };
        let here = match (name.as_str(), names.len()) {
            ("cfg", 1) => truth::cfg(inside, feature),
            ("cfg_attr", 1) => return self.conditional(inside, there, feature),
            ("path", 1) => return self.name_file(tokens.last(), there),
            ("test" | "bench", 1) => Truth::No,
            ("test", _) if TEST_OF.contains(&names[0].as_str()) => Truth::No,
            (known, _) if KEEPING.contains(&known) => Truth::Yes,
            // Someone's macro: it may keep what stands below, or make something else of it.
            _ => Truth::Maybe,
        };
        self.truth = self.truth.and(if there == Truth::Yes { here } else { here.max(Truth::Maybe) });
    }

    /// `cfg_attr(PREDICATE, ATTRIBUTE…)`.
    fn conditional(&mut self, inside: TokenStream, there: Truth, feature: &dyn Fn(&str) -> Truth) {
        let mut parts = truth::parts(inside).into_iter();
        let Some(predicate) = parts.next() else { return };
        let there = there.and(truth::cfg(predicate, feature));
        if there > Truth::No {
            parts.for_each(|attribute| self.take(attribute, there, feature));
        }
    }

    fn name_file(&mut self, value: Option<&TokenTree>, there: Truth) {
        match value {
            Some(TokenTree::Literal(path)) if there == Truth::Yes => self.path = literal::string(path),
            _ => self.path_open = true,
        }
    }
}

/// Where that ends which begins at `start`: an item, a statement, a field, an arm, an argument.
pub(super) fn extent(tokens: &[TokenTree], start: usize) -> usize {
    let ends = ending(tokens, start);
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let next = tokens.get(at);
        match token {
            TokenTree::Punct(mark) if mark.as_char() == ';' => return at,
            TokenTree::Punct(mark) if mark.as_char() == ',' && ends == Ends::Comma => return at,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let arm = at >= 3 && tokens[at - 3].to_string() == "=" && tokens[at - 2].to_string() == ">";
                let over = match ends {
                    Ends::Brace => !is_word(next, &["else"]),
                    Ends::Comma => arm && !matches!(next, Some(TokenTree::Punct(_))),
                    Ends::Semicolon => false,
                };
                if over {
                    return at;
                }
            }
            _ => {}
        }
    }
    at
}

/// What ends a thing, besides `;`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Brace,
    Semicolon,
    Comma,
}

fn ending(tokens: &[TokenTree], start: usize) -> Ends {
    let mut at = start;
    loop {
        let next = tokens.get(at + 1);
        match tokens.get(at) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => return Ends::Brace,
            // `pub(crate)`, `extern "C"`
            Some(TokenTree::Group(group))
                if at > start
                    && group.delimiter() == Delimiter::Parenthesis
                    && is_word(tokens.get(at - 1), &["pub"]) => {}
            Some(TokenTree::Literal(_)) if at > start && is_word(tokens.get(at - 1), &["extern"]) => {}
            Some(TokenTree::Ident(word)) => match word.to_string().as_str() {
                "pub" | "unsafe" | "async" | "default" | "extern" | "auto" => {}
                "const" if is_word(next, &["fn", "unsafe", "async", "extern"]) => {}
                "fn" | "struct" | "enum" | "union" | "trait" | "impl" | "mod" | "if" | "match" | "while"
                | "loop" | "for" => return Ends::Brace,
                "use" | "const" | "static" | "type" | "let" => return Ends::Semicolon,
                // A macro that stands for items or for a statement.
                _ if next.is_some_and(|it| it.to_string() == "!") => return Ends::Brace,
                _ => return Ends::Comma,
            },
            _ => return Ends::Comma,
        }
        at += 1;
    }
}

fn is_word(token: Option<&TokenTree>, words: &[&str]) -> bool {
    matches!(token, Some(TokenTree::Ident(it)) if words.iter().any(|word| it == word))
}
