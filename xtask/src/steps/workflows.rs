//! `workflows`: the workflow files are what the step table writes.

use crate::{
    context::Context,
    outcome::{Outcome, StepResult},
    process::Log,
    verdict::inputs::Inputs,
    workflows,
};

pub(crate) fn skip(cx: &Context) -> Option<String> {
    (!cx.root.join(workflows::FOLDER).is_dir()).then(|| {
        format!("no `{}`; `{}` writes the workflows of Gitea Actions", workflows::FOLDER, workflows::REFRESH)
    })
}

pub(crate) fn inputs(cx: &Context) -> Inputs {
    Inputs::files([format!("{}/", workflows::FOLDER)]).setting(&cx.config)
}

pub(crate) fn check(cx: &Context, _: &Log) -> StepResult {
    Ok(Outcome::Judged(workflows::differences(cx)))
}
