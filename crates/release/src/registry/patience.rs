//! How long and how often an operation is tried, and which failures may pass.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Limits, RegistryError};

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may pass: the same request is worth another attempt.
    Passing {
        /// What happened, as a sentence's beginning.
        last: String,
        /// How long the registry asks to be left alone.
        after: Option<Duration>,
    },
    /// It will not.
    Final(RegistryError),
}

/// An operation: what it is called in errors, and what is left of its time and attempts.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    pub(super) what: String,
    pub(super) host: String,
    limits: &'a Limits,
    budget: Duration,
    deadline: Instant,
    attempts: u32,
    since_progress: u32,
}

impl Failure {
    pub(super) fn passing(last: impl Into<String>) -> Self {
        Self::Passing { last: last.into(), after: None }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Final(error)
    }
}

impl<'a> Patience<'a> {
    /// For an operation that moves this many bytes besides what every operation does.
    pub(super) fn new(limits: &'a Limits, host: &str, what: impl Into<String>, bytes: u64) -> Self {
        let budget = limits.operation + Duration::from_secs(bytes / limits.bytes_per_s_min.max(1));
        let deadline = Instant::now() + budget;
        let (what, host) = (what.into(), host.to_owned());
        Self { what, host, limits, budget, deadline, attempts: 0, since_progress: 0 }
    }

    /// Waits until the next attempt is due.
    ///
    /// # Errors
    /// When there is none: the failure is final, or attempts or time are used up.
    pub(super) async fn again(&mut self, failure: Failure) -> Result<(), RegistryError> {
        let (last, after) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { last, after } => (last, after),
        };
        self.attempts += 1;
        self.since_progress += 1;
        let pause = after.unwrap_or_else(|| self.pause());
        if self.since_progress >= self.limits.attempts || Instant::now() + pause >= self.deadline {
            let last = match after {
                Some(after) => format!("{last} and asks to wait {} s", after.as_secs()),
                None => last,
            };
            let (what, host) = (self.what.clone(), self.host.clone());
            return Err(RegistryError::Unavailable { what, host, attempts: self.attempts, last });
        }
        sleep(pause).await;
        Ok(())
    }

    /// Something was got that will not have to be got again: the attempts count anew.
    pub(super) fn progressed(&mut self) {
        self.since_progress = 0;
    }

    /// Runs one attempt, which may not outlast the operation's deadline.
    ///
    /// # Errors
    /// Those of the attempt, or that the time is over.
    pub(super) async fn attempt<T>(
        &self,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout_at(self.deadline, attempt).await.unwrap_or_else(|_| {
            let (what, host) = (self.what.clone(), self.host.clone());
            Err(Failure::Final(RegistryError::Slow { what, host, after: self.budget }))
        })
    }

    /// Twice as long each time, less up to a half, so that many who failed together do not come back together.
    fn pause(&self) -> Duration {
        let doubled = self.limits.pause.saturating_mul(1 << (self.since_progress - 1).min(16));
        let longest = doubled.min(self.limits.pause_max);
        let mut chance = [0; 1];
        // Without randomness the pause is the longest one.
        let share = SystemRandom::new().fill(&mut chance).map_or(0, |()| u32::from(chance[0]));
        longest - longest * share / 512
    }
}
