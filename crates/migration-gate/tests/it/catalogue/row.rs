//! A row of the catalogue: a hazard, how it is put into a good project, and what has to be found.

use std::collections::BTreeSet;

use super::good::Good;
use crate::project::Project;

/// The number of what no hazard names but a code tells.
pub(crate) const NO_HAZARD: u8 = 0;

/// One fault.
pub(crate) struct Row {
    /// From 1 to 72.
    pub(crate) hazard: u8,
    pub(crate) says: &'static str,
    good: Good,
    /// Instead of what the good project says of itself.
    flags: Option<&'static [&'static str]>,
    /// Level and code; what the same fault is found by besides comes after the one that the row is about.
    pub(crate) found: &'static [&'static str],
    fault: fn(Project) -> Project,
}

pub(crate) const fn row(
    hazard: u8,
    says: &'static str,
    good: Good,
    found: &'static [&'static str],
    fault: fn(Project) -> Project,
) -> Row {
    Row { hazard, says, good, flags: None, found, fault }
}

impl Row {
    /// The fault lies in what the project says of itself, or shows only with it.
    pub(crate) const fn on(self, flags: &'static [&'static str]) -> Self {
        Self { flags: Some(flags), ..self }
    }

    /// The code that the row is about.
    pub(crate) fn code(&self) -> &str {
        self.found[0].split(['[', ']']).nth(1).unwrap()
    }

    /// Puts the fault in and checks; what is wrong about the answer.
    pub(crate) fn run(&self) -> Option<String> {
        let project = (self.fault)(self.good.project());
        let verdict = project.check_with(self.flags.unwrap_or_else(|| self.good.flags()));
        // That later files wait for the fault's correction is no finding of its own.
        let found: BTreeSet<&str> =
            verdict.codes().into_iter().filter(|it| *it != "info[not-judged]").collect();
        let expected: BTreeSet<&str> = self.found.iter().copied().collect();
        let is_red = expected.iter().any(|it| it.starts_with("error"));
        (found != expected || verdict.exit_code != i32::from(is_red)).then(|| {
            format!(
                "{} ({}): expected {expected:?}, found {found:?}, exit {}\n{}{}",
                self.hazard, self.says, verdict.exit_code, verdict.stdout, verdict.stderr
            )
        })
    }
}
