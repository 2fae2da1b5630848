//! Whether podman still has the images that were built last: one question, which is asked while other things are looked at.

use std::{cell::OnceCell, sync::mpsc, thread};

use super::record::{Record, Recorded};
use crate::{context::Context, podman};

/// A question that podman was asked, and its answer once that is there.
#[derive(Debug)]
pub(crate) struct Question {
    /// What the images are called that it is about.
    asked: Vec<String>,
    coming: mpsc::Receiver<bool>,
    answer: OnceCell<bool>,
}

impl Question {
    /// Asks for the images that this checkout built last, and does not wait; none at all needs no podman.
    pub(crate) fn begin(cx: &Context) -> Self {
        Self::about(cx, &Record::read(cx).images)
    }

    fn about(cx: &Context, images: &[Recorded]) -> Self {
        let asked: Vec<String> = images.iter().map(|it| it.reference.clone()).collect();
        let ids: Vec<String> = images.iter().map(|it| plain(&it.id).to_owned()).collect();
        let settings = cx.target().join(podman::SETTINGS_FILE);
        // It fails where one of them is not there, and looks at no other image than these.
        let mut process = cx.process("podman").args(["image", "inspect", "--format", "{{.Id}}"]).args(&asked);
        if settings.is_file() && std::env::var_os("CONTAINERS_CONF").is_none() {
            process = process.env("CONTAINERS_CONF", settings);
        }
        let (tell, coming) = mpsc::channel();
        thread::spawn(move || {
            let there = |said: String| said.lines().map(plain).eq(ids.iter().map(String::as_str));
            tell.send(ids.is_empty() || process.answer().is_some_and(there)).ok();
        });
        Self { asked, coming, answer: OnceCell::new() }
    }

    /// Whether these are the images that were built last, and podman has them: what is published is what the record names.
    pub(crate) fn hold(&self, references: &[String]) -> bool {
        references.is_empty() || (self.asked == references && self.answer())
    }

    fn answer(&self) -> bool {
        *self.answer.get_or_init(|| self.coming.recv().unwrap_or(false))
    }
}

/// Whether podman has all of these images of the last build, as they were built.
pub(super) fn exist(cx: &Context, references: &[String]) -> bool {
    let mut images = Record::read(cx).images;
    images.retain(|it| references.contains(&it.reference));
    images.len() == references.len() && Question::about(cx, &images).answer()
}

fn plain(id: &str) -> &str {
    id.trim_start_matches("sha256:")
}
