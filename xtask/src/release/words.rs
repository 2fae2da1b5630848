//! The last words of a release: what is where, or what to type to go on.

use std::path::Path;

use super::{Publisher, Wanted, What, binary::Published, survey, tag_of};
use crate::{context::Context, events::RunRecord, outcome::Verdict};

/// What stands at the end: what is where, or how to go on.
pub(crate) fn last(
    cx: &Context,
    wanted: &Wanted,
    run: &RunRecord,
    published: Option<&Published>,
) -> Vec<String> {
    let again = wanted.again(cx);
    if run.verdict != Verdict::Green {
        return vec![format!("to go on: {again}")];
    }
    let mut lines = Vec::new();
    for image in published.iter().flat_map(|it| &it.images) {
        lines.push(format!("{}  {}  {}", image.service, image.reference, image.tags.join(" ")));
    }
    if let Some(record) = published.and_then(|it| it.record.as_ref()) {
        lines.push(format!("record  {}", cx.shown(Path::new(record))));
    }
    let situation = survey(cx, wanted);
    let tag = situation.version.as_ref().map(tag_of);
    let push = |tag: &str| {
        let branch = situation.branch.as_deref().unwrap_or("HEAD");
        format!("git push --atomic origin {branch} {tag}")
    };
    let release = &cx.config.release;
    lines.push(match (&wanted.what, &tag) {
        (What::Version(_), Some(tag)) if release.publisher == Some(Publisher::Gitea) => match &release.remote
        {
            Some(remote) => format!("{tag} is on `{remote}`: its workflow pushes the images"),
            None => format!("{tag} is tagged here; its workflow pushes the images after: {}", push(tag)),
        },
        (What::Version(_), Some(tag)) if release.remote.is_none() => {
            format!("{tag} is released; nobody else has the tag before: {}", push(tag))
        }
        (_, Some(tag)) => format!("{tag} is released"),
        (_, None) => format!("the images of {} are pushed", situation.head.get(..12).unwrap_or_default()),
    });
    lines
}
