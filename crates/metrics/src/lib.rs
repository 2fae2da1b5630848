//! Figures of a running service: counters, gauges and histograms whose label sets are bounded, as Prometheus reads them.
//!
//! ```
//! use metrics::{Metrics, buckets};
//!
//! let metrics = Metrics::new();
//! let finished = metrics.counter("slipway_jobs_finished", "Jobs that ended.", ["kind", "outcome"]);
//! let duration = metrics.histogram("slipway_job_duration_seconds", "How long jobs ran.", ["kind"], buckets::WORK_S);
//! finished.inc(["verify_release", "done"]);
//! duration.observe(["verify_release"], std::time::Duration::from_millis(40));
//! assert!(metrics.encode().contains(r#"slipway_jobs_finished_total{kind="verify_release",outcome="done"} 1"#));
//! ```
//!
//! A counter's name is given without `_total`, which the format adds. Registering a name twice gives the same figures.
//! It knows nothing of HTTP: `service` serves what [`Metrics::encode`] says.
//!
//! Invariant: no family ever has more than [`SERIES_MAX`] label sets, whatever clients send. What comes on top is counted
//! under `other` in every label, and shows in `metrics_series_overflow_total`.

pub mod buckets;

mod family;
mod read;

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter as Count;
use prometheus_client::registry::Registry;

pub use family::{Counter, Gauge, Histogram};
pub use read::Reading;

use read::{Collect, Kind};

/// How many label sets one family has at most.
pub const SERIES_MAX: usize = 512;

/// The content type of what [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A fault of the program, told in its log: a figure is no reason to stop.
const REGISTERED: &str = "a metric of this name is registered already";

/// Every figure of a process. Clones are the same figures.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    registry: Mutex<Registry>,
    known: Mutex<BTreeMap<&'static str, Box<dyn Any + Send + Sync>>>,
    overflow: Count,
}

impl Metrics {
    /// No figure yet, but how often a label set had no room.
    pub fn new() -> Self {
        let overflow = Count::default();
        let mut registry = Registry::default();
        let help =
            "Observations counted under `other` because their family has no room for another label set";
        registry.register("metrics_series_overflow", help, overflow.clone());
        Self(Arc::new(Shared { registry: Mutex::new(registry), known: Mutex::default(), overflow }))
    }

    /// A figure that only grows; `name` is without its `_total`.
    pub fn counter<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Counter<N> {
        self.family(name, help, || Counter::new(labels, self.0.overflow.clone()))
    }

    /// A figure that goes up and down.
    pub fn gauge<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Gauge<N> {
        self.family(name, help, || Gauge::new(labels, self.0.overflow.clone()))
    }

    /// How often something took how long; `buckets` are upper bounds in seconds, such as [`buckets::LATENCY_S`].
    pub fn histogram<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Histogram<N> {
        self.family(name, help, || Histogram::new(labels, self.0.overflow.clone(), buckets))
    }

    /// A figure that goes up and down, exists already, and is read whenever it is asked for: the connections of a pool.
    ///
    /// `read` must be quick; it returns the labels' values and the figure. At most [`SERIES_MAX`] are shown.
    pub fn read_gauge<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        read: impl Fn() -> Vec<Reading<N>> + Send + Sync + 'static,
    ) {
        self.collect(Collect { name, help: stated(help), kind: Kind::Gauge, labels, read: Box::new(read) });
    }

    /// As [`Metrics::read_gauge`], for a figure that only grows; `name` is without its `_total`.
    pub fn read_counter<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        read: impl Fn() -> Vec<Reading<N>> + Send + Sync + 'static,
    ) {
        self.collect(Collect { name, help: stated(help), kind: Kind::Counter, labels, read: Box::new(read) });
    }

    /// Everything in the text format of OpenMetrics, [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let encoded = self.registry(|registry| text::encode(&mut text, registry));
        if encoded.is_err() {
            tracing::error!("metrics cannot be encoded");
        }
        text
    }

    fn collect<const N: usize>(&self, collector: Collect<N>) {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(collector.name) {
            return tracing::error!(name = collector.name, "{REGISTERED}; the later one is not shown");
        }
        known.insert(collector.name, Box::new(()));
        self.registry(|registry| registry.register_collector(Box::new(collector)));
    }

    fn registry<T>(&self, act: impl FnOnce(&mut Registry) -> T) -> T {
        act(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn family<F: family::Registered>(&self, name: &'static str, help: &str, new: impl FnOnce() -> F) -> F {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(name).map(|family| family.downcast_ref::<F>()) {
            Some(Some(family)) => return family.clone(),
            Some(None) => {
                tracing::error!(name, "{REGISTERED} with another kind; the later one is not shown");
                return new();
            }
            None => {}
        }
        let family = new();
        known.insert(name, Box::new(family.clone()));
        self.registry(|registry| family.register(registry, name, &stated(help)));
        family
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

/// A sentence as the registry wants it: it ends it itself.
fn stated(help: &str) -> String {
    help.trim_end_matches('.').to_owned()
}

/// A label's value, which most often is known to the program already.
type Value = Cow<'static, str>;

/// A label's value as it may stand between quotes: the registry writes what it is given.
fn quotable(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
