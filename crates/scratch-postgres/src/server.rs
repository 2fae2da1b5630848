//! The server itself: the first provider that works, and what it takes to use and to leave it.

use crate::{
    address::Address,
    container,
    database::Database,
    error::{Error, Lack},
    holder::{Action, Holder},
    local,
    options::{Options, Provider},
    session::{Facts, Session},
};

/// A scratch Postgres. Dropping it stops it and removes everything that it started.
#[derive(Debug)]
pub struct Server {
    provider: Provider,
    address: Address,
    facts: Facts,
    passed_over: Vec<Lack>,
    // Before the holder: the session ends while its server still answers.
    session: Session,
    holder: Option<Holder>,
}

/// How a server is ended, in the words of `pg_ctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It lets nobody in and ends when the last client has gone; that is not waited for.
    Smart,
    /// It throws everyone out and writes everything down.
    Fast,
    /// It drops everything, as in a crash; the next start recovers what was committed.
    Immediate,
}

impl Server {
    /// Starts a server through the forced provider, else through the first that works: a given URL, the local
    /// binaries, a container.
    ///
    /// # Errors
    /// [`Error::Environment`] when none works.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let mut lacks = Vec::new();
        for provider in Provider::ALL {
            if options.provider.is_some_and(|only| only != provider) {
                continue;
            }
            match start_with(provider, options).await {
                Ok(server) => {
                    // That nobody gave a URL is no news.
                    lacks.retain(|lack: &Lack| lack.provider != Provider::Url || options.url.is_some());
                    return Ok(Self { passed_over: lacks, ..server });
                }
                Err(lack) => lacks.push(lack),
            }
        }
        Err(Error::Environment(lacks))
    }

    /// The superuser's URL, database `postgres`. Secret when the server was given with a password.
    pub fn admin_url(&self) -> &str {
        self.address.admin()
    }

    /// Another database and role on this server. Roles have no password here.
    pub fn url(&self, database: &str, user: &str) -> String {
        self.address.of(database, user)
    }

    /// The version as Postgres counts it: 150018 is 15.18.
    pub fn version_num(&self) -> u32 {
        self.facts.version_num
    }

    /// Where the server comes from.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The providers that were tried before this one and did not work.
    pub fn passed_over(&self) -> &[Lack] {
        &self.passed_over
    }

    /// Creates an empty database owned by the superuser; `prefix` becomes a part of its name.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub async fn create_database(&self, prefix: &str) -> Result<Database, Error> {
        Database::create(&self.address, &self.session, prefix).await
    }

    /// Ends the server process, as an administrator does. Its data and its addresses stay for [`Server::resume`]. What
    /// was committed is there again also after [`Halt::Immediate`] where `synchronous_commit` was on.
    ///
    /// # Errors
    /// The server is none of the local binaries'.
    pub async fn halt(&self, how: Halt) -> Result<(), Error> {
        self.order(Action::Halt(how), "end").await
    }

    /// Starts the server process on its data again, and waits until it can be used.
    ///
    /// # Errors
    /// It does not start, or is none of the local binaries'.
    pub async fn resume(&self) -> Result<(), Error> {
        self.order(Action::Resume, "start again").await
    }

    /// Stops the server and removes everything that it started; a given server stays.
    ///
    /// # Errors
    /// None at present: what cannot be removed is removed by the next start.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { session, holder, .. } = self;
        drop(session);
        if let Some(holder) = holder {
            holder.stop().await;
        }
        Ok(())
    }

    async fn order(&self, action: Action, doing: &str) -> Result<(), Error> {
        let not_ours = || {
            let reason = format!("cannot {doing} a server that is not this process's own");
            Error::Environment(vec![Lack::new(self.provider, reason, "set `XTASK_POSTGRES=local`")])
        };
        let holder = self.holder.as_ref().ok_or_else(not_ours)?;
        let done = holder.order(action).await.ok_or_else(|| Error::Gone(doing.to_owned()))?;
        done.map_err(|lack| Error::Environment(vec![lack]))
    }
}

async fn start_with(provider: Provider, options: &Options) -> Result<Server, Lack> {
    let (holder, address) = match provider {
        Provider::Url => (None, given(options)?),
        Provider::Local => local::start(options).await.map(|(holder, address)| (Some(holder), address))?,
        Provider::Container => {
            container::start(options).await.map(|(holder, address)| (Some(holder), address))?
        }
    };
    let (session, facts) = Session::open(address.admin().to_owned(), options.run_id.clone())
        .await
        .map_err(|error| unreachable(provider, &address, &error))?;
    suits(provider, &facts, options.major)?;
    if provider == Provider::Url {
        let fix = "drop the databases named `scratch_…` by hand, or give another server";
        session.reap().await.map_err(|error| Lack::new(provider, error.to_string(), fix))?;
    }
    Ok(Server { provider, address, facts, passed_over: Vec::new(), session, holder })
}

fn given(options: &Options) -> Result<Address, Lack> {
    let lack = |reason: &str, fix: &str| Lack::new(Provider::Url, reason, fix);
    let fix = "set it to `postgres://SUPERUSER@HOST:PORT/postgres` of a server that may be used up";
    let url = options.url.as_deref().ok_or_else(|| lack("`XTASK_POSTGRES_URL` is not set", fix))?;
    Address::parse(url).map_err(|reason| lack(&format!("`XTASK_POSTGRES_URL` is no address: {reason}"), fix))
}

fn unreachable(provider: Provider, address: &Address, error: &sqlx::Error) -> Lack {
    let reason = match error {
        sqlx::Error::PoolTimedOut => "it does not answer".to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    };
    let fix = match provider {
        Provider::Url => "start that server, or unset `XTASK_POSTGRES_URL`",
        Provider::Local | Provider::Container => "try again, or force another provider with `XTASK_POSTGRES`",
    };
    Lack::new(provider, format!("cannot connect to `{address}`: {reason}"), fix)
}

/// The gate's verdict depends on the major version, and on event triggers, which are a superuser's.
fn suits(provider: Provider, facts: &Facts, major: u32) -> Result<(), Lack> {
    if facts.version_num / 10_000 != major {
        return Err(Lack::new(
            provider,
            format!("the server is PostgreSQL {}, not {major}", facts.version),
            format!("give one of {major}, or set `XTASK_POSTGRES_MAJOR`"),
        ));
    }
    if facts.superuser {
        return Ok(());
    }
    let missing: Vec<&str> = [("CREATEDB", facts.create_database), ("CREATEROLE", facts.create_role)]
        .iter()
        .filter_map(|(name, has)| (!has).then_some(*name))
        .collect();
    let also =
        if missing.is_empty() { String::new() } else { format!(" and lacks {}", missing.join(" and ")) };
    Err(Lack::new(
        provider,
        format!("role `{}` is not a superuser{also}", facts.role),
        format!("name a superuser in `XTASK_POSTGRES_URL`, or run `ALTER ROLE \"{}\" SUPERUSER`", facts.role),
    ))
}
