//! The whole stack from the built images: everything starts, turns healthy, notices what it loses, and stops on TERM.

use std::{collections::BTreeSet, fs::File, io::Read as _, time::Duration};

use anyhow::Context as _;

use super::{
    build::Image,
    containerfile::FILE,
    containers::{Container, Containers, Health, Started},
    relay::Relay,
};
use crate::{
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::Log,
    scratch::Scratch,
    services::{Kind, Role, Service},
    steps::migrations,
};

/// How long a job may take to its end, and a service to turn healthy after its start.
const JOB_TIME: Duration = Duration::from_secs(120);
const READY_TIME: Duration = Duration::from_secs(30);
/// How long a service may take to notice that what it needs is gone, or is back.
const NOTICE_TIME: Duration = Duration::from_secs(20);
/// How long a service may take to stop: its own grace of 10 s, and some more.
const STOP_TIME: Duration = Duration::from_secs(15);

/// A database for the stack, on the run's scratch server, behind a relay.
struct Database {
    // In the order in which they are dropped: the way to the server before the server.
    relay: Relay,
    scratch: Scratch,
    name: String,
}

/// What runs, and what was found.
struct Stack<'a> {
    cx: &'a Context,
    containers: Containers<'a>,
    database: Option<Database>,
    /// What services have for the secrets that they share.
    secret: String,
    running: Vec<(&'a Image, Container)>,
    /// The services that are judged; the others are started because those need them.
    due: &'a BTreeSet<String>,
    findings: Vec<Finding>,
}

/// The named services and those that they cannot be started without: what they forward to, and where a database is in
/// play the jobs that prepare it.
pub(super) fn with<'s>(
    services: impl Iterator<Item = &'s Service> + Clone,
    names: impl IntoIterator<Item = &'s str>,
) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<String> = names.into_iter().map(str::to_owned).collect();
    while let Some(name) = waiting.pop() {
        let Some(service) = services.clone().find(|it| it.name == name) else { continue };
        if !found.insert(name) {
            continue;
        }
        waiting.extend(service.manifest.upstream.iter().map(|it| it.service.clone()));
        if service.manifest.database_role.is_some() {
            let jobs = services.clone().filter(|it| it.manifest.kind == Kind::Job);
            waiting.extend(jobs.map(|it| it.name.clone()));
        }
    }
    found
}

/// Starts for real the images that are due, with those that they need, and returns what does not hold.
///
/// # Errors
/// When there is no database to be had, or podman cannot start a container.
pub(super) fn judge(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    images: &[Image],
    due: &BTreeSet<String>,
) -> Result<Vec<Finding>, StepError> {
    let needed = with(images.iter().map(|it| &it.service), due.iter().map(String::as_str));
    let images: Vec<&Image> = images.iter().filter(|it| needed.contains(&it.service.name)).collect();
    let containers = Containers::new(cx, podman, log)?;
    let wanted = images.iter().any(|it| it.service.manifest.database_role.is_some());
    let database = if wanted { Some(Database::start(cx, log)?) } else { None };
    let secret = random()?;
    let findings = Vec::new();
    let mut stack = Stack { cx, containers, database, secret, running: Vec::new(), due, findings };
    if stack.start_all(&images)? {
        stack.without_database()?;
    }
    stack.stop_all()?;
    Ok(stack.findings)
}

impl Database {
    fn start(cx: &Context, log: &Log) -> Result<Self, StepError> {
        let scratch = Scratch::start(cx, log)?;
        let name = format!("images_{}", cx.run_id.replace('-', "_"));
        if !cx.migrations().is_empty() {
            let provision =
                migrations::gate(cx, log, "provision")?.args(["--database", &name, "--ledger-only"]);
            let finished = provision.env("MIGRATION_GATE_SERVER_URL", &scratch.admin_url).log(log).run()?;
            if !finished.success() {
                let lacks = format!("no schema to start the images on: {}", migrations::said(&finished));
                return Err(StepError::environment(lacks, "cargo xtask ci migrations"));
            }
        }
        let relay = Relay::start(&scratch.admin_url).context("no way to the scratch server")?;
        Ok(Self { relay, scratch, name })
    }

    /// The database's address for a role, through the relay.
    fn url(&self, cx: &Context, role: Role) -> String {
        through(&self.scratch.url(&self.name, Some(cx.config.roles.name(role))), self.relay.port)
    }
}

impl<'a> Stack<'a> {
    /// Starts all, in order; false when one does not become what it should.
    fn start_all(&mut self, images: &[&'a Image]) -> Result<bool, StepError> {
        let mut all = true;
        for image in images.iter().copied() {
            let service = &image.service;
            let variables = self.variables(service);
            let container =
                match self.containers.start(&service.name, &image.recorded.reference, &variables)? {
                    Started::Yes(container) => container,
                    Started::No(why) => {
                        let message = format!("the image of `{}` cannot be started: {why}", service.name);
                        self.findings.push(Finding::error("image-not-ready", message).at(FILE, image.line));
                        return Ok(false);
                    }
                };
            let works = match service.manifest.kind {
                Kind::Job => self.job_ends(image, &container)?,
                Kind::Service => self.turns_healthy(image, &container)?,
            };
            if service.manifest.kind == Kind::Service {
                self.running.push((image, container));
            }
            if !works && service.manifest.kind == Kind::Job {
                return Ok(false);
            }
            all &= works;
        }
        Ok(all)
    }

    fn job_ends(&mut self, image: &Image, container: &Container) -> Result<bool, StepError> {
        let ended = self.containers.ends(container, JOB_TIME)?;
        if ended == Some(0) {
            return Ok(true);
        }
        let how = ended.map_or_else(
            || format!("does not end within {} s", JOB_TIME.as_secs()),
            |code| format!("ends with exit code {code}"),
        );
        self.not_ready(image, container, &how)?;
        Ok(false)
    }

    fn turns_healthy(&mut self, image: &Image, container: &Container) -> Result<bool, StepError> {
        if !self.containers.becomes(container, Health::Healthy, READY_TIME)? {
            let how = format!("does not turn healthy within {} s of its start", READY_TIME.as_secs());
            self.not_ready(image, container, &how)?;
            return Ok(false);
        }
        // A health check that always says yes is no check: the service is asked from outside, too.
        let Some(path) = &image.service.manifest.health else { return Ok(true) };
        let status = self.containers.answers(container, path);
        if status == Some(200) {
            return Ok(true);
        }
        let answer = status.map_or_else(|| "nothing".into(), |it| it.to_string());
        self.not_ready(
            image,
            container,
            &format!("says that it is healthy, but `GET {path}` answers {answer}"),
        )?;
        Ok(false)
    }

    /// Takes the database away and gives it back; every service that has one must notice both.
    fn without_database(&mut self) -> Result<(), StepError> {
        let Some(database) = &self.database else { return Ok(()) };
        let running = self.running.clone();
        let due = self.due;
        let with = |it: &&(&Image, Container)| {
            it.0.service.manifest.database_role.is_some() && due.contains(&it.0.service.name)
        };
        database.relay.cut();
        for (image, container) in running.iter().filter(with) {
            if !self.containers.becomes(container, Health::Unhealthy, NOTICE_TIME)? {
                self.not_ready(image, container, "stays healthy without its database")?;
            }
        }
        if let Some(database) = &self.database {
            database.relay.mend();
        }
        for (image, container) in running.iter().filter(with) {
            if !self.containers.becomes(container, Health::Healthy, NOTICE_TIME)? {
                self.not_ready(image, container, "stays unhealthy although its database is back")?;
            }
        }
        Ok(())
    }

    /// Stops all, each before the ones that forward to it, which must notice.
    fn stop_all(&mut self) -> Result<(), StepError> {
        // What never became healthy says nothing by being unhealthy.
        let all_were_healthy = self.findings.is_empty();
        let running = std::mem::take(&mut self.running);
        for (index, (image, container)) in running.iter().enumerate() {
            let ended = self.containers.terminate(container, STOP_TIME)?;
            if ended != Some(0) && self.due.contains(&image.service.name) {
                self.ignores_term(image, ended);
            }
            let forwards = |it: &&(&Image, Container)| {
                let upstream = it.0.service.manifest.upstream.as_ref();
                upstream.is_some_and(|it| it.service == image.service.name)
                    && self.due.contains(&it.0.service.name)
            };
            for (dependent, container) in
                running[index + 1..].iter().filter(forwards).filter(|_| all_were_healthy)
            {
                if !self.containers.becomes(container, Health::Unhealthy, NOTICE_TIME)? {
                    let how = format!("stays healthy without `{}`, which it forwards to", image.service.name);
                    self.not_ready(dependent, container, &how)?;
                }
            }
        }
        Ok(())
    }

    /// What a service needs to know of the others.
    fn variables(&self, service: &Service) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        if let (Some(role), Some(database)) = (service.manifest.database_role, &self.database) {
            variables.push(("DATABASE_URL".to_owned(), database.url(self.cx, role)));
        }
        if let Some(upstream) = &service.manifest.upstream {
            let other = self.running.iter().find(|(image, _)| image.service.name == upstream.service);
            let port = other.map_or(0, |(_, container)| container.port);
            variables.push((upstream.env.clone(), format!("http://127.0.0.1:{port}")));
        }
        variables.extend(service.manifest.secrets.iter().map(|name| (name.clone(), self.secret.clone())));
        variables
    }

    fn not_ready(&mut self, image: &Image, container: &Container, how: &str) -> Result<(), StepError> {
        let words = self.containers.last_words(container)?;
        let words =
            if words.is_empty() { "it wrote nothing".to_owned() } else { format!("it wrote:\n{words}") };
        let message = format!("the image of `{}` {how}; {words}", image.service.name);
        let mut finding = Finding::error("image-not-ready", message.clone()).at(FILE, image.line);
        if message.contains("Read-only file system") {
            finding = finding.fix("write only below a `VOLUME` that the Containerfile declares");
        }
        self.findings.push(finding);
        Ok(())
    }

    fn ignores_term(&mut self, image: &Image, ended: Option<i32>) {
        let how = ended.map_or_else(
            || format!("does not end within {} s of TERM and would be killed", STOP_TIME.as_secs()),
            |code| format!("ends with exit code {code} on TERM"),
        );
        let message = format!(
            "the image of `{}` {how}; what it was doing is lost at every rollout",
            image.service.name
        );
        let fix = "end with exit code 0 on TERM, after requests in flight; a shell as ENTRYPOINT does not pass it on";
        self.findings.push(Finding::error("image-ignores-term", message).at(FILE, image.line).fix(fix));
    }
}

/// 64 hex digits that nobody can guess, for as long as the images are tried.
fn random() -> Result<String, StepError> {
    let mut bytes = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The same address at the relay's port on loopback.
fn through(url: &str, port: u16) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|it| !it.is_empty() && !it.starts_with("host=") && !it.starts_with("port="))
        .collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}://{user}@127.0.0.1:{port}/{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_reach_the_database_through_the_relay() {
        assert_eq!(
            through("postgres://app@localhost/images?host=%2Ftmp%2Fpg&sslmode=disable", 4711),
            "postgres://app@127.0.0.1:4711/images?sslmode=disable"
        );
        assert_eq!(
            through("postgres://app:p@db:5433/images", 4711),
            "postgres://app:p@127.0.0.1:4711/images"
        );
    }
}
