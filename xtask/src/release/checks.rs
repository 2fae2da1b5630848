//! What must hold for a release, and how each thing that does not is told.

use std::borrow::Cow;

use serde::Serialize;

use crate::outcome::{EXIT_ENVIRONMENT, EXIT_GREEN, EXIT_RED, EXIT_USAGE, Finding, StepError};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    #[serde(flatten)]
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub(crate) enum Answer {
    /// It is as it should be, and how.
    Holds {
        how: String,
    },
    Refuses(Refusal),
}

/// Why there can be no release, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    /// A name that scripts can rely on.
    pub(crate) code: Cow<'static, str>,
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// A command, or what to do.
    pub(crate) fix: String,
}

/// Whose matter a refusal is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The environment lacks something.
    Environment,
    /// What would be released is not fit for it.
    Fault,
    /// What was typed or configured.
    Usage,
}

impl Check {
    pub(crate) fn holds(name: &'static str, how: impl Into<String>) -> Self {
        Self { name, answer: Answer::Holds { how: how.into() } }
    }

    pub(crate) fn refuses(name: &'static str, refusal: Refusal) -> Self {
        Self { name, answer: Answer::Refuses(refusal) }
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match &self.answer {
            Answer::Holds { .. } => None,
            Answer::Refuses(refusal) => Some(refusal),
        }
    }
}

impl Refusal {
    pub(crate) fn fault(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: code.into(), kind: Kind::Fault, message: message.into(), fix: fix.into() }
    }

    pub(crate) fn usage(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::fault(code, message, fix) }
    }

    pub(crate) fn environment(
        code: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { kind: Kind::Environment, ..Self::fault(code, message, fix) }
    }

    pub(crate) fn finding(&self) -> Finding {
        Finding::error(&self.code, &self.message).fix(&self.fix)
    }

    /// As a step of a run tells that it could not do its work.
    pub(crate) fn error(&self) -> StepError {
        StepError::environment(&self.message, &self.fix)
    }
}

/// The refusals among the checks.
pub(crate) fn refusals(checks: &[Check]) -> impl Iterator<Item = &Refusal> {
    checks.iter().filter_map(Check::refusal)
}

/// The exit code of what was found: the usage first, then a fault, then what the environment lacks.
pub(crate) fn exit_code(checks: &[Check]) -> u8 {
    match refusals(checks).map(|it| it.kind).max() {
        None => EXIT_GREEN,
        Some(Kind::Environment) => EXIT_ENVIRONMENT,
        Some(Kind::Fault) => EXIT_RED,
        Some(Kind::Usage) => EXIT_USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_comes_before_a_fault_and_a_fault_before_the_environment() {
        let lacks = Check::refuses("a", Refusal::environment("x", "", ""));
        let fault = Check::refuses("b", Refusal::fault("y", "", ""));
        let usage = Check::refuses("c", Refusal::usage("z", "", ""));
        let holds = Check::holds("d", "");
        assert_eq!(exit_code(std::slice::from_ref(&holds)), EXIT_GREEN);
        assert_eq!(exit_code(&[holds, lacks.clone()]), EXIT_ENVIRONMENT);
        assert_eq!(exit_code(&[lacks.clone(), fault.clone()]), EXIT_RED);
        assert_eq!(exit_code(&[lacks, usage, fault]), EXIT_USAGE);
    }
}
