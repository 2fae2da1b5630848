//! podman's store with nothing in it, so that what a build leaves can be counted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::world::{World, podman};

/// A store of podman's with nothing in it, and a user's folder of caches that nobody else has.
pub(crate) struct Store(TempDir);

impl Store {
    pub(crate) fn empty() -> Self {
        let store = Self(tempfile::tempdir().unwrap());
        let [graph, run] = ["graph", "run"].map(|it| store.0.path().join(it));
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            graph.display(),
            run.display()
        );
        fs::write(store.settings(), text).unwrap();
        fs::create_dir_all(store.0.path().join("tmp")).unwrap();
        own_caches(store.0.path());
        store
    }

    fn settings(&self) -> PathBuf {
        self.0.path().join("storage.conf")
    }

    /// The tool's command, for this store.
    pub(crate) fn command(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = world.command(arguments);
        self.around(&mut command);
        command
    }

    /// Asks podman for what is in this store.
    pub(crate) fn podman(&self, arguments: &[&str]) -> String {
        let output = self.around(Command::new("podman").args(arguments)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with settings of podman's own.
    pub(crate) fn podman_with(&self, settings: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("podman");
        let output = self.around(command.env("CONTAINERS_CONF", settings).args(arguments)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Copies an image of the user's own store into this one.
    pub(crate) fn with(self, image: &str) -> Self {
        let archive = self.0.path().join("image.tar");
        podman(&["save", "--quiet", "--output", &archive.to_string_lossy(), image]);
        self.podman(&["load", "--quiet", "--input", &archive.to_string_lossy()]);
        fs::remove_file(archive).unwrap();
        self
    }

    /// What builds keep in mounts lies below the folder for temporary files.
    fn around<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let [caches, temporary] = ["caches", "tmp"].map(|it| self.0.path().join(it));
        command.env("CONTAINERS_STORAGE_CONF", self.settings());
        command.env("XDG_CACHE_HOME", caches).env("TMPDIR", temporary)
    }
}

impl Drop for Store {
    /// podman makes a mount of the folder, which keeps it from being removed.
    fn drop(&mut self) {
        self.podman(&["rm", "--all", "--force", "--time=0"]);
        Command::new("umount").arg(self.0.path().join("graph/overlay")).output().ok();
    }
}

/// A folder of caches, `caches`, that has the user's tools and Postgres, and nothing else of his.
fn own_caches(folder: &Path) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("slipway");
    let own = folder.join("caches");
    fs::create_dir_all(own.join("slipway")).unwrap();
    for name in ["tools", "postgres"].into_iter().filter(|it| cache.join(it).is_dir()) {
        std::os::unix::fs::symlink(cache.join(name), own.join("slipway").join(name)).unwrap();
    }
    own
}
