//! `.config/xtask.toml`: what a workspace may set, each key with its default.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    budget::Budget,
    release::Settings as Release,
    services::Role,
    steps::{Lane, STEPS},
};

/// Where the configuration lies, relative to the workspace's root.
pub(crate) const CONFIG_FILE: &str = ".config/xtask.toml";

/// The whole file. Every table and key may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) postgres: Postgres,
    pub(crate) roles: Roles,
    pub(crate) migrations: Migrations,
    pub(crate) images: Images,
    pub(crate) test: Test,
    pub(crate) secrets: Secrets,
    /// Steps of the workspace's own.
    pub(crate) steps: Vec<CustomStep>,
    pub(crate) workflows: Workflows,
    pub(crate) release: Release,
    pub(crate) budget: Budget,
    /// Without this table there are no rules to judge.
    pub(crate) house: Option<House>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Postgres {
    /// Major version that production runs.
    pub(crate) major: u32,
    /// Whether the tests need a server; without it they do when there are migrations.
    pub(crate) tests: Option<bool>,
}

/// The three roles of the migration gate; where none is named, one role does everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Roles {
    /// Made what production began with.
    pub(crate) owner: Option<String>,
    /// Applies migrations since.
    pub(crate) deployer: Option<String>,
    /// What services run as.
    pub(crate) app: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Migrations {
    /// Folder of the migrations; where it holds none, they are looked for in the crates' folders.
    pub(crate) path: String,
    /// Production's ledger; without it `applied.toml` beside the migrations, if there is one.
    pub(crate) ledger: Option<String>,
    /// What a database administrator runs once on an empty database.
    pub(crate) prelude: Option<String>,
    /// How owner and deployer stand to each other: `split` (each owns what it made), `member` (the deployer is a member of
    /// the owner), `set-role` (it turns into the owner when it logs in).
    pub(crate) policy: Option<String>,
    /// The `lock_timeout` that the project's own migrator sets when it logs in, such as `5s`.
    pub(crate) lock_timeout: Option<String>,
    /// What the project's own migrator does while another one is at work: `waits` (as sqlx does), `polls`, or `alone`.
    pub(crate) boot: Option<String>,
    /// The branch that work is merged into: what it holds may not be changed; without it `main`, if there is one. Where
    /// the remote `origin` has it, that one counts.
    pub(crate) base: Option<String>,
    /// What the git tags of releases look like: what one of them shipped may not be changed. Empty: none is looked at.
    pub(crate) release_tags: String,
    /// The git tag of the release that production would be rolled back to.
    pub(crate) release: Option<String>,
    /// Findings that the project lives with until a day; without it `waivers.toml` beside the migrations, if there is one.
    pub(crate) waivers: Option<String>,
    /// Tables that are and stay small: what walks or rewrites them is over in a moment and no finding.
    pub(crate) small_tables: Vec<String>,
    /// The TimeZone of production's sessions, such as `Europe/Berlin`.
    pub(crate) time_zone: Option<String>,
    /// What the code sets in its sessions before it sends queries, such as what policies read: `"app.tenant" = "7"`.
    pub(crate) settings: BTreeMap<String, String>,
    /// Folders of prepared queries, each with the role that sends them where it is not the services' (`DIR` or
    /// `DIR=ROLE`); without it every `.sqlx` in the root and in the crates' folders.
    pub(crate) queries: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Images {
    /// The most that one image may take on disk, in megabytes of 1,000,000 bytes.
    pub(crate) max_size_mb: u64,
    /// The most that all images may take together, what they share counted once; without it nothing is judged.
    pub(crate) max_together_mb: Option<u64>,
    /// The public images that the Containerfile starts from, by name of the base.
    pub(crate) bases: BTreeMap<String, Base>,
    /// Where compiled dependencies are kept for builders that have none.
    pub(crate) cache: Cache,
}

/// A layer cache: a repository of a registry (`registry.example/acme/cache`) or a folder (`/…`, `./…` from the root).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cache {
    /// Where it is read.
    pub(crate) from: Option<String>,
    /// Where it is written after a build.
    pub(crate) to: Option<String>,
}

/// A public base image, pinned.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Base {
    /// Full name with an exact tag, such as `docker.io/library/rust:1.95.0-bookworm`.
    pub(crate) image: String,
    /// The build argument that hands it to the Containerfile; without one it is not used in builds.
    pub(crate) argument: Option<String>,
    /// What the genuine image's manifest is, such as `sha256:…`; it is pulled by this, and checked.
    pub(crate) digest: Option<String>,
}

/// How the tests run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Test {
    /// Whether the tests of a crate hold as long as nothing changes that they may read: the crate, those that it stands on,
    /// and all that lies in no crate. What tests read besides, `[package.metadata.tests]` of their crate says.
    pub(crate) by_crate: bool,
}

/// A step of the workspace's own, such as a front end's tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomStep {
    pub(crate) name: String,
    /// The program and its arguments; no shell reads them.
    pub(crate) command: Vec<String>,
    /// What it reads, as patterns of paths: `web/` is all below, `*.ts` an ending, `!web/dist/` takes away.
    pub(crate) inputs: Vec<String>,
    /// What it waits in line for; nothing but the sources without.
    #[serde(default)]
    pub(crate) lane: Lane,
    /// Where it runs, below the root; the root without.
    pub(crate) folder: Option<String>,
    /// What holds when it is green, as the rest of a sentence.
    pub(crate) proves: Option<String>,
    /// The command that mends what it finds.
    pub(crate) fix: Option<String>,
}

/// What the scanner takes for a credential and is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Secrets {
    pub(crate) allow: Vec<Allowed>,
}

/// A file that may hold what looks like a credential.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    /// Relative to the workspace's root.
    pub(crate) file: String,
    /// Why it is none; whoever reads the entry must be able to agree.
    #[serde(deserialize_with = "reason")]
    #[expect(dead_code, reason = "it is written for people, and must be there")]
    reason: String,
}

/// The workflow files of Gitea Actions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Workflows {
    /// Label of the host runners that judge.
    pub(crate) runs_on: String,
    /// Label of the runner that may publish.
    pub(crate) release_runs_on: String,
    /// Branches whose pushes are judged; pull requests always are.
    pub(crate) branches: Vec<String>,
    /// Whether a job first installs what its runner lacks.
    pub(crate) setup: bool,
}

/// The architecture's own rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct House {
    /// The most lines of a source file before its tests.
    pub(crate) max_file_lines: usize,
    /// The document that must name every crate; used when the file exists.
    pub(crate) architecture: String,
    /// Dependencies that only the named crates may use directly.
    pub(crate) only: BTreeMap<String, Vec<String>>,
    /// Dependencies that must not be anywhere in a crate's own tree, by crate.
    pub(crate) never: BTreeMap<String, Vec<String>>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self { major: 15, tests: None }
    }
}

impl Roles {
    /// What the gate calls `role` in the databases that it makes.
    pub(crate) fn name(&self, role: Role) -> &str {
        let is_split = self.owner.is_some() || self.deployer.is_some() || self.app.is_some();
        let (named, default) = match role {
            Role::Owner => (&self.owner, "owner"),
            Role::Deployer => (&self.deployer, "deployer"),
            Role::App => (&self.app, "app"),
        };
        named.as_deref().unwrap_or(if is_split { default } else { "app" })
    }
}

impl Default for Migrations {
    fn default() -> Self {
        Self {
            path: "migrations".into(),
            ledger: None,
            prelude: None,
            policy: None,
            lock_timeout: None,
            boot: None,
            base: None,
            release_tags: "v*".into(),
            release: None,
            waivers: None,
            small_tables: Vec::new(),
            time_zone: None,
            settings: BTreeMap::new(),
            queries: None,
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        Self { max_size_mb: 40, max_together_mb: None, bases: BTreeMap::new(), cache: Cache::default() }
    }
}

impl Default for Workflows {
    fn default() -> Self {
        Self {
            runs_on: "rust-host".into(),
            release_runs_on: "rust-release".into(),
            branches: vec!["main".into(), "develop".into()],
            setup: true,
        }
    }
}

impl Default for House {
    fn default() -> Self {
        Self {
            max_file_lines: 400,
            architecture: "ARCHITECTURE.md".into(),
            only: BTreeMap::new(),
            never: BTreeMap::new(),
        }
    }
}

/// A reason that says something.
fn reason<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let reason = String::deserialize(value)?;
    if reason.trim().is_empty() {
        return Err(D::Error::custom("`reason` is empty; say why the entry may stand"));
    }
    Ok(reason)
}

/// A configuration that cannot be used; the message names file, line, key and the nearest valid key.
#[derive(Debug)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the workspace's configuration; the defaults where it has none.
    ///
    /// # Errors
    /// When the file cannot be read or says something that is not a setting.
    pub(crate) fn load(root: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(root.join(CONFIG_FILE)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError(format!("cannot read `{CONFIG_FILE}`: {error}"))),
        }
    }

    fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError(located(text, CONFIG_FILE, &error)))?;
        check_steps(text, &config.steps)?;
        let own = config.steps.iter().map(|it| it.name.as_str());
        let steps: Vec<&str> = STEPS.iter().map(|it| it.name).chain(own).collect();
        config.budget.check(text, &steps)?;
        config.release.check(text)?;
        Ok(config)
    }
}

/// A step of one's own has a name that no other has, a command and something that it reads.
fn check_steps(text: &str, own: &[CustomStep]) -> Result<(), ConfigError> {
    for (index, step) in own.iter().enumerate() {
        let name = &step.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let taken = STEPS.iter().any(|it| it.name == name) || own[..index].iter().any(|it| it.name == *name);
        let what = if name.is_empty() || !name.chars().all(plain) {
            "is no name of a step: lower-case letters, digits and `-`"
        } else if taken {
            "is the name of another step"
        } else if step.command.is_empty() {
            "has an empty `command`"
        } else if step.inputs.is_empty() {
            "has no `inputs`: what the command reads decides when it runs again; `[\"**\"]` is everything"
        } else {
            continue;
        };
        let head = format!("\"{name}\"");
        let line = text.lines().enumerate().filter(|(_, it)| it.contains("name") && it.contains(&head));
        let line = line.last().map_or(1, |(index, _)| index + 1);
        return Err(ConfigError(format!("{CONFIG_FILE}:{line}: `{name}` {what}")));
    }
    Ok(())
}

/// One line for an error in a TOML file: file, line, what is wrong, and the nearest key that exists.
pub(crate) fn located(text: &str, file: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let what = error.message().lines().collect::<Vec<_>>().join(" ");
    let hint = nearest_key(&what).map(|key| format!("; did you mean `{key}`?")).unwrap_or_default();
    format!("{file}:{line}: {what}{hint}")
}

/// serde names the unknown key first and then the ones that it expected, all in backticks.
fn nearest_key(message: &str) -> Option<&str> {
    let mut keys = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = keys.next()?;
    nearest(unknown, &keys.collect::<Vec<_>>())
}

/// The most likely reading of a mistyped word.
pub(crate) fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let likely = known.iter().map(|key| (strsim::jaro_winkler(unknown, key), *key));
    likely.filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_mistyped_key_is_named_with_its_line_and_the_nearest_one() {
        insta::assert_snapshot!(
            refused("[postgres]\nmajor = 15\n\n[roles]\nownr = \"x\"\n"),
            @".config/xtask.toml:5: unknown field `ownr`, expected one of `owner`, `deployer`, `app`; did you mean `owner`?"
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_line() {
        insta::assert_snapshot!(
            refused("[postgres]\nmajor = \"fifteen\"\n"),
            @r#".config/xtask.toml:2: invalid type: string "fifteen", expected u32"#
        );
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(Config::parse("").unwrap().postgres.major, 15);
    }
}
