//! Where queries are tried: a connection as the role that sends them, in transactions that are rolled back.
//!
//! A query is planned without its parameters' values, which is when the server looks at the rights on every table that
//! it could ever touch, and then run with nulls, which is when it looks at sequences, functions, triggers and whatever
//! has no plan. Neither alone sees everything. A last run with plain values reaches what nulls do not: functions that are
//! strict, and the triggers behind a NOT NULL.

mod stage;
mod trial;

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Either, Executor as _, PgConnection, Row as _, SqlSafeStr as _};

pub(crate) use self::trial::{Trial, Trials};
use self::{
    stage::{BACK, END, EXPLAIN, SAVEPOINT, stages, with_nulls},
    trial::{At, several_statements, unset},
};
use crate::{
    error::Error,
    queries::Query,
    refusal::Refusal,
    shape::Shape,
    statements,
    target::{Target, lost, run},
};

/// What a setting that nobody has told may look like: a policy reads it as text, a number or an identifier.
const GUESSES: &[&str] = &["", "0", "00000000-0000-0000-0000-000000000000"];

/// These begin or end transactions, or wait for rows from the client: they would leave the transaction of the trial.
const NOT_TRIED: &[&str] =
    &["abort", "begin", "commit", "copy", "end", "release", "rollback", "savepoint", "start"];

/// How the server plans prepared queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planning {
    /// For any values of the parameters.
    Generic,
    /// As the server likes; nullability of sqlx before 0.9 was described so.
    Custom,
}

/// A connection in which queries are tried.
#[derive(Debug)]
pub(crate) struct Bench {
    connection: PgConnection,
    /// Commands before each query, inside its transaction.
    before: Vec<String>,
    /// Settings that were given a value because nobody has told one.
    pub(crate) guessed: Vec<(String, String)>,
}

/// What came of commands that were sent together.
#[derive(Default)]
struct Sent {
    /// How many the server has carried out.
    done: usize,
    /// What it had against the next one.
    refusal: Option<Refusal>,
    plan: Option<Value>,
}

impl Bench {
    /// A real login as `role`, with `settings` that the project's code makes before it sends queries.
    pub(crate) async fn login(
        target: &Target,
        role: &str,
        settings: &[(String, String)],
        planning: Planning,
    ) -> Result<Self, Error> {
        let connection = target.connect_as(role).await?;
        Self::with(connection, settings, planning).await
    }

    /// A superuser who acts as `role`, and may grant it things for as long as a transaction lasts.
    pub(crate) async fn advisor(
        target: &Target,
        role: &str,
        settings: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut admin = target.admin().await?;
        let own: Vec<String> = sqlx::query_scalar(
            "SELECT unnest(s.setconfig)
             FROM pg_db_role_setting AS s
             WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
               AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = $1))
             ORDER BY s.setrole = 0 DESC, s.setdatabase = 0 DESC",
        )
        .bind(role)
        .fetch_all(&mut admin)
        .await
        .map_err(|error| lost("reading the settings of the role", &error))?;
        let own =
            own.iter().filter_map(|it| it.split_once('=')).map(|(name, value)| (name.into(), value.into()));
        let settings: Vec<(String, String)> = own.chain(settings.iter().cloned()).collect();
        let mut bench = Self::with(admin, &settings, Planning::Generic).await?;
        bench.act_as(role, &[]);
        Ok(bench)
    }

    async fn with(
        connection: PgConnection,
        settings: &[(String, String)],
        planning: Planning,
    ) -> Result<Self, Error> {
        let mut bench = Self { connection, before: Vec::new(), guessed: Vec::new() };
        for (name, value) in settings {
            bench.set(name, value).await?;
        }
        bench.set("statement_timeout", "500ms").await?;
        bench.set("lock_timeout", "500ms").await?;
        if planning == Planning::Generic {
            bench.set("plan_cache_mode", "force_generic_plan").await?;
        }
        Ok(bench)
    }

    /// From now on each query is tried as `role`, who then has what `grants` give.
    pub(crate) fn act_as(&mut self, role: &str, grants: &[String]) {
        let role = format!("SET LOCAL SESSION AUTHORIZATION {}", crate::target::identifier(role));
        self.before = grants.iter().cloned().chain([role]).collect();
    }

    /// The superuser's own connection, for reading catalogs.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(crate) async fn close(self) {
        drop(self.connection.close().await);
    }

    /// Tries `query`. Nothing of it stays.
    ///
    /// # Errors
    /// When the server is lost.
    pub(crate) async fn attempt(&mut self, query: &Query) -> Result<Trial, Error> {
        let mut trial = self.attempt_once(query).await?;
        // A policy that reads a setting of the code's refuses everyone who has not made it.
        while let Some(name) = trial.failure.as_ref().and_then(unset) {
            if self.guessed.iter().any(|(known, _)| *known == name) {
                break;
            }
            for guess in GUESSES {
                self.set(&name, guess).await?;
                trial = self.attempt_once(query).await?;
                if !trial.excused.as_ref().is_some_and(|it| it.sqlstate.starts_with("22")) {
                    self.guessed.push((name.clone(), (*guess).into()));
                    break;
                }
            }
            if self.guessed.last().is_none_or(|(last, _)| *last != name) {
                self.guessed.push((name, GUESSES.last().copied().unwrap_or_default().into()));
            }
        }
        Ok(trial)
    }

    /// What sqlx says of the query now; nothing where the server refuses to describe it.
    pub(crate) async fn describe(&mut self, query: &Query) -> Result<Option<Shape>, Error> {
        let text = AssertSqlSafe(query.text.clone()).into_sql_str();
        match (&mut self.connection).describe(text).await {
            Ok(described) => Ok(serde_json::to_value(&described).ok().as_ref().and_then(Shape::of)),
            Err(error) => refused(error).map(|_| None),
        }
    }

    async fn attempt_once(&mut self, query: &Query) -> Result<Trial, Error> {
        let word = first_word(&query.text);
        if NOT_TRIED.contains(&word.as_str()) {
            return Ok(Trial::default());
        }
        if statements::split(&query.text).len() > 1 {
            return Ok(Trial { failure: Some(several_statements()), ..Trial::default() });
        }
        let types: Vec<&str> = query.shape.parameters.iter().map(|it| it.name.as_str()).collect();
        let mut tried = self.prepare_and_run(query, &types).await?;
        if tried.as_ref().is_err_and(|it| it.sqlstate == "42704") && !types.is_empty() {
            // The type has another name for whoever prepared the query; the server knows what it takes.
            tried = self.prepare_and_run(query, &[]).await?.or(tried);
        }
        match tried {
            Ok(trial) => Ok(trial),
            // Only queries and changes of rows can be prepared so; the rest has no plan and is just run.
            Err(refusal) if refusal.sqlstate == "42601" => {
                let query = with_nulls(&query.text);
                let sent = self.send_all(&[self.begun(), vec![query]].concat()).await?;
                self.send("ROLLBACK").await?.map_err(|it| out_of_step(&it))?;
                Ok(Trial::default().after(sent.refusal, At::Later))
            }
            Err(refusal) => Ok(Trial::default().after(Some(refusal), At::Preparing)),
        }
    }

    /// Prepares the query and runs it, all in one transaction and, where nothing is refused, in one message. What the
    /// server has against preparing it is the error.
    async fn prepare_and_run(
        &mut self,
        query: &Query,
        types: &[&str],
    ) -> Result<Result<Trial, Refusal>, Error> {
        let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        let prepare = format!("PREPARE gate_query{types} AS\n{}\n", query.text);
        let mut head = [self.begun(), vec![prepare, SAVEPOINT.to_owned()]].concat();
        let stages = stages(&query.shape.parameters);
        let mut left = &stages[..];
        let mut trial = Trial::default();
        loop {
            let mut commands = head.clone();
            commands.extend(left.iter().flat_map(|it| it.commands.iter().cloned()));
            commands.extend(END.iter().map(|&it| it.to_owned()));
            let sent = self.send_all(&commands).await?;
            trial.plan = trial.plan.or(sent.plan);
            let Some(mut refusal) = sent.refusal else { return Ok(Ok(trial)) };
            if sent.done == 0 {
                // It has read none of it, and quotes all that follows its fault: that must be the query's own.
                refusal = self.send_all(&head).await?.refusal.unwrap_or(refusal);
            }
            let Some(mut done) = sent.done.checked_sub(head.len()) else {
                self.send("ROLLBACK").await?.map_err(|it| out_of_step(&it))?;
                return Ok(Err(refusal));
            };
            while let [stage, rest @ ..] = left
                && done >= stage.commands.len()
            {
                done -= stage.commands.len();
                left = rest;
            }
            let [stage, rest @ ..] = left else { return Err(out_of_step(&refusal)) };
            trial = trial.after(Some(refusal), stage.at);
            left = if trial.failure.is_some() { &[] } else { rest };
            head = vec![BACK.to_owned()];
        }
    }

    fn begun(&self) -> Vec<String> {
        ["BEGIN".to_owned()].into_iter().chain(self.before.iter().cloned()).collect()
    }

    /// Sends commands as one simple query, until one is refused.
    async fn send_all(&mut self, commands: &[String]) -> Result<Sent, Error> {
        let mut sent = Sent::default();
        let sql = AssertSqlSafe(commands.join(";\n"));
        let mut answers = sqlx::raw_sql(sql).fetch_many(&mut self.connection);
        loop {
            match answers.try_next().await {
                Ok(Some(Either::Left(_))) => sent.done += 1,
                Ok(Some(Either::Right(row)))
                    if commands.get(sent.done).is_some_and(|it| it.starts_with(EXPLAIN)) =>
                {
                    let plan = row.try_get_unchecked(0).ok();
                    sent.plan = plan.and_then(|it: &str| serde_json::from_str(it).ok());
                }
                Ok(Some(Either::Right(_))) => {}
                Ok(None) => return Ok(sent),
                Err(error) => {
                    sent.refusal = Some(refused(error)?);
                    return Ok(sent);
                }
            }
        }
    }

    async fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        sqlx::query("SELECT set_config($1, $2, false)")
            .bind(name)
            .bind(value)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| match error {
                sqlx::Error::Database(said) => Error::Configuration(format!(
                    "the setting `{name}` cannot be `{value}`: {}; correct it",
                    said.message()
                )),
                other => lost("making a setting", &other),
            })
    }

    /// Sends `sql` as one simple query.
    async fn send(&mut self, sql: &str) -> Result<Result<(), Refusal>, Error> {
        match run(&mut self.connection, sql.into()).await {
            Ok(()) => Ok(Ok(())),
            Err(error) => refused(error).map(Err),
        }
    }
}

fn refused(error: sqlx::Error) -> Result<Refusal, Error> {
    Refusal::of(error).map_err(|error| lost("trying the queries", &error))
}

fn out_of_step(refusal: &Refusal) -> Error {
    Error::Lost { doing: "rolling a query back".into(), cause: refusal.to_string() }
}

fn first_word(sql: &str) -> String {
    let statement = statements::split(sql).first().map(|it| it.text).unwrap_or_default();
    statement.chars().take_while(|it| it.is_alphabetic()).collect::<String>().to_lowercase()
}
