//! A step's log: all that its children write, kept in a file and told line by line.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{
    events::{Voice, Wait, What},
    mask::masked,
};

/// What cargo says when somebody else holds one of its locks, before what it waits for.
const BLOCKING: &str = "Blocking waiting for file lock on ";

/// How the messages begin that cargo writes for programs; a step tells people what is in them.
const FOR_PROGRAMS: &str = "{\"reason\":";
/// A line that is longer is kept in pieces.
const LONGEST_LINE: usize = 1 << 20;

/// A step's log file; children append to it as they write.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    /// Who is told of each line as it comes.
    voice: Option<Voice>,
    /// How the step came to its verdict, where there is something to say.
    remark: Arc<Mutex<Option<String>>>,
}

impl Log {
    /// Begins the log anew.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        File::create(path)?;
        // Appending, so that a child which writes to the same file overwrites nothing.
        let file = File::options().append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(file)),
            voice: None,
            remark: Arc::default(),
        })
    }

    /// The same log, which also tells each line and each wait.
    pub(crate) fn heard_by(self, voice: Voice) -> Self {
        Self { voice: Some(voice), ..self }
    }

    /// Says that the step waits for something, until the returned value is dropped.
    pub(crate) fn wait(&self, on: &str) -> Option<Wait> {
        self.voice.as_ref().map(|it| it.wait(on))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line of the tool's own.
    pub(crate) fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Says how the step came to its verdict; the run's record has it beside the reason.
    pub(crate) fn remark(&self, text: &str) {
        if let Ok(mut remark) = self.remark.lock() {
            *remark = Some(masked(text).into_owned());
        }
    }

    /// What was said of that last.
    pub(crate) fn remarked(&self) -> Option<String> {
        self.remark.lock().ok()?.take()
    }

    /// Adds and tells the command that is about to run.
    pub(super) fn command(&self, command: &str) {
        let line = format!("$ {command}");
        self.line(&line);
        if let Some(voice) = &self.voice {
            voice.say(What::Output(masked(&line).into_owned()));
        }
    }

    /// What keeps and tells one stream of a child.
    pub(super) fn lines(&self) -> Lines {
        Lines { log: self.clone(), begun: Vec::new(), wait: None }
    }

    /// Writes whole lines, without the secrets in them.
    fn write(&self, text: &str) {
        // A full disk must not end the run from inside a reader; the report's own write tells it.
        if let Ok(mut file) = self.file.lock() {
            file.write_all(masked(text).as_bytes()).ok();
        }
    }
}

/// Keeps a stream's lines and tells them as they become whole, and what cargo waits for.
pub(super) struct Lines {
    log: Log,
    begun: Vec<u8>,
    /// From cargo's word that it waits to the next thing that it says.
    wait: Option<Wait>,
}

impl Lines {
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|it| matches!(it, b'\n' | b'\r')) {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || part.ends_with(b"\r") || self.begun.len() >= LONGEST_LINE {
                self.line();
            }
        }
    }

    fn line(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        let line = String::from_utf8_lossy(&begun);
        if line.starts_with(FOR_PROGRAMS) {
            return;
        }
        self.log.write(&line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        // What it waited for before is there, whatever it says now.
        self.wait = None;
        if let Some(voice) = &self.log.voice {
            if let Some((_, on)) = line.split_once(BLOCKING) {
                self.wait = Some(voice.wait(&format!("cargo's lock on the {on}")));
            }
            voice.say(What::Output(masked(line).into_owned()));
        }
    }
}

/// What a child wrote last may have no end of line.
impl Drop for Lines {
    fn drop(&mut self) {
        if !self.begun.is_empty() {
            self.line();
        }
    }
}
