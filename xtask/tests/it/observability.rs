//! `compose.observability.yaml`: it fits the stack that it lies on, and the files that it mounts fit each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::project::home;

const FILE: &str = "compose.observability.yaml";

/// A file of this workspace in YAML, as the tool reads it.
pub(crate) fn yaml(path: &str) -> Value {
    let read =
        "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout, default=str)";
    // The distribution's own Python has the distribution's PyYAML.
    let output = Command::new("/usr/bin/python3").args(["-c", read]).arg(home().join(path)).output().unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a list holds; nothing where there is none.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn services(file: &str) -> BTreeMap<String, Value> {
    yaml(file)["services"].as_object().unwrap().clone().into_iter().collect()
}

/// The services that only this file has.
fn watchers() -> BTreeMap<String, Value> {
    services(FILE).into_iter().filter(|(_, it)| !it["image"].is_null()).collect()
}

/// The value of `${NAME:-value}`.
fn default(text: &str) -> &str {
    text.strip_prefix("${")
        .and_then(|it| it.split_once(":-"))
        .map_or(text, |(_, it)| it.trim_end_matches('}'))
}

fn texts(value: &Value) -> Vec<&str> {
    items(value).iter().filter_map(Value::as_str).collect()
}

/// What `up` says of a service that is not there: by then it has read the files.
fn refused(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["up", "--observability"]).args(arguments).arg("-C").arg(home()).stdin(Stdio::null());
    let output = command.output().unwrap();
    format!("{} {}", output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).trim())
}

#[test]
fn up_lays_it_on_top_of_either_stack() {
    insta::assert_snapshot!([
        refused(&["graphana"]),
        refused(&["--external", "graphana"]),
        refused(&["--scale", "grafana=2"]),
    ].join("\n"), @"
    2 error: there is no service `graphana`; there are: postgres migrator control gateway proxy loki alloy prometheus grafana tempo worker
    2 error: there is no service `graphana`; there are: migrator control gateway proxy loki alloy prometheus grafana tempo worker
    2 error: `--scale grafana=2`: `grafana` publishes a port of this machine, which only one can have
    ");
}

#[test]
fn podman_compose_lays_it_on_top_too() {
    for below in ["compose.yaml", "compose.external.yaml"] {
        let mut command = Command::new("podman-compose");
        command.args(["--podman-path", "/bin/true", "-f", below, "-f", FILE, "--dry-run", "up", "--detach"]);
        let output = command.current_dir(home()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{text}");
        let created = |service: &str| {
            let named = format!("com.docker.compose.service={service} ");
            text.lines()
                .find(|it| it.contains(&named))
                .unwrap_or_else(|| panic!("{below}: {service}\n{text}"))
                .to_owned()
        };
        for service in watchers().keys() {
            created(service);
        }
        // What the services were told before they are still told.
        let control = created("control");
        for told in ["OTEL_EXPORTER_OTLP_ENDPOINT=http://tempo:4318", "ADMIN_LISTEN=0.0.0.0:9001"] {
            assert!(control.contains(told), "{below}: {told}\n{control}");
        }
    }
}

#[test]
fn every_image_is_pinned_and_every_container_confined() {
    for (name, service) in watchers() {
        let image = default(service["image"].as_str().unwrap());
        let (tagged, digest) = image.split_once("@sha256:").unwrap_or_else(|| panic!("{name}: no digest"));
        let tag = tagged.rsplit_once(':').map_or("", |(_, it)| it);
        assert!(tag.contains('.') && digest.len() == 64, "{name}: {image}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges"], "{name}");
        for limit in ["mem_limit", "cpus", "pids_limit", "restart"] {
            assert!(!service[limit].is_null(), "{name}: no `{limit}`");
        }
    }
}

#[test]
fn what_it_mounts_is_there_and_is_mounted_read_only() {
    let declared = yaml(FILE)["volumes"].as_object().unwrap().clone();
    for (name, service) in watchers() {
        for volume in texts(&service["volumes"]) {
            if let Some(path) = volume.strip_prefix("./") {
                let (path, _) = path.split_once(':').unwrap();
                assert!(home().join(path).is_dir(), "{name}: there is no `{path}`");
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
            } else if !volume.starts_with("${") {
                assert!(declared.contains_key(volume.split_once(':').unwrap().0), "{name}: {volume}");
            }
        }
        for word in texts(&service["command"]) {
            // A configuration that the command names lies in a folder that is mounted there.
            let Some((_, path)) = word.split_once("/etc/") else { continue };
            assert!(home().join(".config").join(path).is_file(), "{name}: {word}");
        }
    }
}

#[test]
fn only_grafana_is_reached_from_this_machine_and_at_a_port_of_its_own() {
    let ports = |services: BTreeMap<String, Value>| -> Vec<(String, String)> {
        let of = |(name, it): (String, Value)| {
            texts(&it["ports"]).into_iter().map(|port| (name.clone(), port.to_owned())).collect::<Vec<_>>()
        };
        services.into_iter().flat_map(of).collect()
    };
    let (own, below) = (ports(services(FILE)), ports(services("compose.yaml")));
    insta::assert_snapshot!(
        own.iter().chain(&below).map(|(name, port)| format!("{name} {port}")).collect::<Vec<_>>().join("\n"),
        @"
    grafana ${GRAFANA_ADDRESS:-127.0.0.1:3000}:3000
    proxy ${PROXY_ADDRESS:-127.0.0.1:8080}:8080
    "
    );
}

#[test]
fn prometheus_asks_every_service_at_its_admin_port() {
    let admin = |service: &Value| {
        let listens = service["environment"]["ADMIN_LISTEN"].as_str()?;
        listens.rsplit_once(':')?.1.parse::<u64>().ok()
    };
    for file in ["compose.yaml", "compose.external.yaml"] {
        let told: BTreeMap<String, u64> =
            services(file).iter().filter_map(|(name, it)| Some((name.clone(), admin(it)?))).collect();
        let config = yaml(".config/prometheus/prometheus.yml");
        let asked = items(&config["scrape_configs"]).iter().map(|job| {
            let found = &job["dns_sd_configs"][0];
            assert_eq!(texts(&found["names"]), [job["job_name"].as_str().unwrap()]);
            (job["job_name"].as_str().unwrap().to_owned(), found["port"].as_u64().unwrap())
        });
        assert_eq!(asked.collect::<BTreeMap<_, _>>(), told, "{file}");
    }
}

#[test]
fn spans_logs_and_questions_go_where_somebody_listens() {
    let listens = |path: &str| yaml(path)["server"]["http_listen_port"].clone();
    let tempo = yaml(".config/tempo/tempo.yaml");
    let spans = tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let services = services(FILE);
    let traced = services.iter().filter(|(_, it)| it["image"].is_null());
    let traced: BTreeSet<&String> = traced.map(|(name, _)| name).collect();
    let told = self::services("compose.yaml");
    let admin = told.iter().filter(|(_, it)| !it["environment"]["ADMIN_LISTEN"].is_null());
    assert_eq!(traced, admin.map(|(name, _)| name).collect());
    for name in traced {
        let endpoint = services[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"].as_str().unwrap();
        assert_eq!(endpoint.replace("http://tempo:", "0.0.0.0:"), spans, "{name}");
    }
    let sources = yaml(".config/grafana/provisioning/datasources/slipway.yaml");
    let asked: Vec<&str> =
        items(&sources["datasources"]).iter().filter_map(|it| it["url"].as_str()).collect();
    let (loki, tempo) = (listens(".config/loki/loki.yaml"), listens(".config/tempo/tempo.yaml"));
    let there =
        ["http://prometheus:9090".to_owned(), format!("http://loki:{loki}"), format!("http://tempo:{tempo}")];
    assert_eq!(asked, there);
    let alloy = fs::read_to_string(home().join(".config/alloy/config.alloy")).unwrap();
    assert!(alloy.contains(&format!("\"{}/loki/api/v1/push\"", there[1])), "{alloy}");
    // Both ask the engine at the socket that is mounted, and know services by the labels that `up` gives them.
    let socket =
        texts(&services["alloy"]["volumes"]).into_iter().find_map(|it| it.split_once("}:")).unwrap().1;
    assert_eq!(alloy.matches(&format!("\"unix://{socket}\"")).count(), alloy.matches("unix://").count());
    let labels = fs::read_to_string(home().join("xtask/src/compose/containers.rs")).unwrap();
    for label in ["service", "project"] {
        assert!(
            alloy.contains(&format!("__meta_docker_container_label_com_docker_compose_{label}")),
            "{alloy}"
        );
        assert!(labels.contains(&format!("com.docker.compose.{label}")), "{label}");
    }
}

#[test]
fn its_settings_are_listed_and_its_secrets_made() {
    let compose = fs::read_to_string(home().join(FILE)).unwrap();
    let example = fs::read_to_string(home().join(".env.observability.example")).unwrap();
    let settings = example.lines().filter_map(|it| it.strip_prefix('#')?.split_once('='));
    let settings: Vec<(&str, &str)> = settings.filter(|(name, _)| !name.contains(' ')).collect();
    for (name, value) in &settings {
        assert!(compose.contains(&format!("${{{name}:-{value}}}")), "{name}");
    }
    let asked = compose.split("${").skip(1).filter_map(|it| Some(it.split_once(":-")?.0));
    for name in asked.filter(|it| !it.ends_with("_IMAGE")) {
        assert!(settings.iter().any(|(known, _)| *known == name), "`{name}` is not in the example");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join(".config/compose/secrets.sh");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::copy(home().join(".config/compose/secrets.sh"), &script).unwrap();
    assert!(Command::new("sh").arg(&script).arg("external").status().unwrap().success());
    for (name, secret) in yaml(FILE)["secrets"].as_object().unwrap() {
        let path = folder.path().join(secret["file"].as_str().unwrap());
        assert!(fs::read_to_string(path).unwrap().len() >= 32, "{name}");
    }
}
