//! How does a server start, accept, and end without dropping a request?

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use crate::addresses::{Addresses, Place};
use crate::connection::{Ending, Peer, serve_until};
use crate::{Drain, Limits, Metrics};

/// Connections that the operating system keeps until they are accepted; it may have a lower limit
/// (on Linux net.core.somaxconn).
const BACKLOG: u32 = 4096;
/// How long the listener's queue is asked for one more connection before it is taken for empty.
const QUEUE_IS_EMPTY_AFTER: Duration = Duration::from_millis(5);
/// How long it may take to cut what is left: who waits for a disk on a thread of the runtime can't be cut.
const CUT_WITHIN: Duration = Duration::from_secs(1);
/// How long the queue is emptied at most: where new connections keep coming it is never found empty.
const QUEUE_IS_LEFT_AFTER: Duration = Duration::from_millis(500);
/// The pauses after a failed accept, while file descriptors are short: this, then twice as long each.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_millis(100);

/// Opens a listener; port 0 takes a free one. `[::]` means every address, those of IPv4 where there is no IPv6.
///
/// # Errors
/// Where the address can't be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let v6 = if address.is_ipv6() { Some(TcpSocket::new_v6()) } else { None };
    let (socket, address) = match v6 {
        None => (TcpSocket::new_v4()?, address),
        Some(Ok(socket)) => (socket, address),
        // A kernel without IPv6 has no such sockets.
        Some(Err(_)) if address.ip().is_unspecified() => {
            (TcpSocket::new_v4()?, (Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        Some(Err(error)) => return Err(error),
    };
    // A restarted server takes over an address on which old connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A server that isn't running yet.
pub struct Server<S> {
    /// What answers.
    pub service: S,
    /// What connections may cost.
    pub limits: Limits,
    /// How it ends.
    pub drain: Drain,
    /// What it counts into.
    pub metrics: Metrics,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because their requests took longer than the drain may take.
    pub cut: usize,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Serves until `stop` is there, and then ends in order: it goes on accepting for the delay, while
    /// every answer closes its connection; closes the listener; lets requests in flight finish; and at
    /// last cuts what is left.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        let drain = self.drain;
        self.metrics.limit.set(i64::try_from(self.limits.connections).unwrap_or(i64::MAX));
        let mut acceptor = Acceptor {
            places: Arc::new(Semaphore::new(self.limits.connections)),
            addresses: Addresses::default(),
            ending: Ending::default(),
            connections: JoinSet::new(),
            server: self,
        };
        acceptor.accept_until(&listener, stop).await;
        acceptor.ending.last_answers.store(true, Ordering::Relaxed);
        acceptor.accept_until(&listener, sleep(drain.delay)).await;
        // Clients whose connections the operating system took before this moment are served, too.
        // An error means that there are always more.
        let _ = timeout(QUEUE_IS_LEFT_AFTER, acceptor.accept_waiting(&listener)).await;
        drop(listener);
        acceptor.ending.at_once.cancel();
        // An error means that the time is up.
        let _ = timeout(drain.timeout, acceptor.all_ended()).await;
        let cut = acceptor.connections.len();
        let _ = timeout(CUT_WITHIN, acceptor.connections.shutdown()).await;
        Drained { cut }
    }
}

struct Acceptor<S> {
    server: Server<S>,
    places: Arc<Semaphore>,
    addresses: Addresses,
    ending: Ending,
    /// Owned here: a connection's task ends before the server does, unless a disk holds it.
    connections: JoinSet<()>,
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn accept_until(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(ended) = self.connections.join_next() => report(ended, &self.server.metrics),
                (stream, address, place) = next_connection(listener, &self.places) => self.start(stream, address, place),
            }
        }
    }

    async fn accept_waiting(&mut self, listener: &TcpListener) {
        let places = Arc::clone(&self.places);
        let next = || timeout(QUEUE_IS_EMPTY_AFTER, next_connection(listener, &places));
        while let Ok((stream, address, place)) = next().await {
            self.start(stream, address, place);
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.connections.join_next().await {
            report(ended, &self.server.metrics);
        }
    }

    fn start(&mut self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        let Server { service, limits, metrics, .. } = &self.server;
        let of_address =
            match limits.connections_per_address.map(|most| self.addresses.take(address.ip(), most)) {
                Some(None) => {
                    metrics.refused.inc();
                    return;
                }
                Some(place) => place,
                None => None,
            };
        metrics.accepted.inc();
        let (service, limits, ending) = (service.clone(), *limits, self.ending.clone());
        let client = Peer(address.ip());
        let open = Open::count(metrics.clone(), place, of_address);
        self.connections.spawn(async move {
            // An answer is one small packet: waiting to fill it helps nobody.
            let _ = stream.set_nodelay(true);
            serve_until(stream, Some(client), &service, limits, &open.metrics, &ending).await;
        });
    }
}

/// A connection that counts as open until it is dropped, however its task ends.
struct Open {
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

impl Open {
    fn count(metrics: Metrics, place: OwnedSemaphorePermit, of_address: Option<Place>) -> Self {
        metrics.open.inc();
        Self { metrics, _place: place, _of_address: of_address }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// The next connection, once there is a place for it.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let mut pause = ACCEPT_PAUSE;
    loop {
        // The semaphore is never closed; if it were, there would be no places.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; it is tried again");
                sleep(pause).await;
                pause = ACCEPT_PAUSE_MAX.min(pause * 2);
            }
        }
    }
}

/// The client went away before it was accepted: nothing of ours is short.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn report(ended: Result<(), JoinError>, metrics: &Metrics) {
    if ended.is_err_and(|error| error.is_panic()) {
        metrics.panics.inc();
    }
}
