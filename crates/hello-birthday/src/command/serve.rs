//! `serve`: open the store, listen, answer until told to stop, and end in order.

use std::sync::Arc;

use birthday::{Almanac, Timestamp};
use prometheus_client::registry::Registry;
use rustix::process::{Resource, getrlimit, setrlimit};
use server::{Server, listen};
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::settings::ServeSettings;
use crate::http::{MetricsOn, Parts, Readiness, Service};
use crate::log::Log;

pub(super) fn run(settings: &ServeSettings) -> Result<(), Failure> {
    let mut registry = Registry::default();
    let filter = &settings.log.log;
    let (log, writer) = Log::start(std::io::stderr(), settings.log.log_format, filter, &mut registry)
        .map_err(Failure::failed)?;
    log.take_events(filter).map_err(Failure::failed)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let result = runtime.block_on(serve(settings, log, registry));
    // What is still running now was told to stop and did not; the end of the program stops it.
    runtime.shutdown_background();
    writer.finish();
    result
}

async fn serve(settings: &ServeSettings, log: Log, mut registry: Registry) -> Result<(), Failure> {
    let location = settings.store.location()?;
    let address = settings.listen()?;
    raise_file_limit();
    let options = Options { any_file_system: settings.store.any_file_system, ..Options::default() };
    let store = Store::open(&location, options, &mut registry).await.map_err(Failure::failed)?;
    let listener = bind(address)?;
    let metrics_listener = settings.metrics_listen.map(bind).transpose()?;
    let stop = Stop::on_signals().map_err(Failure::failed)?;

    let readiness = Readiness::default();
    let connections = server::Metrics::register(&mut registry);
    let parts = Parts {
        store: store.clone(),
        almanac: Almanac::new(settings.time_zone(), settings.leap_day(), Arc::new(Timestamp::now)),
        readiness: readiness.clone(),
        log,
        registry,
    };
    let metrics_on = if metrics_listener.is_some() { MetricsOn::Own } else { MetricsOn::Main };
    let (main, metrics) = Service::new(parts, metrics_on);
    let server = |service| Server {
        service,
        limits: settings.limits(),
        drain: settings.drain(),
        metrics: connections.clone(),
    };

    tracing::info!("the data is in {location}");
    say_where(&listener, "listening")?;
    let metrics_end = metrics_listener
        .map(|listener| {
            say_where(&listener, "metrics")?;
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            let server = server(metrics);
            let running = tokio::spawn(server.run(listener, async { drop(ended.await) }));
            Ok::<_, Failure>((end, running))
        })
        .transpose()?;

    let mut broken = None;
    let stopped = async {
        tokio::select! {
            () = stop.wait() => {}
            why = store.broken() => broken = Some(why),
        }
        readiness.drain();
        tracing::info!("stopping");
    };
    let drained = tokio::select! {
        drained = server(main).run(listener, stopped) => drained,
        () = readiness.watch(&store) => return Err(Failure::failed("nobody looks after the store")),
    };
    store.close().await;
    if let Some((end, running)) = metrics_end {
        // Metrics are told to the last.
        drop(end);
        let _ = running.await;
    }
    match broken {
        Some(why) => Err(Failure::StoreBroken(format!("the store must be opened anew: {why}"))),
        None => {
            tracing::info!(connections_cut = drained.cut, "stopped");
            Ok(())
        }
    }
}

fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| Failure::Failed(format!("{address} can't be listened on: {error}")))
}

fn say_where(listener: &TcpListener, what: &str) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(Failure::failed)?;
    tracing::info!("{what} on http://{address}");
    Ok(())
}

/// The signals that end the service.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn on_signals() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
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
