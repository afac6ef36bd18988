//! Is the process alive, and should requests be sent to it?

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;
use store::{Store, StoreError};
use tokio::time::sleep;

use super::App;
use super::refusal::Refusal;

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many failed looks in a row make the service unready: one alone may be a hiccup, and all instances
/// that go unready together leave a client nobody who could say 503.
const FAILED_LOOKS: u32 = 3;

/// `{}`
#[derive(Serialize)]
pub(super) struct Fine {}

/// Whether requests should be sent here; every clone knows the same.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Signs>);

#[derive(Default)]
struct Signs {
    draining: AtomicBool,
    failed_looks: AtomicU32,
    /// The same, as it is told to those who watch the service.
    told: Told,
}

#[derive(Default)]
struct Told {
    ready: Gauge<i64, AtomicI64>,
    store_up: Gauge<i64, AtomicI64>,
    stop: Gauge<f64, AtomicU64>,
    stop_limit: Gauge<f64, AtomicU64>,
}

impl Readiness {
    /// One that is told in the metrics, of a service that has ended so long after it was told to stop.
    #[must_use]
    pub fn register(registry: &mut Registry, stops_within: Duration) -> Self {
        let readiness = Self::default();
        let Told { ready, store_up, stop, stop_limit } = &readiness.0.told;
        stop_limit.set(stops_within.as_secs_f64());
        let registry = registry.sub_registry_with_prefix("hello_birthday");
        registry.register("ready", "1 while requests should be sent here, else 0", ready.clone());
        let text = "1 if the store answered when it was last looked at, once a second, else 0";
        registry.register("store_up", text, store_up.clone());
        let text = "When the service was told to stop, in seconds since 1970; 0 until then";
        registry.register_with_unit("stop_timestamp", text, Unit::Seconds, stop.clone());
        let text = "How long a stop may take: the delay and the timeout of the drain";
        registry.register_with_unit("stop_limit", text, Unit::Seconds, stop_limit.clone());
        readiness
    }

    /// From now on no more requests should be sent here.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.0.told.stop.set(now.as_secs_f64());
        self.tell();
    }

    /// Looks at the store before anybody asks: one that has never answered needs no second look.
    pub async fn first_look(&self, store: &Store) {
        self.0.failed_looks.store(FAILED_LOOKS - 1, Ordering::Relaxed);
        self.looked(store.ping().await);
    }

    /// Looks at the store once a second, until it is dropped.
    pub async fn watch(&self, store: &Store) -> Infallible {
        loop {
            sleep(LOOK_EVERY).await;
            self.looked(store.ping().await);
        }
    }

    fn looked(&self, look: Result<(), StoreError>) {
        match look {
            Ok(()) => {
                let was_ready = self.0.failed_looks.swap(0, Ordering::Relaxed) < FAILED_LOOKS;
                if !was_ready && self.check().is_ok() {
                    tracing::info!("ready: the store answers");
                }
            }
            Err(error) => {
                if self.0.failed_looks.fetch_add(1, Ordering::Relaxed) + 1 == FAILED_LOOKS {
                    tracing::warn!(%error, "not ready: the store does not answer");
                }
            }
        }
        self.tell();
    }

    fn tell(&self) {
        let told = &self.0.told;
        told.ready.set(i64::from(self.check().is_ok()));
        told.store_up.set(i64::from(self.0.failed_looks.load(Ordering::Relaxed) == 0));
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.0.draining.load(Ordering::Relaxed) {
            Err("the service is being stopped; ask another instance")
        } else if FAILED_LOOKS <= self.0.failed_looks.load(Ordering::Relaxed) {
            Err("the store does not answer; try again")
        } else {
            Ok(())
        }
    }
}

/// `GET /-/healthy`: an answer is all there is to it. The store is not asked: restarting this process
/// would not mend it.
pub(super) async fn healthy() -> Json<Fine> {
    Json(Fine {})
}

/// `GET /-/ready`: whether requests should be sent here.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Fine>, Refusal> {
    app.readiness.check().map_err(Refusal::not_ready)?;
    Ok(Json(Fine {}))
}

#[cfg(test)]
mod tests {
    use store::Reason;

    use super::*;

    fn look(answered: bool) -> Result<(), StoreError> {
        if answered { Ok(()) } else { Err(StoreError::NotApplied(Reason::TooSlow)) }
    }

    #[test]
    fn three_failed_looks_in_a_row_make_it_unready_and_one_good_one_ready() {
        let readiness = Readiness::default();
        for answered in [false, false, true, false, false] {
            readiness.looked(look(answered));
            assert!(readiness.check().is_ok());
        }
        readiness.looked(look(false));
        assert!(readiness.check().is_err());
        readiness.looked(look(true));
        assert!(readiness.check().is_ok());
        readiness.drain();
        readiness.looked(look(true));
        assert!(readiness.check().is_err());
    }

    #[test]
    fn what_is_told_of_it_follows_each_look_and_the_stop() {
        let readiness = Readiness::default();
        let told = || {
            let Told { ready, store_up, stop, stop_limit: _ } = &readiness.0.told;
            (ready.get(), store_up.get(), stop.get() > 0.0)
        };
        for (answered, expected) in
            [(true, (1, 1)), (false, (1, 0)), (false, (1, 0)), (false, (0, 0)), (true, (1, 1))]
        {
            readiness.looked(look(answered));
            assert_eq!(told(), (expected.0, expected.1, false));
        }
        readiness.drain();
        assert_eq!(told(), (0, 1, true));
    }
}
