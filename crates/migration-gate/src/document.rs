//! A TOML file that people write: read, or refused with file, line and the nearest valid key.

use std::{fs, ops::Range, path::Path};

use serde::de::DeserializeOwned;

use crate::error::Error;

/// Below this likeness (Jaro-Winkler) another word is no plausible reading of a mistyped one.
const LIKENESS_MIN: f64 = 0.7;

/// The file's text, and its name for messages.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    pub(crate) path: String,
}

/// A file that cannot be used; names file, line, key and the nearest valid key.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}: {message}")]
pub struct DocumentError {
    path: String,
    line: u32,
    message: String,
}

impl Document {
    /// Reads the file at `path`; `what` it is stands in the error.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(what: &str, path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::unreadable(what, path, &error))?;
        Ok(Self::new(text, path.display().to_string()))
    }

    pub(crate) fn new(text: impl Into<String>, path: impl Into<String>) -> Self {
        Self { text: text.into(), path: path.into() }
    }

    /// The document's content.
    ///
    /// # Errors
    /// When it is no TOML, or says something that `T` does not know.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        toml::from_str(&self.text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            let hint = unknown_key(&message).map(|(key, valid)| did_you_mean(key, valid)).unwrap_or_default();
            self.refuse(error.span().unwrap_or_default(), format!("{message}{hint}"))
        })
    }

    /// What is wrong with the text at `span`.
    pub(crate) fn refuse(&self, span: Range<usize>, message: impl Into<String>) -> DocumentError {
        DocumentError { path: self.path.clone(), line: self.line(&span), message: message.into() }
    }

    /// The line where `span` begins, from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> u32 {
        let newlines = self.text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count();
        u32::try_from(newlines + 1).unwrap_or(u32::MAX)
    }
}

/// serde names the unknown key first and then the ones that it expected, all in backticks.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut keys = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((keys.next()?, keys.collect()))
}

/// The end of a message about `word`, which is none of `valid`: the one that was probably meant.
pub fn did_you_mean<'v>(word: &str, valid: impl IntoIterator<Item = &'v str>) -> String {
    valid
        .into_iter()
        .map(|it| (strsim::jaro_winkler(word, it), it))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, it)| format!("; did you mean `{it}`?"))
        .unwrap_or_default()
}
