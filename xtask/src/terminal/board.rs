//! What is known of a run while it goes on, kept from its events.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::region::{Running, View};
use crate::{
    events::{Event, RunRecord},
    interrupt,
    outcome::Status,
    steps::Lane,
};

/// A step of the run, from its first to its last event.
#[derive(Debug)]
struct Place {
    name: &'static str,
    lane: Lane,
    usual: Option<Duration>,
    state: State,
}

#[derive(Debug)]
enum State {
    Ahead,
    Running(At),
    Done(Status),
}

/// A step that runs.
#[derive(Debug)]
struct At {
    since: Instant,
    waits: Option<(String, Instant)>,
    last: String,
}

/// The run so far.
#[derive(Debug, Default)]
pub(crate) struct Board {
    began: Option<Instant>,
    steps: Vec<Place>,
    pub(crate) names: usize,
}

impl Board {
    /// Takes an event in; `now` is when it happened.
    pub(crate) fn on(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::RunStarted { run } => self.begin(run, now),
            Event::StepStarted { step } => {
                self.set(step, State::Running(At { since: now, waits: None, last: String::new() }));
            }
            Event::StepWaiting { step, on } => {
                if let Some(at) = self.running(step) {
                    at.waits = Some(((*on).to_owned(), now));
                }
            }
            Event::StepResumed { step } => {
                if let Some(at) = self.running(step) {
                    at.waits = None;
                }
            }
            Event::StepOutput { step, line } => {
                if let Some(at) = self.running(step).filter(|_| !line.trim().is_empty()) {
                    at.last = (*line).to_owned();
                }
            }
            Event::StepFinished { step, .. } => self.set(step.name, State::Done(step.status)),
            Event::RunFinished { .. } | Event::Tick => {}
        }
    }

    fn begin(&mut self, run: &RunRecord, now: Instant) {
        self.began = Some(now);
        self.names = run.steps.iter().map(|it| it.name.len()).max().unwrap_or_default();
        self.steps = run
            .steps
            .iter()
            .map(|it| Place {
                name: it.name,
                lane: it.lane,
                usual: it.usual_ms.map(Duration::from_millis),
                state: State::Ahead,
            })
            .collect();
    }

    fn set(&mut self, name: &str, state: State) {
        if let Some(place) = self.steps.iter_mut().find(|it| it.name == name) {
            place.state = state;
        }
    }

    fn running(&mut self, name: &str) -> Option<&mut At> {
        self.steps.iter_mut().find(|it| it.name == name).and_then(|it| match &mut it.state {
            State::Running(at) => Some(at),
            _ => None,
        })
    }

    /// What the region shows at this moment.
    pub(crate) fn view(&self, now: Instant) -> View {
        let since = |it: Instant| now.saturating_duration_since(it);
        let running = self.steps.iter().filter_map(|it| match &it.state {
            State::Running(at) => Some(Running {
                name: it.name,
                elapsed: since(at.since),
                usual: it.usual,
                waits: at.waits.as_ref().map(|(on, from)| (on.clone(), since(*from))),
                last: at.last.clone(),
            }),
            _ => None,
        });
        let ended =
            |status| self.steps.iter().filter(move |it| matches!(it.state, State::Done(s) if s == status));
        View {
            running: running.collect(),
            done: self.steps.iter().filter(|it| matches!(it.state, State::Done(_))).count(),
            total: self.steps.len(),
            failed: ended(Status::Failed).chain(ended(Status::Environment)).map(|it| it.name).collect(),
            elapsed: self.began.map(since).unwrap_or_default(),
            left: self.left(now),
            interrupted: interrupt::requested(),
            names: self.names,
        }
    }

    /// How long the slowest lane still needs, if each step takes as long as it usually does here; nothing where that
    /// is not known of every step.
    fn left(&self, now: Instant) -> Option<Duration> {
        let mut lanes: BTreeMap<Lane, Duration> = BTreeMap::new();
        for step in &self.steps {
            let needs = match &step.state {
                State::Done(_) => continue,
                State::Ahead => step.usual?,
                State::Running(at) => step.usual?.saturating_sub(now.saturating_duration_since(at.since)),
            };
            *lanes.entry(step.lane).or_default() += needs;
        }
        lanes.into_values().max()
    }
}
