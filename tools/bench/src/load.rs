//! Requests as fast as they are answered, on connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// `GET /`
    Root,
    /// `GET /hello/<username>`, of somebody
    Greeting,
    /// `PUT /hello/<username>`, of somebody, nearly always with another date than before
    Save,
}

/// How many, on how many connections, for how long.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) ask: Ask,
    pub(crate) connections: usize,
    pub(crate) each: Duration,
    pub(crate) users: u32,
}

/// How long each request took, in order of time taken, and all of them together.
pub(crate) struct Measured {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Measured {
    pub(crate) fn new(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        Self { latencies, elapsed }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// In milliseconds; `share` is between 0 and 1.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Makes that load.
pub(crate) async fn run(address: SocketAddr, load: Load) -> Result<Measured> {
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..load.connections {
        clients.spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut latencies = Vec::new();
            while start.elapsed() < load.each {
                let begun = Instant::now();
                client.ask(load.ask, fastrand::u32(..load.users)).await?;
                latencies.push(begun.elapsed());
            }
            Result::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(client) = clients.join_next().await {
        latencies.extend(client??);
    }
    Ok(Measured::new(latencies, start.elapsed()))
}

/// Saves a birthday for each user.
pub(crate) async fn fill(address: SocketAddr, users: u32) -> Result<()> {
    const CLIENTS: u32 = 64;
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Client::connect(address).await?;
            for user in (first..users).step_by(CLIENTS as usize) {
                client.ask(Ask::Save, user).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

struct Client {
    address: SocketAddr,
    host: Arc<str>,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, host: address.to_string().into(), sender: connect(address).await? })
    }

    async fn ask(&mut self, ask: Ask, user: u32) -> Result<()> {
        // A service closes a connection now and then, so that load spreads anew.
        if self.sender.ready().await.is_err() {
            self.sender = connect(self.address).await?;
        }
        let request = Request::builder().header(HOST, &*self.host);
        let (request, wanted) = match ask {
            Ask::Root => (request.uri("/").body(Full::default())?, StatusCode::OK),
            Ask::Greeting => {
                (request.uri(format!("/hello/{}", name(user))).body(Full::default())?, StatusCode::OK)
            }
            Ask::Save => {
                let request = request.method(Method::PUT).uri(format!("/hello/{}", name(user)));
                let request = request.header(CONTENT_TYPE, "application/json");
                (request.body(Full::from(some_date()))?, StatusCode::NO_CONTENT)
            }
        };
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status == wanted { Ok(()) } else { Err(format!("answered {status}").into()) }
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Seven letters that no other user has.
pub(crate) fn name(user: u32) -> String {
    let mut rest = user;
    let letter = |_| {
        let letter = char::from(b'a' + (rest % 26) as u8);
        rest /= 26;
        letter
    };
    (0..7).map(letter).collect()
}

fn some_date() -> String {
    let (year, month, day) = (fastrand::u32(1900..2020), fastrand::u32(1..=12), fastrand::u32(1..=28));
    format!(r#"{{"dateOfBirth":"{year}-{month:02}-{day:02}"}}"#)
}
