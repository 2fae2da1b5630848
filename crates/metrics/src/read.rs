//! Figures that are read at the moment in which they are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::{SERIES_MAX, Value, quotable};

/// One figure that was read: the labels' values, and the figure.
pub type Reading<const N: usize> = ([Value; N], f64);

/// What a figure that is read does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Reads figures when the registry is asked.
pub(crate) struct Collect<const N: usize> {
    pub(crate) name: &'static str,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) labels: [&'static str; N],
    pub(crate) read: Box<dyn Fn() -> Vec<Reading<N>> + Send + Sync>,
}

impl<const N: usize> Collector for Collect<N> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut family = encoder.encode_descriptor(self.name, &format!("{}.", self.help), None, kind)?;
        for (values, figure) in (self.read)().into_iter().take(SERIES_MAX) {
            let mut names = self.labels.into_iter();
            let labels = values.map(|value| (names.next().unwrap_or_default(), quotable(&value)));
            let encoder = family.encode_family(&labels)?;
            match self.kind {
                Kind::Counter => ConstCounter::new(figure).encode(encoder)?,
                Kind::Gauge => ConstGauge::new(figure).encode(encoder)?,
            }
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Collect<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Collect").field("name", &self.name).finish_non_exhaustive()
    }
}
