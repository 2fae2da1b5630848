//! Looks for the server's binaries of the wanted major version.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{error::Lack, local::lack, options::Options};

/// `initdb` and `postgres` of one installation.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// What `postgres --version` prints, such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
    version: String,
}

impl Binaries {
    /// The first installation of the wanted major version: the distributions' folders, `pg_config`, PATH.
    pub(super) fn find(options: &Options) -> Result<Self, Lack> {
        let mut others = Vec::new();
        for folder in folders(options) {
            let Some(version) = version_of(&folder) else { continue };
            if major_of(&version) == Some(options.major) {
                return Ok(Self { folder, version });
            }
            let seen = format!("{} in `{}`", number_of(&version).unwrap_or("unknown"), folder.display());
            if !others.contains(&seen) {
                others.push(seen);
            }
        }
        Err(missing(options.major, &others))
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The exact version as a file name: a data directory made by one is used by no other.
    pub(super) fn slug(&self) -> String {
        let words = self.version.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        words
            .filter(|word| !word.is_empty() && !["postgres", "PostgreSQL"].contains(word))
            .collect::<Vec<_>>()
            .join("-")
    }
}

fn folders(options: &Options) -> Vec<PathBuf> {
    let major = options.major;
    let mut all: Vec<PathBuf> = vec![
        format!("/usr/lib/postgresql/{major}/bin").into(),
        format!("/usr/pgsql-{major}/bin").into(),
        format!("/usr/libexec/postgresql{major}").into(),
        format!("/opt/homebrew/opt/postgresql@{major}/bin").into(),
    ];
    if let Some(pg_config) = options.search_path.iter().map(|it| it.join("pg_config")).find(|it| it.is_file())
        && let Ok(output) = Command::new(pg_config).arg("--bindir").output()
    {
        all.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    all.extend(options.search_path.iter().cloned());
    all.extend(["/usr/local/bin", "/usr/local/pgsql/bin", "/usr/bin"].map(PathBuf::from));
    all
}

/// None where there is no server, or only half of one.
fn version_of(folder: &Path) -> Option<String> {
    let (postgres, initdb) = (folder.join("postgres"), folder.join("initdb"));
    if !postgres.is_file() || !initdb.is_file() {
        return None;
    }
    let output = Command::new(postgres).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn number_of(version: &str) -> Option<&str> {
    version.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()
}

fn major_of(version: &str) -> Option<u32> {
    let number = number_of(version)?;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn missing(major: u32, others: &[String]) -> Lack {
    let found = match others {
        [] => String::new(),
        others => format!(" (found {})", others.join(", ")),
    };
    lack(
        format!("no server binaries of PostgreSQL {major} on this host{found}"),
        format!("run `apt-get install postgresql-{major}`, or `cargo xtask ci --setup`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("sh: not found"), None);
    }

    #[test]
    fn binaries_of_another_major_version_are_told_with_where_they_are() {
        let others = ["14.2 in `/opt/pg/bin`".to_owned()];
        insta::assert_snapshot!(missing(15, &others), @"local: no server binaries of PostgreSQL 15 on this host (found 14.2 in `/opt/pg/bin`); run `apt-get install postgresql-15`, or `cargo xtask ci --setup`");
        insta::assert_snapshot!(missing(15, &[]), @"local: no server binaries of PostgreSQL 15 on this host; run `apt-get install postgresql-15`, or `cargo xtask ci --setup`");
    }

    #[test]
    fn the_exact_version_becomes_a_file_name() {
        let version = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".to_owned();
        let binaries = Binaries { folder: PathBuf::new(), version };
        assert_eq!(binaries.slug(), "15.18-Debian-15.18-0-deb12u1");
    }
}
