//! Verdicts on the parts of a step: a part that was green on the very same inputs need not run again with the rest.

use super::{Key, Verdicts, inputs::Inputs, store, tree::Tree};
use crate::{context::Context, events::StepRecord, outcome::Status, steps::Step};

/// A part without a green verdict.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    inputs: Inputs,
    /// Without one its verdict is not kept.
    key: Option<Key>,
}

/// Whether a green verdict counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Count,
    AreIgnored,
}

/// Those parts of a step that must run.
pub(crate) fn open(
    cx: &Context,
    step: &str,
    earlier: Kept,
    parts: impl IntoIterator<Item = (String, Inputs)>,
) -> Vec<Part> {
    let verdicts = Verdicts::of(cx, Tree::read(&cx.root));
    let look = |(name, inputs): (String, Inputs)| {
        let key = verdicts.key_of(step, &inputs).ok();
        let kept = key.as_ref().and_then(|key| store::find(cx, &folder(step, &name), key));
        (kept.is_none() || earlier == Kept::AreIgnored).then_some(Part { name, inputs, key })
    };
    parts.into_iter().filter_map(look).collect()
}

/// Keeps the verdict on parts that were green, where what they depend on is what it was before.
///
/// What cannot be kept runs again next time, which is no fault.
pub(crate) fn keep(cx: &Context, step: &Step, parts: &[Part]) {
    let after = Verdicts::of(cx, Tree::read(&cx.root));
    for part in parts {
        let Some(key) = &part.key else { continue };
        if after.key_of(step.name, &part.inputs).as_ref() == Ok(key) {
            let green = StepRecord { status: Status::Passed, ..StepRecord::waiting(step) };
            let kept = store::Kept::new(cx, key, &green, Vec::new());
            store::keep(cx, &folder(step.name, &part.name), key, &kept).ok();
        }
    }
}

/// Beside the step's own verdicts.
fn folder(step: &str, part: &str) -> String {
    format!("{step}.{part}")
}
