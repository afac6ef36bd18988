//! What is counted of PostgreSQL, in Prometheus' terms.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::Metrics as StoreMetrics;

/// Every clone counts into the same ones.
#[derive(Clone)]
pub(super) struct Metrics {
    /// What every engine tells.
    pub(super) store: StoreMetrics,
    pub(super) connections: [Gauge<i64, AtomicI64>; Use::NAMES.len()],
    pub(super) connects: [Counter; Use::NAMES.len()],
    pub(super) primary_reads: Counter,
    pub(super) replica_reads: Counter,
    pub(super) fallbacks: Counter,
    pub(super) failovers: Counter,
    /// Connections whose write was given up and may still be made.
    pub(super) in_doubt: Gauge<i64, AtomicI64>,
    pub(super) replica_lag: Gauge<f64, AtomicU64>,
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Write,
    Read,
    Replica,
}

impl Use {
    const NAMES: [&'static str; 3] = ["write", "read", "replica"];

    pub(super) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Metrics {
    pub(super) fn register(store: &StoreMetrics, registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("hello_birthday_store");
        let connections = Family::<[(&str, &str); 1], Gauge<i64, AtomicI64>>::default();
        let connects = Family::<[(&str, &str); 1], Counter>::default();
        let reads = Family::<[(&str, &str); 1], Counter>::default();
        let metrics = Self {
            store: store.clone(),
            connections: Use::NAMES.map(|name| connections.get_or_create_owned(&[("use", name)])),
            connects: Use::NAMES.map(|name| connects.get_or_create_owned(&[("use", name)])),
            primary_reads: reads.get_or_create_owned(&[("route", "primary")]),
            replica_reads: reads.get_or_create_owned(&[("route", "replica")]),
            fallbacks: Counter::default(),
            failovers: Counter::default(),
            in_doubt: Gauge::default(),
            replica_lag: Gauge::default(),
        };
        registry.register("connections", "Connections to the database by use", connections);
        registry.register("connects", "Connections that were opened, by use", connects);
        registry.register("reads", "Reads by the server that answered", reads);
        let text = "Reads that a replica could not answer and the primary was asked for";
        registry.register("replica_fallbacks", text, metrics.fallbacks.clone());
        registry.register("failovers", "How often another primary was found", metrics.failovers.clone());
        let text = "Connections that hold a write of which nobody knows yet whether it is made";
        registry.register("connections_in_doubt", text, metrics.in_doubt.clone());
        let text = "How old the newest position of the primary is that the replica has replayed";
        registry.register_with_unit("replica_lag", text, Unit::Seconds, metrics.replica_lag.clone());
        metrics
    }
}
