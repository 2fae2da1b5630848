//! A disk with little room on it, for a registry that is to fill up.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A file system of a given size, which is gone with its value.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many KiB; nothing where this user may not mount one.
    ///
    /// # Errors
    /// When there is no folder to mount it on.
    pub fn of_kib(size: u32) -> io::Result<Option<Self>> {
        let disk = Self { folder: tempfile::tempdir()? };
        Ok(disk.mount(&format!("size={size}k")).then_some(disk))
    }

    /// Gives it more room; what lies on it stays.
    ///
    /// # Errors
    /// When the system does not let it grow.
    pub fn grow_to_kib(&self, size: u32) -> io::Result<()> {
        let grown = self.mount(&format!("remount,size={size}k"));
        if grown { Ok(()) } else { Err(io::Error::other("the disk cannot be made larger")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn mount(&self, options: &str) -> bool {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.folder.path());
        command.stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Where it was never mounted there is nothing to take away.
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(self.folder.path()).stderr(Stdio::null()).status().ok();
    }
}
