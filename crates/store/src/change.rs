//! A change of the record: what it writes, who did it and who hears of it, all of it or nothing.
//!
//! Walk: [`Change::begin`], then the writes on its connection, then [`Change::tell`] what was done, then
//! [`Change::commit`], which writes the audit entries, the outbox and, last, the events.

use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::audit::{self, NewEntry};
use crate::database::Database;
use crate::outbox::{self, NewEvent};
use crate::{Error, Origin, events};

/// A change that is being made. Dropped before it is committed, it leaves nothing.
pub(crate) struct Change<'a> {
    transaction: Transaction<'static, Postgres>,
    origin: &'a Origin,
    facts: Vec<(Fact, Audience)>,
}

/// Something that was done.
pub(crate) struct Fact {
    /// As noun and past participle: `release.recorded`.
    pub(crate) name: &'static str,
    /// To what: `release/0190…`.
    pub(crate) subject: String,
    /// The particulars, a JSON object.
    pub(crate) details: Value,
}

/// Who hears of a fact, besides the audit record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever follows the record's events.
    Followers,
    /// These, and the outside world by the outbox.
    World,
}

impl<'a> Change<'a> {
    pub(crate) async fn begin(database: &Database, origin: &'a Origin) -> Result<Self, Error> {
        Ok(Self { transaction: database.begin().await?, origin, facts: Vec::new() })
    }

    /// Where the change writes.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Who makes it.
    pub(crate) fn origin(&self) -> &'a Origin {
        self.origin
    }

    /// Notes what was done.
    pub(crate) fn tell(&mut self, fact: Fact, audience: Audience) {
        self.facts.push((fact, audience));
    }

    /// Makes it so.
    ///
    /// Events come last: whoever writes one waits for its turn among all writers, and who waits there while
    /// another one needs its rows would never be served.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        for (fact, audience) in &self.facts {
            let entry = NewEntry {
                action: fact.name.to_owned(),
                subject: fact.subject.clone(),
                details: fact.details.clone(),
            };
            audit::insert(&mut self.transaction, &entry, self.origin).await?;
            if *audience == Audience::World {
                let event = NewEvent {
                    event: fact.name.to_owned(),
                    payload: fact.details.clone(),
                    request_id: self.origin.request_id.clone(),
                };
                outbox::insert(&mut self.transaction, &event).await?;
            }
        }
        for (fact, _) in &self.facts {
            events::insert(&mut self.transaction, fact, self.origin).await?;
        }
        self.transaction.commit().await?;
        Ok(())
    }
}
