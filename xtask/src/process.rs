//! Child processes: a clean environment, a process group each, output kept in a log, and gone when the run is.

mod environment;
mod log;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use self::environment::allowed_environment;
pub(crate) use self::{environment::seen_by_children, log::Log};
use crate::{interrupt, watchdog};

/// How much of a child's output is kept in memory, per stream; the log has all of it.
const KEPT_BYTES: usize = 8 << 20;
/// How long a child's pipes may stay open after it ended, held by something that it left behind.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// Why a child could not be run to its end.
#[derive(Debug)]
pub(crate) enum ProcessError {
    NotFound { program: String },
    Interrupted,
    TimedOut { command: String, after: Duration },
    Io { command: String, source: io::Error },
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program } => write!(f, "`{program}` is not installed; try `cargo xtask doctor`"),
            Self::Interrupted => write!(f, "interrupted"),
            Self::TimedOut { command, after } => {
                write!(f, "`{command}` did not end within {} s and was stopped", after.as_secs())
            }
            Self::Io { command, .. } => write!(f, "cannot run `{command}`"),
        }
    }
}

impl std::error::Error for ProcessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A child that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn success(&self) -> bool {
        self.status.success()
    }

    /// The exit code, or 128 and the signal, as a shell says it.
    pub(crate) fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

/// A child to be: program, arguments, clean environment.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    program: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
    input: Option<Vec<u8>>,
    timeout: Option<Duration>,
    log: Option<Log>,
}

impl Process {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: allowed_environment(),
            folder: None,
            input: None,
            timeout: None,
            log: None,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<T: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    pub(crate) fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    pub(crate) fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Bytes for standard input; without them it is closed.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn log(mut self, log: &Log) -> Self {
        self.log = Some(log.clone());
        self
    }

    /// The command as a person would type it.
    pub(crate) fn display(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|word| quoted(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs to the end and returns what it wrote.
    ///
    /// # Errors
    /// When it cannot be started, is interrupted or takes longer than its timeout. A bad exit status is not an error.
    pub(crate) fn run(&self) -> Result<Finished, ProcessError> {
        if interrupt::requested() {
            return Err(ProcessError::Interrupted);
        }
        if let Some(log) = &self.log {
            log.command(&self.display());
        }
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.spawn(stdin, Stdio::piped(), Stdio::piped())?;
        let group = interrupt::Group::register(&child);
        let stdout = child.stdout.take().map(|it| Reader::start(it, self.log.clone()));
        let stderr = child.stderr.take().map(|it| Reader::start(it, self.log.clone()));
        if let (Some(mut stdin), Some(bytes)) = (child.stdin.take(), self.input.clone()) {
            // A child that does not read its input ends by itself; that is its verdict, not ours.
            thread::spawn(move || stdin.write_all(&bytes).ok());
        }
        let status = self.wait(&mut child, &group)?;
        drop(group);
        let finished = Finished { status, stdout: Reader::finish(stdout), stderr: Reader::finish(stderr) };
        if interrupt::requested() { Err(ProcessError::Interrupted) } else { Ok(finished) }
    }

    /// What it says on standard output, where it ends well. For questions that are answered at once: it is in no log, and
    /// an interrupt waits for it.
    pub(crate) fn answer(&self) -> Option<String> {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.start(stdin, Stdio::piped(), Stdio::null()).ok()?;
        if let (Some(mut stdin), Some(bytes)) = (child.stdin.take(), self.input.clone()) {
            thread::spawn(move || stdin.write_all(&bytes).ok());
        }
        let output = child.wait_with_output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts it and leaves it running; the caller owns the child and must register its group to have it reaped.
    pub(crate) fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child, ProcessError> {
        watchdog::ready();
        self.start(stdin, stdout, stderr)
    }

    fn start(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child, ProcessError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment).process_group(0);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if self.folder.as_deref().is_none_or(Path::is_dir) => {
                ProcessError::NotFound { program: self.program.to_string_lossy().into_owned() }
            }
            _ => ProcessError::Io { command: self.display(), source },
        })
    }

    fn wait(&self, child: &mut Child, group: &interrupt::Group) -> Result<ExitStatus, ProcessError> {
        let failed = |source| ProcessError::Io { command: self.display(), source };
        let Some(timeout) = self.timeout else { return child.wait().map_err(failed) };
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        group.kill();
        child.wait().map_err(failed)?;
        Err(ProcessError::TimedOut { command: self.display(), after: timeout })
    }
}

/// Collects one stream of a child while it runs.
struct Reader {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Reader {
    fn start(mut stream: impl Read + Send + 'static, log: Option<Log>) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = mpsc::channel();
        let sink = Arc::clone(&kept);
        thread::spawn(move || {
            let mut buffer = [0_u8; 16 << 10];
            let mut lines = log.as_ref().map(Log::lines);
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if let Some(lines) = &mut lines {
                    lines.hear(&buffer[..count]);
                }
                if let Ok(mut kept) = sink.lock() {
                    kept.extend_from_slice(&buffer[..count]);
                    let over = kept.len().saturating_sub(KEPT_BYTES);
                    kept.drain(..over);
                }
            }
            drop(lines);
            end.send(()).ok();
        });
        Self { kept, ended }
    }

    fn finish(reader: Option<Self>) -> String {
        let Some(reader) = reader else { return String::new() };
        reader.ended.recv_timeout(PIPE_GRACE).ok();
        let kept = reader.kept.lock().map(|it| it.clone()).unwrap_or_default();
        String::from_utf8_lossy(&kept).into_owned()
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:@,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_person_would_type_it() {
        let process = Process::new("psql").args(["-c", "select 'a b'"]);
        insta::assert_snapshot!(process.display(), @r"psql -c 'select '\''a b'\'''");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_what_to_do() {
        let error = Process::new("no-such-program").run().unwrap_err();
        insta::assert_snapshot!(error, @"`no-such-program` is not installed; try `cargo xtask doctor`");
    }

    #[test]
    fn a_child_that_takes_too_long_is_stopped_with_all_that_it_started() {
        let error =
            Process::new("sh").args(["-c", "sleep 600 & wait"]).timeout(Duration::from_millis(100)).run();
        assert!(matches!(error, Err(ProcessError::TimedOut { .. })), "{error:?}");
    }
}
