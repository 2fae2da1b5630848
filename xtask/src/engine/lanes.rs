//! Lanes side by side: a thread each, in which steps run in order.

use std::{
    collections::BTreeMap,
    sync::{Mutex, mpsc::Sender},
    time::Instant,
};

use super::{Due, OnFailure, Plan, Run, judge};
use crate::{
    context::Context,
    events::{News, StepRecord, Voice, What},
    interrupt,
    outcome::{Status, StepError},
    process::Log,
    steps::{Lane, Need, Step},
    verdict::{self, Key},
};

/// What the lanes of a run share.
pub(super) struct Lanes<'a> {
    cx: &'a Context,
    /// Those of each lane, in the table's order.
    lanes: Vec<Vec<Due>>,
    run: Run<'a>,
    on_failure: OnFailure,
    /// Whether some step needs the gate's own binaries.
    gate_needed: bool,
    missing: Mutex<BTreeMap<&'static str, StepError>>,
    began: Instant,
    /// The first step that found a fault.
    failed: Mutex<Option<&'static str>>,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(
        cx: &'a Context,
        plan: &Plan<'a>,
        due: Vec<Due>,
        missing: BTreeMap<&'static str, StepError>,
        began: Instant,
    ) -> Self {
        let needs_gate =
            |step: &Step| (step.needs)(cx).contains(&Need::GateBinaries) && !missing.contains_key(step.name);
        Self {
            cx,
            gate_needed: due.iter().any(|it| needs_gate(it.step)),
            lanes: split(due),
            run: plan.run,
            on_failure: plan.on_failure,
            missing: Mutex::new(missing),
            began,
            failed: Mutex::new(None),
        }
    }

    pub(super) fn split(&self) -> impl Iterator<Item = &[Due]> {
        self.lanes.iter().map(Vec::as_slice)
    }

    /// Runs one lane to its end.
    pub(super) fn run(&self, lane: &[Due], news: &Sender<News>) {
        if self.gate_needed && lane.iter().any(|it| it.step.lane == Lane::Compile) {
            // Before clippy and the tests take cargo's build directory for long.
            self.cx.gate().as_ref().ok();
        }
        for due in lane {
            let step = due.step;
            let voice = Voice::new(step.name, news.clone());
            if let Some(reason) = self.stopped() {
                voice.say(What::NotStarted { reason });
                continue;
            }
            voice.say(What::Started { at_ms: millis(self.began) });
            let (record, output) = self.one(due, &voice);
            if record.status == Status::Failed
                && let Ok(mut failed) = self.failed.lock()
            {
                failed.get_or_insert(step.name);
            }
            voice.say(What::Finished { record: Box::new(record), output });
        }
    }

    /// Why no further step starts, if so.
    fn stopped(&self) -> Option<String> {
        if interrupt::requested() {
            return Some("interrupted".into());
        }
        let failed = self.failed.lock().ok().and_then(|it| *it);
        let first = failed.filter(|_| self.on_failure == OnFailure::Stop)?;
        Some(format!("`{first}` failed before; `--keep-going` runs all"))
    }

    fn one(&self, due: &Due, voice: &Voice) -> (StepRecord, Option<String>) {
        let began = Instant::now();
        let step = due.step;
        let mut record = StepRecord { usual_ms: due.usual_ms, ..StepRecord::waiting(step) };
        record.reason.clone_from(&due.reason);
        record.fingerprint = due.key.as_ref().map(Key::fingerprint);
        let missing = self.missing.lock().ok().and_then(|mut it| it.remove(step.name));
        let path = self.cx.target().join("logs").join(format!("{}.log", step.name));
        let mut remark = None;
        let result = match (missing, Log::create(&path)) {
            (Some(missing), _) => Err(missing),
            (None, Ok(log)) => {
                record.log = self.cx.shown(log.path());
                let log = log.heard_by(voice.clone());
                let result = (self.run)(step, self.cx, &log);
                if let Ok(outcome) = &result {
                    outcome.findings().iter().for_each(|it| log.line(&it.to_string()));
                    remark = log.remarked();
                }
                result
            }
            (None, Err(error)) => Err(StepError::Other(
                anyhow::Error::new(error).context(format!("cannot write `{}`", self.cx.shown(&path))),
            )),
        };
        record.duration_ms = millis(began);
        record.waited_ms = voice.waited_ms();
        let output = judge::settle(result, &mut record);
        if let Some(remark) = remark {
            record.reason = format!("{}; {remark}", record.reason);
        }
        if let Some(key) = &due.key
            && let Err(why) = verdict::keep(self.cx, step, key, &record)
        {
            record.reason = format!("{}; {why}", record.reason);
        }
        let worked_ms = record.duration_ms.saturating_sub(record.waited_ms);
        record.findings.extend(self.cx.config.budget.step(step.name, worked_ms));
        (record, output)
    }
}

fn split(due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut lanes: Vec<Vec<Due>> = Vec::new();
    for due in due {
        match lanes.iter_mut().find(|lane| lane[0].step.lane == due.step.lane) {
            Some(lane) => lane.push(due),
            None => lanes.push(vec![due]),
        }
    }
    lanes
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
