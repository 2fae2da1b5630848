//! Secrets of the environment, replaced by `***` wherever something is shown or kept.
//!
//! What is secret: the values of variables whose names say so, passwords in addresses, and both in base64 and in the
//! escaped form of addresses.

use std::{borrow::Cow, sync::OnceLock};

/// What stands where a secret stood.
const MASK: &str = "***";
/// A shorter value would be found all over every text.
const SHORTEST: usize = 6;
/// Words in a variable's name that make its value a secret.
const SECRET_WORDS: &[&str] =
    &["TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "KEY", "CREDENTIAL", "CREDENTIALS"];
/// Last words of a name that point at a secret without being one.
const POINTERS: &[&str] = &["FILE", "PATH", "DIR", "ID", "URL", "TTL", "SOCK", "NAME", "TYPE"];

/// The text without the secrets of this process's environment.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    static SECRETS: OnceLock<Secrets> = OnceLock::new();
    SECRETS
        .get_or_init(|| {
            Secrets::of(
                std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
            )
        })
        .masked(text)
}

/// The texts to look for, longest first.
#[derive(Debug, Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn of(environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut found = Vec::new();
        for (name, value) in environment {
            if is_secret(&name) {
                // A key of many lines is shown line by line.
                found.extend(value.lines().map(|it| it.trim().to_owned()));
                found.push(value);
            } else {
                found.extend(passwords(&value).map(|range| value[range].to_owned()));
            }
        }
        found.retain(|it| it.len() >= SHORTEST);
        let mut texts: Vec<String> = found.iter().flat_map(|it| forms(it)).collect();
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        texts.dedup();
        Self(texts)
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MASK));
            }
        }
        let ranges: Vec<_> = passwords(&text).filter(|it| &text[it.clone()] != MASK).collect();
        if !ranges.is_empty() {
            let mut owned = text.into_owned();
            ranges.into_iter().rev().for_each(|it| owned.replace_range(it, MASK));
            text = Cow::Owned(owned);
        }
        text
    }
}

/// Whether a variable of this name holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '-']).collect();
    words
        .iter()
        .any(|word| SECRET_WORDS.contains(word) || word.ends_with("TOKEN") || word.ends_with("PASSWORD"))
        && words.last().is_none_or(|it| !POINTERS.contains(it))
}

/// Where addresses in a text hold a password: between `scheme://user:` and `@`, and a whole `https://token@`.
fn passwords(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    text.match_indices("://").filter_map(|(at, _)| {
        let begin = at + 3;
        let ends = |c: char| c.is_whitespace() || "/?#\"'`<>|\\".contains(c);
        let authority = &text[begin..];
        let authority = &authority[..authority.find(ends).unwrap_or(authority.len())];
        let user = &authority[..authority.rfind('@')?];
        let secret = match user.find(':') {
            Some(colon) => colon + 1,
            None if text[..at].ends_with("http") || text[..at].ends_with("https") => 0,
            None => return None,
        };
        (secret < user.len()).then_some(begin + secret..begin + user.len())
    })
}

/// The secret as it is, in an address, in JSON, and in base64 at each of the three places in a group.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), escaped(secret)];
    forms.extend(serde_json::to_string(secret).map(|it| it.trim_matches('"').to_owned()));
    for before in 0..3 {
        // Characters that also hold bits of what stands around the secret are not part of the search.
        let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.bytes()).collect();
        let first = (before * 8).div_ceil(6);
        let whole = bytes.len() * 8 / 6;
        let encoded: String = base64(&bytes).chars().skip(first).take(whole - first).collect();
        forms.push(encoded.replace('+', "-").replace('/', "_"));
        forms.push(encoded);
    }
    forms
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|it| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") }).collect()
}

/// Standard base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for digit in 0..=group.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(variables: &[(&str, &str)], text: &str) -> String {
        let variables = variables.iter().map(|it| (it.0.to_owned(), it.1.to_owned()));
        Secrets::of(variables).masked(text).into_owned()
    }

    #[test]
    fn the_value_of_a_secret_variable_is_masked_in_every_form() {
        let variables = &[("REGISTRY_TOKEN", "s3cr/t+value?")];
        insta::assert_snapshot!(mask(variables, "login with s3cr/t+value?, or s3cr%2Ft%2Bvalue%3F"), @"login with ***, or ***");
        for around in ["", "u:", "user:", "someone:"] {
            let header = base64(format!("{around}s3cr/t+value?:more").as_bytes());
            let said = mask(variables, &format!("Basic {header}"));
            assert!(said.contains("***") && said.len() < header.len(), "{said}");
        }
    }

    #[test]
    fn base64_is_what_everybody_else_makes_of_it() {
        assert_eq!(base64(b"hello"), "aGVsbG8");
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_password_in_an_address_is_masked_also_when_nobody_named_it() {
        insta::assert_snapshot!(mask(&[], "postgres://app:p@ss@db/x and https://abc123@host/ and ssh://git@host"), @"postgres://app:***@db/x and https://***@host/ and ssh://git@host");
        insta::assert_snapshot!(mask(&[("DATABASE_URL", "postgres://app:hunter22@db/x")], "password hunter22"), @"password ***");
        insta::assert_snapshot!(mask(&[], "see https://example.com/@scope and 10://"), @"see https://example.com/@scope and 10://");
    }

    #[test]
    fn a_key_of_many_lines_is_masked_line_by_line() {
        let said = mask(&[("DEPLOY_KEY", "-----BEGIN\nabcdefgh\nijklmnop\n")], "x\nijklmnop\n");
        assert_eq!(said, "x\n***\n");
    }

    #[test]
    fn what_only_points_at_a_secret_and_what_is_too_short_stays() {
        for (name, value) in [
            ("SSH_KEY_PATH", "/home/a/key"),
            ("TOKEN_TTL", "360000"),
            ("API_KEY", "12"),
            ("MONKEY", "banana"),
        ] {
            let text = format!("it says {value} here");
            assert_eq!(mask(&[(name, value)], &text), text, "{name}");
        }
    }
}
