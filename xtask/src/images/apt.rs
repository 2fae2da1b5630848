//! Where the host gets Debian's packages from, so that mirrors, proxies and credentials of the host work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{context::Context, outcome::StepError};

/// Suites of a release that are Debian's own, by what follows the release's name.
const PARTS: &[&str] = &["", "-updates", "-security"];
/// The host's own settings that decide whether packages can be fetched.
const SETTINGS: &[&str] =
    &["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::Force"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where apt has its sources and its logins, as it says itself: `APT_CONFIG` may lead anywhere.
const PLACES: &[&str] = &[
    "SOURCES",
    "Dir::Etc::sourcelist/f",
    "SOURCE_PARTS",
    "Dir::Etc::sourceparts/d",
    "LOGINS",
    "Dir::Etc::netrc/f",
    "LOGIN_PARTS",
    "Dir::Etc::netrcparts/d",
];

/// The files and folders of the host's apt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    sources: PathBuf,
    source_parts: PathBuf,
    logins: PathBuf,
    login_parts: PathBuf,
}

impl Places {
    /// # Errors
    /// When apt cannot be asked.
    pub(super) fn of_host(cx: &Context) -> Result<Self, StepError> {
        Ok(Self::said(&cx.process("apt-config").arg("shell").args(PLACES).run()?.stdout))
    }

    /// Reads lines as a shell does: `SOURCES='/etc/apt/sources.list'`.
    fn said(text: &str) -> Self {
        let place = |name: &str| {
            let value = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix("='"));
            PathBuf::from(value.unwrap_or_default().trim_end_matches('\''))
        };
        Self {
            sources: place("SOURCES"),
            source_parts: place("SOURCE_PARTS"),
            logins: place("LOGINS"),
            login_parts: place("LOGIN_PARTS"),
        }
    }
}

/// One source as apt's one-line format spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    options: Vec<String>,
    address: String,
    suite: String,
}

/// The host's sources for a release of Debian; the public ones where the host has none for it. They may hold a
/// mirror's password.
pub(super) fn sources(places: &Places, release: &str) -> Vec<String> {
    let mut files = vec![places.sources.clone()];
    files.extend(fs::read_dir(&places.source_parts).into_iter().flatten().flatten().map(|it| it.path()));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        found.extend(match file.extension().and_then(|it| it.to_str()) {
            Some("list") => text.lines().filter_map(line).collect(),
            Some("sources") => text.split("\n\n").flat_map(stanza).collect(),
            _ => Vec::new(),
        });
    }
    let lines = wanted(found, release);
    if !lines.is_empty() {
        return lines;
    }
    vec![format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {release} main")]
}

/// The host's settings for fetching packages, as a file for apt; it may hold a proxy's password.
///
/// # Errors
/// When apt's settings cannot be asked for.
pub(super) fn settings(cx: &Context, places: &Places) -> Result<String, StepError> {
    let dump = cx.process("apt-config").arg("dump").run()?.stdout;
    let kept = dump.lines().filter(|line| SETTINGS.iter().any(|it| line.starts_with(it)));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text += "Acquire::Languages \"none\";\nAPT::Install-Recommends \"false\";\n";
    for (name, place) in [("netrc", &places.logins), ("netrcparts", &places.login_parts)] {
        text += &set(name, place);
    }
    Ok(text)
}

/// A setting of apt's for one of its places.
fn set(name: &str, place: &Path) -> String {
    format!("Dir::Etc::{name} \"{}\";\n", place.display())
}

fn wanted(found: Vec<Source>, release: &str) -> Vec<String> {
    let of_release = |it: &Source| it.suite.strip_prefix(release).is_some_and(|rest| PARTS.contains(&rest));
    let mut lines = Vec::new();
    for source in found.into_iter().filter(of_release) {
        let options = if source.options.is_empty() {
            String::new()
        } else {
            format!("[{}] ", source.options.join(" "))
        };
        let line = format!("deb {options}{} {} main", source.address, source.suite);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// `deb [signed-by=…] https://… bookworm main`
fn line(text: &str) -> Option<Source> {
    let rest = text.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (address, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
    words.any(|it| it == "main").then(|| Source {
        options: options.split_whitespace().map(str::to_owned).collect(),
        address,
        suite,
    })
}

/// A paragraph of `Types: deb`, `URIs: …`, `Suites: …`.
fn stanza(text: &str) -> Vec<Source> {
    let field = |name: &str| {
        let lines = text.lines().filter(|it| !it.starts_with('#'));
        let value = lines.filter_map(|it| it.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
        value.map_or("", |(_, value)| value.trim())
    };
    let holds = |name: &str, word: &str| field(name).split_whitespace().any(|it| it == word);
    if !holds("Types", "deb") || !holds("Components", "main") || field("Enabled").eq_ignore_ascii_case("no") {
        return Vec::new();
    }
    let mut options = Vec::new();
    if field("Signed-By").starts_with('/') {
        options.push(format!(
            "signed-by={}",
            field("Signed-By").split_whitespace().collect::<Vec<_>>().join(",")
        ));
    }
    if field("Trusted").eq_ignore_ascii_case("yes") {
        options.push("trusted=yes".into());
    }
    let mut sources = Vec::new();
    for address in field("URIs").split_whitespace() {
        for suite in field("Suites").split_whitespace() {
            sources.push(Source { options: options.clone(), address: address.into(), suite: suite.into() });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_says_where_it_has_its_sources_and_logins() {
        let said = "SOURCES='/opt/apt/sources.list'\nSOURCE_PARTS='/opt/apt/sources.list.d/'\nLOGINS='/opt/apt/auth.conf'\n\
                    LOGIN_PARTS='/opt/apt/auth.conf.d/'\n";
        let places = Places::said(said);
        assert_eq!(places.source_parts, Path::new("/opt/apt/sources.list.d"));
        assert_eq!(set("netrc", &places.logins), "Dir::Etc::netrc \"/opt/apt/auth.conf\";\n");
        assert_eq!(places.sources, Path::new("/opt/apt/sources.list"));
    }

    #[test]
    fn a_mirror_of_the_host_is_used_and_other_peoples_packages_are_not() {
        let deb822 = "Types: deb deb-src\n# a comment: x\nURIs: https://mirror.acme/debian\nSuites: bookworm bookworm-updates\n\
                      Components: main contrib\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let mut found = stanza(deb822);
        found.extend(line("deb [arch=amd64] https://download.docker.com/linux/debian bookworm stable"));
        found.extend(line("deb https://apt.postgresql.org/pub/repos/apt bookworm-pgdg main"));
        found.extend(line("deb [trusted=yes] https://mirror.acme/debian-security bookworm-security main"));
        insta::assert_snapshot!(wanted(found, "bookworm").join("\n"), @r"
        deb [signed-by=/usr/share/keyrings/k.gpg] https://mirror.acme/debian bookworm main
        deb [signed-by=/usr/share/keyrings/k.gpg] https://mirror.acme/debian bookworm-updates main
        deb [trusted=yes] https://mirror.acme/debian-security bookworm-security main
        ");
    }
}
