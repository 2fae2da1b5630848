//! `[budget]`: how long the run and its steps may take before they are told to be slow. Slow is never red.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::{
    config::{CONFIG_FILE, ConfigError, nearest},
    outcome::Finding,
    terminal::took,
};

/// What the finding is called.
const CODE: &str = "over-budget";

/// Whole seconds; what is not named may take as long as it likes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Budget {
    run: Option<u64>,
    /// By step, without the time that it waits for others.
    steps: BTreeMap<Spanned<String>, u64>,
}

impl Budget {
    /// Each name must be a step's; `text` is the file that it was read from.
    ///
    /// # Errors
    /// When one is not, with its line and the nearest step.
    pub(crate) fn check(&self, text: &str, known: &[&str]) -> Result<(), ConfigError> {
        let Some(unknown) = self.steps.keys().find(|it| !known.contains(&it.get_ref().as_str())) else {
            return Ok(());
        };
        let name = unknown.get_ref();
        let line = 1 + text[..unknown.span().start.min(text.len())].matches('\n').count();
        let nearest = nearest(name, known).map(|step| format!("; did you mean `{step}`?"));
        let hint = nearest.unwrap_or_default();
        Err(ConfigError::new(format!("{CONFIG_FILE}:{line}: `{name}` is no step{hint}")))
    }

    /// What there is to say of a step that worked for this long.
    pub(crate) fn step(&self, name: &str, worked_ms: u64) -> Option<Finding> {
        let (_, may) = self.steps.iter().find(|(step, _)| step.get_ref() == name)?;
        over(&format!("`{name}`"), worked_ms, *may)
    }

    /// What there is to say of the whole run.
    pub(crate) fn run(&self, took_ms: u64) -> Option<Finding> {
        over("the run", took_ms, self.run?)
    }
}

fn over(what: &str, took_ms: u64, may_s: u64) -> Option<Finding> {
    let may_ms = may_s.saturating_mul(1000);
    (took_ms > may_ms).then(|| {
        let message = format!("{what} took {} of the {} that it may take", took(took_ms), took(may_ms));
        Finding::warning(CODE, message).at(CONFIG_FILE, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(text: &str) -> Budget {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_takes_longer_than_it_may_is_told_with_both_times() {
        let budget = budget("run = 60\nsteps = { clippy = 30 }\n");
        insta::assert_snapshot!(budget.step("clippy", 90_000).unwrap(), @"
        .config/xtask.toml: warning[over-budget]
          `clippy` took 1 min 30 s of the 30.0 s that it may take
        ");
        insta::assert_snapshot!(budget.run(61_500).unwrap(), @"
        .config/xtask.toml: warning[over-budget]
          the run took 1 min 01 s of the 1 min 00 s that it may take
        ");
        assert_eq!(budget.step("clippy", 30_000), None);
        assert_eq!(budget.step("test", 90_000), None);
        assert_eq!(Budget::default().run(u64::MAX), None);
    }

    #[test]
    fn a_step_that_does_not_exist_is_named_with_its_line() {
        let text = "run = 60\n\n[steps]\nfmt = 1\nclipy = 30\n";
        let error = budget(text).check(text, &["fmt", "clippy"]).unwrap_err();
        insta::assert_snapshot!(error, @".config/xtask.toml:5: `clipy` is no step; did you mean `clippy`?");
    }
}
