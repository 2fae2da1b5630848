//! The recorder's log, line by line, and what the lines of one statement mean.

use serde::Deserialize;
use sqlx::{PgConnection, Row as _, types::Json};

use super::{Command, Effect, Mode, Reason, Rewrite, Touch};
use crate::{statements::Statement, target::run};

/// A table's state in the transaction, as the recorder writes it down; counters never go back.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct State {
    relation: i64,
    name: String,
    existing: bool,
    modes: Vec<Mode>,
    walks: i64,
    lookups: i64,
    inserted: i64,
    changed: i64,
    rewritten: bool,
    emptied: bool,
}

/// A line of the recorder's log.
pub(super) struct Line {
    pub(super) what: String,
    pub(super) statement: Option<i32>,
    tag: Option<String>,
    object: Option<String>,
    relation: Option<i64>,
    reason: Option<i32>,
    state: Option<Vec<State>>,
}

/// Reads the log and empties it; what has other files now is no news for the next migration.
pub(super) async fn take(admin: &mut PgConnection) -> Result<Vec<Line>, sqlx::Error> {
    let mut lines: Vec<Line> = sqlx::query(
        "SELECT what, statement, tag, object, relation::int8, reason, state FROM pg_migration_gate.log ORDER BY n",
    )
    .map(|row: sqlx::postgres::PgRow| Line {
        what: row.get(0),
        statement: row.get(1),
        tag: row.get(2),
        object: row.get(3),
        relation: row.get(4),
        reason: row.get(5),
        state: row.get::<Option<Json<_>>, _>(6).map(|it| it.0),
    })
    .fetch_all(&mut *admin)
    .await?;
    let moved = sqlx::query(
        "UPDATE pg_migration_gate.existing SET filenode = pg_relation_filenode(relation)
         WHERE filenode <> pg_relation_filenode(relation)
         RETURNING relation::int8, name, pg_relation_size(relation) > 0",
    )
    .fetch_all(&mut *admin)
    .await?;
    if lines.iter().all(|line| line.state.is_none()) {
        // Such as VACUUM FULL, which no trigger sees and which runs in transactions of its own.
        let copied = moved.iter().filter(|row| row.get::<bool, _>(2));
        let state = copied.map(|row| State::copied(row.get(0), row.get(1))).collect();
        lines.push(Line { state: Some(state), ..Line::end() });
    }
    run(admin, "TRUNCATE pg_migration_gate.log".into()).await?;
    Ok(lines)
}

impl Line {
    fn end() -> Self {
        Self {
            what: "end".into(),
            statement: None,
            tag: None,
            object: None,
            relation: None,
            reason: None,
            state: None,
        }
    }
}

impl State {
    /// A table whose rows were copied while nobody looked: nothing weaker than this lock allows it.
    fn copied(relation: i64, name: String) -> Self {
        let modes = vec![Mode::AccessExclusive];
        Self {
            relation,
            name,
            existing: true,
            modes,
            walks: 1,
            lookups: 0,
            inserted: 0,
            changed: 0,
            rewritten: true,
            emptied: false,
        }
    }

    fn strongest(&self) -> Option<Mode> {
        self.modes.iter().max().copied()
    }

    /// What changed since `before`.
    fn since(&self, before: Option<&Self>) -> Touch {
        // A transaction of its own counts from nothing.
        let grown = |now: i64, of: fn(&Self) -> i64| (now - before.map_or(0, of)).max(0);
        let writes = |it: &Self| it.modes.contains(&Mode::RowExclusive);
        Touch {
            relation: self.relation,
            name: self.name.trim_start_matches("public.").into(),
            existing: self.existing,
            before: before.and_then(Self::strongest),
            held: self.strongest(),
            opened_for_writing: writes(self) && !before.is_some_and(writes),
            walks: grown(self.walks, |it| it.walks),
            lookups: grown(self.lookups, |it| it.lookups),
            inserted: grown(self.inserted, |it| it.inserted),
            changed: grown(self.changed, |it| it.changed),
            rewritten: self.rewritten && !before.is_some_and(|it| it.rewritten),
            emptied: self.emptied,
        }
    }
}

/// What `statement` did, from the lines up to its end; `before` is the state that it found, and becomes what it left.
pub(super) fn effect(statement: &Statement<'_>, lines: Vec<Line>, before: &mut Vec<State>) -> Effect {
    let mut effect = Effect {
        line: statement.line,
        text: statement.text.into(),
        commands: Vec::new(),
        touched: Vec::new(),
        rewrites: Vec::new(),
        dropped: Vec::new(),
        collateral: Vec::new(),
    };
    let mut after: Option<Vec<State>> = None;
    for line in lines {
        let tag = line.tag.unwrap_or_default();
        let object = line.object.unwrap_or_default().trim_start_matches("public.").to_owned();
        match line.what.as_str() {
            "ddl" => effect.commands.push(Command { tag, object, relation: line.relation }),
            "rewrite" => {
                effect.rewrites.extend(line.relation.map(|relation| Rewrite {
                    relation,
                    reason: Reason::of(line.reason.unwrap_or_default()),
                }))
            }
            "drop" => effect.dropped.push(format!("{tag} `{object}`")),
            "collateral" => effect.collateral.push(format!("{tag} `{object}`")),
            _ => {}
        }
        // Outside a transaction the locks are gone when the file ends: the last look that saw some counts.
        if let Some(state) = line.state.filter(|state| !state.is_empty()) {
            after = Some(state);
        }
    }
    if let Some(after) = after {
        let found = |now: &State| before.iter().find(|it| it.relation == now.relation);
        effect.touched = after.iter().map(|now| now.since(found(now))).collect();
        *before = after;
    }
    effect
}
