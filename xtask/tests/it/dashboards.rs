//! The dashboards of `.config/grafana` as files: whole, alike, and of one opinion with the alerts. What their queries say
//! about running services is tried by `story`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde_json::Value;

use crate::{
    observability::{items, yaml},
    project::home,
};

/// The schema of the pinned Grafana: one version for all dashboards.
const SCHEMA_VERSION: u64 = 42;
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Alerts whose limit is drawn where their figure is.
const DRAWN: [&str; 6] =
    ["TooManyErrors", "TooSlow", "PoolExhausted", "JobsWaitTooLong", "EventsWaitTooLong", "DeadJobs"];

/// Every dashboard by the name of its file.
fn boards() -> BTreeMap<String, Value> {
    let folder = fs::read_dir(home().join(".config/grafana/dashboards")).unwrap();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    };
    folder.map(|it| read(it.unwrap().path())).collect()
}

/// The panels of a dashboard that show something.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    items(&board["panels"]).iter().filter(|it| it["type"] != "row")
}

/// The alerts that a panel leads to.
fn linked(panel: &Value) -> Vec<&str> {
    let links = items(&panel["links"]).iter().filter_map(|it| it["url"].as_str()?.split_once("search=rule:"));
    links.map(|(_, alert)| alert).collect()
}

/// The alerts by name, each with the number that it compares with.
fn limits() -> BTreeMap<String, f64> {
    let rules = yaml(".config/prometheus/rules.yml");
    let rules = items(&rules["groups"]).iter().flat_map(|it| items(&it["rules"]));
    rules.map(|it| (it["alert"].as_str().unwrap().to_owned(), limit(it["expr"].as_str().unwrap()))).collect()
}

/// More than none is one; as many as there may be is the whole.
fn limit(expression: &str) -> f64 {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let compared =
        words.windows(2).rev().find(|it| [">", "=="].contains(&it[0]) && it[1].parse::<f64>().is_ok());
    match compared.map(|it| it[1].parse().unwrap()) {
        Some(number) if number > 0.0 => number,
        _ => 1.0,
    }
}

/// Where a panel turns red upwards, wherever in it that is said.
fn drawn(panel: &Value) -> Vec<f64> {
    match panel {
        Value::Object(entries) => {
            let red = |it: &&Value| it["color"] == "red" && !it["value"].is_null();
            let own = entries.get("steps").map(items).unwrap_or_default();
            let own = own.iter().filter(red).map(|it| it["value"].as_f64().unwrap());
            own.chain(entries.values().flat_map(drawn)).collect()
        }
        Value::Array(values) => values.iter().flat_map(drawn).collect(),
        _ => Vec::new(),
    }
}

/// The sources that Grafana is given, by `uid`.
fn sources() -> BTreeSet<String> {
    let given = yaml(".config/grafana/provisioning/datasources/slipway.yaml");
    items(&given["datasources"]).iter().filter_map(|it| Some(it["uid"].as_str()?.to_owned())).collect()
}

/// What is wrong with a dashboard, whatever its queries say.
fn faults(board: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if board["schemaVersion"] != SCHEMA_VERSION {
        faults.push(format!("it has schema {}", board["schemaVersion"]));
    }
    let (limits, sources) = (limits(), sources());
    let mut ids = BTreeSet::new();
    for panel in items(&board["panels"]) {
        let title = panel["title"].as_str().unwrap();
        if !ids.insert(panel["id"].as_u64()) {
            faults.push(format!("“{title}”: its id is another one's too"));
        }
        if panel["type"] != "row" {
            faults.extend(panel_faults(panel, &limits).into_iter().map(|it| format!("“{title}”: {it}")));
        }
    }
    let parts = items(&board["annotations"]["list"]).iter().chain(items(&board["templating"]["list"]));
    for part in parts.chain(panels(board)) {
        let uid = part["datasource"]["uid"].as_str().unwrap_or_default();
        if !sources.contains(uid) {
            let name = part["title"].as_str().or(part["name"].as_str()).unwrap();
            faults.push(format!("“{name}”: there is no source `{uid}`"));
        }
    }
    faults.extend(overlaps(board));
    faults
}

fn panel_faults(panel: &Value, limits: &BTreeMap<String, f64>) -> Vec<String> {
    let mut faults = Vec::new();
    if !panel["description"].as_str().unwrap_or_default().ends_with('.') {
        faults.push("it does not say what to do".to_owned());
    }
    let targets = items(&panel["targets"]);
    let letters: BTreeSet<Option<&str>> = targets.iter().map(|it| it["refId"].as_str()).collect();
    if targets.is_empty() || letters.len() != targets.len() {
        faults.push("its queries have no letters of their own".to_owned());
    }
    let alerts = linked(panel);
    faults.extend(
        alerts.iter().filter(|it| !limits.contains_key(**it)).map(|it| format!("there is no alert `{it}`")),
    );
    for red in drawn(panel) {
        if alerts.iter().all(|it| limits.get(*it) != Some(&red)) {
            faults.push(format!("it turns red at {red}, where no alert does that it leads to"));
        }
    }
    faults
}

/// Panels that lie on another one, or over the edge.
fn overlaps(board: &Value) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let lies_on = |panel: &&Value| {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
        let places: Vec<_> = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))).collect();
        places.into_iter().filter(|it| !taken.insert(*it)).count() > 0 || x + w > COLUMNS
    };
    let wrong = items(&board["panels"]).iter().filter(lies_on);
    wrong
        .map(|it| format!("“{}” lies on another one, or over the edge", it["title"].as_str().unwrap()))
        .collect()
}

#[test]
fn every_dashboard_is_whole_and_turns_red_where_the_alerts_do() {
    let boards = boards();
    for (name, board) in &boards {
        assert_eq!(faults(board), [""; 0], "{name}");
    }
    let uids: BTreeSet<&str> = boards.values().filter_map(|it| it["uid"].as_str()).collect();
    assert_eq!(uids.len(), boards.len());
    assert!(uids.len() >= 4, "{uids:?}");
}

#[test]
fn every_alert_has_a_panel_and_its_limit_is_drawn_there() {
    let boards = boards();
    let panels: Vec<&Value> = boards.values().flat_map(panels).collect();
    for (alert, limit) in limits() {
        let leading: Vec<&&Value> = panels.iter().filter(|it| linked(it).contains(&alert.as_str())).collect();
        assert!(!leading.is_empty(), "no panel leads to `{alert}`");
        let is_drawn = leading.iter().any(|it| drawn(it).contains(&limit));
        assert!(is_drawn || !DRAWN.contains(&alert.as_str()), "no panel turns red where `{alert}` is raised");
    }
}

#[test]
fn a_fault_in_a_dashboard_is_told_by_its_panel() {
    let path = home().join(".config/grafana/dashboards/services.json");
    let text = fs::read_to_string(path).unwrap();
    let said = [
        ("\"schemaVersion\": 42", "\"schemaVersion\": 41"),
        ("\"id\": 2,", "\"id\": 1,"),
        ("by request_id.\"", "by request_id\""),
        ("\"value\": 0.05", "\"value\": 0.5"),
        ("rule:NotReady", "rule:Unready"),
        ("\"refId\": \"B\"", "\"refId\": \"A\""),
        ("\"x\": 8, \"y\": 0", "\"x\": 9, \"y\": 0"),
        ("\"x\": 8, \"y\": 6", "\"x\": 7, \"y\": 6"),
        ("\"uid\": \"prometheus\" }, \"query\"", "\"uid\": \"default\" }, \"query\""),
    ]
    .map(|(holds, instead)| {
        assert!(text.contains(holds), "{holds}");
        faults(&serde_json::from_str(&text.replacen(holds, instead, 1)).unwrap()).join("; ")
    });
    insta::assert_snapshot!(said.join("\n"), @r#"
    it has schema 41
    “Ready”: its id is another one's too
    “Failed requests”: it does not say what to do
    “Failed requests”: it turns red at 0.5, where no alert does that it leads to
    “Ready”: there is no alert `Unready`
    “Latency”: its queries have no letters of their own
    “Ready” lies on another one, or over the edge
    “Failed requests” lies on another one, or over the edge
    “service”: there is no source `default`
    "#);
}

#[test]
fn grafana_knows_how_often_figures_come() {
    let sources = yaml(".config/grafana/provisioning/datasources/slipway.yaml");
    let prometheus = items(&sources["datasources"]).iter().find(|it| it["type"] == "prometheus").unwrap();
    let asked = yaml(".config/prometheus/prometheus.yml");
    assert_eq!(prometheus["jsonData"]["timeInterval"], asked["global"]["scrape_interval"]);
}
