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

#[test]
fn every_panel_says_what_it_shows_and_asks_a_source_that_there_is() {
    let sources = yaml(".config/grafana/provisioning/datasources/slipway.yaml");
    let sources: BTreeSet<&str> =
        items(&sources["datasources"]).iter().filter_map(|it| it["uid"].as_str()).collect();
    let mut uids = BTreeSet::new();
    for (name, board) in boards() {
        assert_eq!(board["schemaVersion"], SCHEMA_VERSION, "{name}");
        assert!(
            uids.insert(board["uid"].as_str().unwrap().to_owned()),
            "{name}: its `uid` is another one's too"
        );
        let mut ids = BTreeSet::new();
        for panel in items(&board["panels"]) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {}", panel["id"]);
        }
        for panel in panels(&board) {
            let place = format!("{name}: {}", panel["title"]);
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{place} has no description");
            assert!(!items(&panel["targets"]).is_empty(), "{place} asks nothing");
            let letters: BTreeSet<&str> =
                items(&panel["targets"]).iter().filter_map(|it| it["refId"].as_str()).collect();
            assert_eq!(letters.len(), items(&panel["targets"]).len(), "{place}: `refId` twice");
        }
        let asked = items(&board["panels"]).iter().chain(items(&board["annotations"]["list"]));
        let asked = asked.chain(items(&board["templating"]["list"])).filter(|it| it["type"] != "row");
        for part in asked {
            let uid = part["datasource"]["uid"].as_str().unwrap_or_default();
            assert!(sources.contains(uid), "{name}: `{uid}` of {} is no source", part["title"]);
        }
    }
    assert!(uids.len() >= 4);
}

#[test]
fn no_panel_lies_on_another() {
    for (name, board) in boards() {
        let mut taken: BTreeMap<(u64, u64), &Value> = BTreeMap::new();
        for panel in items(&board["panels"]) {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
            assert!(x + w <= 24, "{name}: {} is too wide", panel["title"]);
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                let other = taken.insert(place, &panel["title"]);
                assert!(other.is_none(), "{name}: {} lies on {other:?}", panel["title"]);
            }
        }
    }
}

#[test]
fn panels_turn_red_where_the_alerts_do_and_every_alert_has_a_panel() {
    let (limits, boards) = (limits(), boards());
    let mut shown: BTreeMap<&str, bool> = BTreeMap::new();
    for (name, board) in &boards {
        for panel in panels(board) {
            let (alerts, reds) = (linked(panel), drawn(panel));
            for alert in &alerts {
                assert!(
                    limits.contains_key(*alert),
                    "{name}: {} leads to no alert `{alert}`",
                    panel["title"]
                );
                let drawn = reds.iter().any(|red| *red == limits[*alert]);
                *shown.entry(*alert).or_default() |= drawn;
            }
            let unknown = reds.iter().find(|red| alerts.iter().all(|it| limits[*it] != **red));
            assert_eq!(unknown, None, "{name}: {} turns red where no alert does", panel["title"]);
        }
    }
    let without: Vec<&String> = limits.keys().filter(|it| !shown.contains_key(it.as_str())).collect();
    assert!(without.is_empty(), "no panel leads to {without:?}");
    for alert in DRAWN {
        assert!(shown[alert], "no panel turns red where `{alert}` is raised");
    }
}

#[test]
fn grafana_knows_how_often_figures_come() {
    let sources = yaml(".config/grafana/provisioning/datasources/slipway.yaml");
    let prometheus = items(&sources["datasources"]).iter().find(|it| it["type"] == "prometheus").unwrap();
    let asked = yaml(".config/prometheus/prometheus.yml");
    assert_eq!(prometheus["jsonData"]["timeInterval"], asked["global"]["scrape_interval"]);
}
