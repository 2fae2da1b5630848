//! A folder with a workspace in it, and the built binary to run there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// What the copy leaves out: the tool's tests would run these tests again, the crates' would only take their time.
const LEFT_OUT: &str = "/tests/";

/// A workspace that a test may break.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// Held as long as the test works on the shared copy.
    copy_lock: Option<File>,
    _folder: Option<TempDir>,
}

/// What a run said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// A copy of this workspace, as it is in the working tree.
    ///
    /// There is one copy, at one place, for one test at a time: cargo then compiles only what a test changed. It shares
    /// cargo's target folder for what others wrote; its own crates carry another version, since cargo takes crates of
    /// the same name, version and relative path for the same.
    pub(crate) fn copy() -> Self {
        let root = home().join("target/xtask/copy");
        fs::create_dir_all(&root).unwrap();
        let lock = File::create(home().join("target/xtask/copy.lock")).unwrap();
        lock.lock().unwrap();
        let files = listed(&home());
        for old in listed(&root) {
            if !files.contains(&old) {
                fs::remove_file(root.join(old)).unwrap();
            }
        }
        for file in &files {
            let content = with_other_version(file, fs::read(home().join(file)).unwrap());
            let path = root.join(file);
            // A file that did not change keeps its time, and cargo what it made of it.
            if fs::read(&path).ok().as_ref() != Some(&content) {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, content).unwrap();
            }
        }
        let project = Self { root, copy_lock: Some(lock), _folder: None };
        if !project.root.join(".git").exists() {
            project.git(&["init", "--quiet"]);
        }
        project
    }

    /// A workspace made of the given files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project =
            Self { root: folder.path().canonicalize().unwrap(), copy_lock: None, _folder: Some(folder) };
        for (path, content) in files {
            project.write(path, content);
        }
        project
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// Changes a text that must be there.
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "`{old}` is not in {path}");
        self.write(path, &text.replacen(old, new, 1));
    }

    pub(crate) fn append(&self, path: &str, text: &str) {
        let old = self.read(path);
        self.write(path, &(old + text));
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
        let status =
            Command::new("git").current_dir(&self.root).args(identity).args(arguments).status().unwrap();
        assert!(status.success(), "git {arguments:?}");
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) {
        let status = Command::new("cargo").current_dir(&self.root).args(arguments).status().unwrap();
        assert!(status.success(), "cargo {arguments:?}");
    }

    /// Runs `cargo xtask` with this workspace.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// The command, for tests that start it in their own way.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("-C").arg(&self.root).args(arguments).stdin(Stdio::null());
        // A server of the tests' own run is not for the runs that they judge.
        command.env_remove("XTASK_POSTGRES_URL").env_remove("CARGO_TARGET_DIR");
        // Nor is the form in which a runner is told, nor its summary.
        for name in
            ["GITEA_ACTIONS", "GITHUB_ACTIONS", "GITEA_STEP_SUMMARY", "GITHUB_STEP_SUMMARY", "CLICOLOR_FORCE"]
        {
            command.env_remove(name);
        }
        if self.copy_lock.is_some() {
            // The copy shares what is compiled of other people's crates.
            command.env("CARGO_TARGET_DIR", home().join("target"));
        }
        command
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("target/xtask/report.json")).unwrap()
    }

    /// Each step of the report with its status and the codes that it found, a line each.
    pub(crate) fn verdicts(&self) -> String {
        let report = self.report();
        let mut lines = vec![format!("{}", report["verdict"].as_str().unwrap())];
        for step in report["steps"].as_array().unwrap() {
            let mut codes: Vec<&str> =
                step["findings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
            codes.dedup();
            let line = format!(
                "{} {} {}",
                step["name"].as_str().unwrap(),
                step["status"].as_str().unwrap(),
                codes.join(" ")
            );
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }

    /// What stands in a text only for this machine or this run, replaced.
    pub(crate) fn masked(&self, text: &str) -> String {
        let text = text.replace(&self.root.display().to_string(), "<root>");
        let mut masked: Vec<String> = Vec::new();
        // How busy the machine is decides whether somebody waits, and whether that is told.
        let waits = |line: &&str| line.contains(" still running, ") || line.contains(" waiting for ");
        for line in text.lines().filter(|line| !waits(line)) {
            masked.push(without_times(line).replace("  waited <time>", "").trim_end().to_owned());
        }
        masked.join("\n")
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// This workspace.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The version of the workspace's own crates, in the manifest and in the lock file, replaced.
fn with_other_version(file: &str, content: Vec<u8>) -> Vec<u8> {
    if file != "Cargo.toml" && file != "Cargo.lock" {
        return content;
    }
    let own = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    let other = "version = \"0.0.0\"";
    let text = String::from_utf8(content).unwrap();
    if file == "Cargo.toml" {
        assert!(text.contains(own), "the workspace's version is not in its manifest");
        return text.replacen(own, other, 1).into_bytes();
    }
    let blocks = text
        .split("\n\n")
        .map(|it| if it.contains("\nsource = ") { it.into() } else { it.replace(own, other) });
    blocks.collect::<Vec<_>>().join("\n\n").into_bytes()
}

/// `12.3 s` and `1 min 02 s` become `<time>`.
fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut kept: Vec<&str> = Vec::new();
    for word in &words {
        let number = kept.last().is_some_and(|it| !it.is_empty() && it.parse::<f64>().is_ok());
        if number && *word == "s" {
            kept.pop();
            if kept.last() == Some(&"min") {
                kept.truncate(kept.len() - 2);
            }
            kept.push("<time>");
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// The files of a working tree, tracked or not, without what is ignored.
fn listed(root: &Path) -> Vec<String> {
    if !root.join(".git").exists() {
        return Vec::new();
    }
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root).args(arguments).output().unwrap();
    let mut files: Vec<String> =
        String::from_utf8(output.stdout).unwrap().split('\0').map(Into::into).collect();
    files.retain(|it| !it.is_empty() && root.join(it).is_file() && !it.contains(LEFT_OUT));
    files
}
