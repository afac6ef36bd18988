//! What a store tells of itself, in Prometheus' terms.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::{Outcome, Reason, StoreError};

/// The store's own metrics; every clone counts into the same ones.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// How long callers wait, in the order of [`Operation`].
    operations: [Histogram; Operation::NAMES.len()],
    /// How changes ended, in the order of [`Fate`].
    changes: [Counter; Fate::NAMES.len()],
    /// Why there was no answer, in the order of [`Cause`].
    failures: [Counter; Cause::NAMES.len()],
    /// How long the engine takes for one commit.
    pub(crate) commit: Histogram,
    /// How many changes share one commit.
    pub(crate) batch: Histogram,
    /// How many changes wait.
    pub(crate) queue: Gauge<i64, AtomicI64>,
    /// How many reads wait for a database server.
    pub(crate) read_queue: Gauge<i64, AtomicI64>,
    /// Whether what is done survives what may happen to a database server.
    durability: Family<[(&'static str, &'static str); 1], Gauge<i64, AtomicI64>>,
}

/// What callers ask of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Birthday,
    User,
    Users,
    Birthdays,
    Commit,
}

impl Operation {
    const NAMES: [&'static str; 5] = ["birthday", "user", "users", "birthdays", "commit"];
}

/// What survives which accident; nothing where that can't be told, or can't happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Durability {
    /// The end of the process that keeps the data.
    pub(crate) server_crash: Option<bool>,
    /// The end of its machine.
    pub(crate) power_loss: Option<bool>,
    /// That another server takes its place.
    pub(crate) failover: Option<bool>,
}

/// How a change can end.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    NotApplied,
    Unknown,
}

impl Fate {
    const NAMES: [&'static str; 3] = ["done", "not_applied", "unknown"];
}

/// A [`Reason`] without its words.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Overloaded,
    TooSlow,
    Full,
    Unavailable,
    Refused,
}

impl Cause {
    const NAMES: [&'static str; 5] = ["overloaded", "too_slow", "full", "unavailable", "refused"];

    const fn of(reason: &Reason) -> Self {
        match reason {
            Reason::Overloaded => Self::Overloaded,
            Reason::TooSlow => Self::TooSlow,
            Reason::Full => Self::Full,
            Reason::Unavailable(_) => Self::Unavailable,
            Reason::Refused(_) => Self::Refused,
        }
    }
}

/// Seconds: from the price of one look-up to the longest that a caller waits.
const SECONDS: [f64; 14] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0];
/// Changes of one commit, up to the most there can be.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("hello_birthday_store");
        let operations =
            Family::<[(&str, &str); 1], Histogram, fn() -> Histogram>::new_with_constructor(seconds);
        let changes = Family::<[(&str, &str); 1], Counter>::default();
        let failures = Family::<[(&str, &str); 1], Counter>::default();
        let metrics = Self {
            operations: Operation::NAMES.map(|name| operations.get_or_create(&[("operation", name)]).clone()),
            changes: Fate::NAMES.map(|name| changes.get_or_create_owned(&[("fate", name)])),
            failures: Cause::NAMES.map(|name| failures.get_or_create_owned(&[("reason", name)])),
            commit: seconds(),
            batch: Histogram::new(SIZES),
            queue: Gauge::default(),
            read_queue: Gauge::default(),
            durability: Family::default(),
        };
        registry.register_with_unit(
            "operation_duration",
            "How long callers waited for an answer of the store",
            Unit::Seconds,
            operations,
        );
        registry.register("changes", "Changes by how they ended", changes);
        registry.register("failures", "Reads and changes that got no answer, by the reason", failures);
        registry.register_with_unit(
            "commit_duration",
            "How long the store took to make one batch of changes durable",
            Unit::Seconds,
            metrics.commit.clone(),
        );
        registry.register("batch_size", "How many changes were made durable together", metrics.batch.clone());
        registry.register("queue_depth", "How many changes wait for the store", metrics.queue.clone());
        registry.register(
            "read_queue_depth",
            "How many reads wait for the store",
            metrics.read_queue.clone(),
        );
        registry.register(
            "durability",
            "1 where what is done survives that, 0 where it may not; absent where the server does not tell",
            metrics.durability.clone(),
        );
        metrics
    }

    /// Notes how a change ended.
    pub(crate) fn ended(&self, change: &Result<Outcome, StoreError>) {
        let fate = match change {
            Ok(_) => Fate::Done,
            Err(StoreError::NotApplied(_)) => Fate::NotApplied,
            Err(StoreError::Unknown(_)) => Fate::Unknown,
        };
        self.changes[fate as usize].inc();
    }

    /// Notes why there was no answer.
    pub(crate) fn failed(&self, error: &StoreError) {
        self.failures[Cause::of(error.reason()) as usize].inc();
    }

    /// Notes what survives which accident. The latest word counts.
    pub(crate) fn promise(&self, durability: Durability) {
        let Durability { server_crash, power_loss, failover } = durability;
        for (survives, promised) in
            [("server_crash", server_crash), ("power_loss", power_loss), ("failover", failover)]
        {
            let label = [("survives", survives)];
            if let Some(promised) = promised {
                self.durability.get_or_create(&label).set(i64::from(promised));
            } else {
                self.durability.remove(&label);
            }
        }
    }

    pub(crate) const fn operation(&self, operation: Operation) -> &Histogram {
        &self.operations[operation as usize]
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}
