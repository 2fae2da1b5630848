//! What a service is built from: its name, the settings that all services share, and the parts that serve it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use metrics::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::body::Limits;
use crate::figures::Connections;
use crate::health::Readiness;
use crate::layers::Around;
use crate::server::{ConnectionLimits, Server};
use crate::settings::{Bytes, Count, HeadBytes, LogFilter, Milliseconds, Seconds};
use crate::shutdown::{Drained, Shutdown, Stage};
use crate::{admin, layers};

/// How long to wait before asking again for what a service cannot begin without.
const WAIT_STEP: Duration = Duration::from_millis(250);

/// Which service this is. Made by [`about!`](crate::about!).
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The crate's name, in every log line.
    pub name: &'static str,
    /// The crate's version, in every log line.
    pub version: &'static str,
    /// Defaults of shared settings that are this service's own: `("LISTEN", "0.0.0.0:8000")`.
    pub defaults: &'static [(&'static str, &'static str)],
    /// What the command line can ask for besides, as this service's own.
    pub commands: &'static [Subcommand],
}

/// Something that a service's command line can ask for besides serving.
#[derive(Debug, Clone, Copy)]
pub struct Subcommand {
    /// Its first word: `token`.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub what: &'static str,
    /// Does it, given the words after its name.
    pub run: fn(&[String]) -> ExitCode,
}

/// Name and version of the crate in which it stands, and the defaults and subcommands that are its own.
#[macro_export]
macro_rules! about {
    ($defaults:expr) => {
        $crate::about!($defaults, &[])
    };
    ($defaults:expr, $commands:expr) => {
        $crate::About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            defaults: $defaults,
            commands: $commands,
        }
    };
}

crate::settings! {
    /// The settings that every service has.
    pub struct Chassis {
        /// Where it listens.
        pub listen: SocketAddr = "LISTEN";
        /// Where it tells its metrics (`/metrics`) and its health to those who operate it.
        pub admin_listen: SocketAddr = "ADMIN_LISTEN";
        /// What it logs.
        pub log: LogFilter = "LOG", default "info";
        /// How long it still accepts requests after TERM, already unready, so that whoever routes to it can notice.
        pub shutdown_delay: Seconds = "SHUTDOWN_DELAY_S", default "2";
        /// How long after that what is in flight may take to finish.
        pub shutdown_grace: Seconds = "SHUTDOWN_GRACE_S", default "10";
        /// How long a readiness check may take.
        pub ready_timeout: Milliseconds = "READY_TIMEOUT_MS", default "2000";
        /// How many clients may be connected at the same time; one more is answered 503 and closed.
        pub connections_max: Count = "CONNECTIONS_MAX", default "512";
        /// How old a connection may become before it is closed after the answer at hand.
        pub connection_age_max: Seconds = "CONNECTION_AGE_MAX_S", default "3600";
        /// How long a client may take to send a request's head, and how long an idle connection is kept.
        pub request_head_timeout: Seconds = "REQUEST_HEAD_TIMEOUT_S", default "10";
        /// How large a request's head may be: request line and headers.
        pub request_head_max: HeadBytes = "REQUEST_HEAD_MAX_BYTES", default "16384";
        /// How many headers a request may have.
        pub request_headers_max: Count = "REQUEST_HEADERS_MAX", default "100";
        /// How long a client may keep the service waiting for a request's body; each KiB that arrives gives a second back.
        pub request_body_timeout: Seconds = "REQUEST_BODY_TIMEOUT_S", default "10";
        /// How large a request's body may be.
        pub request_body_max: Bytes = "REQUEST_BODY_MAX_BYTES", default "1048576";
        /// How long it may take from a request's head to the head of its answer, whatever it is that takes so long.
        pub request_timeout: Seconds = "REQUEST_TIMEOUT_S", default "60";
        /// How long a client may leave what it is sent unread.
        pub send_timeout: Seconds = "SEND_TIMEOUT_S", default "30";
    }
}

/// What `main` is given beside its configuration.
pub struct Parts {
    /// The settings that every service has.
    pub chassis: Chassis,
    /// What must hold for the service to be ready: add the service's own checks.
    pub readiness: Readiness,
    /// Tells when to stop; keeps what must be finished in flight.
    pub shutdown: Shutdown,
    /// Figures: register the service's own.
    pub metrics: Metrics,
    pub(crate) drained: Drained,
    pub(crate) background: JoinSet<(&'static str, anyhow::Result<()>)>,
}

/// Something that a service cannot begin without, and how long it waits for it.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// What it is: `database`.
    pub what: &'static str,
    /// Where it should be, without anything secret.
    pub place: String,
    /// The setting that says so.
    pub place_setting: &'static str,
    /// The setting that says how long, and what it says.
    pub limit: (&'static str, Duration),
}

impl Awaited {
    fn in_vain(&self) -> String {
        let Self { what, place, place_setting, limit: (setting, limit) } = self;
        let limit_s = limit.as_secs();
        format!(
            "the {what} `{place}` (`{place_setting}`) could not be reached within {limit_s} s (`{setting}`)"
        )
    }
}

impl Chassis {
    pub(crate) fn limits(&self) -> Limits {
        Limits { max_bytes: self.request_body_max.0, patience: self.request_body_timeout.0 }
    }

    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections_max: self.connections_max.0,
            age_max: self.connection_age_max.0,
            head_timeout: self.request_head_timeout.0,
            head_bytes_max: self.request_head_max.0,
            headers_max: self.request_headers_max.0,
            send_timeout: self.send_timeout.0,
        }
    }
}

impl Parts {
    /// Runs `task` beside the server. The drain waits for it: it has to end once [`Shutdown::draining`] resolves.
    /// When it fails, or ends without having been asked to, the service stops with an error.
    pub fn background(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let in_flight = self.shutdown.in_flight();
        self.background.spawn(async move {
            let result = task.await;
            drop(in_flight);
            (name, result)
        });
    }

    /// Waits for something that the service cannot begin without, its database for one: it serves meanwhile, live but
    /// not ready. When `asked` has not succeeded once in time, the service stops with an error that says what it waited for,
    /// where, and why in vain. Later on, its absence is a matter of readiness.
    pub fn wait_for<F, Fut, E>(&mut self, awaited: Awaited, asked: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send,
        E: Into<anyhow::Error> + Send,
    {
        let shutdown = self.shutdown.clone();
        self.background(awaited.what, async move {
            let what = awaited.what;
            let give_up = Instant::now() + awaited.limit.1;
            let mut last = None;
            loop {
                let reason = match tokio::time::timeout_at(give_up, asked()).await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => error.into(),
                    // An attempt that the deadline cut off says less than the one before.
                    Err(_) => last.take().unwrap_or_else(|| anyhow::anyhow!("no answer")),
                };
                if shutdown.is_draining() {
                    return Ok(());
                }
                if Instant::now() + WAIT_STEP >= give_up {
                    return Err(reason.context(awaited.in_vain()));
                }
                if last.is_none() {
                    tracing::warn!(
                        place = awaited.place,
                        reason = format!("{reason:#}"),
                        "waiting for the {what}"
                    );
                }
                last = Some(reason);
                tokio::time::sleep(WAIT_STEP).await;
            }
            if last.is_some() {
                tracing::info!("the {what} is there");
            }
            shutdown.draining().await;
            Ok(())
        });
    }

    /// Serves the router, with everything that every service has around it, until the service has been told to stop
    /// and has finished what was in flight.
    pub async fn serve(mut self, router: Router) -> anyhow::Result<()> {
        let listen = self.chassis.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on `{listen}`; set `LISTEN` to an address that is free")
        })?;
        let address = listener.local_addr().context("the listening socket has no address")?;
        let around = Around::new(self.chassis.limits(), self.chassis.request_timeout.0, &self.metrics);
        let server = Server {
            router: layers::dress(router, self.readiness.clone(), around),
            limits: self.chassis.connection_limits(),
            figures: Connections::new(&self.metrics),
            shutdown: self.shutdown.clone(),
        };
        let (metrics, readiness) = (self.metrics.clone(), self.readiness.clone());
        let admin = admin::open(self.chassis.admin_listen, metrics, readiness).await?;
        tracing::info!(address = %address, admin = %admin, "listening");

        tokio::select! {
            () = server.accept(listener) => {}
            ended = ended_early(&mut self.background, &self.shutdown) => return Err(ended),
        }
        self.drain().await
    }

    async fn drain(mut self) -> anyhow::Result<()> {
        let grace = self.chassis.shutdown_grace.0;
        match tokio::time::timeout(grace, self.drained.wait()).await {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!(grace_s = grace.as_secs(), "cutting off what did not finish in time"),
        }
        while let Some(ended) = self.background.try_join_next() {
            let (name, result) = ended.context("a background task panicked")?;
            result.with_context(|| format!("background task `{name}` failed"))?;
        }
        Ok(())
    }
}

/// Resolves when a background task ends although nobody asked it to.
async fn ended_early(
    background: &mut JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: &Shutdown,
) -> anyhow::Error {
    let Some(ended) = background.join_next().await else {
        return std::future::pending().await;
    };
    match ended {
        Err(panic) => anyhow::Error::new(panic).context("a background task panicked"),
        Ok((name, Err(error))) => error.context(format!("background task `{name}` failed")),
        Ok((name, Ok(()))) => {
            // It may just have been the quickest to notice that the service is to stop.
            if shutdown.stage() == Stage::Draining {
                return std::future::pending().await;
            }
            anyhow::anyhow!("background task `{name}` ended although nothing asked it to")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings as _, describe};

    #[test]
    fn help_says_what_every_service_can_be_told() {
        insta::assert_snapshot!(describe(&[Chassis::TABLE], &[("LISTEN", "0.0.0.0:8099")]), @"
        LISTEN
            Where it listens. (an address and port such as `0.0.0.0:8000`; default `0.0.0.0:8099`)
        ADMIN_LISTEN
            Where it tells its metrics (`/metrics`) and its health to those who operate it. (an address and port such as `0.0.0.0:8000`; required)
        LOG
            What it logs. (a log filter such as `info` or `info,store=debug`; default `info`)
        SHUTDOWN_DELAY_S
            How long it still accepts requests after TERM, already unready, so that whoever routes to it can notice. (a whole number of seconds; default `2`)
        SHUTDOWN_GRACE_S
            How long after that what is in flight may take to finish. (a whole number of seconds; default `10`)
        READY_TIMEOUT_MS
            How long a readiness check may take. (a whole number of milliseconds; default `2000`)
        CONNECTIONS_MAX
            How many clients may be connected at the same time; one more is answered 503 and closed. (a whole number, at least 1; default `512`)
        CONNECTION_AGE_MAX_S
            How old a connection may become before it is closed after the answer at hand. (a whole number of seconds; default `3600`)
        REQUEST_HEAD_TIMEOUT_S
            How long a client may take to send a request's head, and how long an idle connection is kept. (a whole number of seconds; default `10`)
        REQUEST_HEAD_MAX_BYTES
            How large a request's head may be: request line and headers. (a whole number of bytes from 8192 to 1048576; default `16384`)
        REQUEST_HEADERS_MAX
            How many headers a request may have. (a whole number, at least 1; default `100`)
        REQUEST_BODY_TIMEOUT_S
            How long a client may keep the service waiting for a request's body; each KiB that arrives gives a second back. (a whole number of seconds; default `10`)
        REQUEST_BODY_MAX_BYTES
            How large a request's body may be. (a whole number of bytes; default `1048576`)
        REQUEST_TIMEOUT_S
            How long it may take from a request's head to the head of its answer, whatever it is that takes so long. (a whole number of seconds; default `60`)
        SEND_TIMEOUT_S
            How long a client may leave what it is sent unread. (a whole number of seconds; default `30`)
        ");
    }
}
