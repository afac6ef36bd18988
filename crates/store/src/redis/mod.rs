//! The store in Redis, one server or a cluster: everything of a user, and what lists the user, in one slot,
//! changed by one script.

mod url;
mod layout;
mod cluster;
mod node;
mod link;
mod entry;
mod tls;
mod failure;
mod list;
mod schema;
mod durability;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{RedisConnectionInfo, cmd, from_redis_value};
use birthday::{Birthday, Name, Span, User};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;
use crate::{Change, Migrated, OpenError, Outcome, Reason, StoreError};
use cluster::{Cluster, OPERATION_WITHIN};
use entry::{Closed, Entry};
use layout::{BIRTHDAY_FIELD, Bucket, EMAIL_FIELD, birthday_of, user_of};
pub use url::{InvalidRedisUrl, RedisUrl};

/// How long opening the store waits for the servers to answer. They may come later, too.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(2);
const REINDEX: &str = include_str!("reindex.lua");

/// The handle; every clone is the same store.
#[derive(Clone)]
pub(crate) struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Arc<Cluster>,
    closed: watch::Receiver<Closed>,
    /// Looks who may be asked, and then who has what; ends with the store.
    keeper: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Redis {
    /// Waits a moment for the servers. Where they don't answer yet, the store is open all the same and is of
    /// use as soon as they do; servers that answer and can't be used are refused.
    pub(crate) async fn open(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        let entry = Entry::new(url, replicas, metrics)?;
        match timeout(FIRST_ANSWER_WITHIN, entry.pass()).await {
            Ok(Ok(_)) => Ok(Self::start(entry, None)),
            Ok(Err(OpenError::Away { reason, .. })) => Ok(Self::start(entry, Some(reason))),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Self::start(entry, Some(Reason::TooSlow))),
        }
    }

    /// To read; here the servers must answer.
    pub(crate) async fn open_now(
        url: &RedisUrl,
        replicas: u32,
        metrics: &Metrics,
    ) -> Result<Self, OpenError> {
        let entry = Entry::to_read(url, replicas, metrics)?;
        entry.pass().await?;
        Ok(Self::start(entry, None))
    }

    pub(crate) async fn migrate(url: &RedisUrl, replicas: u32) -> Result<Migrated, OpenError> {
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let entry = Entry::new(url, replicas, &metrics)?;
        let migrated = entry.pass().await?;
        let redis = Self::start(entry, None);
        schema::rebuild(&redis.shared.cluster, &url.to_string()).await?;
        redis.close().await;
        Ok(migrated)
    }

    fn start(entry: Entry, closed: Closed) -> Self {
        let cluster = Arc::clone(&entry.cluster);
        let (sender, closed) = watch::channel(closed);
        let keeper = tokio::spawn(entry.keep(sender));
        Self { shared: Arc::new(Shared { cluster, closed, keeper }) }
    }

    /// The servers, once they may be asked for users.
    fn servers(&self) -> Result<&Cluster, StoreError> {
        match &*self.shared.closed.borrow() {
            None => Ok(&self.shared.cluster),
            Some(reason) => Err(StoreError::NotApplied(reason.clone())),
        }
    }

    pub(crate) async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        let bucket = Bucket::of(name);
        let mut get = cmd("HGET");
        get.arg(bucket.user_key(name)).arg(BIRTHDAY_FIELD);
        let reply = self.servers()?.read(bucket, get, Instant::now() + OPERATION_WITHIN).await?;
        let text: Option<String> = from_redis_value(reply).map_err(|_| strange())?;
        text.map(|text| birthday_of(&text).ok_or_else(strange)).transpose()
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        let bucket = Bucket::of(name);
        let mut get = cmd("HMGET");
        get.arg(bucket.user_key(name)).arg(BIRTHDAY_FIELD).arg(EMAIL_FIELD);
        let reply = self.servers()?.read(bucket, get, Instant::now() + OPERATION_WITHIN).await?;
        let (birthday, email) = from_redis_value(reply).map_err(|_| strange())?;
        user_of(name.clone(), birthday, email).map_err(|_| strange())
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        list::users(self.servers()?, after, limit, Instant::now() + OPERATION_WITHIN).await
    }

    pub(crate) async fn birthdays(
        &self,
        spans: &[Span],
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Birthday)>, StoreError> {
        list::birthdays(self.servers()?, spans, after, limit, Instant::now() + OPERATION_WITHIN).await
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<Outcome, StoreError> {
        self.servers()?.write(change).await
    }

    /// A sign of life of any server: where others are away, only what they have is.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + OPERATION_WITHIN;
        let nodes = self.servers()?.nodes();
        let answers = join_all(nodes.iter().map(|node| node.ping(deadline))).await;
        let mut failure = StoreError::NotApplied(Reason::Unavailable("no server is known".into()));
        for answer in answers {
            match answer {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(crate) async fn close(&self) {
        self.shared.keeper.abort();
        let nodes = self.shared.cluster.nodes();
        join_all(nodes.iter().map(|node| node.close())).await;
    }
}

fn greeting(url: &RedisUrl) -> RedisConnectionInfo {
    let mut greeting = RedisConnectionInfo::default()
        .set_db(url.database.into())
        .set_lib_name("hello-birthday", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &url.user {
        greeting = greeting.set_username(user);
    }
    if let Some(password) = &url.password {
        greeting = greeting.set_password(&password.0);
    }
    greeting
}

/// Brings what lists a user in line with the user's record, and says how much was changed.
async fn reindex(
    cluster: &Cluster,
    (bucket, name): (Bucket, &Name),
    listed: &str,
    deadline: Instant,
) -> Result<i64, StoreError> {
    let mut command = cmd("EVAL");
    command
        .arg(REINDEX)
        .arg(3)
        .arg(bucket.user_key(name))
        .arg(bucket.names_key())
        .arg(bucket.days_key())
        .arg(name.as_str())
        .arg(listed);
    from_redis_value(cluster.read(bucket, command, deadline).await?).map_err(|_| strange())
}

/// Redis answered something that this program would not have stored.
fn strange() -> StoreError {
    StoreError::NotApplied(Reason::Unavailable("Redis holds something that is not hello-birthday's".into()))
}
