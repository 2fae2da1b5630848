//! One source file as tokens: which queries it calls for, which files it brings in, and what cannot be seen in it.
//!
//! Nothing is expanded. What a macro of someone else makes of its input is open, so what is called there may or may not
//! be compiled; what a definition in the file can make of other words is unseen.

mod attributes;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use self::attributes::Attributes;
use super::{
    calls::{self, Source},
    literal,
    truth::Truth,
};

/// Macros that compile their input as it is.
const TRANSPARENT: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "bail",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "ensure",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "join",
    "matches",
    "panic",
    "print",
    "println",
    "select",
    "thread_local",
    "todo",
    "try_join",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Macros that compile nothing of their input.
const OPAQUE: &[&str] = &["concat", "env", "include_bytes", "include_str", "option_env", "stringify"];

/// Macros whose input is code for someone else.
const QUOTING: &[&str] = &["parse_quote", "parse_quote_spanned", "quote", "quote_spanned"];

/// Words after which `!(…)` is a negation.
const NOT_MACROS: &[&str] = &["as", "break", "else", "if", "in", "match", "move", "return", "while", "yield"];

/// A query that a file calls for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) source: Source,
    pub(super) arguments: usize,
    pub(super) line: u32,
    pub(super) truth: Truth,
}

/// A place where a query can come from that is not written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    pub(super) line: u32,
    pub(super) why: String,
}

/// `mod name;`, or a file that is included.
#[derive(Debug)]
pub(super) struct Inclusion {
    /// The module's name; `include!` has none.
    pub(super) module: Option<String>,
    /// What `#[path]` or `include!` names.
    pub(super) path: Option<String>,
    /// The modules around it in the same file.
    pub(super) within: Vec<String>,
    pub(super) line: u32,
    pub(super) truth: Truth,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) calls: Vec<Call>,
    pub(super) inclusions: Vec<Inclusion>,
    pub(super) hidden: Vec<Hidden>,
}

/// Reads a file that is compiled as far as `truth` says.
pub(super) fn file(stream: TokenStream, truth: Truth, feature: &dyn Fn(&str) -> Truth) -> Scanned {
    let mut names = Names::default();
    names.read(stream.clone());
    let mut scan = Scan { feature, names, found: Scanned::default() };
    if truth > Truth::No {
        scan.found.hidden.append(&mut scan.names.hidden);
    }
    scan.stream(stream, &Scope { truth, within: Vec::new() });
    scan.found
}

/// Where the scan is.
#[derive(Debug, Clone)]
struct Scope {
    truth: Truth,
    within: Vec<String>,
}

struct Scan<'f> {
    feature: &'f dyn Fn(&str) -> Truth,
    names: Names,
    found: Scanned,
}

impl Scan<'_> {
    fn stream(&mut self, stream: TokenStream, scope: &Scope) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let inner = Attributes::inner(&tokens, self.feature);
        self.tokens(&tokens, &Scope { truth: scope.truth.and(inner), within: scope.within.clone() }, None);
    }

    /// `path` is what `#[path]` says of the module that begins here.
    fn tokens(&mut self, tokens: &[TokenTree], scope: &Scope, path: Option<&str>) {
        let mut at = 0;
        while at < tokens.len() {
            let attributes = Attributes::outer(tokens, at, self.feature);
            if attributes.end == at {
                at = self.token(tokens, at, scope, path);
                continue;
            }
            let end = attributes::extent(tokens, attributes.end);
            let inside = Scope { truth: scope.truth.and(attributes.truth), within: scope.within.clone() };
            if attributes.path_open && inside.truth > Truth::No {
                self.hide(&tokens[at], "only the compiler knows which file this module is");
            }
            self.tokens(&tokens[attributes.end..end], &inside, attributes.path.as_deref());
            at = end;
        }
    }

    /// Takes in what begins at `at` and returns where the next thing begins.
    fn token(&mut self, tokens: &[TokenTree], at: usize, scope: &Scope, path: Option<&str>) -> usize {
        let next = |offset: usize| tokens.get(at + offset);
        match &tokens[at] {
            TokenTree::Group(group) => {
                self.stream(group.stream(), scope);
                at + 1
            }
            TokenTree::Ident(word) if word == "mod" => self.module(tokens, at, scope, path),
            TokenTree::Ident(word)
                if word == "macro_rules" && matches!(next(2), Some(TokenTree::Ident(_))) =>
            {
                self.definition(&tokens[at], next(3), scope);
                at + 4
            }
            TokenTree::Ident(word) => {
                let name = word.to_string();
                if NOT_MACROS.contains(&name.as_str()) || !calls::is_call(next(1), next(2)) {
                    return at + 1;
                }
                if let Some(TokenTree::Group(input)) = next(2) {
                    self.call(&name, &before(tokens, at), (&tokens[at], input.stream()), scope);
                }
                at + 3
            }
            _ => at + 1,
        }
    }

    /// `mod name;` or `mod name { … }`.
    fn module(&mut self, tokens: &[TokenTree], at: usize, scope: &Scope, path: Option<&str>) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { return at + 1 };
        let name = name.to_string().trim_start_matches("r#").to_owned();
        match tokens.get(at + 2) {
            Some(TokenTree::Punct(end)) if end.as_char() == ';' => {
                self.found.inclusions.push(Inclusion {
                    module: Some(name),
                    path: path.map(Into::into),
                    within: scope.within.clone(),
                    line: line(&tokens[at]),
                    truth: scope.truth,
                });
            }
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                let mut within = scope.within.clone();
                within.push(path.map_or(name, Into::into));
                self.stream(body.stream(), &Scope { truth: scope.truth, within });
            }
            _ => return at + 1,
        }
        at + 3
    }

    /// `macro_rules! name { … }`: where it is used its words become code that is not written there.
    fn definition(&mut self, at: &TokenTree, body: Option<&TokenTree>, scope: &Scope) {
        if let Some(TokenTree::Group(body)) = body
            && scope.truth > Truth::No
            && calls::can_become_query(body.stream())
        {
            self.hide(at, "a macro that is defined here makes queries");
        }
    }

    fn call(&mut self, name: &str, path: &[String], (word, input): (&TokenTree, TokenStream), scope: &Scope) {
        let open = Scope { truth: scope.truth.and(Truth::Maybe), within: scope.within.clone() };
        let compiled = scope.truth > Truth::No;
        if calls::is_query(name) {
            let truth = scope.truth.and(self.names.truth(name, path));
            match calls::read(name, input.clone()) {
                Some((source, arguments)) => {
                    self.found.calls.push(Call { source, arguments, line: line(word), truth });
                }
                None if compiled => self.hide(word, "the query is not written out as a string"),
                None => {}
            }
            self.stream(input, scope);
        } else if name == calls::EXPANSION || self.names.other.iter().any(|it| it == name) {
            if compiled {
                self.hide(word, &format!("`{name}!` is a macro of sqlx under another name"));
            }
        } else if name == "include" {
            self.include(word, input, scope);
        } else if QUOTING.contains(&name) {
            if compiled && calls::can_become_query(input) {
                self.hide(word, "code that is generated from this makes queries");
            }
        } else if TRANSPARENT.contains(&name) {
            self.stream(input, scope);
        } else if !OPAQUE.contains(&name) {
            self.stream(input, &open);
        }
    }

    fn include(&mut self, word: &TokenTree, input: TokenStream, scope: &Scope) {
        let mut tokens = input.into_iter();
        let path = match (tokens.next(), tokens.next()) {
            (Some(TokenTree::Literal(path)), None) => literal::string(&path),
            _ => None,
        };
        if path.is_some() {
            let within = scope.within.clone();
            let included = Inclusion { module: None, path, within, line: line(word), truth: scope.truth };
            self.found.inclusions.push(included);
        } else if scope.truth > Truth::No {
            self.hide(word, "what is included here is made by the build");
        }
    }

    fn hide(&mut self, at: &TokenTree, why: &str) {
        self.found.hidden.push(Hidden { line: line(at), why: why.into() });
    }
}

/// What the macros of sqlx are called in a file.
#[derive(Debug, Default)]
struct Names {
    imported: Vec<String>,
    everything: bool,
    /// Other names that the file gives them.
    other: Vec<String>,
    hidden: Vec<Hidden>,
}

impl Names {
    fn read(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Ident(word) if word == "use" => {
                    let words = words(tokens[at..].iter().take_while(|it| it.to_string() != ";"));
                    let public = tokens[..at].iter().rev().take(2).any(|it| it.to_string() == "pub");
                    self.import(&words, public.then_some(token));
                }
                _ => {}
            }
        }
    }

    fn import(&mut self, words: &[String], public: Option<&TokenTree>) {
        if !words.iter().any(|it| it == "sqlx") {
            return;
        }
        self.everything |= words.iter().any(|it| it == "*");
        for (at, name) in words.iter().enumerate().filter(|(_, it)| calls::is_query(it)) {
            if words.get(at + 1).is_none_or(|it| it != "as") {
                self.imported.push(name.clone());
            } else if let Some(other) = words.get(at + 2) {
                self.other.push(other.clone());
                if let Some(token) = public {
                    let why = format!("`{name}!` of sqlx gets another name here");
                    self.hidden.push(Hidden { line: line(token), why });
                }
            }
        }
    }

    /// Whether `path::name!` is sqlx's: someone else's macro may have the name, too.
    fn truth(&self, name: &str, path: &[String]) -> Truth {
        let known = match path.first() {
            Some(first) => first == "sqlx" && path.len() == 1,
            None => self.everything || self.imported.iter().any(|it| it == name),
        };
        if known { Truth::Yes } else { Truth::Maybe }
    }
}

/// The path in front of a name: `a::b::` gives a, b.
fn before(tokens: &[TokenTree], at: usize) -> Vec<String> {
    let colon = |index: Option<usize>| {
        index
            .and_then(|it| tokens.get(it))
            .is_some_and(|it| matches!(it, TokenTree::Punct(p) if p.as_char() == ':'))
    };
    let mut path = Vec::new();
    let mut at = at;
    while colon(at.checked_sub(1)) && colon(at.checked_sub(2)) {
        let Some(TokenTree::Ident(name)) = at.checked_sub(3).and_then(|it| tokens.get(it)) else { break };
        path.insert(0, name.to_string());
        at -= 3;
    }
    path
}

/// All names in the tokens, also inside braces, and `*`.
fn words<'t>(tokens: impl Iterator<Item = &'t TokenTree>) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => found.push(name.to_string()),
            TokenTree::Punct(star) if star.as_char() == '*' => found.push("*".into()),
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                found.extend(words(inside.iter()));
            }
            _ => {}
        }
    }
    found
}

fn line(token: &TokenTree) -> u32 {
    u32::try_from(token.span().start().line).unwrap_or(u32::MAX)
}
