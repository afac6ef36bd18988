//! The service under test: in this process, on a free port, on a day that the test sets.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use birthday::{Almanac, LeapDay, Timestamp, find_zone};
use hello_birthday::http::{Hosts, MetricsOn, Parts, Readiness, Service};
use hello_birthday::log::{Format, Log};
use prometheus_client::registry::Registry;
use server::{Drain, Limits, Rate, Server, listen};
use store::{Location, Options, Store};
use test_servers::logs;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

/// What a test may choose.
pub(crate) struct Choice {
    pub(crate) location: Location,
    pub(crate) zone: &'static str,
    pub(crate) leap_day: LeapDay,
    pub(crate) limits: Limits,
    pub(crate) drain: Drain,
    pub(crate) requests_a_second: Option<NonZeroU32>,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            location: Location::SqliteMemory,
            zone: "UTC",
            leap_day: LeapDay::Feb28,
            limits: Limits::default(),
            drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(5) },
            requests_a_second: None,
        }
    }
}

/// A running service. Dropped, it stops.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) store: Store,
    now: Arc<Mutex<Option<Timestamp>>>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<server::Drained>,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(Choice::default()).await
    }

    pub(crate) async fn start_with(choice: Choice) -> Self {
        logs::keep_events();
        let mut registry = Registry::default();
        let store = Store::open(&choice.location, Options::default(), &mut registry).await.unwrap();
        let now = Arc::<Mutex<Option<Timestamp>>>::default();
        let told = Arc::clone(&now);
        let clock = move || told.lock().unwrap().unwrap_or_else(Timestamp::now);
        let readiness = Readiness::register(&mut registry, choice.drain.delay + choice.drain.timeout);
        readiness.first_look(&store).await;
        let metrics = server::Metrics::register(&mut registry);
        let parts = Parts {
            store: store.clone(),
            almanac: Almanac::new(find_zone(choice.zone).unwrap(), choice.leap_day, Arc::new(clock)),
            readiness: readiness.clone(),
            log: log(),
            hosts: Hosts::any(),
            tokens: None,
            rate: choice.requests_a_second.map(Rate::per_second),
            registry,
        };
        let (service, _) = Service::new(parts, MetricsOn::Main);
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client { address: listener.local_addr().unwrap() };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server { service, limits: choice.limits, drain: choice.drain, metrics };
        let told = readiness.clone();
        let stopped = async move {
            drop(stopped.await);
            told.drain();
        };
        let running = tokio::spawn(server.run(listener, stopped));
        Self { client, store, now, stop: Some(stop), running }
    }

    /// From now on it is that instant.
    pub(crate) fn set_now(&self, instant: &str) {
        *self.now.lock().unwrap() = Some(instant.parse().unwrap());
    }

    /// Tells the server to stop.
    pub(crate) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Tells the server to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> server::Drained {
        self.tell_to_stop();
        self.running.await.unwrap()
    }
}

/// The lines of requests go where logs are kept, if they are.
fn log() -> Log {
    match logs::file("requests.log") {
        None => Log::nowhere().unwrap(),
        Some(file) => {
            let filter = "trace".parse().unwrap();
            Log::start(file, Format::Text, &filter, &mut Registry::default()).unwrap().0
        }
    }
}
