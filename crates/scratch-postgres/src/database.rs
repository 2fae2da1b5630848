//! A database of its own on a scratch server, gone when it is dropped.

use tokio::sync::OnceCell;

use crate::{address::Address, error::Error, options::Options, server::Server, session::Session};

/// The server of a process whose parent handed none down.
static SERVER: OnceCell<Server> = OnceCell::const_new();

/// A fresh database. Dropping it removes it, together with whoever is still connected.
#[derive(Debug)]
pub struct Database {
    name: String,
    admin_url: String,
    address: Address,
    session: Option<Session>,
}

/// What [`test_database`] gives.
pub type TestDatabase = Database;

/// A fresh database for a test, owned by the superuser, with nothing in it: on the server that `XTASK_POSTGRES_URL`
/// hands down, else on one of this process's own.
///
/// # Panics
/// When there is none, for a test cannot go on without; the message tells what helps.
pub async fn test_database() -> TestDatabase {
    let made = async {
        let server = SERVER.get_or_try_init(|| async { Server::start(&Options::from_env()?).await }).await?;
        server.create_database("test").await
    };
    match made.await {
        Ok(database) => database,
        Err(error) => panic!("{error}"),
    }
}

impl Database {
    pub(crate) async fn create(address: &Address, session: &Session, prefix: &str) -> Result<Self, Error> {
        let name = session.create(prefix).await?;
        let admin_url = address.admin_of(&name);
        Ok(Self { name, admin_url, address: address.clone(), session: Some(session.clone()) })
    }

    /// Its name, unique on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This database as the superuser, who owns it.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// This database as another role, without a password.
    pub fn url(&self, user: &str) -> String {
        self.address.of(&self.name, user)
    }

    /// Removes it now and tells whether that worked.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub async fn drop(mut self) -> Result<(), Error> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let name = std::mem::take(&mut self.name);
        let gone = Error::Gone(format!("drop database `{name}`"));
        tokio::task::spawn_blocking(move || session.drop_database(&name)).await.unwrap_or(Err(gone))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // What cannot be dropped now goes with the server, or with the next run on it.
            drop(session.drop_database(&self.name));
        }
    }
}
