//! The steps as a table, lane by lane, each with its bar on the run's time.

use super::{status, text};
use crate::{
    events::{RunRecord, StepRecord},
    outcome::Status,
    terminal::took,
};

/// Distances between the marks of the time axis, in seconds.
const DISTANCES: &[u64] = &[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
/// The most marks on the axis.
const MARKS: u64 = 6;

pub(super) fn section(run: &RunRecord) -> String {
    let whole = run.duration_ms.max(1);
    let mut html = String::from(
        "<section class=\"timeline\" aria-labelledby=\"steps\">\n<h2 id=\"steps\">Steps</h2>\n<table>\n<thead><tr><th scope=\"col\">Step</th><th scope=\"col\">Result</th><th scope=\"col\">Took</th>",
    );
    html += &format!(
        "<th scope=\"col\" class=\"axis\"><span class=\"label\">Time</span>{}</th></tr></thead>\n",
        axis(whole)
    );
    let mut lanes: Vec<_> = run.steps.iter().map(|it| it.lane).collect();
    lanes.dedup();
    for lane in lanes {
        let word = format!("{lane:?}").to_lowercase();
        html +=
            &format!("<tbody>\n<tr class=\"lane\"><th scope=\"rowgroup\" colspan=\"4\">{word}</th></tr>\n");
        run.steps.iter().filter(|it| it.lane == lane).for_each(|it| html += &row(it, whole));
        html += "</tbody>\n";
    }
    html + "</table>\n<p class=\"legend\"><span class=\"key work\"></span> work <span class=\"key wait\"></span> of it, waiting for a lock</p>\n</section>\n"
}

fn row(step: &StepRecord, whole: u64) -> String {
    let (class, sign, word) = status(step.status);
    let name = text(step.name);
    let linked = !step.findings.is_empty() || matches!(step.status, Status::Failed | Status::Environment);
    let name = if linked { format!("<a href=\"#{name}\">{name}</a>") } else { name };
    let time = if step.duration_ms == 0 { String::new() } else { took(step.duration_ms) };
    let waited = if step.waited_ms == 0 {
        String::new()
    } else {
        format!(", of it {} waiting for a lock", took(step.waited_ms))
    };
    let bar = if step.duration_ms == 0 {
        String::new()
    } else {
        bar(
            step,
            whole,
            &format!("{} after {}{waited}", took(step.duration_ms), took(step.started_ms)),
            class,
        )
    };
    let reason = text(&step.reason);
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{name}</th><td class=\"result\"><span aria-hidden=\"true\">{sign}</span> {word}</td><td class=\"took\">{time}</td><td class=\"bar\">{bar}<span class=\"why\">{reason}</span></td></tr>\n"
    )
}

fn bar(step: &StepRecord, whole: u64, says: &str, class: &str) -> String {
    let percent = |ms: u64| ms.min(whole) as f64 * 100.0 / whole as f64;
    let wait = percent(step.waited_ms.min(step.duration_ms))
        / percent(step.duration_ms).max(f64::MIN_POSITIVE)
        * 100.0;
    let wait =
        if step.waited_ms == 0 { String::new() } else { format!("<i style=\"width:{wait:.2}%\"></i>") };
    format!(
        "<span class=\"track\"><b class=\"{class}\" style=\"left:{:.2}%;width:{:.2}%\" title=\"{}\">{wait}</b></span>",
        percent(step.started_ms),
        percent(step.duration_ms),
        text(says),
    )
}

/// Marks at round times, from the run's beginning to its end.
fn axis(whole: u64) -> String {
    let seconds = whole / 1000;
    let distance = DISTANCES.iter().copied().find(|it| seconds / it <= MARKS).unwrap_or(seconds);
    let mut html = String::from("<span class=\"marks\" aria-hidden=\"true\">");
    for mark in (0..=seconds).step_by(usize::try_from(distance.max(1)).unwrap_or(1)) {
        let left = (mark * 1000) as f64 * 100.0 / whole as f64;
        // The last mark would hang over the edge.
        if left < 94.0 {
            html += &format!("<span style=\"left:{left:.2}%\">{}</span>", mark_text(mark));
        }
    }
    html + "</span>"
}

fn mark_text(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        _ if seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{}:{:02}", seconds / 60, seconds % 60),
    }
}
