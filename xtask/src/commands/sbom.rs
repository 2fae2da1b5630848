//! `cargo xtask images sbom`: what the images that were built last are made of.

use anyhow::{Context as _, anyhow, bail};

use super::{gate::lock, say, unusable};
use crate::{
    context::Context,
    images,
    mask::masked,
    outcome::{EXIT_GREEN, EXIT_RED, StepError},
    process::Log,
};

/// Prints the document of one service, or writes those of all and prints where.
pub(super) fn run(cx: &Context, service: Option<&str>) -> anyhow::Result<u8> {
    let services = cx.services().map_err(unusable)?;
    let known: Vec<&str> = services.iter().map(|it| it.name.as_str()).collect();
    if let Some(unknown) = service.filter(|it| !known.contains(it)) {
        return Err(unusable(anyhow!("there is no service `{unknown}`; there are `{}`", known.join("`, `"))));
    }
    let path = cx.target().join("logs").join("sbom.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    let _lock = lock(cx)?;
    let mut code = EXIT_GREEN;
    for name in known.into_iter().filter(|it| service.is_none_or(|wanted| wanted == *it)) {
        let Some(reference) = images::built_last(cx, name) else {
            bail!("`{name}` has no image yet; try: cargo xtask images build");
        };
        let document = images::sbom(cx, &log, name, &reference).map_err(StepError::into_error)?;
        if let Some(gaps) = document.gaps {
            eprintln!("error: {}", masked(&gaps));
            code = EXIT_RED;
        }
        if service.is_some() {
            let text = std::fs::read_to_string(&document.path);
            say(text.with_context(|| format!("cannot read `{}`", cx.shown(&document.path)))?.trim_end());
        } else {
            say(&cx.shown(&document.path));
        }
    }
    Ok(code)
}
