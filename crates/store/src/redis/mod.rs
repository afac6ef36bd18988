//! The store in Redis, one server or a cluster: everything of a user, and what lists the user, in one slot,
//! changed by one script.

mod url;
mod layout;
mod cluster;
mod node;
mod link;
mod tls;
mod failure;
mod list;
mod schema;
mod durability;

use std::sync::Arc;

use ::redis::{RedisConnectionInfo, cmd, from_redis_value};
use birthday::{Birthday, Name, User};
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::{Change, Migrated, OpenError, Outcome, Reason, StoreError};
use cluster::{Cluster, OPERATION_WITHIN};
use layout::{BIRTHDAY_FIELD, Bucket, EMAIL_FIELD, birthday_of, user_of};
use link::Dialer;
use schema::ADMIN_WITHIN;
use tls::Encryption;
pub use url::{InvalidRedisUrl, RedisUrl};

const REINDEX: &str = include_str!("reindex.lua");

/// The handle; every clone is the same store.
#[derive(Clone)]
pub(crate) struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Arc<Cluster>,
    /// Looks who has what; ends with the store.
    keeper: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Redis {
    pub(crate) async fn open(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        let redis = Self::connect(url, replicas, metrics).await?;
        redis.look_at_durability(url, replicas, metrics).await?;
        schema::mark(&redis.shared.cluster, &url.to_string()).await?;
        Ok(redis)
    }

    pub(crate) async fn migrate(url: &RedisUrl, replicas: u32) -> Result<Migrated, OpenError> {
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let redis = Self::connect(url, replicas, &metrics).await?;
        let migrated = schema::mark(&redis.shared.cluster, &url.to_string()).await?;
        schema::rebuild(&redis.shared.cluster, &url.to_string()).await?;
        redis.close().await;
        Ok(migrated)
    }

    async fn connect(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Engine { place: url.to_string(), reason };
        let encryption = url.tls.as_ref().map(Encryption::new).transpose().map_err(refuse)?;
        let dialer = Arc::new(Dialer { encryption, greeting: greeting(url) });
        let seeds = url.hosts.clone();
        let cluster = Arc::new(Cluster::new(url.topology, seeds, dialer, replicas, metrics));
        cluster.look().await.map_err(|reason| refuse(reason.to_string()))?;
        let keeper = tokio::spawn(Arc::clone(&cluster).keep_looking());
        Ok(Self { shared: Arc::new(Shared { cluster, keeper }) })
    }

    async fn look_at_durability(
        &self,
        url: &RedisUrl,
        replicas: u32,
        metrics: &Metrics,
    ) -> Result<(), OpenError> {
        for node in self.shared.cluster.nodes() {
            let deadline = Instant::now() + ADMIN_WITHIN;
            durability::look(&node, replicas, metrics, deadline)
                .await
                .map_err(|reason| OpenError::Engine { place: url.to_string(), reason })?;
        }
        Ok(())
    }

    pub(crate) async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        let bucket = Bucket::of(name);
        let mut get = cmd("HGET");
        get.arg(bucket.user_key(name)).arg(BIRTHDAY_FIELD);
        let reply = self.shared.cluster.read(bucket, get, Instant::now() + OPERATION_WITHIN).await?;
        let text: Option<String> = from_redis_value(reply).map_err(|_| strange())?;
        text.map(|text| birthday_of(&text).ok_or_else(strange)).transpose()
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        let bucket = Bucket::of(name);
        let mut get = cmd("HMGET");
        get.arg(bucket.user_key(name)).arg(BIRTHDAY_FIELD).arg(EMAIL_FIELD);
        let reply = self.shared.cluster.read(bucket, get, Instant::now() + OPERATION_WITHIN).await?;
        let (birthday, email) = from_redis_value(reply).map_err(|_| strange())?;
        user_of(name.clone(), birthday, email).map_err(|_| strange())
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        list::users(&self.shared.cluster, after, limit, Instant::now() + OPERATION_WITHIN).await
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<Outcome, StoreError> {
        self.shared.cluster.write(change).await
    }

    /// A sign of life of any server: where others are away, only what they have is.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + OPERATION_WITHIN;
        let nodes = self.shared.cluster.nodes();
        let answers = join_all(nodes.iter().map(|node| node.ask::<String>(cmd("PING"), deadline))).await;
        let mut failure = StoreError::NotApplied(Reason::Unavailable("no server is known".into()));
        for answer in answers {
            match answer {
                Ok(_) => return Ok(()),
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
