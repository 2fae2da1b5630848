//! What a compose file asks podman for: the arguments of each container, and a mark by which a later `up` knows it.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context as _, bail};

use super::{
    Stack,
    file::{Scalar, Service},
    variables::Variables,
};
use crate::{context::Context, verdict::hashed};

/// The checkout that a container, network or volume belongs to: the path of its root.
pub(super) const STACK_LABEL: &str = "dev.slipway.stack";
/// What a container was made of.
pub(super) const MARK_LABEL: &str = "dev.slipway.stack.mark";
/// The place in the order of starting; stopping goes the other way.
pub(super) const ORDER_LABEL: &str = "dev.slipway.stack.order";
/// As other tools for compose files name the same.
pub(super) const PROJECT_LABEL: &str = "io.podman.compose.project";
pub(super) const SERVICE_LABEL: &str = "com.docker.compose.service";
pub(super) const FOLDER_LABEL: &str = "com.docker.compose.project.working_dir";

/// A container as the file asks for it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// All that `podman create` is told before the image.
    arguments: Vec<String>,
    /// Limits, which not every host can hold.
    limits: Vec<String>,
    /// Values of variables, which go by the environment and never by the arguments.
    pub(super) environment: Vec<(String, String)>,
    /// All that stands behind the image.
    command: Vec<String>,
    /// Files that it mounts, each with what tells whether it changed.
    stamps: Vec<String>,
}

/// Whether a container's limits are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    Kept,
    /// This host cannot hold them.
    Dropped,
}

impl Wanted {
    /// Container `number` of a service.
    ///
    /// # Errors
    /// When a file that it mounts is not there, or the service asks for what podman cannot be told.
    pub(super) fn of(
        cx: &Context,
        stack: &Stack,
        name: &str,
        number: u32,
        variables: &mut Variables,
    ) -> anyhow::Result<Self> {
        let service = &stack.file.services[name];
        let mut wanted = Self {
            name: stack.container(name, number),
            arguments: vec![format!("--network={}", stack.network()), format!("--network-alias={name}")],
            limits: limits(service),
            environment: environment(service, variables),
            command: service.command.list.clone(),
            stamps: Vec::new(),
        };
        wanted.labels(cx, stack, name, number);
        wanted.confinement(service);
        wanted.mounts(cx, stack, service)?;
        wanted.health(service);
        if let Some(entrypoint) = &service.entrypoint {
            wanted.arguments.push(format!("--entrypoint={}", serde_json::json!(entrypoint.list)));
        }
        Ok(wanted)
    }

    /// The arguments of `podman`, for an image.
    pub(super) fn create(&self, image: &str, mark: &str, limits: Limits) -> Vec<String> {
        // The host's proxies, which may hold a password, are for the host; whoever needs one is told so by the file.
        let mut arguments = vec![
            "create".into(),
            "--http-proxy=false".into(),
            format!("--name={}", self.name),
            format!("--label={MARK_LABEL}={mark}"),
        ];
        arguments.extend(self.arguments.iter().cloned());
        if limits == Limits::Kept {
            arguments.extend(self.limits.iter().cloned());
        }
        arguments.extend(self.environment.iter().map(|(name, _)| format!("--env={name}")));
        arguments.push(image.into());
        arguments.extend(self.command.iter().cloned());
        arguments
    }

    /// Names all that the container is made of: another mark, another container.
    pub(super) fn mark(&self, image_id: &str) -> String {
        let values = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let parts: Vec<String> = [image_id.to_owned()]
            .into_iter()
            .chain(self.arguments.iter().chain(&self.limits).chain(&self.command).cloned())
            .chain(values)
            .chain(self.stamps.iter().cloned())
            .collect();
        hashed(parts.iter().map(String::as_str))
    }

    pub(super) fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    fn labels(&mut self, cx: &Context, stack: &Stack, name: &str, number: u32) {
        let order = stack.order.iter().position(|it| it == name).unwrap_or_default();
        let root = cx.root.display().to_string();
        let project = &stack.project;
        let own = [
            (STACK_LABEL, root.clone()),
            (ORDER_LABEL, order.to_string()),
            (PROJECT_LABEL, project.clone()),
            ("com.docker.compose.project", project.clone()),
            (FOLDER_LABEL, root),
            (SERVICE_LABEL, name.to_owned()),
            ("com.docker.compose.container-number", number.to_string()),
        ];
        self.arguments.extend(own.iter().map(|(label, value)| format!("--label={label}={value}")));
        for (label, value) in &stack.file.services[name].labels.0 {
            self.arguments.push(format!("--label={label}={}", value.as_deref().unwrap_or_default()));
        }
    }

    fn confinement(&mut self, service: &Service) {
        let mut add = |argument: String| self.arguments.push(argument);
        if service.read_only {
            // As Docker does it: what is to be writable is said in `tmpfs` and `volumes`.
            add("--read-only".into());
            add("--read-only-tmpfs=false".into());
        }
        if service.init {
            add("--init".into());
        }
        service.cap_drop.iter().for_each(|it| add(format!("--cap-drop={it}")));
        service.cap_add.iter().for_each(|it| add(format!("--cap-add={it}")));
        // podman knows the older spelling only.
        service.security_opt.iter().for_each(|it| add(format!("--security-opt={}", it.replace(":true", ""))));
        service.extra_hosts.iter().for_each(|it| add(format!("--add-host={it}")));
        service.ports.iter().for_each(|Scalar(port)| add(format!("--publish={port}")));
        let told = [
            ("restart", service.restart.as_ref()),
            ("user", service.user.as_ref().map(|it| &it.0)),
            ("workdir", service.working_dir.as_ref()),
            ("stop-signal", service.stop_signal.as_ref()),
            ("shm-size", service.shm_size.as_ref().map(|it| &it.0)),
        ];
        for (option, value) in told {
            value.iter().for_each(|value| add(format!("--{option}={value}")));
        }
        if let Some(seconds) = service.stop_grace_period.as_deref().and_then(seconds) {
            add(format!("--stop-timeout={seconds}"));
        }
    }

    fn mounts(&mut self, cx: &Context, stack: &Stack, service: &Service) -> anyhow::Result<()> {
        for secret in &service.secrets {
            let path = cx.root.join(&stack.file.secrets[&secret.source].file);
            self.mounted(&path).with_context(|| format!("the secret `{}`", secret.source))?;
            self.arguments.push(format!("--volume={}:{}:ro", path.display(), secret.target));
        }
        for volume in &service.volumes {
            let Some((source, rest)) = volume.split_once(':') else {
                self.arguments.push(format!("--volume={volume}"));
                continue;
            };
            if is_of_the_host(source) {
                let path = normal(cx.root.join(source));
                self.mounted(&path)?;
                self.arguments.push(format!("--volume={}:{rest}", path.display()));
            } else if stack.file.volumes.contains_key(source) {
                self.arguments.push(format!("--volume={}:{rest}", stack.volume(source)));
            } else {
                bail!("the volume `{source}` is not declared");
            }
        }
        self.arguments.extend(service.tmpfs.list.iter().map(|it| format!("--tmpfs={it}")));
        Ok(())
    }

    fn health(&mut self, service: &Service) {
        let Some(check) = &service.healthcheck else { return };
        let retries = check.retries.map(|it| it.to_string());
        let told = [
            ("cmd", check.command()),
            ("interval", check.interval.clone()),
            ("timeout", check.timeout.clone()),
            ("start-period", check.start_period.clone()),
            ("retries", retries),
        ];
        let told = told.into_iter().filter_map(|(option, value)| Some((option, value?)));
        self.arguments.extend(told.map(|(option, value)| format!("--health-{option}={value}")));
    }

    /// What services mount of this host and is not there, once each, in the order of the services.
    pub(super) fn lacking(cx: &Context, stack: &Stack) -> Vec<String> {
        let mut lacking: Vec<String> = Vec::new();
        for service in stack.order.iter().map(|it| &stack.file.services[it]) {
            let secrets = service.secrets.iter().map(|it| stack.file.secrets[&it.source].file.as_str());
            let volumes = service.volumes.iter().filter_map(|it| Some(it.split_once(':')?.0));
            let paths = secrets.chain(volumes.filter(|it| is_of_the_host(it)));
            for path in paths.map(|it| normal(cx.root.join(it))).filter(|it| fs::metadata(it).is_err()) {
                let shown = cx.shown(&path);
                if !lacking.contains(&shown) {
                    lacking.push(shown);
                }
            }
        }
        lacking
    }

    /// A file or folder of the host; podman would make a folder where there is none.
    fn mounted(&mut self, path: &PathBuf) -> anyhow::Result<()> {
        let data = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if data.is_file() {
            let (time, nanos) = (data.mtime(), data.mtime_nsec());
            self.stamps.push(format!("{} {} {} {time}.{nanos}", path.display(), data.ino(), data.size()));
        }
        Ok(())
    }
}

fn limits(service: &Service) -> Vec<String> {
    let told = [("memory", &service.mem_limit), ("cpus", &service.cpus), ("pids-limit", &service.pids_limit)];
    let told = told.into_iter().filter_map(|(option, value)| Some((option, value.as_ref()?)));
    told.map(|(option, Scalar(value))| format!("--{option}={}", value.to_lowercase())).collect()
}

/// The service's variables; one without a value comes from the `.env` files or the caller.
fn environment(service: &Service, variables: &mut Variables) -> Vec<(String, String)> {
    let pairs: BTreeMap<_, _> = service
        .environment
        .0
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone().or_else(|| variables.value(name))?)))
        .collect();
    pairs.into_iter().collect()
}

/// Whether a volume is a file or folder of this host, not a volume of podman's.
fn is_of_the_host(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// Whole seconds of `10s` or `1m30s`.
fn seconds(text: &str) -> Option<u64> {
    humantime::parse_duration(text).ok().map(|it| it.as_secs())
}

/// Without `.` in the middle, which would only be seen.
fn normal(path: PathBuf) -> PathBuf {
    path.components().collect()
}
