//! One thing that the gate found, and how it is shown to people and to programs.

use std::fmt;

use serde::Serialize;

use crate::codes::{Code, Level};

/// What is wrong, where, what production would have said, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name that scripts rely on, one of [`crate::codes::CODES`].
    pub code: &'static str,
    pub level: Level,
    /// The path as the user would type it.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// What is the case.
    pub what: String,
    /// What would have happened in production.
    pub consequence: String,
    /// What to do; commands where there are some.
    pub fix: String,
}

/// The form that programs read, one JSON object a line.
#[derive(Serialize)]
struct Wire<'f> {
    code: &'f str,
    level: Level,
    file: Option<&'f str>,
    line: Option<u32>,
    message: String,
    fix: &'f str,
}

impl Finding {
    /// A finding of `code`, at the level that the code has.
    pub(crate) fn new(code: &'static Code, what: impl Into<String>) -> Self {
        Self {
            code: code.name,
            level: code.level,
            file: None,
            line: None,
            what: what.into(),
            consequence: String::new(),
            fix: String::new(),
        }
    }

    /// Places it; a fault of a whole file stands at its first line.
    pub(crate) fn at(mut self, file: impl Into<String>, line: u32) -> Self {
        self.file = Some(file.into());
        self.line = Some(line);
        self
    }

    /// Says what production would have done.
    pub(crate) fn means(mut self, consequence: impl Into<String>) -> Self {
        self.consequence = consequence.into();
        self
    }

    /// Says what to do.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// A weaker form of the code's fault.
    pub(crate) fn only_warns(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// Something to know, not to repair.
    pub(crate) fn only_informs(mut self) -> Self {
        self.level = Level::Info;
        self
    }

    /// The finding as one line of JSON.
    pub fn to_json(&self) -> String {
        let wire = Wire {
            code: self.code,
            level: self.level,
            file: self.file.as_deref(),
            line: self.line,
            message: format!("{}; {}", self.what, self.consequence),
            fix: &self.fix,
        };
        // Strings and numbers always have a JSON form.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

/// Three lines: what, what production would have said, what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] ", self.level, self.code)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        write!(f, "{}\n  production: {}\n  do: {}", self.what, self.consequence, self.fix)
    }
}
