//! `worker jobs`: looking at jobs, and what to do about dead ones.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is answered on the terminal"
)]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Parser, Subcommand};
use service::settings::{DatabaseUrl, Reader, Settings as _};
use store::jobs::{Filter, Job, State};
use store::{Options, Origin, Store};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The subcommand, for the service's command line.
pub(crate) const JOBS: service::Subcommand = service::Subcommand {
    name: "jobs",
    what: "look at jobs, requeue or discard dead ones; `worker jobs --help` says how",
    run,
};

/// How long a statement may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Something asked for is not there, or could not be done.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// The database does not answer.
const ENVIRONMENT: u8 = 3;

service::settings! {
    /// What the subcommand needs of the environment.
    struct Config {
        /// The record, in the login of the app role.
        database: DatabaseUrl = "DATABASE_URL";
    }
}

/// Look at jobs, and decide about those that were given up.
#[derive(Parser)]
#[command(name = "worker jobs", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List jobs, newest first
    List {
        /// Only those that stand there: queued, running, dead or done
        #[arg(long, value_parser = state)]
        state: Option<State>,
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Count jobs by kind
    Count,
    /// Print a job with its payload and what went wrong
    Show { id: Uuid },
    /// Give dead jobs all their attempts back, to be taken at once
    Requeue {
        #[arg(required_unless_present = "all")]
        ids: Vec<Uuid>,
        /// All dead jobs
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// With --all: only those of this kind
        #[arg(long, requires = "all")]
        kind: Option<String>,
        /// Who says so, for the record
        #[arg(long = "as", value_name = "NAME", default_value_t = whoami())]
        actor: String,
    },
    /// Remove dead jobs for good; the audit record keeps what they were
    Discard {
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Who says so, for the record
        #[arg(long = "as", value_name = "NAME", default_value_t = whoami())]
        actor: String,
    },
}

fn run(arguments: &[String]) -> ExitCode {
    let typed = ["worker jobs"].into_iter().chain(arguments.iter().map(String::as_str));
    let arguments = match Arguments::try_parse_from(typed) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a terminal that is gone.
            let _gone = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let mut reader = Reader::from_process(&[]);
    let config = Config::read(&mut reader);
    let config = match reader.finish(config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("worker: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match act(&config, arguments.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error:#}");
            let is_away =
                error.chain().any(|it| matches!(it.downcast_ref(), Some(store::Error::Unavailable(_))));
            ExitCode::from(if is_away { ENVIRONMENT } else { FAILED })
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn act(config: &Config, action: Action) -> anyhow::Result<()> {
    // Nobody waits but who typed it: a statement over many jobs may take its time.
    let patient = Options {
        connections_max: 1,
        statement_timeout: PATIENCE,
        lock_timeout: PATIENCE,
        ..Options::of("slipway-worker-jobs")
    };
    let store = Store::open(config.database.expose(), patient)?;
    let jobs = store.jobs();
    match action {
        Action::List { state, kind, limit } => list(&jobs.list(&Filter { state, kind }, limit).await?),
        Action::Count => {
            println!("{:<24} {:>8} {:>8} {:>8} {:>12}", "kind", "queued", "running", "dead", "oldest (s)");
            for it in jobs.figures().await? {
                let (kind, age) = (it.kind, it.oldest_age_s);
                println!("{kind:<24} {:>8} {:>8} {:>8} {age:>12.0}", it.queued, it.running, it.dead);
            }
        }
        Action::Show { id } => {
            show(&jobs.get(id).await?.with_context(|| format!("there is no job `{id}`"))?)?
        }
        Action::Requeue { mut ids, all, kind, actor } => {
            if all {
                let dead = Filter { state: Some(State::Dead), kind };
                ids = jobs.list(&dead, u32::MAX).await?.iter().map(|job| job.id).collect();
            }
            decide(&store, ids, &actor, Decision::Requeue).await?;
        }
        Action::Discard { ids, actor } => decide(&store, ids, &actor, Decision::Discard).await?,
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Decision {
    Requeue,
    Discard,
}

/// Decides about every job that can be decided about, and fails if one cannot.
async fn decide(store: &Store, ids: Vec<Uuid>, actor: &str, decision: Decision) -> anyhow::Result<()> {
    let (jobs, origin) = (store.jobs(), Origin::of(actor));
    let mut not_dead = Vec::new();
    for id in ids {
        let (done, word) = match decision {
            Decision::Requeue => (jobs.requeue(id, &origin).await?, "requeued"),
            Decision::Discard => (jobs.discard(id, &origin).await?, "discarded"),
        };
        if done {
            println!("{id} {word}");
        } else {
            not_dead.push(format!("`{id}`"));
        }
    }
    if not_dead.is_empty() {
        return Ok(());
    }
    let ids = not_dead.join(", ");
    Err(anyhow!("not dead, so left alone: {ids}; `worker jobs list --state dead` lists those that are"))
}

fn list(jobs: &[Job]) {
    println!("{:<36} {:<20} {:<8} {:>8}  error", "id", "kind", "state", "attempts");
    for job in jobs {
        let (id, kind, state) = (job.id, &job.kind, job.state().name());
        let attempts = format!("{}/{}", job.attempts, job.max_attempts);
        let error = job.last_error.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        println!("{}", format!("{id} {kind:<20} {state:<8} {attempts:>8}  {error}").trim_end());
    }
}

fn show(job: &Job) -> anyhow::Result<()> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    println!("id          {}", job.id);
    println!("kind        {}", job.kind);
    println!("state       {}", job.state().name());
    println!("attempts    {} of {}", job.attempts, job.max_attempts);
    println!("created     {}", job.created_at.format(&Rfc3339)?);
    println!("due         {}", job.run_after.format(&Rfc3339)?);
    if let Some(at) = job.finished_at {
        println!("ended       {}", at.format(&Rfc3339)?);
    }
    println!("holder      {}", text(&job.lease_holder));
    println!("request     {}", text(&job.request_id));
    println!("error       {}", text(&job.last_error));
    println!("payload     {}", serde_json::to_string_pretty(&job.payload)?);
    Ok(())
}

fn state(text: &str) -> Result<State, String> {
    let found = State::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, state)| *state).ok_or_else(|| "expected queued, running, dead or done".to_owned())
}

/// Who is at the terminal, as far as it says.
fn whoami() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok());
    format!("cli/{}", user.filter(|it| !it.is_empty()).unwrap_or_else(|| "unknown".to_owned()))
}
