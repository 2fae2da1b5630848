//! Whether code is compiled, as far as its `cfg` tells: yes, no, or not to be known without the compiler.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde::{Deserialize, Serialize};

use super::literal;

/// An answer that may be open. Ordered, so that `min` is "and", `max` is "or".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    pub(super) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.max(other)
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// Evaluates what stands between the parentheses of `cfg(…)`, for `cargo check` without flags; `feature` says which
/// features of the package are on.
pub(super) fn cfg(predicate: TokenStream, feature: &dyn Fn(&str) -> Truth) -> Truth {
    let tokens: Vec<TokenTree> = predicate.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name)] => match name.to_string().as_str() {
            "true" => Truth::Yes,
            "test" | "doctest" | "false" => Truth::No,
            _ => Truth::Maybe,
        },
        [TokenTree::Ident(name), TokenTree::Punct(equals), TokenTree::Literal(value)]
            if name == "feature" && equals.as_char() == '=' =>
        {
            literal::string(value).map_or(Truth::Maybe, |it| feature(&it))
        }
        [TokenTree::Ident(name), TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            let mut parts = parts(group.stream()).into_iter().map(|it| cfg(it, feature));
            match name.to_string().as_str() {
                "all" => parts.fold(Truth::Yes, Truth::and),
                "any" => parts.fold(Truth::No, Truth::or),
                "not" => parts.next().map_or(Truth::Maybe, Truth::not),
                _ => Truth::Maybe,
            }
        }
        _ => Truth::Maybe,
    }
}

/// What stands between the commas.
pub(super) fn parts(stream: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![Vec::new()];
    for token in stream {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(comma), _) if comma.as_char() == ',' => parts.push(Vec::new()),
            (_, Some(part)) => part.push(token),
            (_, None) => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.into_iter().map(|part| part.into_iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(predicate: &str) -> Truth {
        cfg(predicate.parse().unwrap(), &|name| if name == "on" { Truth::Yes } else { Truth::No })
    }

    #[test]
    fn what_only_the_compiler_knows_stays_open() {
        assert_eq!(truth("test"), Truth::No);
        assert_eq!(truth("not(test)"), Truth::Yes);
        assert_eq!(truth("unix"), Truth::Maybe);
        assert_eq!(truth("not(target_os = \"windows\")"), Truth::Maybe);
        assert_eq!(truth("all(test, unix)"), Truth::No);
        assert_eq!(truth("any(not(test), unix)"), Truth::Yes);
        assert_eq!(truth("any(test, unix,)"), Truth::Maybe);
        assert_eq!(truth("feature = \"on\""), Truth::Yes);
        assert_eq!(truth("all(feature = \"on\", feature = \"off\")"), Truth::No);
    }
}
