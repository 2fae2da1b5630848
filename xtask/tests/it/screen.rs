//! A terminal to run the built binary in: a real pseudo terminal, and the screen that its output makes.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use vt100::Parser;

use crate::{project::Project, runs::until};

/// Rows that are kept of what scrolled away.
const SCROLL_BACK: usize = 1000;

/// A run in a terminal of its own.
pub(crate) struct Screen {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Seen>>,
    reader: thread::JoinHandle<()>,
}

struct Seen {
    raw: String,
    parser: Parser,
}

/// What a run left on the screen.
pub(crate) struct Left {
    /// The lines of the screen, without the empty ones below.
    pub(crate) lines: Vec<String>,
    /// All that was written, escape codes and all.
    pub(crate) raw: String,
    /// Row and column of the cursor.
    pub(crate) cursor: (u16, u16),
    pub(crate) cursor_hidden: bool,
}

impl Screen {
    /// Starts `cargo xtask` in a terminal of this size.
    pub(crate) fn start(
        project: &Project,
        arguments: &[&str],
        (columns, rows): (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let xtask = project.command(arguments);
        let words = std::iter::once(xtask.get_program()).chain(xtask.get_args());
        let words: Vec<String> = words.map(|it| format!("'{}'", it.to_str().unwrap())).collect();
        let typed = format!("stty cols {columns} rows {rows}; exec {}", words.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &typed, "/dev/null"]);
        command.env_remove("XTASK_POSTGRES_URL").env_remove("CARGO_TARGET_DIR").env_remove("NO_COLOR");
        command.env_remove("GITEA_ACTIONS").env_remove("GITHUB_ACTIONS").env("TERM", "xterm-256color");
        command.env("SHELL", "/bin/sh").envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let parser = Parser::new(rows, columns, SCROLL_BACK);
        let seen = Arc::new(Mutex::new(Seen { raw: String::new(), parser }));
        let sink = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let mut seen = sink.lock().unwrap();
                seen.raw += &String::from_utf8_lossy(&buffer[..count]);
                seen.parser.process(&buffer[..count]);
            }
        });
        Self { child, keys, seen, reader }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> String {
        let now = || self.seen.lock().unwrap().parser.screen().contents();
        until(&format!("`{text}`"), || now().contains(text));
        now()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the run's end; returns its exit code and what it left.
    pub(crate) fn end(mut self) -> (i32, Left) {
        let code = self.child.wait().unwrap().code().unwrap();
        drop(self.keys);
        self.reader.join().unwrap();
        let seen = self.seen.lock().unwrap();
        let screen = seen.parser.screen();
        let contents = screen.contents();
        let left = Left {
            lines: contents.lines().map(|it| it.trim_end().to_owned()).collect(),
            raw: seen.raw.clone(),
            cursor: screen.cursor_position(),
            cursor_hidden: screen.hide_cursor(),
        };
        drop(seen);
        (code, left)
    }
}

impl Left {
    /// Whether anything was coloured.
    pub(crate) fn coloured(&self) -> bool {
        self.raw
            .split("\u{1b}[")
            .skip(1)
            .any(|it| it.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
    }
}
