//! `explain STEP`: whether a step would run, and what changed since it was green.

use super::{Decision, Verdicts};
use crate::{context::Context, steps::Step};

/// How many changes are told one by one.
const SHOWN: usize = 40;

/// A line of text a fact.
pub(crate) fn explain(cx: &Context, step: &Step) -> Vec<String> {
    let name = step.name;
    if let Some(reason) = (step.skip)(cx) {
        return vec![format!("`{name}` is skipped: {reason}")];
    }
    let verdicts = Verdicts::of(cx, cx.tree());
    let (reason, key) = match verdicts.decide(step) {
        Decision::Hit(hit) => {
            return vec![
                format!("`{name}` would not run: {}", hit.reason),
                format!("  fingerprint  {}", hit.fingerprint.unwrap_or_default()),
                format!(
                    "  it took      {:.1} s",
                    std::time::Duration::from_millis(hit.saved_ms).as_secs_f64()
                ),
                format!("  to run it    cargo xtask ci {name} --force"),
            ];
        }
        Decision::Run { reason, key } => (reason, key),
    };
    let mut lines = vec![format!("`{name}` would run: {reason}")];
    let Some(key) = key else { return lines };
    lines.push(format!("  fingerprint  {}", key.fingerprint()));
    if let Some((kept, changes)) = verdicts.changes(step, &key) {
        lines.push(format!("  since it was green, {}:", kept.at));
        lines.extend(changes.iter().take(SHOWN).map(|it| format!("    {it}")));
        if changes.len() > SHOWN {
            lines.push(format!("    and {} more", changes.len() - SHOWN));
        }
    }
    lines
}
