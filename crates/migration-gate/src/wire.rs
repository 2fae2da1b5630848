//! One connection that keeps everything the server says: notices with their SQLSTATE, errors with all their fields.

use std::future::poll_fn;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::DbError, types::ToSql,
};

/// What sqlx asks of every session; it decides how a migration's dates and times are read.
const STARTUP: &[(&str, &str)] =
    &[("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"), ("extra_float_digits", "2")];

/// A connection of one role.
#[derive(Debug)]
pub(crate) struct Wire {
    client: Client,
    notices: mpsc::UnboundedReceiver<DbError>,
    task: JoinHandle<()>,
    /// The server's process behind it.
    pub(crate) process: i32,
}

/// What the server answered to one simple query.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// How many statements the query turned out to hold.
    pub(crate) statements: usize,
    /// The fields of the last row, where there was one.
    pub(crate) row: Vec<String>,
}

impl Wire {
    /// Logs in where `server` is, with the settings of a session of sqlx and with `settings`.
    pub(crate) async fn connect(
        server: &PgConnectOptions,
        password: Option<&[u8]>,
        settings: &[(&str, &str)],
    ) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = config(server, password, settings).connect(NoTls).await?;
        let (said, notices) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut next = poll_fn(|cx| connection.poll_message(cx));
            // Errors reach whoever waits for an answer.
            while let Some(Ok(message)) = (&mut next).await {
                if let AsyncMessage::Notice(notice) = message
                    && said.send(notice).is_err()
                {
                    break;
                }
            }
        });
        let mut wire = Self { client, notices, task, process: 0 };
        let answer = wire.query("SELECT pg_catalog.pg_backend_pid()").await?;
        wire.process = answer.row.first().and_then(|it| it.parse().ok()).unwrap_or_default();
        Ok(wire)
    }

    /// Sends `sql` as one simple query.
    pub(crate) async fn query(&self, sql: &str) -> Result<Answer, tokio_postgres::Error> {
        let mut answer = Answer::default();
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::CommandComplete(_) => answer.statements += 1,
                SimpleQueryMessage::Row(row) => {
                    answer.row = (0..row.len()).map(|it| row.get(it).unwrap_or_default().into()).collect();
                }
                _ => {}
            }
        }
        Ok(answer)
    }

    /// Sends one statement with its parameters, as sqlx sends what it has to say to the ledger.
    pub(crate) async fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), tokio_postgres::Error> {
        self.client.execute(sql, parameters).await.map(drop)
    }

    /// What the server has said, beside its answers, since this was last asked.
    pub(crate) fn heard(&mut self) -> Vec<DbError> {
        let mut heard = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            heard.push(notice);
        }
        heard
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Says goodbye; afterwards the server has nothing of it left but its process, which is ending.
    pub(crate) async fn close(self) {
        drop(self.client);
        drop(self.task.await);
    }
}

/// The same way to the server as sqlx takes.
fn config(server: &PgConnectOptions, password: Option<&[u8]>, settings: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    match server.get_socket() {
        Some(directory) => config.host_path(directory),
        None => config.host(server.get_host()),
    };
    config.port(server.get_port()).user(server.get_username());
    if let Some(database) = server.get_database() {
        config.dbname(database);
    }
    if let Some(password) = password {
        config.password(password);
    }
    if matches!(server.get_ssl_mode(), PgSslMode::Disable) {
        config.ssl_mode(SslMode::Disable);
    }
    let escaped = |value: &str| value.replace('\\', r"\\").replace(' ', r"\ ");
    let options: Vec<String> =
        STARTUP.iter().chain(settings).map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
    config.options(options.join(" "));
    config
}
