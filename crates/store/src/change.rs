//! A change of the record: what it writes, who did it and who hears of it, all of it or nothing.
//!
//! Walk: [`Change::begin`], then the writes on its connection, then [`Change::tell`] what was done, then
//! [`Change::commit`], which writes the audit entries and, last, the events with what the outbox tells of them.

use crate::audit::{self, NewEntry};
use crate::database::{Connection, Database};
use crate::events::{self, Fact};
use crate::outbox;
use crate::{Error, Origin};

/// A change that is being made. Dropped before it is committed, it leaves nothing.
pub(crate) struct Change<'a> {
    connection: Connection,
    origin: &'a Origin,
    facts: Vec<(Fact, Audience)>,
}

/// Who hears of a fact, besides the audit record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever follows the record's events, and the outside world by the outbox.
    All,
    /// Those who follow, alone: what fails to tell the outside world is not told to it.
    Followers,
}

impl<'a> Change<'a> {
    pub(crate) async fn begin(database: &Database, origin: &'a Origin) -> Result<Self, Error> {
        Ok(Self { connection: database.begin().await?, origin, facts: Vec::new() })
    }

    /// Where the change writes.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Who makes it.
    pub(crate) fn origin(&self) -> &'a Origin {
        self.origin
    }

    /// Notes what was done: everybody hears of it.
    pub(crate) fn tell(&mut self, fact: Fact) {
        self.facts.push((fact, Audience::All));
    }

    /// Notes what was done, for this audience.
    pub(crate) fn tell_to(&mut self, audience: Audience, fact: Fact) {
        self.facts.push((fact, audience));
    }

    /// Makes it so.
    ///
    /// Events come last: whoever writes one waits for its turn among all writers, and who waits there while
    /// another one needs its rows would never be served. What the outbox tells has the event's number, and nobody
    /// waits for its rows.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        for (fact, _) in &self.facts {
            let entry = NewEntry {
                action: fact.kind.name().to_owned(),
                subject: fact.subject.clone(),
                details: fact.details.clone(),
            };
            audit::insert(&mut self.connection, &entry, self.origin).await?;
        }
        for (fact, audience) in &self.facts {
            let id = events::insert(&mut self.connection, fact, self.origin).await?;
            if *audience == Audience::All {
                outbox::tell(&mut self.connection, fact, id, self.origin).await?;
            }
        }
        self.connection.commit().await?;
        Ok(())
    }
}
