//! What a service is built from: its name, the settings that all services share, and the parts that serve it.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use metrics::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::body::Limits;
use crate::health::Readiness;
use crate::settings::{Bytes, LogFilter, Milliseconds, Seconds};
use crate::shutdown::{Drained, Shutdown};
use crate::{admin, layers, server};

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
        pub shutdown_delay: Seconds = "SHUTDOWN_DELAY_S", default "0";
        /// How long after that what is in flight may take to finish.
        pub shutdown_grace: Seconds = "SHUTDOWN_GRACE_S", default "10";
        /// How long a readiness check may take.
        pub ready_timeout: Milliseconds = "READY_TIMEOUT_MS", default "2000";
        /// How long a client may take to send a request's head, and how long an idle connection is kept.
        pub request_head_timeout: Seconds = "REQUEST_HEAD_TIMEOUT_S", default "10";
        /// How long a client may keep the service waiting for a request's body; each KiB that arrives gives a second back.
        pub request_body_timeout: Seconds = "REQUEST_BODY_TIMEOUT_S", default "10";
        /// How large a request's body may be.
        pub request_body_max: Bytes = "REQUEST_BODY_MAX_BYTES", default "1048576";
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

impl Chassis {
    pub(crate) fn limits(&self) -> Limits {
        Limits { max_bytes: self.request_body_max.0, patience: self.request_body_timeout.0 }
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

    /// Serves the router, with everything that every service has around it, until the service has been told to stop
    /// and has finished what was in flight.
    pub async fn serve(mut self, router: Router) -> anyhow::Result<()> {
        let listen = self.chassis.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on `{listen}`; set `LISTEN` to an address that is free")
        })?;
        let address = listener.local_addr().context("the listening socket has no address")?;
        let router = layers::dress(router, self.readiness.clone(), self.chassis.limits());
        let (metrics, readiness) = (self.metrics.clone(), self.readiness.clone());
        let admin = admin::open(self.chassis.admin_listen, metrics, readiness).await?;
        tracing::info!(address = %address, admin = %admin, "listening");

        let head_timeout = self.chassis.request_head_timeout.0;
        let accepting = server::accept(listener, router, head_timeout, self.shutdown.clone());
        tokio::select! {
            () = accepting => {}
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
            if shutdown.stage() == crate::shutdown::Stage::Draining {
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
            How long it still accepts requests after TERM, already unready, so that whoever routes to it can notice. (a whole number of seconds; default `0`)
        SHUTDOWN_GRACE_S
            How long after that what is in flight may take to finish. (a whole number of seconds; default `10`)
        READY_TIMEOUT_MS
            How long a readiness check may take. (a whole number of milliseconds; default `2000`)
        REQUEST_HEAD_TIMEOUT_S
            How long a client may take to send a request's head, and how long an idle connection is kept. (a whole number of seconds; default `10`)
        REQUEST_BODY_TIMEOUT_S
            How long a client may keep the service waiting for a request's body; each KiB that arrives gives a second back. (a whole number of seconds; default `10`)
        REQUEST_BODY_MAX_BYTES
            How large a request's body may be. (a whole number of bytes; default `1048576`)
        ");
    }
}
