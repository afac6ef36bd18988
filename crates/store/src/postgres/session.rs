//! How is a session with the right server opened, and what does it notice?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::error::Severity;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Host, Place, Pooling, Tls};
use super::failure::{Failure, Meaning, describe, said};
use super::statements::Statement;
use super::tls;
use crate::metrics::Durability;
use crate::{OpenError, Reason};

/// On the server's side no statement runs longer, in case nobody waits for it any more. Ours are given
/// up before.
const STATEMENT_TIMEOUT_MS: u32 = 2000;
/// A row that somebody holds longer makes its own change fail, and not the batch that it is in.
const LOCK_TIMEOUT_MS: u32 = 250;
/// Bytes that the other side doesn't acknowledge for so long end the connection, and so does silence: after this much
/// of it questions go out, a second apart. Three of them may have no answer; on Linux the first bound holds for these
/// as well (tcp(7), TCP_USER_TIMEOUT).
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(2);
const SILENCE_MAX: Duration = Duration::from_secs(5);
const SILENCE_QUESTION_EVERY: Duration = Duration::from_secs(1);
const SILENCE_QUESTIONS: u32 = 3;

/// The servers of one address, and what is known of them.
pub(super) struct Server {
    pub(super) address: Address,
    tls: Option<MakeRustlsConnect>,
    /// The newest timeline that a primary had: each promotion begins another. A primary with an older one
    /// has been replaced and doesn't know it.
    timeline: AtomicI64,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
}

/// One session. One statement at a time.
pub(super) struct Session {
    pub(super) host: Host,
    client: Client,
    /// Whether the server gave a warning, since it was last asked.
    warned: Arc<AtomicBool>,
    driver: Driver,
    prepared: [Option<tokio_postgres::Statement>; Statement::COUNT],
    pooling: Pooling,
    pub(super) seen: Look,
    /// When it last said so; `None` makes the next look come at once.
    pub(super) looked: Option<Instant>,
}

/// The task that moves the bytes of a session.
pub(super) struct Driver {
    task: JoinHandle<()>,
    /// The timeline of the session's server.
    pub(super) timeline: i64,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) writable: bool,
    pub(super) in_recovery: bool,
    /// Of a replica, the newest that it is known to follow: it may follow a newer one already.
    pub(super) timeline: i64,
    /// How far the log is flushed, on a primary, or replayed, on a replica.
    pub(super) position: i64,
}

const DURABILITY: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync'),
current_setting('synchronous_standby_names')";

const LOOK: &str = "SELECT current_setting('transaction_read_only') = 'off', pg_is_in_recovery(),
CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint END,
(CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
    ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint";

/// The same of a replica. No function says which timeline it replays, so it is the newest of three that it is
/// certain not to have turned from: that of its last restartpoint, the one up to which it would have to recover,
/// and the one that it streams. The first two may be behind for minutes after a failover; the third is not, but
/// is told only to who has `pg_read_all_stats`.
const LOOK_AT_REPLICA: &str = "SELECT current_setting('transaction_read_only') = 'off', pg_is_in_recovery(),
greatest((SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
    (SELECT received_tli FROM pg_stat_wal_receiver))::bigint,
(coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'::pg_lsn)::bigint";

impl Server {
    pub(super) fn new(address: &Address) -> Result<Self, OpenError> {
        let tls = tls::connector(&address.tls())?;
        Ok(Self { address: address.clone(), tls, timeline: AtomicI64::new(0) })
    }

    /// Whether that timeline is the newest that was seen.
    pub(super) fn is_newest(&self, timeline: i64) -> bool {
        timeline >= self.timeline.load(Ordering::Acquire)
    }

    /// Notes the timeline of a primary. Says whether it is one that followed another.
    pub(super) fn saw(&self, timeline: i64) -> bool {
        let before = self.timeline.fetch_max(timeline, Ordering::AcqRel);
        before != 0 && before < timeline
    }

    /// A session with the first host that fits the role; one that was left is asked only if no other does.
    pub(super) async fn open(self: &Arc<Self>, role: Role, left: Option<&Host>) -> Result<Session, Failure> {
        if left.is_some()
            && let Ok(session) = self.open_but(left, role).await
        {
            return Ok(session);
        }
        self.open_but(None, role).await
    }

    /// Asks all hosts but that one at once, and takes the first that fits the role. Only if every one of them refuses
    /// us, the failure says so: one that is away may have another opinion. Where one cut us off, the session is lost.
    async fn open_but(self: &Arc<Self>, left: Option<&Host>, role: Role) -> Result<Session, Failure> {
        let mut attempts = JoinSet::new();
        for host in self.address.hosts.iter().filter(|host| Some(*host) != left) {
            let (server, host) = (Arc::clone(self), host.clone());
            attempts.spawn(async move {
                let attempt = timeout(server.address.connect_within, server.open_host(&host, role)).await;
                let silent = |_| Err(Failure::new(Meaning::Elsewhere, "it does not answer"));
                attempt.unwrap_or_else(silent).map_err(|failure| (host, failure))
            });
        }
        let (mut reasons, mut all_refuse, mut cut) = (Vec::new(), true, false);
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err((host, failure))) => {
                    all_refuse &= matches!(failure.reason, Reason::Refused(_));
                    cut |= failure.meaning == Meaning::Lost;
                    reasons.push(format!("{host}: {}", failure.why()));
                }
                Err(error) => {
                    all_refuse = false;
                    reasons.push(error.to_string());
                }
            }
        }
        reasons.sort_unstable();
        let why = reasons.join("; ").into();
        let reason = if all_refuse { Reason::Refused(why) } else { Reason::Unavailable(why) };
        Err(Failure { meaning: if cut { Meaning::Lost } else { Meaning::Elsewhere }, reason })
    }

    async fn open_host(&self, host: &Host, role: Role) -> Result<Session, Failure> {
        let config = self.config(host);
        let mut session = match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(explain)?;
                Session::start(host, client, connection, self.address.pooling)
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(explain)?;
                Session::start(host, client, connection, self.address.pooling)
            }
        };
        session.look(role).await?;
        session.driver.timeline = session.seen.timeline;
        self.check(&session.seen, role).map_err(|why| Failure::new(Meaning::Elsewhere, why))?;
        Ok(session)
    }

    /// Whether a server that says so fits the role.
    pub(super) fn check(&self, seen: &Look, role: Role) -> Result<(), String> {
        match role {
            Role::Primary if !seen.writable => Err("it is read-only".into()),
            Role::Primary if !self.is_newest(seen.timeline) => {
                Err("it was replaced as the primary by another server".into())
            }
            Role::Replica if !seen.in_recovery => Err("it is no replica".into()),
            Role::Primary | Role::Replica => Ok(()),
        }
    }

    fn config(&self, host: &Host) -> Config {
        let address = &self.address;
        let mut config = Config::new();
        match &host.place {
            Place::Tcp(name) => config.host(name),
            Place::Unix(folder) => config.host_path(folder),
        };
        config
            .port(host.port)
            .application_name(&address.application_name)
            .connect_timeout(address.connect_within)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX)
            .keepalives_idle(SILENCE_MAX)
            .keepalives_interval(SILENCE_QUESTION_EVERY)
            .keepalives_retries(SILENCE_QUESTIONS)
            .ssl_mode(match address.tls() {
                Tls::Disable => tokio_postgres::config::SslMode::Disable,
                Tls::Require | Tls::VerifyFull(_) => tokio_postgres::config::SslMode::Require,
            });
        if let Some(user) = &address.user {
            config.user(user);
        }
        if let Some(password) = &address.password {
            config.password(password);
        }
        if let Some(database) = &address.database {
            config.dbname(database);
        }
        match address.pooling {
            Pooling::Session => {
                let theirs = address.options.as_deref().unwrap_or_default();
                config.options(format!(
                    "-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} -c default_transaction_isolation=read\\ committed {theirs}"
                ));
            }
            // A pooler refuses them: the session is not ours.
            Pooling::Transaction => {}
        }
        config
    }
}

/// What went wrong while connecting, with the remedy where there is a usual one. Both that are known by
/// their words are the driver's own refusals.
fn explain(error: tokio_postgres::Error) -> Failure {
    let words = describe(&error);
    let reason = if words.contains("does not support TLS") {
        let remedy = "where the network in between can be trusted, say sslmode=disable";
        Reason::Refused(format!("{words}; {remedy}").into())
    } else if words.contains("password missing") {
        Reason::Refused("it asks for a password, and none is set".into())
    } else {
        return Failure::while_connecting(error);
    };
    Failure { meaning: Meaning::Elsewhere, reason }
}

impl Session {
    fn start<S>(host: &Host, client: Client, connection: Connection<Socket, S>, pooling: Pooling) -> Self
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let warned = Arc::<AtomicBool>::default();
        let task = tokio::spawn(drive(connection, Arc::clone(&warned)));
        Self {
            host: host.clone(),
            client,
            warned,
            driver: Driver { task, timeline: 0 },
            prepared: [const { None }; Statement::COUNT],
            pooling,
            seen: Look { writable: false, in_recovery: false, timeline: 0, position: 0 },
            looked: None,
        }
    }

    /// Runs one statement to its end, commit included.
    pub(super) async fn rows(
        &mut self,
        statement: Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let (sql, types) = statement.sql();
        match self.pooling {
            Pooling::Transaction => {
                let parameters: Vec<_> = parameters.iter().copied().zip(types.iter().cloned()).collect();
                self.typed(sql, &parameters).await
            }
            Pooling::Session => {
                let prepared = match &self.prepared[statement as usize] {
                    Some(prepared) => prepared.clone(),
                    None => {
                        let prepared = self.client.prepare_typed(sql, types).await?;
                        self.prepared[statement as usize].insert(prepared).clone()
                    }
                };
                Ok(self.client.query(&prepared, parameters).await?)
            }
        }
    }

    /// The same for a statement that is rare.
    pub(super) async fn typed(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure> {
        Ok(self.client.query_typed(sql, parameters).await?)
    }

    /// Makes commits of this session durable before they are answered, where that is in our hands. What survives which
    /// accident is then this.
    pub(super) async fn insist_on_durability(&self) -> Result<Durability, Failure> {
        let rows = self.typed(DURABILITY, &[]).await?;
        let row = rows.first().ok_or_else(|| Failure::new(Meaning::Lost, "it says nothing of itself"))?;
        let (commit, fsync, standbys): (&str, &str, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let waits = match self.pooling {
            // Not only where it is off: somebody may switch it off while this session lasts.
            Pooling::Session => {
                let kept = if commit == "off" { "on" } else { commit };
                self.run(&format!("SET synchronous_commit = {kept}")).await?;
                true
            }
            Pooling::Transaction => commit != "off",
        };
        let failover = waits && commit != "local" && !standbys.is_empty();
        Ok(Durability {
            server_crash: Some(waits),
            power_loss: Some(waits && fsync != "off"),
            failover: Some(failover),
        })
    }

    /// Runs statements without parameters that answer nothing.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Asks the server what it is now.
    pub(super) async fn look(&mut self, role: Role) -> Result<(), Failure> {
        let question = match role {
            Role::Primary => LOOK,
            Role::Replica => LOOK_AT_REPLICA,
        };
        let rows = self.typed(question, &[]).await?;
        let row = rows.first().ok_or_else(|| Failure::new(Meaning::Lost, "it says nothing of itself"))?;
        self.seen = Look {
            writable: row.try_get(0)?,
            in_recovery: row.try_get(1)?,
            timeline: row.try_get(2)?,
            position: row.try_get(3)?,
        };
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// Whether the server warned of anything since this was last asked. A wait for a synchronous replica
    /// that somebody cancelled is told by a warning, in the server's language, before a success.
    pub(super) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until the connection ends by itself.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.driver.task).await;
    }

    /// Leaves the statement in flight to the server, without cancelling it. The connection ends when the
    /// server has answered it.
    pub(super) fn abandon(self) -> Driver {
        self.driver
    }
}

impl Driver {
    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive<S>(mut connection: Connection<Socket, S>, warned: Arc<AtomicBool>)
where
    S: TlsStream + Unpin + Send,
{
    // An error ends the connection, and whoever waits for an answer is told so.
    while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        let AsyncMessage::Notice(notice) = message else { continue };
        if notice.parsed_severity() == Some(Severity::Warning) || notice.code().code().starts_with("01") {
            let what = said(&notice).unwrap_or("of a value");
            tracing::warn!(code = notice.code().code(), "PostgreSQL warns: {what}");
            warned.store(true, Ordering::Release);
        }
    }
}
