//! `serve`: open the store, listen, answer until told to stop, and end in order.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustix::process::{Resource, getrlimit, setrlimit};
use server::{Drain, Server, listen};
use store::{Location, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::settings::{ServeSettings, variable};
use super::{Failure, service_manager};
use crate::access::Source;
use crate::http::{MetricsOn, Parts, Readiness, Service};
use crate::log::Log;
use crate::process;

/// How the listener for metrics ends, once the other has: at once, but for a scrape that is being answered.
const END_OF_METRICS: Drain = Drain { delay: Duration::ZERO, timeout: Duration::from_secs(1) };

/// How long a store may take to close: one whose disk hangs takes for ever, and loses nothing by being left.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Threads beside those that the machine runs at once: the embedded store leaves one free of reads, which may wait
/// for a disk.
const THREADS_FREE: usize = 1;

pub(super) fn run(settings: &ServeSettings) -> Result<(), Failure> {
    let location = settings.store.location()?;
    let mut registry = Registry::default();
    process::register(&mut registry);
    let filter = &settings.log.log;
    let (log, writer) = Log::start(std::io::stderr(), settings.log.log_format, filter, &mut registry)
        .map_err(Failure::failed)?;
    log.take_events(filter).map_err(Failure::failed)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Whoever says how many by tokio's own variable means it.
    if location.is_embedded() && variable("TOKIO_WORKER_THREADS").is_none() {
        runtime.worker_threads(available_parallelism().map_or(1, usize::from) + THREADS_FREE);
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let result = runtime.block_on(serve(settings, &location, log, registry));
    // What is still running now was told to stop and did not; the end of the program stops it.
    runtime.shutdown_background();
    writer.finish();
    result
}

async fn serve(
    settings: &ServeSettings,
    location: &Location,
    log: Log,
    mut registry: Registry,
) -> Result<(), Failure> {
    let address = settings.listen()?;
    let tokens = settings.tokens()?;
    raise_file_limit();
    let store =
        Store::open(location, settings.store.options()?, &mut registry).await.map_err(Failure::failed)?;
    tracing::info!("the data is in {location}");
    let result = answer(settings, address, tokens, &store, log, registry).await;
    if timeout(CLOSE_WITHIN, store.close()).await.is_err() {
        tracing::warn!("the store can't be closed in time; what was answered is safe");
    }
    result
}

/// Answers requests until a signal, or a store that is broken, ends it.
async fn answer(
    settings: &ServeSettings,
    address: SocketAddr,
    tokens: Option<Source>,
    store: &Store,
    log: Log,
    mut registry: Registry,
) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(Failure::failed)?;
    let listener = match handed_over()? {
        Some(listener) => listener,
        None => bind(address)?,
    };
    let listens_on = listener.local_addr().unwrap_or(address);
    say_who_may(listens_on, tokens.as_ref());
    let metrics_listener = settings.metrics_listen.map(bind).transpose()?;
    let metrics_on = if metrics_listener.is_some() { MetricsOn::Own } else { MetricsOn::Main };
    let connections = server::Metrics::register(&mut registry);
    if let Some(tokens) = &tokens {
        tokens.register(&mut registry);
    }
    let drain = settings.drain();
    let readiness = Readiness::register(&mut registry, drain.delay + drain.timeout);
    readiness.first_look(store).await;
    let parts = Parts {
        store: store.clone(),
        almanac: settings.calendar.almanac(),
        readiness: readiness.clone(),
        log,
        hosts: settings.hosts(listens_on, tokens.as_ref()),
        tokens: tokens.as_ref().map(Source::tokens),
        rate: settings.rate(),
        registry,
    };
    let (service, metrics_service) = Service::new(parts, metrics_on);
    let server =
        |service, drain| Server { service, limits: settings.limits(), drain, metrics: connections.clone() };

    let (end_metrics, metrics_end) = oneshot::channel::<()>();
    let main = async {
        say_where(&listener, "listening");
        service_manager::say_serving();
        let mut ended = Ok(());
        let stop = async { ended = stop(signals, store, &readiness).await };
        let drained = server(service, drain).run(listener, stop).await;
        drop(end_metrics);
        tracing::info!(connections_cut = drained.cut, "stopped");
        ended
    };
    // Metrics are told to the last.
    let metrics = async {
        if let Some(listener) = metrics_listener {
            say_where(&listener, "metrics");
            server(metrics_service, END_OF_METRICS).run(listener, async { drop(metrics_end.await) }).await;
        }
    };
    tokio::select! {
        (result, ()) = async { tokio::join!(main, metrics) } => result,
        never = readiness.watch(store) => match never {},
        never = watch(tokens) => match never {},
    }
}

/// Waits for the end, and says whether it is a good one.
async fn stop(signals: Signals, store: &Store, readiness: &Readiness) -> Result<(), Failure> {
    let result = tokio::select! {
        () = signals.come() => Ok(()),
        why = store.broken() => Err(Failure::StoreBroken(format!("the store can't go on: {why}"))),
    };
    readiness.drain();
    tracing::info!("stopping");
    service_manager::say_stopping();
    result
}

async fn watch(tokens: Option<Source>) -> Infallible {
    match tokens {
        Some(source) => source.watch().await,
        None => pending().await,
    }
}

/// Everybody on a network can reach what doesn't listen on the loopback address.
fn say_who_may(address: SocketAddr, tokens: Option<&Source>) {
    match tokens {
        Some(source) => tracing::info!("access needs a token: {} are listed", source.tokens().count()),
        None if address.ip().to_canonical().is_loopback() => {}
        None => tracing::warn!(
            "anybody who can reach {address} can read and change what is kept: set HELLO_TOKENS_FILE or --tokens-file"
        ),
    }
}

fn handed_over() -> Result<Option<TcpListener>, Failure> {
    let listener = service_manager::listener();
    listener.map_err(|error| Failure::Failed(format!("the listener of the service manager: {error}")))
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| Failure::Failed(format!("{address} can't be listened on: {error}")))
}

fn say_where(listener: &TcpListener, what: &str) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("{what} on http://{address}");
    }
}

/// The signals that end the service.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn come(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every connection is a file, and the usual limit is made for programs with a few.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files can't be raised");
    }
}
