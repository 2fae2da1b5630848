//! What the gateway counts, beside what every service does.

use service::forward::ForwardError;
use service::metrics::{Counter, Gauge, Metrics};

/// The gateway's own figures; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Figures {
    /// Who was believed and who was not: by `kind` of what was shown, and `outcome`.
    pub(crate) authentications: Counter<2>,
    /// Requests that were not let through, by `policy`.
    pub(crate) limited: Counter<1>,
    /// Requests that got no answer from control, by `reason`.
    upstream_errors: Counter<1>,
    /// How many keys for tokens are known.
    pub(crate) keys: Gauge<0>,
    /// 1 while the file of keys cannot be used and those from before stay.
    pub(crate) keys_stale: Gauge<0>,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let authentications = metrics.counter(
            "gateway_authentications",
            "What clients showed of who they are, and whether it was believed.",
            ["kind", "outcome"],
        );
        let limited =
            metrics.counter("gateway_rate_limited", "Requests that were too many of one client.", ["policy"]);
        let upstream_errors =
            metrics.counter("gateway_upstream_errors", "Requests that control did not answer.", ["reason"]);
        let keys = metrics.gauge("gateway_token_keys", "Keys for clients' tokens that are known.", []);
        let keys_stale = metrics.gauge(
            "gateway_token_keys_stale",
            "1 while the file of keys cannot be used and those from before stay.",
            [],
        );
        Self { authentications, limited, upstream_errors, keys, keys_stale }
    }

    /// Counts that control did not answer. What the client itself broke off is not control's fault.
    pub(crate) fn not_answered(&self, error: &ForwardError) {
        let reason = match error {
            ForwardError::Connect(..) => "unreachable",
            ForwardError::ConnectTimeout(..) | ForwardError::FirstByteTimeout(..) => "timeout",
            ForwardError::Broken(..) | ForwardError::Status(..) => "broken",
            ForwardError::Body(..) | ForwardError::BodyIncomplete(..) => return,
        };
        self.upstream_errors.inc([reason]);
    }
}
