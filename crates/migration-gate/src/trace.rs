//! What each statement of a migration did to tables: locks, walks, writes and rewrites, as the server counts them.
//!
//! A file is sent as it is, as one query, with a call behind each statement that writes down the state of the
//! transaction; event triggers tell what a statement made, dropped or rewrote.

use serde::Deserialize;
use sqlx::PgConnection;

use crate::{
    error::Error,
    files::MigrationFile,
    statements::{self, Statement},
    target::{lost, run},
};

mod log;

const RECORDER: &str = include_str!("trace/recorder.sql");

/// A lock on a table, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Mode {
    #[serde(rename = "AccessShareLock")]
    AccessShare,
    #[serde(rename = "RowShareLock")]
    RowShare,
    #[serde(rename = "RowExclusiveLock")]
    RowExclusive,
    #[serde(rename = "ShareUpdateExclusiveLock")]
    ShareUpdateExclusive,
    #[serde(rename = "ShareLock")]
    Share,
    #[serde(rename = "ShareRowExclusiveLock")]
    ShareRowExclusive,
    #[serde(rename = "ExclusiveLock")]
    Exclusive,
    #[serde(rename = "AccessExclusiveLock")]
    AccessExclusive,
}

/// One statement and what it did; of a file that could not be taken apart, the whole file.
#[derive(Debug)]
pub(crate) struct Effect {
    /// From 1.
    pub(crate) line: u32,
    pub(crate) text: String,
    /// What it made or altered.
    pub(crate) commands: Vec<Command>,
    /// Every table that the transaction holds a lock on when the statement ends.
    pub(crate) touched: Vec<Touch>,
    pub(crate) rewrites: Vec<Rewrite>,
    /// What it took away, as in: table column `orders.note`.
    pub(crate) dropped: Vec<String>,
    /// What `CASCADE` took along, as in: view `totals`.
    pub(crate) collateral: Vec<String>,
}

/// A command, which may stand in the body of a function or a `DO`.
#[derive(Debug)]
pub(crate) struct Command {
    /// As in `ALTER TABLE`.
    pub(crate) tag: String,
    /// What it was about, as SQL spells it.
    pub(crate) object: String,
    /// The relation that it belongs to, where it belongs to one.
    pub(crate) relation: Option<i64>,
}

/// A table, and what one statement did to it.
#[derive(Debug)]
pub(crate) struct Touch {
    pub(crate) relation: i64,
    pub(crate) name: String,
    /// Whether production has it: it was there before the first pending migration.
    pub(crate) existing: bool,
    /// The strongest lock that was held before.
    pub(crate) before: Option<Mode>,
    /// The strongest lock that is held now.
    pub(crate) held: Option<Mode>,
    /// Whether it took the lock of those who write rows.
    pub(crate) opened_for_writing: bool,
    /// How often it was read from end to end.
    pub(crate) walks: i64,
    /// How often one of its indexes was searched.
    pub(crate) lookups: i64,
    pub(crate) inserted: i64,
    /// Rows updated or deleted.
    pub(crate) changed: i64,
    /// Whether its rows were copied into new files.
    pub(crate) rewritten: bool,
    /// Whether it has new files with nothing in them.
    pub(crate) emptied: bool,
}

/// A table that was written anew.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) relation: i64,
    pub(crate) reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Persistence,
    Default,
    Type,
    AccessMethod,
    /// `CLUSTER`, `VACUUM FULL`, `REFRESH MATERIALIZED VIEW`.
    Copied,
}

/// Begins to record in a database that is thrown away; the ledger of migrations must be there.
pub(crate) async fn install(admin: &mut PgConnection, ledger: &str) -> Result<(), Error> {
    let doing = "setting up the recorder of locks";
    // The trigger comes first: what is recorded begins after it.
    let watch = format!(
        "{RECORDER}\nCREATE TRIGGER migration_gate_end AFTER INSERT ON {ledger} \
         FOR EACH STATEMENT EXECUTE FUNCTION at_end();\n\
         INSERT INTO ledger VALUES ($name${ledger}$name$::regclass);\n\
         DELETE FROM existing WHERE relation IN (SELECT relation FROM ledger);\nTRUNCATE log;\nRESET search_path;"
    );
    run(admin, watch).await.map_err(|error| lost(doing, &error))
}

/// `up` with a mark behind each statement that another one follows; lines stay what they are.
///
/// Nothing where there is nothing to mark: one statement, or a file that runs outside a transaction.
pub(crate) fn marked(up: &MigrationFile) -> Option<MigrationFile> {
    let sql = up.sql().filter(|_| !up.is_outside_transaction())?;
    let statements = statements::split(sql);
    let (_, followed) = statements.split_last().filter(|(_, followed)| !followed.is_empty())?;
    let mut text = String::with_capacity(sql.len() * 2);
    let mut at = 0;
    for (index, statement) in followed.iter().enumerate() {
        let begin = at + sql[at..].find(statement.text)?;
        let end = begin + statement.text.len();
        let semicolon = end + sql[end..].find(';')? + 1;
        text += &sql[at..semicolon];
        if is_marked(&statements, index) {
            text += &format!("SELECT pg_migration_gate.mark({index});");
        }
        at = semicolon;
    }
    text += &sql[at..];
    Some(MigrationFile { bytes: text.into_bytes(), ..up.clone() })
}

/// Rows that are put in one statement after the other are looked at together: there may be very many.
fn is_marked(statements: &[Statement<'_>], index: usize) -> bool {
    let fills = |at: usize| statements.get(at).is_some_and(|it| it.begins("INSERT INTO"));
    !(fills(index) && fills(index + 1))
}

/// What the statements of `up` did, which has just been applied; forgets what was recorded.
pub(crate) async fn read(admin: &mut PgConnection, up: &MigrationFile) -> Result<Vec<Effect>, Error> {
    let lines = log::take(admin).await.map_err(|error| lost("reading what was recorded", &error))?;
    let sql = up.sql().unwrap_or_default();
    let mut statements = statements::split(sql);
    if lines.iter().all(|line| line.what != "mark") {
        // Nobody can say which statement did what: the first one stands for all.
        statements.truncate(1);
    }
    let mut lines = lines.into_iter();
    let mut before = Vec::new();
    let mut effects = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let mut own = Vec::new();
        while let Some(line) = is_marked(&statements, index).then(|| lines.next()).flatten() {
            let ends = line.what == "mark" && line.statement == i32::try_from(index).ok();
            own.push(line);
            if ends && index + 1 < statements.len() {
                break;
            }
        }
        effects.push(log::effect(statement, own, &mut before));
    }
    Ok(effects)
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Whether those who write rows wait for it.
    pub(crate) fn is_strong(self) -> bool {
        self >= Self::Share
    }

    /// Who waits while it is held.
    pub(crate) fn who_waits(self) -> &'static str {
        match self {
            Self::AccessExclusive => "every query waits",
            Self::Exclusive | Self::ShareRowExclusive | Self::Share => "every write waits",
            Self::ShareUpdateExclusive => "reads and writes go on",
            Self::RowExclusive | Self::RowShare | Self::AccessShare => "only the same rows wait",
        }
    }

    /// Who waits while it is held on `table`.
    pub(crate) fn waits(self, table: &str) -> String {
        match self {
            Self::AccessExclusive => format!("every query on `{table}`, also a mere read, waits"),
            _ => format!("every write to `{table}` waits"),
        }
    }
}

impl Effect {
    /// Every table that production has and that this statement wrote anew, and why.
    pub(crate) fn rewritten(&self) -> Vec<(&Touch, Reason)> {
        let told = |touch: &Touch| self.rewrites.iter().find(|it| it.relation == touch.relation);
        let refreshed = |touch: &Touch| {
            let refresh =
                |it: &Command| it.tag == "REFRESH MATERIALIZED VIEW" && it.relation == Some(touch.relation);
            self.commands.iter().any(refresh) && touch.held == Some(Mode::AccessExclusive)
        };
        let reason = |touch: &Touch| match told(touch) {
            Some(rewrite) => Some(rewrite.reason),
            None if refreshed(touch) || touch.rewritten && touch.inserted == 0 => Some(Reason::Copied),
            None => None,
        };
        self.existing().filter_map(|touch| Some((touch, reason(touch)?))).collect()
    }

    /// The tables that production has.
    pub(crate) fn existing(&self) -> impl Iterator<Item = &Touch> {
        self.touched.iter().filter(|it| it.existing)
    }
}

impl Touch {
    /// Whether this statement took a lock that writers wait for.
    pub(crate) fn takes_strong_lock(&self) -> bool {
        self.held.is_some_and(Mode::is_strong) && self.held > self.before
    }
}

impl Reason {
    fn of(bits: i32) -> Self {
        match bits {
            _ if bits & 4 != 0 => Self::Type,
            _ if bits & 2 != 0 => Self::Default,
            _ if bits & 1 != 0 => Self::Persistence,
            _ => Self::AccessMethod,
        }
    }
}

/// The ledger that sqlx calls `name` as SQL spells it, wherever the `search_path` of the roles has put it.
pub(crate) async fn ledger(admin: &mut PgConnection, name: &str) -> Result<Option<String>, Error> {
    sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname)
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND c.relname = (parse_ident($1))[array_upper(parse_ident($1), 1)]
         ORDER BY c.oid = to_regclass($1) DESC NULLS LAST LIMIT 1",
    )
    .bind(name)
    .fetch_optional(admin)
    .await
    .map_err(|error| lost("looking for the ledger of migrations", &error))
}
