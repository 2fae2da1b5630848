//! Families: a figure for each label set that occurs, up to a bound.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter as Count;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram as Distribution;
use prometheus_client::registry::Registry;

use crate::{SERIES_MAX, Value, quotable};

/// What stands in every label once a family is full.
const OTHER: &str = "other";

/// A figure that may be set.
type Level = prometheus_client::metrics::gauge::Gauge<f64, AtomicU64>;

type Labels<const N: usize> = [(&'static str, Value); N];

/// A figure that only grows, for each set of label values. Clones are the same figures.
#[derive(Clone, Debug)]
pub struct Counter<const N: usize>(Bounded<N, Count, fn() -> Count>);

/// A figure that goes up and down, for each set of label values. Clones are the same figures.
#[derive(Clone, Debug)]
pub struct Gauge<const N: usize>(Bounded<N, Level, fn() -> Level>);

/// How often something took how long, for each set of label values. Clones are the same figures.
#[derive(Clone, Debug)]
pub struct Histogram<const N: usize>(Bounded<N, Distribution, Buckets>);

/// What can be put into the registry.
pub(crate) trait Registered: Clone + Send + Sync + 'static {
    fn register(&self, registry: &mut Registry, name: &str, help: &str);
}

/// A family that stops growing.
#[derive(Clone)]
struct Bounded<const N: usize, M, C> {
    names: [&'static str; N],
    family: Family<Labels<N>, M, C>,
    series: Arc<AtomicUsize>,
    overflow: Count,
}

/// Makes histograms with these upper bounds.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Distribution> for Buckets {
    fn new_metric(&self) -> Distribution {
        Distribution::new(self.0.iter().copied())
    }
}

impl<const N: usize> Counter<N> {
    pub(crate) fn new(names: [&'static str; N], overflow: Count) -> Self {
        Self(Bounded::new(names, overflow, Count::default))
    }

    /// Adds one.
    pub fn inc(&self, values: [&str; N]) {
        self.add(values, 1);
    }

    /// Adds `more`; 0 makes the series visible, so that its first increase can be seen.
    pub fn add(&self, values: [&str; N], more: u64) {
        self.0.with(values, |count| count.inc_by(more));
    }
}

impl<const N: usize> Gauge<N> {
    pub(crate) fn new(names: [&'static str; N], overflow: Count) -> Self {
        Self(Bounded::new(names, overflow, Level::default))
    }

    /// Sets it.
    pub fn set(&self, values: [&str; N], to: f64) {
        self.0.with(values, |level| level.set(to));
    }

    /// Adds to it, or takes away.
    pub fn add(&self, values: [&str; N], more: f64) {
        self.0.with(values, |level| level.inc_by(more));
    }
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(names: [&'static str; N], overflow: Count, buckets: &'static [f64]) -> Self {
        Self(Bounded::new(names, overflow, Buckets(buckets)))
    }

    /// Notes that it took so long.
    pub fn observe(&self, values: [&str; N], took: Duration) {
        self.0.with(values, |distribution| distribution.observe(took.as_secs_f64()));
    }
}

impl<const N: usize> Registered for Counter<N> {
    fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.family.clone());
    }
}

impl<const N: usize> Registered for Gauge<N> {
    fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.family.clone());
    }
}

impl<const N: usize> Registered for Histogram<N> {
    fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.family.clone());
    }
}

impl<const N: usize, M, C: MetricConstructor<M>> Bounded<N, M, C> {
    fn new(names: [&'static str; N], overflow: Count, constructor: C) -> Self {
        let family = Family::new_with_constructor(constructor);
        Self { names, family, series: Arc::default(), overflow }
    }

    fn with<T>(&self, values: [&str; N], act: impl FnOnce(&M) -> T) -> T {
        let labels = self.labels(values);
        if let Some(known) = self.family.get(&labels) {
            return act(&known);
        }
        // Two threads with the same new labels count it twice: the bound is then met a little early, never late.
        if self.series.fetch_add(1, Ordering::Relaxed) < SERIES_MAX - 1 {
            return act(&self.family.get_or_create(&labels));
        }
        self.series.fetch_sub(1, Ordering::Relaxed);
        self.overflow.inc();
        act(&self.family.get_or_create(&self.labels([OTHER; N])))
    }

    fn labels(&self, values: [&str; N]) -> Labels<N> {
        let mut names = self.names.into_iter();
        values.map(|value| (names.next().unwrap_or_default(), Cow::Owned(quotable(value))))
    }
}

impl<const N: usize, M, C> fmt::Debug for Bounded<N, M, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bounded").field("labels", &self.names).finish_non_exhaustive()
    }
}
