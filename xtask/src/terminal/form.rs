//! How a run is told: a live region, plain lines or JSON, by where the output goes and what was asked for.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
};

use super::paint::Paint;
use crate::cli::MessageFormat;

/// The shape of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Finished lines, and below them what runs, redrawn in place.
    Live,
    /// Lines, for pipes and for terminals that cannot move the cursor.
    Lines,
    /// Lines for a runner's log: groups that fold, findings at their places.
    Job,
    /// An event a line, for programs.
    Json,
}

/// What decides the form besides what was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) terminal: bool,
    pub(crate) dumb: bool,
    pub(crate) job: bool,
    pub(crate) no_color: bool,
    pub(crate) force_color: bool,
}

impl Surroundings {
    /// Standard output and the environment of this process.
    pub(crate) fn here() -> Self {
        Self { terminal: io::stdout().is_terminal(), ..Self::of(|name| std::env::var_os(name)) }
    }

    /// What the environment says; whether it is a terminal it cannot.
    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|it| !it.is_empty());
        let on = |name: &str| variable(name).is_some_and(|it| !it.is_empty() && it != "0");
        Self {
            terminal: false,
            dumb: variable("TERM").is_none_or(|it| it == "dumb" || it.is_empty()),
            job: variable("GITEA_ACTIONS").is_some_and(|it| it == "true")
                || variable("GITHUB_ACTIONS").is_some_and(|it| it == "true"),
            no_color: set("NO_COLOR"),
            force_color: on("CLICOLOR_FORCE"),
        }
    }

    pub(crate) fn form(&self, asked: MessageFormat) -> Form {
        match asked {
            MessageFormat::Json => Form::Json,
            _ if self.job => Form::Job,
            MessageFormat::Human if self.terminal && !self.dumb => Form::Live,
            MessageFormat::Human | MessageFormat::Plain => Form::Lines,
        }
    }

    /// `NO_COLOR` wins over all; without it a terminal is coloured, anything else only when it is forced.
    pub(crate) fn paint(&self) -> Paint {
        let coloured = !self.no_color && (self.force_color || (self.terminal && !self.dumb && !self.job));
        if coloured { Paint::Colours } else { Paint::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_terminal(variables: &[(&str, &str)]) -> (Form, Paint) {
        told(Surroundings { terminal: true, ..surroundings(variables) })
    }

    fn in_pipe(variables: &[(&str, &str)]) -> (Form, Paint) {
        told(surroundings(variables))
    }

    fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::of(|name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.into()))
    }

    fn told(here: Surroundings) -> (Form, Paint) {
        (here.form(MessageFormat::Human), here.paint())
    }

    #[test]
    fn a_terminal_gets_a_live_region_in_colour() {
        assert_eq!(on_terminal(&[("TERM", "xterm-256color")]), (Form::Live, Paint::Colours));
    }

    #[test]
    fn colour_stays_out_where_nobody_wants_it() {
        let term = ("TERM", "xterm");
        assert_eq!(in_pipe(&[term]), (Form::Lines, Paint::None));
        assert_eq!(on_terminal(&[term, ("NO_COLOR", "1")]), (Form::Live, Paint::None));
        assert_eq!(on_terminal(&[term, ("NO_COLOR", "")]), (Form::Live, Paint::Colours));
        assert_eq!(on_terminal(&[("TERM", "dumb")]), (Form::Lines, Paint::None));
        assert_eq!(on_terminal(&[]), (Form::Lines, Paint::None));
    }

    #[test]
    fn colour_can_be_forced_into_a_pipe_but_not_past_no_color() {
        assert_eq!(in_pipe(&[("CLICOLOR_FORCE", "1")]), (Form::Lines, Paint::Colours));
        assert_eq!(in_pipe(&[("CLICOLOR_FORCE", "0")]), (Form::Lines, Paint::None));
        assert_eq!(in_pipe(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), (Form::Lines, Paint::None));
    }

    #[test]
    fn a_runners_job_gets_groups_also_where_it_looks_like_a_terminal() {
        for name in ["GITEA_ACTIONS", "GITHUB_ACTIONS"] {
            assert_eq!(on_terminal(&[("TERM", "xterm"), (name, "true")]), (Form::Job, Paint::None));
        }
    }
}
