//! The variables of a compose file: what the caller and `.env` files say, put in place of `${…}`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::config::nearest;

/// What may stand in an environment and is never taken from there: it may be staging.
const NEVER: &str = "DATABASE_URL";
/// Variables of other programs that read the same file.
const OTHERS: &[&str] = &["COMPOSE_", "DOCKER_", "PODMAN_"];

/// The variables, and which of them a file asked for.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// The caller's environment.
    ambient: BTreeMap<String, String>,
    /// Of `.env` files: the value, and where it stands.
    given: BTreeMap<String, (String, String)>,
    asked: BTreeSet<String>,
    /// Asked for, not set, and without a default.
    unset: BTreeSet<String>,
    /// Listed by an example, which says what they are for.
    optional: BTreeSet<String>,
}

impl Variables {
    /// What the caller's environment says.
    pub(super) fn ambient() -> Self {
        let seen = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { ambient: seen.filter(|(name, _)| name != NEVER).collect(), ..Self::default() }
    }

    /// Reads an `.env` file, if there is one; what it says replaces what earlier ones said.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no `NAME=VALUE`.
    pub(super) fn read(&mut self, path: &Path, shown: &str) -> anyhow::Result<()> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{shown}`")),
        };
        for (index, line) in text.lines().enumerate() {
            let place = format!("{shown}:{}", index + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            // The line itself is not repeated: it may hold a password.
            let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name.trim_end()))
            else {
                bail!("{place}: expected `NAME=VALUE`");
            };
            self.given.insert(name.trim_end().to_owned(), (unquoted(value.trim()), place));
        }
        Ok(())
    }

    /// Reads which variables an example of an `.env` file lists: they may be left out.
    pub(super) fn may_lack(&mut self, example: &Path) {
        let text = fs::read_to_string(example).unwrap_or_default();
        let names = text.lines().filter_map(|it| it.trim_start_matches('#').split_once('='));
        self.optional.extend(names.map(|(name, _)| name.trim().to_owned()).filter(|it| is_name(it)));
    }

    /// Puts values in place of every `${…}` in a document.
    ///
    /// # Errors
    /// When a `${…}` cannot be understood, or asks for a variable that must be set.
    pub(super) fn fill(&mut self, value: &mut Value) -> anyhow::Result<()> {
        match value {
            Value::String(text) if text.contains('$') => *text = self.filled(text)?,
            Value::Array(values) => values.iter_mut().try_for_each(|it| self.fill(it))?,
            Value::Object(entries) => entries.values_mut().try_for_each(|it| self.fill(it))?,
            _ => {}
        }
        Ok(())
    }

    /// What to tell people about their variables: those that nothing reads, and those that something misses.
    pub(super) fn warnings(&self) -> Vec<String> {
        let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        let unset = self.unset.difference(&self.optional);
        let mut said: Vec<String> = unset.map(|it| format!("`{it}` is not set")).collect();
        for (name, (_, place)) in &self.given {
            if self.asked.contains(name) || OTHERS.iter().any(|it| name.starts_with(it)) {
                continue;
            }
            let hint = nearest(name, &known).map(|it| format!("; did you mean `{it}`?"));
            said.push(format!("{place}: nothing reads `{name}`{}", hint.unwrap_or_default()));
        }
        said
    }

    fn filled(&mut self, text: &str) -> anyhow::Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            filled.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let end = closing(after).with_context(|| format!("`{text}` has a `${{` without `}}`"))?;
                filled.push_str(&self.braced(&after[..end])?);
                rest = &after[end + 1..];
            } else {
                let end = after.find(|it: char| !is_part(it)).unwrap_or(after.len());
                let name = &after[..end];
                if !is_name(name) {
                    bail!("`{text}` has a `$` that begins no variable; write `$$` for the sign itself");
                }
                filled.push_str(&self.value_or_nothing(name));
                rest = &after[end..];
            }
        }
        Ok(filled + rest)
    }

    /// What stands between the braces: `NAME`, or with what to do where it is not set (`-`, `?`, `+`) or also empty (`:`).
    fn braced(&mut self, inner: &str) -> anyhow::Result<String> {
        let end = inner.find(|it: char| !is_part(it)).unwrap_or(inner.len());
        let (name, rule) = inner.split_at(end);
        if !is_name(name) {
            bail!("`${{{inner}}}` names no variable");
        }
        let (rule, empty_counts) = rule.strip_prefix(':').map_or((rule, true), |rule| (rule, false));
        let value = self.value(name).filter(|it| empty_counts || !it.is_empty());
        match (value, rule.chars().next()) {
            (Some(_), Some('+')) => self.filled(&rule[1..]),
            (Some(value), _) => Ok(value),
            (None, Some('-')) => self.filled(&rule[1..]),
            (None, Some('+')) => Ok(String::new()),
            (None, Some('?')) => {
                let why = self.filled(&rule[1..])?;
                let why = if why.is_empty() { "it must be set".into() } else { why };
                bail!("`{name}` is not set: {why}")
            }
            (None, None) => Ok(self.value_or_nothing(name)),
            (None, Some(_)) => bail!("`${{{inner}}}` cannot be understood"),
        }
    }

    fn value_or_nothing(&mut self, name: &str) -> String {
        self.value(name).unwrap_or_else(|| {
            self.unset.insert(name.into());
            String::new()
        })
    }

    /// The caller's environment goes first, as for every other program that reads such files.
    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.into());
        let given = || self.given.get(name).map(|(value, _)| value);
        self.ambient.get(name).or_else(given).cloned()
    }
}

/// Where the brace closes that is open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

fn is_part(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

fn is_name(text: &str) -> bool {
    text.starts_with(|it: char| is_part(it) && !it.is_ascii_digit()) && text.chars().all(is_part)
}

/// A value without its quotes, or without the remark behind it.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some((inner, _)) = value.strip_prefix(quote).and_then(|it| it.split_once(quote)) {
            return inner.into();
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> anyhow::Result<Variables> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, text).unwrap();
        let mut variables = Variables::default();
        variables.read(&file, ".env")?;
        Ok(variables)
    }

    fn filled(text: &str) -> String {
        let given = "SET_HERE=a # why\nexport QUOTED='b # c'\nEMPTY_HERE=\n";
        variables(given).unwrap().filled(text).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn values_stand_where_the_file_asks_for_them() {
        assert_eq!(filled("$SET_HERE/${QUOTED}/$$x"), "a/b # c/$x");
        assert_eq!(filled("${NOT_HERE:-d}${EMPTY_HERE:-e}${EMPTY_HERE-f}"), "de");
        assert_eq!(filled("${NOT_HERE:-${SET_HERE}x}${SET_HERE:+y}${NOT_HERE:+z}"), "axy");
        assert_eq!(filled("a${NOT_HERE}b"), "ab");
    }

    #[test]
    fn what_must_be_set_or_cannot_be_read_is_an_error() {
        insta::assert_snapshot!(filled("${NOT_HERE:?name a file}"), @"error: `NOT_HERE` is not set: name a file");
        insta::assert_snapshot!(filled("${SET_HERE"), @"error: `${SET_HERE` has a `${` without `}`");
        insta::assert_snapshot!(filled("50 $ a month"), @"error: `50 $ a month` has a `$` that begins no variable; write `$$` for the sign itself");
    }

    #[test]
    fn a_line_that_sets_nothing_is_told_by_its_number_and_not_repeated() {
        insta::assert_snapshot!(variables("\nhunter2\n").unwrap_err(), @".env:2: expected `NAME=VALUE`");
    }

    #[test]
    fn a_variable_that_nothing_reads_is_told_with_the_one_that_was_meant() {
        let mut variables = variables("PROXY_ADRESS=1\nCOMPOSE_FILE=x\n").unwrap();
        variables.filled("${PROXY_ADDRESS:-8080}").unwrap();
        assert_eq!(
            variables.warnings(),
            [".env:1: nothing reads `PROXY_ADRESS`; did you mean `PROXY_ADDRESS`?"]
        );
    }

    #[test]
    fn the_callers_database_url_is_not_taken() {
        assert!(!Variables::ambient().ambient.contains_key(NEVER));
        assert!(Variables::ambient().ambient.contains_key("PATH"));
    }
}
