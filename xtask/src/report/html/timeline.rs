//! The steps as a table, lane by lane, each with its bar on the run's time.

use super::{Told, prose, status, text};
use crate::{events::StepRecord, outcome::Status, report::Waited, terminal::took};

/// Distances between the marks of the time axis, in seconds.
const DISTANCES: &[u64] = &[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
/// A wait that is worth a line of text.
const WORTH_TELLING_MS: u64 = 100;
/// The most marks on the axis.
const MARKS: u64 = 6;

/// The table. Narrow screens lay it out as blocks, so each part says its role.
pub(super) fn section(told: &Told<'_>) -> String {
    let whole = told.run.duration_ms.max(1);
    let mut html = String::from(
        "<section aria-labelledby=\"steps\">\n<h2 id=\"steps\">Steps</h2>\n<table role=\"table\">\n",
    );
    html += "<thead role=\"rowgroup\"><tr role=\"row\">";
    for column in ["Step", "Result", "Took"] {
        html += &format!("<th scope=\"col\" role=\"columnheader\">{column}</th>");
    }
    html += &format!(
        "<th scope=\"col\" role=\"columnheader\" class=\"axis\"><span class=\"label\">Time</span>{}</th></tr></thead>\n",
        axis(whole)
    );
    let mut lanes: Vec<_> = told.run.steps.iter().map(|it| it.lane).collect();
    // A workspace's own steps come last, also those of an earlier lane.
    lanes.sort_unstable();
    lanes.dedup();
    for lane in lanes {
        html += &format!(
            "<tbody role=\"rowgroup\">\n<tr role=\"row\" class=\"lane\"><th scope=\"rowgroup\" role=\"rowheader\" colspan=\"4\">{}</th></tr>\n",
            lane.name()
        );
        for step in told.run.steps.iter().filter(|it| it.lane == lane) {
            html += &row(step, told.waits.get(step.name).map_or(&[], Vec::as_slice), whole);
        }
        html += "</tbody>\n";
    }
    html + "</table>\n<p class=\"legend\"><span class=\"key\"></span> work <span class=\"key wait\"></span> waiting for what others hold or make</p>\n</section>\n"
}

fn row(step: &StepRecord, waits: &[Waited], whole: u64) -> String {
    let (class, sign, word) = status(step.status);
    let name = text(step.name);
    let linked = !step.findings.is_empty() || matches!(step.status, Status::Failed | Status::Environment);
    let name = if linked { format!("<a href=\"#{name}\">{name}</a>") } else { name };
    let time = match (step.status, step.duration_ms) {
        (Status::Cached, _) if step.saved_ms > 0 => format!("saved {}", took(step.saved_ms)),
        (_, 0) => String::new(),
        (_, duration) => took(duration),
    };
    let bar = if step.duration_ms == 0 { String::new() } else { bar(step, waits, class, whole) };
    format!(
        "<tr role=\"row\" class=\"{class}\"><th scope=\"row\" role=\"rowheader\">{name}</th><td role=\"cell\" class=\"result\"><span aria-hidden=\"true\">{sign}</span> {word}</td><td role=\"cell\" class=\"took\">{time}</td><td role=\"cell\" class=\"bar\">{bar}<span class=\"why\">{}</span></td></tr>\n",
        prose(&step.reason)
    )
}

fn bar(step: &StepRecord, waits: &[Waited], class: &str, whole: u64) -> String {
    let percent = |ms: u64| ms.min(whole) as f64 * 100.0 / whole as f64;
    let ends = step.started_ms + step.duration_ms;
    let piece = |tag: &str, class: &str, from: u64, to: u64, says: &str| {
        format!(
            "<{tag} class=\"{class}\" style=\"left:{:.2}%;width:{:.2}%\" title=\"{}\"></{tag}>",
            percent(from),
            percent(to.saturating_sub(from)),
            text(says)
        )
    };
    let says = format!("{} after {}", took(step.duration_ms), took(step.started_ms));
    let mut html = piece("b", class, step.started_ms, ends, &says);
    for wait in waits {
        let to = wait.to_ms.unwrap_or(ends).min(ends);
        let says = format!("{} waiting for {}", took(to.saturating_sub(wait.from_ms)), wait.on);
        html += &piece("i", "wait", wait.from_ms, to, &says);
    }
    format!("<span class=\"track\">{html}</span>{}", waiting(step, waits))
}

/// The waits as text, for those who do not see the bar.
fn waiting(step: &StepRecord, waits: &[Waited]) -> String {
    if step.waited_ms < WORTH_TELLING_MS {
        return String::new();
    }
    let mut on: Vec<&str> = waits.iter().map(|it| it.on.as_str()).collect();
    on.dedup();
    format!("<span class=\"why\">waited {} for {}</span>", took(step.waited_ms), text(&on.join(", ")))
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
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{}:{:02}", seconds / 60, seconds % 60),
    }
}
