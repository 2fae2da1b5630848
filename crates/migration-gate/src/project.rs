//! What is judged: the migrations, production's ledger, the prelude and the roles of one project.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::{
    error::Error,
    files::{Directory, Kind, MigrationFile},
    ledger::{AppliedBy, Entry, Ledger},
    lineage::Lineage,
    queries::QuerySet,
    release::Released,
    sqlx_config::SqlxConfig,
    timestamp,
    waivers::{WAIVERS_FILE, Waivers},
};

/// Where a project's parts are, as the user said.
#[derive(Debug, Clone)]
pub struct Settings {
    pub migrations: PathBuf,
    /// Without a ledger everything is pending.
    pub ledger: Option<PathBuf>,
    /// What a database administrator runs before the first migration, as superuser.
    pub prelude: Option<PathBuf>,
    /// What the project has decided to live with; without it `waivers.toml` beside the migrations, if there is one.
    pub waivers: Option<PathBuf>,
    /// Folders of prepared queries.
    pub queries: Vec<QueryFolder>,
    /// What the code sets in its sessions before it sends queries, such as what policies read.
    pub session: Vec<(String, String)>,
    /// The git revision that this tree will be merged into.
    pub base: Option<String>,
    /// What the git tags of releases look like, such as `v*`: what one of them shipped, some production has applied.
    pub release_tags: Option<String>,
    /// The git tag of the release that production would be rolled back to.
    pub release: Option<String>,
    /// Whether what production has applied is taken back and applied again too.
    pub all: bool,
    pub roles: RoleNames,
    /// What the deployer may be besides itself.
    pub policy: Policy,
    /// The `lock_timeout` that the project's migrator sets when it logs in, such as `5s`.
    pub lock_timeout: Option<String>,
    /// How the project's migrator waits while another one is at work.
    pub boot: Boot,
    /// Tables that are and stay small: what walks or rewrites them is over in a moment.
    pub small_tables: Vec<String>,
    /// The TimeZone of production's sessions.
    pub time_zone: Option<String>,
}

/// How owner and deployer stand to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Each owns what it made; neither may alter what the other one owns.
    #[default]
    Split,
    /// The deployer is a member of the owner and inherits its rights.
    Member,
    /// The deployer turns into the owner when it logs in.
    SetRole,
}

/// How a migrator waits while another one is at work on the same database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Boot {
    /// In the server, as sqlx's own migrator does.
    #[default]
    Waits,
    /// It asks again and again, and holds nothing meanwhile.
    Polls,
    /// There never are two.
    Alone,
}

/// A folder of prepared queries (`.sqlx`).
#[derive(Debug, Clone)]
pub struct QueryFolder {
    pub path: PathBuf,
    /// Who sends them, where that is not [`Roles::app`].
    pub role: Option<String>,
}

/// The names of the three roles in the database.
#[derive(Debug, Clone)]
pub struct Roles {
    /// Made what production began with.
    pub owner: String,
    /// Applies migrations since.
    pub deployer: String,
    /// What services run as.
    pub app: String,
}

/// What the user calls the three roles, where he says it.
#[derive(Debug, Clone, Default)]
pub struct RoleNames {
    pub owner: Option<String>,
    pub deployer: Option<String>,
    pub app: Option<String>,
}

/// A project that has been read; nothing here has been executed.
#[derive(Debug)]
pub struct Project {
    pub directory: Directory,
    pub ledger: Ledger,
    pub prelude: Option<Prelude>,
    pub waivers: Waivers,
    /// What the base branch and the releases hold.
    pub(crate) lineage: Lineage,
    pub(crate) sqlx: SqlxConfig,
    pub roles: Roles,
    /// What the code sends.
    pub(crate) sent: QuerySet,
    /// What production would be rolled back to.
    pub(crate) released: Released,
    /// As the user said it.
    pub settings: Settings,
}

/// SQL that a database administrator runs first.
#[derive(Debug)]
pub struct Prelude {
    pub path: String,
    pub sql: String,
}

/// One number and every file that claims it.
#[derive(Debug)]
pub struct Slot<'p> {
    pub version: i64,
    pub ups: Vec<&'p MigrationFile>,
    pub downs: Vec<&'p MigrationFile>,
    /// What production has in it.
    pub applied: Option<&'p Entry>,
    /// Whether production may have recorded other bytes than the tree's.
    allows_alternate: bool,
    /// Whether production may have recorded what the tree does not have.
    allows_missing: bool,
}

impl Project {
    /// Reads directory, ledger, prelude, waivers, prepared queries, and what git knows.
    ///
    /// # Errors
    /// When one of them cannot be read or is malformed, or git does not know a revision.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let beside = settings.migrations.join(WAIVERS_FILE);
        let waivers = settings.waivers.clone().or_else(|| beside.exists().then_some(beside));
        let sqlx = SqlxConfig::of(&settings.migrations)?;
        let ledger = settings.ledger.as_deref().map(Ledger::read).transpose()?.unwrap_or_default();
        let roles = settings.roles.resolved(&ledger);
        Ok(Self {
            directory: Directory::read(&settings.migrations, sqlx.ignored_chars.clone())?,
            ledger,
            prelude: settings.prelude.as_ref().map(Prelude::read).transpose()?,
            waivers: waivers.as_deref().map(Waivers::read).transpose()?.unwrap_or_default(),
            lineage: Lineage::read(settings)?,
            sqlx,
            sent: QuerySet::read(&settings.queries, &roles.app)?,
            released: Released::read(settings, &roles.app)?,
            roles,
            settings: settings.clone(),
        })
    }

    /// The roles that send queries.
    pub(crate) fn senders(&self) -> BTreeSet<&str> {
        self.sent.queries.iter().map(|it| it.role.as_str()).collect()
    }

    /// Every number that a file or the ledger claims, in order.
    pub fn slots(&self) -> Vec<Slot<'_>> {
        let mut slots: BTreeMap<i64, Slot<'_>> = BTreeMap::new();
        let empty = |version| Slot {
            version,
            ups: Vec::new(),
            downs: Vec::new(),
            applied: None,
            allows_alternate: false,
            allows_missing: self.waivers.allow_missing(version),
        };
        for entry in &self.ledger.entries {
            let slot = slots.entry(entry.version).or_insert_with(|| empty(entry.version));
            slot.allows_alternate = self.waivers.allow_alternate(entry.version, &entry.checksum);
            slot.applied = Some(entry);
        }
        for file in &self.directory.files {
            let slot = slots.entry(file.version).or_insert_with(|| empty(file.version));
            if file.kind.is_up() { slot.ups.push(file) } else { slot.downs.push(file) }
        }
        slots.into_values().collect()
    }

    /// Whether the settings let the gate find `code` at all.
    pub(crate) fn judges(&self, code: &str) -> bool {
        let settings = &self.settings;
        match code {
            it if it.starts_with("rollback-") => settings.release.is_some(),
            it if it.starts_with("query-") || it == "missing-grant" => !settings.queries.is_empty(),
            it if it.starts_with("down-") || it == "reup-fails" => settings.all,
            "slot-duplicate" | "late-version" => settings.base.is_some(),
            "slot-applied" | "edited-after-apply" | "missing-applied" | "renamed-after-apply" => {
                settings.base.is_some() && settings.release_tags.is_some()
            }
            _ => true,
        }
    }

    /// Every number that is taken: in the tree, by production, on the base branch, in a release.
    pub(crate) fn versions(&self) -> impl Iterator<Item = i64> {
        self.slots().into_iter().map(|slot| slot.version).chain(self.lineage.versions())
    }

    /// Most of the project's numbers are time stamps.
    pub(crate) fn numbers_by_time(&self) -> bool {
        let slots = self.slots();
        let stamped = slots.iter().filter(|slot| timestamp::is_timestamp(slot.version)).count();
        stamped * 2 > slots.len()
    }

    /// The role in the database that `applied_by` means.
    pub fn role(&self, applied_by: AppliedBy) -> &str {
        match applied_by {
            AppliedBy::Owner => &self.roles.owner,
            AppliedBy::Deployer => &self.roles.deployer,
        }
    }

    /// Whether the policy lets the deployer turn into `role`.
    pub(crate) fn may_become(&self, role: &str) -> bool {
        match self.settings.policy {
            Policy::Split => role == self.roles.deployer,
            Policy::Member => role == self.roles.deployer || role == self.roles.owner,
            Policy::SetRole => role == self.roles.owner,
        }
    }

    /// Whether any file has handlers that catch errors.
    pub(crate) fn has_handlers(&self) -> bool {
        let word = |bytes: &[u8]| bytes.windows(9).any(|it| it.eq_ignore_ascii_case(b"exception"));
        self.directory.files.iter().any(|file| word(&file.bytes))
    }

    /// The role that owns what a pending migration makes.
    pub(crate) fn maker(&self) -> &str {
        match self.settings.policy {
            Policy::Split => &self.roles.deployer,
            Policy::Member | Policy::SetRole => &self.roles.owner,
        }
    }

    /// The commands that move `file`, and what belongs to it, to the next free slot.
    ///
    /// Each migration that has to move gets a slot of its own, so that all findings can be followed at once.
    pub(crate) fn renumber(&self, file: &MigrationFile) -> String {
        let mut next = self.versions().max().unwrap_or_default();
        let stamped = timestamp::is_timestamp(next);
        let mut movers: Vec<(i64, &str)> = Vec::new();
        for slot in self.slots() {
            let late =
                slot.applied.is_none() && self.ledger.entries.iter().any(|it| it.version > slot.version);
            let first = slot.ups.first().filter(|_| late).copied();
            movers.extend(first.into_iter().chain(slot.newcomers()).map(|it| (it.version, it.name.as_str())));
        }
        let mut seen = BTreeSet::new();
        movers.retain(|mover| seen.insert(*mover));
        for mover in movers.iter().chain([&(file.version, file.name.as_str())]) {
            next = if stamped { timestamp::after(next) } else { next + 1 };
            if *mover == (file.version, file.name.as_str()) {
                break;
            }
        }
        self.renumber_to(file, next)
    }

    /// The commands that move `file`, and what belongs to it, to the slot of `version`.
    pub(crate) fn renumber_to(&self, file: &MigrationFile, version: i64) -> String {
        // As wide as this project writes its numbers.
        let width = self.directory.files.iter().map(|it| it.slot.len()).max().unwrap_or_default();
        let slot = format!("{version:0width$}");
        let commands = self.family(file).map(|it| format!("git mv {} {}", it.path, it.path_in_slot(&slot)));
        commands.collect::<Vec<_>>().join(" && ")
    }

    /// The commands that call `file`, and what belongs to it, `name`.
    pub(crate) fn rename_to(&self, file: &MigrationFile, name: &str) -> String {
        let renamed =
            |it: &MigrationFile| MigrationFile { name: name.into(), ..it.clone() }.path_in_slot(&it.slot);
        let commands = self.family(file).map(|it| format!("git mv {} {}", it.path, renamed(it)));
        commands.collect::<Vec<_>>().join(" && ")
    }

    /// The files that share number and name with `file`: its up, its down, itself.
    fn family<'p>(&'p self, file: &'p MigrationFile) -> impl Iterator<Item = &'p MigrationFile> {
        self.directory.files.iter().filter(|it| (it.version, &it.name) == (file.version, &file.name))
    }
}

impl RoleNames {
    /// What people should know of roles that they have not named.
    pub(crate) fn assumed(&self, roles: &Roles) -> Option<String> {
        let one = roles.names().len() == 1;
        let silent = self.owner.is_none() && self.deployer.is_none() && self.app.is_none();
        (silent && one).then(|| {
            format!(
                "no role is named: one role, here `{}`, owns the database, applies migrations and sends queries; where production has \
                 several, name them with `--owner`, `--deployer` and `--app`",
                roles.app
            )
        })
    }

    /// A project that names none, and whose ledger knows no other owner than the deployer, has one role for everything, as most
    /// projects do.
    fn resolved(&self, ledger: &Ledger) -> Roles {
        let is_split = ledger.entries.iter().any(|it| it.role == AppliedBy::Owner);
        let or = |name: &Option<String>, default: &str| name.clone().unwrap_or_else(|| default.into());
        match self {
            Self { owner: None, deployer: None, app: None } if !is_split => Roles::one("app"),
            Self { owner, deployer, app } => {
                Roles { owner: or(owner, "owner"), deployer: or(deployer, "deployer"), app: or(app, "app") }
            }
        }
    }
}

impl Roles {
    fn one(name: &str) -> Self {
        Self { owner: name.into(), deployer: name.into(), app: name.into() }
    }

    /// Each once.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        [&self.owner, &self.deployer, &self.app].into_iter().map(String::as_str).collect()
    }
}

impl Prelude {
    /// Whether it cares for the roles at all; one that only makes a schema leaves them to the gate.
    pub(crate) fn makes_roles(&self, roles: &Roles) -> bool {
        let sql = self.sql.to_lowercase();
        let makes_any = ["create role", "create user"].iter().any(|it| sql.contains(it));
        let mut words = self.sql.split(|it: char| !(it.is_alphanumeric() || "_$-".contains(it)));
        makes_any && words.any(|word| roles.names().contains(word))
    }

    fn read(path: &PathBuf) -> Result<Self, Error> {
        let sql = fs::read_to_string(path).map_err(|error| Error::unreadable("the prelude", path, &error))?;
        Ok(Self { path: path.display().to_string(), sql })
    }
}

impl<'p> Slot<'p> {
    /// The up that production applied, byte for byte; its name may differ. With an alternate: the up of that name.
    pub fn holder(&self) -> Option<&'p MigrationFile> {
        let entry = self.applied?;
        let same = |file: &&&MigrationFile| file.checksum() == entry.checksum;
        let named = |file: &&&MigrationFile| entry.is_named(&file.name);
        let exact = self.ups.iter().find(|it| same(it) && named(it)).or_else(|| self.ups.iter().find(same));
        exact.or_else(|| self.ups.iter().find(|it| self.allows_alternate && named(it))).copied()
    }

    /// Whether production has it, the tree does not, and that is said to be so.
    pub(crate) fn is_given_up(&self) -> bool {
        self.allows_missing && self.applied.is_some() && self.ups.is_empty()
    }

    /// Ups that came after the slot was taken: by production, else by the first file in it.
    pub fn newcomers(&self) -> Vec<&'p MigrationFile> {
        match self.applied {
            Some(entry) => {
                let holder = self.holder().map(|it| &it.path);
                let theirs = |it: &&&MigrationFile| {
                    Some(&it.path) != holder && (holder.is_some() || !entry.is_named(&it.name))
                };
                self.ups.iter().filter(theirs).copied().collect()
            }
            None => self.ups.iter().skip(1).copied().collect(),
        }
    }

    /// The down that reverts the up of this slot; of several nobody knows which.
    pub fn down(&self) -> Option<&'p MigrationFile> {
        match self.downs[..] {
            [down] => Some(down),
            _ => None,
        }
    }

    /// Whether the slot's up is one of a pair by its name.
    pub fn is_reversible(&self) -> bool {
        !self.downs.is_empty() || self.ups.iter().any(|file| file.kind == Kind::Up)
    }
}
