//! How is one server asked? Over one connection that many share, made anew when it breaks or goes silent.
//!
//! The connection is made here and not by the library, because what became of a write depends on it: a
//! connection that is known to be gone is not written to, so whatever was to be sent was certainly not.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, Value, cmd, from_redis_value};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::{Refusal, Silence, accepted, unconnected, words};
use super::tls::Encryption;
use super::url::{Address, Topology};
use crate::Reason;
use crate::lane::QUEUE_MAX;

/// How long it may take until a new connection is ready for use, greeting and all.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// A server that can't be reached is not tried again before that; who asks meanwhile is told at once.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// After so much silence the system looks whether the other side is still there…
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(10);
/// …this often…
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(2);
/// …and so many times; on Linux, as long as the next bound allows (tcp(7), TCP_USER_TIMEOUT).
const KEEP_ALIVE_PROBES: u32 = 3;
/// What was sent must be received within this many milliseconds, or the connection is gone.
#[cfg(target_os = "linux")]
const RECEIVED_WITHIN_MS: u32 = 3000;

/// The script that makes a change, on every connection that is used for changes.
pub(super) const WRITE: &str = include_str!("write.lua");

/// How connections are made: the same for every server of a store.
pub(super) struct Dialer {
    pub(super) encryption: Option<Encryption>,
    pub(super) greeting: RedisConnectionInfo,
    pub(super) topology: Topology,
}

/// The way to one server.
pub(super) struct Link {
    pub(super) address: Address,
    dialer: Arc<Dialer>,
    line: Mutex<Option<Line>>,
    /// Held by the one who connects.
    dialing: tokio::sync::Mutex<Option<Failed>>,
}

/// An attempt to connect that failed.
#[derive(Clone)]
struct Failed {
    when: Instant,
    reason: Reason,
}

/// One connection.
#[derive(Clone)]
pub(super) struct Line {
    connection: MultiplexedConnection,
    state: Arc<State>,
}

struct State {
    gone: Arc<AtomicBool>,
    /// When the last reply came, in milliseconds since the line began.
    heard: AtomicU64,
    since: Instant,
    script: String,
    _driver: Driver,
}

/// The task that reads from and writes to the socket; it ends with the last who may use it.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Line {
    /// Under which name the server knows [`WRITE`].
    pub(super) fn script(&self) -> &str {
        &self.state.script
    }
}

impl Link {
    pub(super) fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        Self { address, dialer, line: Mutex::default(), dialing: tokio::sync::Mutex::default() }
    }

    /// Sends commands that only read. A connection that breaks meanwhile is made anew once.
    pub(super) async fn read(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Silence> {
        let line = self.line_by(deadline).await?;
        match self.exchange(line, commands, deadline).await {
            Err(Silence::Unanswered(Reason::Unavailable(_))) => {
                let line = self.line_by(deadline).await?;
                self.exchange(line, commands, deadline).await
            }
            answer => answer,
        }
    }

    /// A connection that is not known to be gone.
    pub(super) async fn line_by(&self, deadline: Instant) -> Result<Line, Silence> {
        let line = timeout_at(deadline, self.line()).await;
        line.unwrap_or(Err(Reason::TooSlow)).map_err(Silence::NotSent)
    }

    /// Sends commands, and waits for their replies: one a command, errors among them.
    pub(super) async fn exchange(
        &self,
        mut line: Line,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Silence> {
        let count = commands.cmd_iter().count();
        let sent = Instant::now();
        match timeout_at(deadline, line.connection.req_packed_commands(commands, 0, count)).await {
            Ok(Ok(replies)) => {
                line.state.hear();
                Ok(replies)
            }
            Ok(Err(error)) => {
                line.state.gone.store(true, Ordering::Release);
                Err(Silence::Unanswered(self.unavailable(&words(&error))))
            }
            Err(_) => {
                // A server that answers others is only slow; one that has been silent since is left.
                if line.state.silent_since(sent) {
                    line.state.gone.store(true, Ordering::Release);
                }
                Err(Silence::Unanswered(Reason::TooSlow))
            }
        }
    }

    /// Leaves the connection to whoever uses it now: the next one is made anew.
    pub(super) fn leave(&self) {
        if let Some(line) = &*self.line.lock().unwrap_or_else(PoisonError::into_inner) {
            line.state.gone.store(true, Ordering::Release);
        }
    }

    /// What a server answers with an error if it is not, or no longer, the master that its URL promises. A
    /// cluster tells by itself who has what.
    pub(super) fn claim(&self) -> Option<Cmd> {
        match self.dialer.topology {
            // To wait for no replica takes no time, even where changes have to wait. ROLE would say it outright,
            // but is not among the rights that a user of ours needs.
            Topology::Single => {
                let mut wait = cmd("WAIT");
                wait.arg(0).arg(0);
                Some(wait)
            }
            Topology::Cluster => None,
        }
    }

    fn unavailable(&self, why: &str) -> Reason {
        Reason::Unavailable(format!("{}: {why}", self.address).into())
    }

    /// The connection that is there, or a new one.
    async fn line(&self) -> Result<Line, Reason> {
        let began = Instant::now();
        if let Some(line) = self.present() {
            return Ok(line);
        }
        let mut failed = self.dialing.lock().await;
        if let Some(line) = self.present() {
            return Ok(line);
        }
        // Whoever waited for somebody else's attempt shares its end.
        if let Some(Failed { when, reason }) = &*failed
            && (began < *when || when.elapsed() < TRY_AGAIN_AFTER)
        {
            return Err(reason.clone());
        }
        let connected = timeout(CONNECT_WITHIN, self.connect()).await;
        match connected.unwrap_or_else(|_| Err(self.unavailable("it does not answer"))) {
            Ok(line) => {
                *failed = None;
                *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
                Ok(line)
            }
            Err(reason) => {
                *failed = Some(Failed { when: Instant::now(), reason: reason.clone() });
                Err(reason)
            }
        }
    }

    fn present(&self) -> Option<Line> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.as_ref().is_some_and(|line| line.state.gone.load(Ordering::Acquire)) {
            *line = None;
        }
        line.clone()
    }

    async fn connect(&self) -> Result<Line, Reason> {
        let Address { host, port } = &self.address;
        let away = |error: io::Error| self.unavailable(&error.to_string());
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(away)?;
        tune(&stream).map_err(away)?;
        match &self.dialer.encryption {
            None => self.greet(stream).await,
            Some(encryption) => {
                let encrypted = encryption.encrypt(stream, host).await.map_err(|error| {
                    // What it says is not TLS, or doesn't prove its name.
                    if error.kind() == io::ErrorKind::InvalidData {
                        Reason::Refused(format!("{}: {error}", self.address).into())
                    } else {
                        away(error)
                    }
                })?;
                self.greet(encrypted).await
            }
        }
    }

    async fn greet<S>(&self, stream: S) -> Result<Line, Reason>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Every wait has a limit of ours around it, so the library needs none of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE_MAX);
        let greeting = &self.dialer.greeting;
        let (mut connection, driver) = MultiplexedConnection::new_with_config(greeting, stream, config)
            .await
            .map_err(|error| unconnected(&error, &self.address))?;
        let gone = Arc::<AtomicBool>::default();
        let end = Arc::clone(&gone);
        let driver = tokio::spawn(async move {
            driver.await;
            end.store(true, Ordering::Release);
        });
        let driver = Driver(driver.abort_handle());
        let loaded = connection.req_packed_command(&load_script()).await;
        let loaded = loaded.map_err(|error| unconnected(&error, &self.address))?;
        let loaded = accepted(Some(loaded), &self.address).map_err(Refusal::reason)?;
        let script = from_redis_value(loaded).map_err(|_| self.unavailable("it names no script"))?;
        if let Some(claim) = self.claim() {
            let reply =
                connection.req_packed_commands(Pipeline::with_capacity(1).add_command(claim), 0, 1).await;
            let reply = reply.map_err(|error| unconnected(&error, &self.address))?;
            be_master(reply.into_iter().next(), &self.address)?;
        }
        let state = State { gone, heard: 0.into(), since: Instant::now(), script, _driver: driver };
        Ok(Line { connection, state: Arc::new(state) })
    }
}

impl State {
    fn hear(&self) {
        self.heard.store(milliseconds(self.since.elapsed()), Ordering::Relaxed);
    }

    fn silent_since(&self, sent: Instant) -> bool {
        self.heard.load(Ordering::Relaxed) <= milliseconds(sent.saturating_duration_since(self.since))
    }
}

/// Refuses a server whose reply to a claim says that it is a replica. What else it can't do now, it may do soon.
pub(super) fn be_master(reply: Option<Value>, asked: &Address) -> Result<(), Reason> {
    match accepted(reply, asked) {
        Err(Refusal::Replica(reason)) => Err(reason),
        Ok(_)
        | Err(
            Refusal::Moved(_)
            | Refusal::Ask(_)
            | Refusal::TryAgain
            | Refusal::NoScript
            | Refusal::NotApplied(_)
            | Refusal::Unsure(_),
        ) => Ok(()),
    }
}

/// The command that makes the script known.
pub(super) fn load_script() -> Cmd {
    let mut load = cmd("SCRIPT");
    load.arg("LOAD").arg(WRITE);
    load
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_PROBES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, RECEIVED_WITHIN_MS)?;
    Ok(())
}
