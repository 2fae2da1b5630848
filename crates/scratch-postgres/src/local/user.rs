//! Whom the server runs as, and the one way in which its programs are started.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{error::Lack, local::lack};

/// An unprivileged user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Starts the server's programs: as an unprivileged user, and never outliving the thread that started them.
#[derive(Debug)]
pub(super) struct Launcher {
    setpriv: PathBuf,
    user: Option<User>,
}

impl Launcher {
    /// Looks for what is needed to drop privileges.
    pub(super) fn find(search_path: &[PathBuf]) -> Result<Self, Lack> {
        let known = ["/usr/bin", "/bin"].map(PathBuf::from);
        let setpriv = search_path.iter().chain(&known).map(|it| it.join("setpriv")).find(|it| it.is_file());
        let setpriv = setpriv.ok_or_else(|| {
            lack(
                "`setpriv` is not on PATH, without which no server starts safely",
                "run `apt-get install util-linux`",
            )
        })?;
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = rustix::process::geteuid().is_root().then(|| unprivileged(&passwd));
        Ok(Self { setpriv, user })
    }

    /// Whom the server runs as, when not as the caller: Postgres refuses root.
    pub(super) fn user(&self) -> Option<User> {
        self.user
    }

    /// A program of the server's. It gets the signal `at_death` when the calling thread ends, and none from a terminal.
    pub(super) fn command(&self, program: &Path, at_death: &str) -> Command {
        self.with(&["--pdeathsig", at_death], program)
    }

    /// A program that goes on when the caller is gone.
    pub(super) fn lasting(&self, program: &Path) -> Command {
        self.with(&["--pdeathsig", "clear"], program)
    }

    fn with(&self, options: &[&str], program: &Path) -> Command {
        let mut command = Command::new(&self.setpriv);
        if let Some(User { uid, gid }) = self.user {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
        }
        command
            .args(options)
            .arg("--")
            .arg(program)
            .env_clear()
            .envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("PATH", "/usr/bin:/bin")])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null());
        command
    }
}

/// The package's own user, else the one that owns nothing.
fn unprivileged(passwd: &str) -> User {
    let of = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            Some(User { uid, gid: fields.next()?.parse().ok()? })
        })
    };
    of("postgres").or_else(|| of("nobody")).unwrap_or(User { uid: 65_534, gid: 65_534 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_postgres_else_nobody() {
        let both = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(unprivileged(both), User { uid: 101, gid: 104 });
        assert_eq!(unprivileged("nobody:x:99:98::/:\n"), User { uid: 99, gid: 98 });
        assert_eq!(unprivileged(""), User { uid: 65_534, gid: 65_534 });
    }
}
