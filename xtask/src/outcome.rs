//! What a step and a run can come to, and the exit codes that scripts rely on.

use std::fmt;

use serde::Serialize;

use crate::process::ProcessError;

/// Everything that was judged holds.
pub(crate) const EXIT_GREEN: u8 = 0;
/// A check found a fault in the code.
pub(crate) const EXIT_RED: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 2;
/// The environment lacks something: a tool, the container engine, a database, a registry.
pub(crate) const EXIT_ENVIRONMENT: u8 = 3;
/// Interrupted by Ctrl-C or TERM.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// The finding of a step that could not be judged because of what was typed.
pub(crate) const MISUSED: &str = "misused";

/// How a step ended, as the report spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Passed,
    Failed,
    /// Was green before on the very same inputs.
    Cached,
    /// Does not apply to this workspace; the reason says why. A run can be green with it.
    Skipped,
    /// Not started, or stopped, because the run ended before.
    Cancelled,
    /// Applies, but could not be judged here.
    Environment,
}

/// How a run ended, as the report spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Green,
    Red,
    Environment,
    Interrupted,
}

impl Verdict {
    /// The verdict that follows from the steps: an interrupt first, then a fault, then what could not be judged.
    pub(crate) fn of(statuses: impl Iterator<Item = Status>, interrupted: Interrupted) -> Self {
        if interrupted == Interrupted::Yes {
            return Self::Interrupted;
        }
        let statuses: Vec<Status> = statuses.collect();
        if statuses.contains(&Status::Failed) {
            Self::Red
        } else if statuses.contains(&Status::Environment) {
            Self::Environment
        } else {
            Self::Green
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Green => EXIT_GREEN,
            Self::Red => EXIT_RED,
            Self::Environment => EXIT_ENVIRONMENT,
            Self::Interrupted => EXIT_INTERRUPTED,
        }
    }
}

/// Whether a signal ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    Yes,
    No,
}

/// How much a finding weighs; only an error makes a step fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
}

/// One thing that a step found, with the place and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Finding {
    /// A name that scripts can rely on, such as `slot-applied`.
    pub(crate) code: String,
    pub(crate) level: Level,
    /// Relative to the workspace's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn error(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            level: Level::Error,
            file: None,
            line: None,
            message: message.into(),
            fix: None,
        }
    }

    pub(crate) fn warning(code: &str, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, message) }
    }

    pub(crate) fn at(mut self, file: impl Into<String>, line: impl Into<Option<u32>>) -> Self {
        self.file = Some(file.into());
        self.line = line.into();
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Place, level and code on the first line, then the message, then the fix, each indented.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            _ => {}
        }
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        write!(f, "{level}[{}]", self.code)?;
        self.message.lines().try_for_each(|line| write!(f, "\n  {line}"))?;
        self.fix.iter().flat_map(|it| it.lines()).try_for_each(|line| write!(f, "\n  fix: {line}"))
    }
}

/// What a step says when it could judge, or had nothing to judge.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Judged: red when one of the findings is an error.
    Judged(Vec<Finding>),
    /// Judged red by a tool, whose own words (the relevant part of its output) are shown once.
    ToolFailed { findings: Vec<Finding>, output: String },
    /// Does not apply to this workspace, and why.
    Skipped(String),
}

impl Outcome {
    pub(crate) fn findings(&self) -> &[Finding] {
        match self {
            Self::Judged(findings) | Self::ToolFailed { findings, .. } => findings,
            Self::Skipped(_) => &[],
        }
    }

    /// Whether one of the findings is an error.
    pub(crate) fn is_red(&self) -> bool {
        self.findings().iter().any(|it| it.level == Level::Error)
    }
}

/// Why a step could not come to a verdict.
#[derive(Debug)]
pub(crate) enum StepError {
    /// The environment lacks something: one line on what, and the command that helps.
    Environment { lacks: String, fix: String },
    /// What was typed cannot be run: the tool's own words on why.
    Misused(String),
    /// The run was interrupted.
    Interrupted,
    /// Anything else: told with its chain, counted as environment, never as green.
    Other(anyhow::Error),
}

pub(crate) type StepResult = Result<Outcome, StepError>;

impl StepError {
    pub(crate) fn environment(lacks: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Environment { lacks: lacks.into(), fix: fix.into() }
    }
}

impl StepError {
    /// The error for who runs no step.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Environment { lacks, fix } => anyhow::anyhow!("{lacks}; try: {fix}"),
            Self::Misused(why) => anyhow::anyhow!("{why}"),
            Self::Interrupted => ProcessError::Interrupted.into(),
            Self::Other(error) => error,
        }
    }
}

impl From<anyhow::Error> for StepError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ProcessError>() {
            Ok(error) => error.into(),
            Err(error) => Self::Other(error),
        }
    }
}

impl From<ProcessError> for StepError {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Interrupted => Self::Interrupted,
            ProcessError::NotFound { program } => Self::Environment {
                lacks: format!("`{program}` is not installed"),
                fix: "cargo xtask doctor".into(),
            },
            error => Self::Other(error.into()),
        }
    }
}
