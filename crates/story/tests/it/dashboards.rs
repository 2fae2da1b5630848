//! The dashboards of `.config/grafana`: what they ask, and whether an answer shows anything.

use serde_json::Value;

use crate::home;
use crate::prometheus::{Prometheus, Sample};

/// What Grafana puts in the place of `$__rate_interval`, here where figures come twice a second.
const RATE_INTERVAL: &str = "10s";

/// A dashboard.
#[derive(Clone)]
pub(crate) struct Board {
    /// The name of its file.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// What a part of a dashboard asks.
struct Query {
    /// Dashboard and panel.
    place: String,
    expression: String,
    /// How a series is called, where it is.
    legend: String,
}

/// A template variable: `label_values(METRIC, LABEL)`.
struct Variable {
    name: String,
    metric: String,
    label: String,
}

impl Board {
    pub(crate) fn all() -> Vec<Self> {
        let folder = std::fs::read_dir(home().join(".config/grafana/dashboards")).unwrap();
        let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            text: std::fs::read_to_string(path).unwrap(),
        };
        paths.iter().map(read).collect()
    }

    /// The same with one text in the place of another.
    pub(crate) fn with(&self, holds: &str, instead: &str) -> Self {
        assert!(self.text.contains(holds), "{} does not hold `{holds}`", self.name);
        Self { text: self.text.replacen(holds, instead, 1), ..self.clone() }
    }

    /// Everything in it that shows nothing, with the reason; none in a dashboard that is whole.
    pub(crate) async fn faults(&self, prometheus: &Prometheus) -> Vec<String> {
        let json: Value = serde_json::from_str(&self.text).unwrap();
        let mut faults = Vec::new();
        let mut values = Vec::new();
        for Variable { name, metric, label } in variables(&json) {
            let found = prometheus.values(&metric, &label).await;
            if found.is_empty() {
                faults.push(format!("{}, variable `{name}`: `{metric}` has no `{label}`", self.name));
            }
            values.push((name, found.join("|")));
        }
        for query in self.queries(&json) {
            let filled = filled(&query.expression, &values);
            let why = match prometheus.evaluates(&filled).await {
                Err(error) => Some(error),
                Ok(samples) => nothing_shown(&samples, &query.legend),
            };
            faults.extend(why.map(|why| format!("{}: {why}\n  {filled}", query.place)));
        }
        faults
    }

    /// How much it asks.
    pub(crate) fn questions(&self) -> usize {
        self.queries(&serde_json::from_str(&self.text).unwrap()).len()
    }

    fn queries(&self, json: &Value) -> Vec<Query> {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let mut queries = Vec::new();
        for panel in items(&json["panels"]) {
            let place = format!("{}, panel “{}”", self.name, text(panel, "title"));
            for target in items(&panel["targets"]) {
                let (expression, legend) = (text(target, "expr"), text(target, "legendFormat"));
                queries.push(Query { place: place.clone(), expression, legend });
            }
        }
        for annotation in items(&json["annotations"]["list"]) {
            let place = format!("{}, annotation “{}”", self.name, text(annotation, "name"));
            let legend = text(annotation, "titleFormat");
            queries.push(Query { place, expression: text(&annotation["target"], "expr"), legend });
        }
        queries
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn variables(json: &Value) -> Vec<Variable> {
    let read = |variable: &Value| {
        let query = variable["query"]["query"].as_str()?;
        let (metric, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.split_once(", ")?;
        let name = variable["name"].as_str()?.to_owned();
        Some(Variable { name, metric: metric.to_owned(), label: label.to_owned() })
    };
    let list = items(&json["templating"]["list"]);
    let variables: Vec<Variable> = list.iter().filter_map(read).collect();
    assert_eq!(variables.len(), list.len(), "every variable is `label_values(METRIC, LABEL)`");
    variables
}

/// An expression with all values of each variable, as Grafana asks it when all are selected.
fn filled(expression: &str, values: &[(String, String)]) -> String {
    let all = expression.replace("$__rate_interval", RATE_INTERVAL);
    values.iter().fold(all, |text, (name, values)| text.replace(&format!("${name}"), values))
}

/// Why a panel of these series is empty, or its legend wrong.
fn nothing_shown(samples: &[Sample], legend: &str) -> Option<String> {
    if samples.is_empty() {
        return Some("no data".to_owned());
    }
    if !samples.iter().any(|it| it.value.is_finite()) {
        return Some("no number".to_owned());
    }
    let named = legend.split("{{").skip(1).filter_map(|it| Some(it.split_once("}}")?.0));
    let unknown = named.into_iter().find(|name| samples.iter().any(|it| !it.labels.contains_key(*name)));
    unknown.map(|name| format!("the legend `{legend}` names `{name}`, which is no label of it"))
}
