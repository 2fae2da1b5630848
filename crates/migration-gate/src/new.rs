//! A new migration: the next free slot, in the project's own style.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use time::{OffsetDateTime, macros::format_description};

use crate::{
    error::Error,
    files::{Kind, StrayReason},
    project::{Project, Roles, Slot},
    timestamp,
};

/// As wide as a project writes its numbers that has none yet.
const WIDTH: usize = 4;
/// What fits into most listings, and into one line of a ledger.
const NAME_MAX: usize = 80;

/// How a project writes its migrations.
#[derive(Debug)]
struct Style {
    numbers_by_time: bool,
    is_pair: bool,
    /// Digits that a number is filled up to with zeros.
    width: usize,
}

/// Writes the file, or the pair, of a migration called `name`, and returns the paths.
///
/// The slot is free in the tree, in the ledger, on the base branch and in every release that the settings name.
///
/// # Errors
/// When the name is none, or a file cannot be written; none is ever overwritten.
pub fn new(project: &Project, name: &str) -> Result<Vec<PathBuf>, Error> {
    check_name(name)?;
    let style = Style::of(project)?;
    let last = project.versions().max().unwrap_or_default();
    let slot = if style.numbers_by_time {
        let now =
            OffsetDateTime::now_utc().format(format_description!("[year][month][day][hour][minute][second]"));
        let now = now.ok().and_then(|it| it.parse().ok()).unwrap_or(last);
        (if now > last { now } else { timestamp::after(last) }).to_string()
    } else {
        format!("{:0width$}", last + 1, width = style.width)
    };
    let kinds: &[Kind] = if style.is_pair { &[Kind::Up, Kind::Down] } else { &[Kind::Simple] };
    let folder = &project.settings.migrations;
    let up = format!("{slot}_{name}{}", kinds[0].suffix());
    let mut written = Vec::new();
    for kind in kinds {
        let path = folder.join(format!("{slot}_{name}{}", kind.suffix()));
        let text = if kind.is_up() { up_text(&project.roles) } else { down_text(&up) };
        create(&path, &text)?;
        written.push(path);
    }
    Ok(written)
}

impl Style {
    /// That of the migrations that are there; `sqlx.toml` decides where there are none, and time stamps in pairs else.
    fn of(project: &Project) -> Result<Self, Error> {
        let slots = project.slots();
        let last = slots.iter().rfind(|slot| !slot.ups.is_empty());
        // `inferred` is sqlx's own default.
        let numbers_by_time = match project.sqlx.versioning.as_deref() {
            Some("timestamp") => true,
            Some("sequential") => false,
            _ => last.is_none() || project.numbers_by_time(),
        };
        let is_pair = match project.sqlx.migration_type.as_deref() {
            Some("reversible") => true,
            Some("simple") => false,
            _ => last.is_none_or(Slot::is_reversible),
        };
        if project.directory.strays.iter().any(|it| it.reason == StrayReason::NotANumber) {
            return Err(Error::Configuration(
                "a file's name in the migrations directory does not begin with a number; `migration-gate check` says which".into(),
            ));
        }
        let width = project.directory.files.iter().map(|it| it.slot.len()).max().unwrap_or(WIDTH);
        Ok(Self { numbers_by_time, is_pair, width })
    }
}

/// Lower-case words with `_` between them: what every system's files and every ledger can hold.
fn check_name(name: &str) -> Result<(), Error> {
    let is_word = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    let is_good = !name.is_empty()
        && name.len() <= NAME_MAX
        && name.split('_').all(|word| !word.is_empty() && word.chars().all(is_word));
    if is_good {
        return Ok(());
    }
    let stem =
        name.trim_end_matches(".sql").trim_end_matches(".up").trim_end_matches(".down").to_ascii_lowercase();
    let words: Vec<&str> = stem.split(|it| !is_word(it)).filter(|it| !it.is_empty()).collect();
    let mut better = words.join("_");
    better.truncate(NAME_MAX);
    let hint = if better.is_empty() { String::new() } else { format!("; how about `{better}`?") };
    Err(Error::Configuration(format!(
        "`{name}` is no name for a migration: lower-case letters, digits and `_` between words, at most {NAME_MAX}{hint}"
    )))
}

fn create(path: &Path, text: &str) -> Result<(), Error> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let path = path.display();
        Error::Configuration(match error.kind() {
            io::ErrorKind::AlreadyExists => format!("`{path}` exists already; nothing is overwritten"),
            _ => format!("cannot write `{path}`: {error}; see that its folder can be written"),
        })
    })
}

fn up_text(Roles { deployer, app, .. }: &Roles) -> String {
    format!(
        "-- What changes, and why.
--
-- Sent as one query in one transaction, as `{deployer}`: no BEGIN and no COMMIT here. What cannot run in a transaction
-- (CREATE INDEX CONCURRENTLY) stands alone in a file that begins with `-- no-transaction`.
-- The release before this one still runs on the new schema: add now, drop in a later release.
-- A new table needs: GRANT SELECT, INSERT, UPDATE, DELETE ON … TO {app};
"
    )
}

fn down_text(up: &str) -> String {
    format!("-- Takes back `{up}`: the schema is then what it was before. Say here what data is lost.\n")
}
