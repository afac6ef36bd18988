//! Requests that come at their own pace, from clients that never ask twice.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Result;

/// Kept connections. When all of them wait for answers, requests are late, and their latency says so.
const CONNECTIONS: usize = 64;
const USERS: u64 = 1_000;
/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of requests.
#[derive(Default)]
pub(crate) struct Tally {
    /// Microseconds from when each was due until all of its answer was there.
    latencies: Vec<u32>,
    /// How many failed, by what was seen.
    failures: BTreeMap<String, u64>,
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

/// Where requests can be sent now; it changes.
pub(crate) type Endpoints = Arc<RwLock<Vec<SocketAddr>>>;

struct Shared {
    endpoints: Endpoints,
    start: Instant,
    /// Between one request and the next.
    pause: Duration,
    next: AtomicU64,
    enough: AtomicBool,
    tally: Mutex<Tally>,
}

impl Tally {
    pub(crate) fn all(&self) -> u64 {
        self.latencies.len() as u64 + self.failed()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (what, count) in other.failures {
            *self.failures.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let at = |share: usize| match latencies.len() {
            0 => f64::NAN,
            all => f64::from(latencies[((all - 1) * share) / 1000]) / 1e3,
        };
        write!(f, "{} requests, {} failed", self.all(), self.failed())?;
        for (what, count) in &self.failures {
            write!(f, " ({count} {what})")?;
        }
        write!(f, "; p50 {:.1} ms, p99 {:.1} ms, max {:.0} ms", at(500), at(990), at(1000))
    }
}

impl Load {
    /// Saves every user's birthday, then starts to ask.
    pub(crate) async fn start(endpoints: Endpoints, rate: u32) -> Result<Self> {
        let mut connection = None;
        for user in 0..USERS {
            ask(&mut connection, &endpoints, Some(user), user).await?;
        }
        let shared = Arc::new(Shared {
            endpoints,
            start: Instant::now(),
            pause: Duration::from_secs(1) / rate,
            next: AtomicU64::new(0),
            enough: AtomicBool::new(false),
            tally: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(keep_asking(Arc::clone(&shared)));
        }
        Ok(Self { shared, clients })
    }

    /// What became of the requests since this was asked last.
    pub(crate) fn take(&self) -> Tally {
        mem::take(&mut *self.shared.tally())
    }

    /// Requests that were sent, a second.
    pub(crate) fn rate(&self) -> f64 {
        self.shared.next.load(Ordering::Relaxed) as f64 / self.shared.start.elapsed().as_secs_f64()
    }

    /// Waits for the last answers.
    pub(crate) async fn end(mut self) -> Tally {
        self.shared.enough.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        self.take()
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep_asking(shared: Arc<Shared>) {
    let mut connection = None;
    while !shared.enough.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let due = shared.start + shared.pause.mul_f64(number as f64);
        sleep_until(due).await;
        let save = number.is_multiple_of(5).then_some(number);
        let asked = timeout(PATIENCE, ask(&mut connection, &shared.endpoints, save, number % USERS)).await;
        let failure = match asked {
            Ok(Ok(())) => {
                shared.tally().latencies.push(due.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "not answered in time".into(),
        };
        *shared.tally().failures.entry(failure).or_default() += 1;
    }
}

type Connection = Option<SendRequest<Full<Bytes>>>;

/// Greets that user or saves a birthday for them, on this connection, or on a new one if it has been closed.
async fn ask(connection: &mut Connection, endpoints: &Endpoints, save: Option<u64>, user: u64) -> Result<()> {
    let mut sender = reach(connection.take(), endpoints).await?;
    let request = Request::builder().header(HOST, "hello").uri(format!("/hello/{}", name(user)));
    let (request, wanted) = match save {
        None => (request.body(Full::default())?, StatusCode::OK),
        Some(number) => {
            let request = request.method(Method::PUT).header(CONTENT_TYPE, "application/json");
            (request.body(Full::from(date(number)))?, StatusCode::NO_CONTENT)
        }
    };
    let response =
        sender.send_request(request).await.map_err(|error| format!("without an answer: {error}"))?;
    let status = response.status();
    response.into_body().collect().await.map_err(|error| format!("without the end of an answer: {error}"))?;
    *connection = Some(sender);
    if status == wanted { Ok(()) } else { Err(format!("answered {}", status.as_u16()).into()) }
}

async fn reach(kept: Connection, endpoints: &Endpoints) -> Result<SendRequest<Full<Bytes>>> {
    if let Some(mut sender) = kept
        && sender.ready().await.is_ok()
    {
        return Ok(sender);
    }
    let address = {
        let endpoints = endpoints.read().unwrap_or_else(PoisonError::into_inner);
        *endpoints.get(fastrand::usize(..endpoints.len().max(1))).ok_or("nobody is there to be asked")?
    };
    connect(address).await
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("not connected: {error}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Letters that no other user has.
fn name(user: u64) -> String {
    user.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn date(number: u64) -> String {
    let (year, month, day) = (1950 + number / 336 % 60, 1 + number / 28 % 12, 1 + number % 28);
    format!(r#"{{"dateOfBirth":"{year}-{month:02}-{day:02}"}}"#)
}
