//! The compose file as `up` understands it: read by PyYAML, filled with variables, and refused where it asks for more.

mod forms;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::forms::{Condition, Dependencies, Pairs, Scalar, SecretUse, Words};
use super::variables::Variables;
use crate::{context::Context, process::ProcessError};

/// Reads YAML on standard input and writes it as JSON; exit 2 is a fault in the text, 3 a Python without PyYAML.
const READ: &str = "\
import json, sys
try:
    import yaml
except ImportError:
    sys.exit(3)
try:
    document = yaml.safe_load(sys.stdin)
except yaml.YAMLError as error:
    print(' '.join(str(error).split()), file=sys.stderr)
    sys.exit(2)
json.dump(document, sys.stdout, default=str)
";
/// The one on `PATH` may not be the one that the distribution's packages belong to.
const PYTHONS: &[&str] = &["python3", "/usr/bin/python3"];
const NO_YAML: i32 = 3;
/// Signs that a shell would do something with.
const SHELL: [char; 7] = ['"', '\'', '\\', '|', '>', '&', ';'];

/// A reader of YAML is missing, which `--setup` gets.
#[derive(Debug)]
pub(crate) struct NoReader;

impl fmt::Display for NoReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no Python with PyYAML, which reads the compose file; try: cargo xtask up --setup")
    }
}

impl std::error::Error for NoReader {}

/// A compose file, or several on top of each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Option<String>,
    #[serde(rename = "version")]
    _version: Option<Value>,
    pub(super) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, Option<BTreeMap<String, Value>>>,
    /// What only `up` reads.
    #[serde(default, rename = "x-up")]
    pub(super) own: Own,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    /// A command that runs before everything else, such as one that makes the secrets.
    #[serde(default)]
    pub(super) prepare: Vec<String>,
    /// Lines for the end; `{SERVICE}` is the name of a service's container.
    #[serde(default)]
    pub(super) ready: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) file: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) image: Option<String>,
    pub(super) build: Option<Build>,
    #[serde(default)]
    pub(super) command: Words,
    #[serde(default)]
    pub(super) entrypoint: Option<Words>,
    #[serde(default)]
    pub(super) environment: Pairs,
    #[serde(default)]
    pub(super) labels: Pairs,
    #[serde(default)]
    pub(super) secrets: Vec<SecretUse>,
    #[serde(default)]
    pub(super) volumes: Vec<String>,
    #[serde(default)]
    pub(super) tmpfs: Words,
    #[serde(default)]
    pub(super) ports: Vec<Scalar>,
    #[serde(default)]
    pub(super) depends_on: Dependencies,
    pub(super) healthcheck: Option<HealthCheck>,
    pub(super) restart: Option<String>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) init: bool,
    #[serde(default)]
    pub(super) cap_drop: Vec<String>,
    #[serde(default)]
    pub(super) cap_add: Vec<String>,
    #[serde(default)]
    pub(super) security_opt: Vec<String>,
    #[serde(default)]
    pub(super) extra_hosts: Vec<String>,
    pub(super) user: Option<Scalar>,
    pub(super) working_dir: Option<String>,
    pub(super) stop_signal: Option<String>,
    pub(super) stop_grace_period: Option<String>,
    pub(super) mem_limit: Option<Scalar>,
    pub(super) cpus: Option<Scalar>,
    pub(super) pids_limit: Option<Scalar>,
    pub(super) shm_size: Option<Scalar>,
    /// How many containers, where `--scale` says nothing.
    pub(super) scale: Option<u32>,
    /// Whether the image was named by a variable: somebody's choice, which no build replaces.
    #[serde(skip)]
    pub(super) chosen: bool,
    /// The variable that a published port comes from.
    #[serde(skip)]
    pub(super) port_variable: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    #[serde(default = "here")]
    pub(super) context: String,
    pub(super) dockerfile: Option<String>,
    pub(super) target: Option<String>,
    #[serde(default)]
    pub(super) args: Pairs,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthCheck {
    test: Option<Words>,
    pub(super) interval: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) start_period: Option<String>,
    pub(super) retries: Option<u32>,
    #[serde(default)]
    disable: bool,
}

impl File {
    /// Reads the files, each on top of those before it, and puts the variables in place.
    ///
    /// # Errors
    /// [`NoReader`] where nothing here reads YAML; else a fault in the files.
    pub(super) fn read(cx: &Context, paths: &[PathBuf], variables: &mut Variables) -> anyhow::Result<Self> {
        let mut whole = Value::Object(serde_json::Map::new());
        for path in paths {
            let shown = cx.shown(path);
            let document = json(cx, path, &shown)?;
            merge(&mut whole, without_extensions(document));
        }
        let names: Vec<String> = paths.iter().map(|it| cx.shown(it)).collect();
        Self::of(whole, variables).with_context(|| names.join(", "))
    }

    fn of(mut whole: Value, variables: &mut Variables) -> anyhow::Result<Self> {
        let raw = whole.clone();
        variables.fill(&mut whole)?;
        let services = whole.get_mut("services").map(Value::take).unwrap_or_default();
        whole["services"] = Value::Object(serde_json::Map::new());
        let mut file: Self = serde_json::from_value(whole).map_err(understood)?;
        let services = match services {
            Value::Object(services) if !services.is_empty() => services,
            _ => bail!("it has no `services`"),
        };
        for (name, value) in services {
            let mut default = raw["services"][&name]["image"].clone();
            let chosen = Variables::default().fill(&mut default).is_err() || default != value["image"];
            let port_variable = variable_of(&raw["services"][&name]["ports"]);
            let service: Service = serde_json::from_value(value)
                .map_err(understood)
                .with_context(|| format!("service `{name}`"))?;
            file.services.insert(name, Service { chosen, port_variable, ..service });
        }
        file.check()?;
        Ok(file)
    }

    /// What no type can say: everything that is named must be there.
    fn check(&self) -> anyhow::Result<()> {
        for (name, service) in &self.services {
            if service.image.is_none() && service.build.is_none() {
                bail!("service `{name}` has neither `image` nor `build`");
            }
            let words = service.entrypoint.iter().chain([&service.command]);
            if let Some(text) = words.filter_map(|it| it.text.as_ref()).find(|it| it.contains(SHELL)) {
                bail!("service `{name}` runs `{text}`; write it as a list of words");
            }
            for secret in &service.secrets {
                if !self.secrets.contains_key(&secret.source) {
                    bail!("service `{name}` uses the secret `{}`, which is not declared", secret.source);
                }
            }
            if let Some(other) = service.depends_on.0.keys().find(|it| !self.services.contains_key(*it)) {
                bail!("service `{name}` depends on `{other}`, which is no service of the file");
            }
        }
        self.in_order().map(drop)
    }

    /// The services, each after those that it depends on.
    ///
    /// # Errors
    /// When services wait for each other.
    pub(super) fn in_order(&self) -> anyhow::Result<Vec<&str>> {
        let mut ordered: Vec<&str> = Vec::new();
        while ordered.len() < self.services.len() {
            let waiting = self.services.iter().filter(|(name, _)| !ordered.contains(&name.as_str()));
            let next = waiting
                .clone()
                .find(|(_, it)| it.depends_on.0.keys().all(|needed| ordered.contains(&needed.as_str())));
            let Some((next, _)) = next else {
                let names: Vec<&str> = waiting.map(|(name, _)| name.as_str()).collect();
                bail!("`depends_on` goes in a circle: {}", names.join(", "));
            };
            ordered.push(next);
        }
        Ok(ordered)
    }

    /// Whether a service runs to its end before those that depend on it start.
    pub(super) fn is_job(&self, name: &str) -> bool {
        let waits = |it: &Service| it.depends_on.0.get(name) == Some(&Condition::Completed);
        self.services.values().any(waits)
    }
}

impl HealthCheck {
    /// As podman is told it; nothing where the check is the image's own.
    ///
    /// podman takes a list that begins with `CMD` for one word; it reads `CMD` and words, or a list without `CMD`.
    pub(super) fn command(&self) -> Option<String> {
        if self.disable {
            return Some("none".into());
        }
        let test = self.test.as_ref()?;
        Some(match (&test.text, test.list.split_first()) {
            (Some(text), _) => serde_json::json!(["CMD-SHELL", text]).to_string(),
            (None, Some((keyword, words))) if keyword == "CMD" => {
                let whole = words.len() > 1 && words.iter().any(|it| it.contains(char::is_whitespace));
                if whole { serde_json::json!(words).to_string() } else { test.list.join(" ") }
            }
            (None, Some((keyword, _))) if keyword == "CMD-SHELL" => serde_json::json!(test.list).to_string(),
            (None, _) => "none".into(),
        })
    }
}

fn here() -> String {
    ".".into()
}

/// The file as JSON.
fn json(cx: &Context, path: &Path, shown: &str) -> anyhow::Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("cannot read `{shown}`"))?;
    for python in PYTHONS {
        let asked = cx.process(python).args(["-c", READ]).input(text.clone()).run();
        match asked {
            Ok(asked) if asked.success() => {
                return serde_json::from_str(&asked.stdout).with_context(|| format!("cannot read `{shown}`"));
            }
            Ok(asked) if asked.code() == NO_YAML => {}
            Err(ProcessError::NotFound { .. }) => {}
            Ok(asked) => bail!("{shown} is no YAML: {}", asked.stderr.trim()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(NoReader.into())
}

/// Anchors for reuse and other programs' settings are named `x-…`.
fn without_extensions(mut document: Value) -> Value {
    if let Value::Object(entries) = &mut document {
        entries.retain(|name, _| !name.starts_with("x-") || name == "x-up");
        if let Some(Value::Object(services)) = entries.get_mut("services") {
            for service in services.values_mut().filter_map(Value::as_object_mut) {
                service.retain(|name, _| !name.starts_with("x-"));
            }
        }
    }
    document
}

/// The second document over the first: tables grow together, lists too, everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

fn understood(error: serde_json::Error) -> anyhow::Error {
    anyhow::anyhow!("`up` cannot use it: {error}")
}

/// The first variable that a list of ports names.
fn variable_of(ports: &Value) -> Option<String> {
    let texts = ports.as_array()?.iter().filter_map(Value::as_str);
    let (_, name) = texts.filter_map(|it| it.split_once("${")).next()?;
    Some(name.chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect())
}
