//! What a server tells of its connections, in Prometheus' terms.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What a client can take too long for.
const WAITED_FOR: [&str; 4] = ["first_byte", "head", "next_request", "write"];

/// A server's own metrics; every clone counts into the same ones.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) open: Gauge<i64, AtomicI64>,
    pub(crate) limit: Gauge<i64, AtomicI64>,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) timed_out: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) panics: Counter,
}

impl Metrics {
    /// Adds a server's metrics to the registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("hello_birthday_connections");
        let metrics = Self::default();
        // What was never counted is told as 0, so that the first one is seen as a growth.
        for what in WAITED_FOR {
            drop(metrics.timed_out.get_or_create(&[("waited_for", what)]));
        }
        registry.register("open", "Connections that are open now", metrics.open.clone());
        registry.register("limit", "Connections that may be open at once", metrics.limit.clone());
        registry.register("accepted", "Connections that were accepted", metrics.accepted.clone());
        registry.register(
            "refused",
            "Connections that were closed at once because their address has too many",
            metrics.refused.clone(),
        );
        registry.register(
            "timed_out",
            "Connections that were closed because the client took too long, by what was waited for",
            metrics.timed_out.clone(),
        );
        registry.register(
            "panics",
            "Connections that ended by a fault of the program",
            metrics.panics.clone(),
        );
        metrics
    }
}
