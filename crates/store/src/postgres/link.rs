//! How does a worker come to a session, and keep to the right server?

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::address::Host;
use super::failure::{Failure, Meaning};
use super::metrics::{Metrics, Use};
use super::schema;
use super::session::{Look, Role, Server, Session};
use crate::Reason;
use crate::metrics::Durability;

/// How long a server may take to say what it is.
const LOOK_WITHIN: Duration = Duration::from_millis(500);
/// How often a server is asked again what it promises: somebody may change its settings.
const LOOK_AT_PROMISES_EVERY: Duration = Duration::from_secs(10);
/// After a failed attempt to connect, the next one follows so much later.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Whether there is a way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not now.
    Closed,
    /// There is a session.
    Open,
    /// All servers refused us, when they were asked last; these are their words.
    Refused(String),
}

/// A place for one session. It is empty while there is none.
pub(super) struct Link {
    server: Arc<Server>,
    used_for: Use,
    look_every: Duration,
    metrics: Metrics,
    session: Option<Session>,
    /// Whom to ask last, for its session was left.
    left: Option<Host>,
    way: watch::Sender<Way>,
    /// The trouble that was logged last: the same one is not logged again.
    told: Option<String>,
    /// What the server promised, and when.
    promised: Option<(Durability, Instant)>,
    /// Who may make the schema, where this is to do it and has not seen one that will do.
    migrator: Option<Arc<Server>>,
    /// The same as `told`, of migrating.
    migration_told: Option<String>,
}

impl Link {
    pub(super) fn new(server: Arc<Server>, used_for: Use, look_every: Duration, metrics: Metrics) -> Self {
        let way = watch::Sender::new(Way::Closed);
        Self {
            server,
            used_for,
            look_every,
            metrics,
            session: None,
            left: None,
            way,
            told: None,
            promised: None,
            migrator: None,
            migration_told: None,
        }
    }

    /// Brings the schema up to date where it is older than needed.
    pub(super) fn migrating(self, migrator: Option<Arc<Server>>) -> Self {
        Self { migrator, ..self }
    }

    /// Tells whether there is a session, to whoever looks.
    pub(super) fn way(&self) -> watch::Receiver<Way> {
        self.way.subscribe()
    }

    const fn role(&self) -> Role {
        match self.used_for {
            Use::Write | Use::Read => Role::Primary,
            Use::Replica => Role::Replica,
        }
    }

    /// The session, opened if there is none that is of use.
    pub(super) async fn session(&mut self) -> Result<&mut Session, Failure> {
        if !self.is_open() {
            self.drop_session();
            match self.open().await {
                Ok(session) => self.opened(session),
                Err(failure) => {
                    self.way.send_replace(Way::after(&failure));
                    self.tell(&failure);
                    return Err(failure);
                }
            }
        }
        self.present()
    }

    /// The session that is there, of use or not.
    pub(super) fn present(&mut self) -> Result<&mut Session, Failure> {
        self.session.as_mut().ok_or_else(|| Failure::new(Meaning::Lost, "the connection is closed"))
    }

    /// Whether the session that is there can be used. One with a primary that was replaced can't.
    pub(super) fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            !session.is_closed()
                && match self.role() {
                    Role::Primary => self.server.is_newest(session.seen.timeline),
                    Role::Replica => true,
                }
        })
    }

    async fn open(&mut self) -> Result<Session, Failure> {
        let session = self.server.open(self.role(), self.left.as_ref()).await?;
        match self.role() {
            Role::Replica => Ok(session),
            Role::Primary => {
                let prepared = timeout(LOOK_WITHIN, prepare(&session, self.used_for)).await;
                if let Some(durability) = prepared.unwrap_or_else(|_| Err(silent()))? {
                    self.promised(durability);
                }
                Ok(session)
            }
        }
    }

    /// Tells what the server promises, and logs what is missing where that is news.
    fn promised(&mut self, durability: Durability) {
        let before = self.promised.replace((durability, Instant::now()));
        if before.is_none_or(|(before, _)| before != durability) {
            match (durability.server_crash, durability.power_loss) {
                (Some(false), _) => tracing::warn!(
                    "synchronous_commit is off: what is done can be lost; set it on, for the role"
                ),
                (_, Some(false)) => tracing::warn!(
                    "PostgreSQL runs with fsync=off: what is done can be lost, and the database with it"
                ),
                (Some(true) | None, Some(true) | None) => {}
            }
        }
        self.metrics.store.promise(durability);
    }

    fn opened(&mut self, session: Session) {
        self.metrics.connections[self.used_for as usize].inc();
        self.metrics.connects[self.used_for as usize].inc();
        self.way.send_replace(Way::Open);
        self.saw(session.seen.timeline);
        self.session = Some(session);
        self.left = None;
        // The schema was found to be good: a migration that fails shall keep nobody waiting.
        self.migrator = None;
        if self.told.take().is_some() {
            tracing::info!("PostgreSQL answers again: there is a {} connection", self.used_for.name());
        }
    }

    fn saw(&self, timeline: i64) {
        match self.role() {
            Role::Primary if self.server.saw(timeline) => {
                self.metrics.failovers.inc();
                tracing::warn!(timeline, "PostgreSQL has another primary");
            }
            Role::Primary | Role::Replica => {}
        }
    }

    fn tell(&mut self, failure: &Failure) {
        let trouble = failure.why();
        if self.told.as_ref() != Some(&trouble) {
            tracing::warn!("no {} connection to PostgreSQL: {trouble}", self.used_for.name());
            self.told = Some(trouble);
        }
    }

    /// Gives the session away, and has none.
    pub(super) fn take(&mut self) -> Option<Session> {
        let session = self.session.take();
        if session.is_some() {
            self.metrics.connections[self.used_for as usize].dec();
            self.way.send_replace(Way::Closed);
        }
        session
    }

    pub(super) fn drop_session(&mut self) {
        drop(self.take());
    }

    /// Drops the session for one with another server, where there is another.
    pub(super) fn leave(&mut self) {
        if self.server.address.hosts.len() > 1 {
            self.left = self.take().map(|session| session.host);
        }
    }

    /// Waits until the connection ends by itself.
    pub(super) async fn ended(&mut self) {
        match &mut self.session {
            Some(session) => session.ended().await,
            None => std::future::pending().await,
        }
        self.drop_session();
    }

    /// Looks, if it is time to, whether the server is still what it was; otherwise drops the session.
    pub(super) async fn look(&mut self) -> Option<&Look> {
        let role = self.role();
        let session = self.session.as_mut()?;
        if session.looked.is_some_and(|looked| looked.elapsed() < self.look_every) {
            return None;
        }
        let is_told = self.promised.is_some_and(|(_, since)| since.elapsed() < LOOK_AT_PROMISES_EVERY);
        let look = async {
            session.look(role).await?;
            match role {
                // A newer version of the program may have made a schema that this one can't work with.
                Role::Primary if is_told => schema::check(session).await.map(|()| None),
                Role::Primary => prepare(session, self.used_for).await,
                Role::Replica => Ok(None),
            }
        };
        let looked = timeout(LOOK_WITHIN, look).await.unwrap_or_else(|_| Err(silent()));
        let seen = looked.and_then(|promised| {
            let fits = self.server.check(&session.seen, role);
            fits.map(|()| promised).map_err(|why| Failure::new(Meaning::Elsewhere, why))
        });
        match seen {
            Ok(promised) => {
                if let Some(durability) = promised {
                    self.promised(durability);
                }
                let seen = &self.session.as_ref()?.seen;
                self.saw(seen.timeline);
                Some(seen)
            }
            Err(failure) => {
                self.drop_session();
                self.tell(&failure);
                None
            }
        }
    }

    /// Brings the schema up to date, if that is to be done here. Where that fails it is tried again until there is
    /// a session, which there is only with a schema that will do.
    pub(super) async fn migrate(&mut self) {
        let Some(migrator) = self.migrator.take() else { return };
        match schema::migrate(&migrator).await {
            Ok(migrated) => tracing::info!("{migrated}"),
            Err(error) => {
                let trouble = error.to_string();
                if self.migration_told.as_ref() != Some(&trouble) {
                    tracing::warn!(%error, "the schema can't be brought up to date");
                    self.migration_told = Some(trouble);
                }
                self.migrator = Some(migrator);
            }
        }
    }
}

impl Way {
    fn after(failure: &Failure) -> Self {
        match &failure.reason {
            Reason::Refused(_) => Self::Refused(failure.why()),
            Reason::Unavailable(_) | Reason::Overloaded | Reason::TooSlow | Reason::Full => Self::Closed,
        }
    }
}

/// Sees to it that a primary will do for that use; says of one that takes changes what it promises.
async fn prepare(session: &Session, used_for: Use) -> Result<Option<Durability>, Failure> {
    let durability = match used_for {
        Use::Write => Some(session.insist_on_durability().await?),
        Use::Read | Use::Replica => None,
    };
    schema::check(session).await?;
    Ok(durability)
}

fn silent() -> Failure {
    Failure::new(Meaning::Lost, "it does not answer")
}
