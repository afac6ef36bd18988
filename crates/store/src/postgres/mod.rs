//! A PostgreSQL server: two connections that carry whole batches, a third to a replica if there is one,
//! and a new primary found when the old one is gone.

mod address;
mod parameters;
mod tls;
mod failure;
mod statements;
mod rows;
mod session;
mod link;
mod schema;
mod round;
mod writer;
mod reader;
mod freshness;
mod metrics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use birthday::{Birthday, Name, Span, User};
use futures_util::future::try_join_all;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use address::{Address, AddressParts, InvalidAddress};

use crate::lane::{Lane, lane};
use crate::metrics::Metrics;
use crate::recent::Recent;
use crate::{Change, Location, Migrated, OpenError, Options, Outcome, Reason, StoreError};
use address::Target;
use freshness::Freshness;
use link::{Link, Way};
use metrics::{Metrics as Counts, Use};
use reader::{Age, Answer, Asked, Found, Read, Reader, Route};
use session::Server;
use writer::Writer;

/// How long callers wait for an answer: a frozen database is told within 1.1 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long they wait for a replica before the primary is asked.
const REPLICA_WITHIN: Duration = Duration::from_millis(300);
/// How often each connection looks whether its server is still what it was.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often, where there is a replica, the positions of both logs are compared.
const COMPARE_EVERY: Duration = Duration::from_millis(100);
/// How long opening the store waits for the server to answer. It may come later, too.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long closing waits for the workers.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// How one change ended.
type Fate = Result<Outcome, StoreError>;

/// The handle; every clone is the same store.
#[derive(Clone)]
pub(crate) struct Postgres {
    shared: Arc<Shared>,
}

struct Shared {
    writes: Lane<Change, Fate>,
    reads: Lane<Asked, Answer>,
    replica: Option<Replica>,
    /// To the primary, for changes and for reads.
    to_write: watch::Receiver<Way>,
    to_read: watch::Receiver<Way>,
    counts: Counts,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

struct Replica {
    reads: Lane<Asked, Answer>,
    freshness: Arc<Freshness>,
    recent: Arc<Recent>,
    /// How old answers may be once the primary is gone.
    without_primary: Age,
    /// Whether reads went there last time: a change of that is logged.
    serves: AtomicBool,
}

/// What a replica can do for a read.
enum Fit {
    Answer,
    /// It may not have what this instance wrote.
    TooEarly,
    /// Nobody knows how far behind it is.
    TooOld,
}

impl Postgres {
    /// Starts the workers, and waits a moment for the server. Where it doesn't answer yet, or has an older
    /// schema, the store is open all the same and is of use as soon as that has changed. One that answers
    /// and refuses us is not waited for: as we are set, it will refuse us for ever.
    pub(crate) async fn open(
        address: &Address,
        options: Options,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let counts = Counts::register(metrics, registry);
        let server = primary(address)?;
        let replica = options.replica.as_ref().map(|place| replica(place, address)).transpose()?;
        let migrator =
            options.migrate_on_start.as_ref().map(|place| primary(of_location(place)?)).transpose()?;
        let freshness = Arc::<Freshness>::default();
        let look_every = if replica.is_some() { COMPARE_EVERY } else { LOOK_EVERY };

        let link = Link::new(Arc::clone(&server), Use::Write, LOOK_EVERY, counts.clone()).migrating(migrator);
        let to_write = link.way();
        let (writes, inbox) = lane(metrics.queue.clone());
        let writer = Writer {
            link,
            inbox,
            metrics: metrics.clone(),
            counts: counts.clone(),
            look_every: LOOK_EVERY,
            abandoned: Vec::new(),
        };
        let mut workers = vec![tokio::spawn(writer.run())];

        let route = Route::Primary(Arc::clone(&freshness));
        let (reads, to_read, worker) = start_reader(server, route, look_every, metrics, &counts);
        workers.push(worker);
        let replica = replica.map(|server| {
            let recent = Arc::<Recent>::default();
            let route = Route::Replica(Arc::clone(&freshness), Arc::clone(&recent));
            let (reads, _, worker) = start_reader(server, route, look_every, metrics, &counts);
            workers.push(worker);
            let without_primary = options.without_primary();
            Replica { reads, freshness, recent, without_primary, serves: AtomicBool::new(true) }
        });
        let first = first_answer([to_write.clone(), to_read.clone()]).await;
        let workers = Mutex::new(workers);
        let shared = Shared { writes, reads, replica, to_write, to_read, counts, workers };
        let store = Self { shared: Arc::new(shared) };
        match first {
            Ok(()) => Ok(store),
            Err(why) => {
                store.close().await;
                Err(refuse(address, &why))
            }
        }
    }

    /// Readers alone. Here the server must answer, and have the schema.
    pub(crate) async fn open_to_read(
        address: &Address,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let counts = Counts::register(metrics, registry);
        let server = primary(address)?;
        schema::look(&server).await?;
        // A lane without a worker: changes are not applied.
        let (writes, _) = lane(metrics.queue.clone());
        let route = Route::Primary(Arc::default());
        let (_, to_write) = watch::channel(Way::Closed);
        let (reads, to_read, worker) = start_reader(server, route, LOOK_EVERY, metrics, &counts);
        first_answer([to_read.clone()]).await.map_err(|why| refuse(address, &why))?;
        let workers = Mutex::new(vec![worker]);
        let shared = Shared { writes, reads, replica: None, to_write, to_read, counts, workers };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) async fn migrate(address: &Address) -> Result<Migrated, OpenError> {
        schema::migrate(&primary(address)?).await
    }

    pub(crate) async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        match self.read(Read::User(name.clone())).await? {
            Found::User(record) => Ok(record.and_then(|record| record.birthday)),
            Found::Page(_) | Found::Birthdays(_) | Found::Pong => Ok(None),
        }
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        match self.read(Read::User(name.clone())).await? {
            Found::User(record) => Ok(record.map(|record| User {
                name: name.clone(),
                email: record.email,
                birthday: record.birthday,
            })),
            Found::Page(_) | Found::Birthdays(_) | Found::Pong => Ok(None),
        }
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        match self.read(Read::Page { after: after.cloned(), limit }).await? {
            Found::Page(users) => Ok(users),
            Found::User(_) | Found::Birthdays(_) | Found::Pong => Ok(Vec::new()),
        }
    }

    pub(crate) async fn birthdays(
        &self,
        spans: &[Span],
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Birthday)>, StoreError> {
        let (spans, after) = (spans.to_vec(), after.cloned());
        match self.read(Read::Birthdays { spans, after, limit }).await? {
            Found::Birthdays(birthdays) => Ok(birthdays),
            Found::User(_) | Found::Page(_) | Found::Pong => Ok(Vec::new()),
        }
    }

    pub(crate) async fn commit(&self, change: Change) -> Fate {
        let Some(replica) = &self.shared.replica else {
            return self.shared.writes.ask(change, ANSWER_WITHIN).await?;
        };
        let name = change.name().clone();
        let fate = self.shared.writes.ask(change, ANSWER_WITHIN).await;
        replica.recent.changed(name, Instant::now());
        fate?
    }

    /// Life is asked of the primary, on the connection for reads. There must be one for changes, too: who
    /// refuses every change is not sent any, unless old answers are asked for rather than none.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read(Read::Ping).await?;
        let without_primary =
            self.shared.replica.as_ref().map_or(Age::Bounded, |replica| replica.without_primary);
        match without_primary {
            Age::Any => Ok(()),
            Age::Bounded if *self.shared.to_write.borrow() == Way::Open => Ok(()),
            Age::Bounded => Err(StoreError::NotApplied(Reason::Unavailable("it takes no changes".into()))),
        }
    }

    /// Finishes the changes that wait, then ends.
    pub(crate) async fn close(&self) {
        let workers =
            std::mem::take(&mut *self.shared.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let closed = async {
            self.shared.writes.close().await;
            self.shared.reads.close().await;
            if let Some(replica) = &self.shared.replica {
                replica.reads.close().await;
            }
        };
        let _ = timeout(CLOSE_WITHIN, closed).await;
        for mut worker in workers {
            if timeout(CLOSE_WITHIN, &mut worker).await.is_err() {
                worker.abort();
            }
        }
    }

    /// Asks the replica where it will do, otherwise the primary.
    async fn read(&self, read: Read) -> Result<Found, StoreError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let shared = &self.shared;
        let Some(replica) = &shared.replica else {
            return ask(&shared.reads, read, Age::Bounded, deadline).await;
        };
        match replica.fit(&read) {
            Fit::TooEarly => {}
            Fit::TooOld => replica.count_fallback(&shared.counts),
            Fit::Answer => {
                let soon = deadline.min(Instant::now() + REPLICA_WITHIN);
                match ask(&replica.reads, read.clone(), Age::Bounded, soon).await {
                    Ok(found) => {
                        replica.tell(Serves::Yes);
                        return Ok(found);
                    }
                    Err(_) => replica.count_fallback(&shared.counts),
                }
            }
        }
        match replica.without_primary {
            Age::Bounded => ask(&shared.reads, read, Age::Bounded, deadline).await,
            Age::Any => {
                if *shared.to_read.borrow() == Way::Open {
                    let soon = deadline - REPLICA_WITHIN;
                    if let Ok(found) = ask(&shared.reads, read.clone(), Age::Bounded, soon).await {
                        return Ok(found);
                    }
                }
                ask(&replica.reads, read, Age::Any, deadline).await
            }
        }
    }
}

impl Replica {
    fn fit(&self, read: &Read) -> Fit {
        let Some(copied) = self.freshness.copied() else { return Fit::TooOld };
        if read.is_in_copy(&self.recent, copied) { Fit::Answer } else { Fit::TooEarly }
    }

    fn count_fallback(&self, counts: &Counts) {
        counts.fallbacks.inc();
        self.tell(Serves::No);
    }

    /// Logs when that has changed.
    fn tell(&self, serves: Serves) {
        let serves = serves == Serves::Yes;
        if self.serves.load(Ordering::Relaxed) != serves
            && self.serves.swap(serves, Ordering::Relaxed) != serves
        {
            if serves {
                tracing::info!("reads go to the replica again");
            } else {
                tracing::warn!("the replica is away or lags behind; reads go to the primary");
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    Yes,
    No,
}

impl Options {
    const fn without_primary(&self) -> Age {
        if self.stale_reads { Age::Any } else { Age::Bounded }
    }
}

async fn ask(
    lane: &Lane<Asked, Answer>,
    read: Read,
    age: Age,
    deadline: Instant,
) -> Result<Found, StoreError> {
    let patience = deadline.saturating_duration_since(Instant::now());
    match lane.ask(Asked { read, age }, patience).await {
        Ok(answer) => answer.map_err(StoreError::NotApplied),
        // Reading changes nothing, whenever it was given up.
        Err(StoreError::NotApplied(reason) | StoreError::Unknown(reason)) => {
            Err(StoreError::NotApplied(reason))
        }
    }
}

/// The servers of an address that must take writes.
fn primary(address: &Address) -> Result<Arc<Server>, OpenError> {
    match address.target {
        Target::Any | Target::Writable => Server::new(address).map(Arc::new),
        Target::Readable => {
            Err(refuse(address, "target_session_attrs asks for a server that takes no writes"))
        }
    }
}

/// The servers of an address that reads may go to.
fn replica(location: &Location, primary: &Address) -> Result<Arc<Server>, OpenError> {
    let address = of_location(location)?;
    match address.target {
        Target::Any | Target::Readable => {
            let mut address = address.clone().of_replica(primary);
            // Instances that were started together shall not all ask the same one.
            let first = std::process::id() as usize % address.hosts.len();
            address.hosts.rotate_left(first);
            Server::new(&address).map(Arc::new)
        }
        Target::Writable => Err(refuse(address, "target_session_attrs asks for a server that is no replica")),
    }
}

fn of_location(location: &Location) -> Result<&Address, OpenError> {
    match location {
        Location::Postgres(address) => Ok(address),
        Location::SqliteFile(_) | Location::SqliteMemory | Location::Redis(_) => Err(OpenError::Engine {
            place: location.to_string(),
            reason: "with a store in PostgreSQL, its replica and its migrations are in PostgreSQL too".into(),
        }),
    }
}

fn refuse(address: &Address, reason: &str) -> OpenError {
    OpenError::Engine { place: format!("the PostgreSQL database {address}"), reason: reason.into() }
}

/// Starts the worker that reads on a route; hands back the callers' end of its lane, and whether it has a
/// connection.
fn start_reader(
    server: Arc<Server>,
    route: Route,
    look_every: Duration,
    metrics: &Metrics,
    counts: &Counts,
) -> (Lane<Asked, Answer>, watch::Receiver<Way>, JoinHandle<()>) {
    let (used_for, answered) = match &route {
        Route::Primary(_) => (Use::Read, counts.primary_reads.clone()),
        Route::Replica(..) => (Use::Replica, counts.replica_reads.clone()),
    };
    let link = Link::new(server, used_for, look_every, counts.clone());
    let way = link.way();
    let (reads, inbox) = lane(metrics.read_queue.clone());
    let reader = Reader { link, inbox, route, look_every, answered, metrics: counts.clone(), lags: None };
    (reads, way, tokio::spawn(reader.run()))
}

/// Waits a moment until every way is open. The error is in the words of a server that refuses us.
async fn first_answer<const WAYS: usize>(ways: [watch::Receiver<Way>; WAYS]) -> Result<(), String> {
    let opened = ways.map(|mut way| async move {
        // An error means that the worker has ended, and there is nothing to wait for.
        match way.wait_for(|way| *way != Way::Closed).await.as_deref() {
            Ok(Way::Refused(why)) => Err(why.clone()),
            Ok(Way::Open | Way::Closed) | Err(_) => Ok(()),
        }
    });
    match timeout(FIRST_ANSWER_WITHIN, try_join_all(opened)).await {
        Ok(Err(why)) => Err(why),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
