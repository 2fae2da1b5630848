//! How long each phase of a check took.

use std::time::{Duration, Instant};

/// Phases one after the other, from the moment when this is made.
#[derive(Debug)]
pub struct Phases {
    since: Instant,
    /// Each phase's name and the time that it took, in the order in which they ran.
    pub took: Vec<(&'static str, Duration)>,
}

impl Phases {
    /// Ends a phase; the next one begins.
    pub(crate) fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        self.took.push((name, now.duration_since(self.since)));
        self.since = now;
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self { since: Instant::now(), took: Vec::new() }
    }
}
