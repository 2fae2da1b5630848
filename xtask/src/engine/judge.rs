//! What a step came to, lowered into its record.

use crate::{
    events::StepRecord,
    interrupt,
    outcome::{Finding, Level, MISUSED, Outcome, Status, StepError, StepResult},
};

/// What the operating system says when a disk is full, in every tool's words.
const DISK_FULL: &str = "No space left on device";

/// Lowers a step's result into its record.
pub(super) fn settle(result: StepResult, record: &mut StepRecord) -> Option<String> {
    match result {
        Ok(Outcome::Judged(findings)) => {
            let red = findings.iter().any(|it| it.level == Level::Error);
            record.status = if red { Status::Failed } else { Status::Passed };
            record.findings = findings;
            None
        }
        Ok(Outcome::ToolFailed { output, .. }) if output.contains(DISK_FULL) => {
            environment(record, "the disk is full", "free some space; `df -h` shows where");
            Some(output)
        }
        Ok(Outcome::ToolFailed { findings, output }) => {
            record.status = Status::Failed;
            record.findings = findings;
            Some(output)
        }
        Ok(Outcome::Skipped(reason)) => {
            record.status = Status::Skipped;
            record.reason = reason;
            None
        }
        Err(StepError::Interrupted) => {
            record.status = Status::Cancelled;
            record.reason = "interrupted".into();
            None
        }
        Err(StepError::Misused(why)) => {
            record.status = Status::Environment;
            record.findings = vec![Finding::error(MISUSED, why.as_str())];
            record.reason = why;
            None
        }
        Err(StepError::Environment { lacks, fix }) => {
            environment(record, &lacks, &fix);
            None
        }
        Err(StepError::Other(_)) if interrupt::requested() => {
            record.status = Status::Cancelled;
            record.reason = "interrupted".into();
            None
        }
        Err(StepError::Other(error)) => {
            let text = format!("{error:#}");
            if text.contains(DISK_FULL) {
                environment(record, "the disk is full", "free some space; `df -h` shows where");
            } else {
                environment(record, &text, "cargo xtask doctor");
            }
            None
        }
    }
}

fn environment(record: &mut StepRecord, lacks: &str, fix: &str) {
    record.status = Status::Environment;
    record.reason = lacks.into();
    record.fix = Some(fix.into());
    record.findings = vec![Finding::error("environment", lacks).fix(fix)];
}
