//! May the servers be asked for users? Not before they were looked at: that they keep what they acknowledge,
//! and have a form of the data that this program knows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::durability::{Found, Promises, Settings};
use super::link::Dialer;
use super::schema::{self, ADMIN_WITHIN};
use super::tls::Encryption;
use super::{RedisUrl, greeting};
use crate::metrics::Metrics;
use crate::{Migrated, OpenError, Reason};

/// Servers that can't be used are looked at again after so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What the servers promise is looked at again after so long.
const LOOK_AT_PROMISES_EVERY: Duration = Duration::from_secs(10);

/// Why users can't be asked for; nothing once they can.
pub(super) type Closed = Option<Reason>;

/// The servers, and what is asked of them first.
pub(super) struct Entry {
    pub(super) cluster: Arc<Cluster>,
    place: String,
    /// Of no concern to who only reads, and can lose nothing.
    promises: Option<Promises>,
}

impl Entry {
    /// Asks nobody yet.
    pub(super) fn new(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        let place = url.to_string();
        let encryption = url.tls.as_ref().map(Encryption::new).transpose();
        let encryption = encryption.map_err(|reason| OpenError::Engine { place: place.clone(), reason })?;
        let dialer = Arc::new(Dialer { encryption, greeting: greeting(url), topology: url.topology });
        let cluster = Cluster::new(url.topology, url.hosts.clone(), dialer, replicas, metrics);
        let promises = Some(Promises::new(replicas, metrics));
        Ok(Self { cluster: Arc::new(cluster), place, promises })
    }

    /// The same for who only reads.
    pub(super) fn to_read(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        Ok(Self { promises: None, ..Self::new(url, replicas, metrics)? })
    }

    /// Looks at all servers, notes the form of the data where they have none yet, and tells what they keep.
    pub(super) async fn pass(&self) -> Result<Migrated, OpenError> {
        let refuse = |reason: Reason| refuse(&self.place, reason);
        self.cluster.look().await.map_err(refuse)?;
        let found = self.settings().await.map_err(refuse)?;
        found.iter().try_for_each(|(server, settings)| settings.judge(server)).map_err(refuse)?;
        let migrated = schema::mark(&self.cluster, &self.place).await?;
        if let Some(promises) = &self.promises {
            promises.tell(found);
        }
        Ok(migrated)
    }

    async fn settings(&self) -> Result<Found, Reason> {
        let mut found = Found::new();
        for node in self.cluster.nodes() {
            let settings = Settings::of(&node, Instant::now() + ADMIN_WITHIN).await?;
            found.insert(node.address().to_string(), settings);
        }
        Ok(found)
    }

    /// Looks until the servers can be used, and from then on who has what and what they keep. Says in the log
    /// what is the matter, once.
    pub(super) async fn keep(self, closed: watch::Sender<Closed>) {
        let mut reason = closed.borrow().clone();
        if let Some(reason) = &reason {
            tell(reason);
        }
        while let Some(why) = reason.take() {
            sleep(LOOK_AGAIN_AFTER).await;
            reason = self.pass().await.err().map(reason_of);
            match &reason {
                None => tracing::info!("Redis answers, and is used"),
                Some(other) if other.to_string() == why.to_string() => {}
                Some(other) => tell(other),
            }
            closed.send_replace(reason.clone());
        }
        tokio::join!(self.cluster.keep_looking(), self.keep_telling());
    }

    /// A server that throws data away by now is not left: nobody could be answered any more, and nothing be saved.
    async fn keep_telling(&self) {
        let Some(promises) = &self.promises else { return };
        loop {
            sleep(LOOK_AT_PROMISES_EVERY).await;
            // Where one is away, that is told already, and what it promises is asked when it is back.
            if let Ok(found) = self.settings().await {
                promises.tell(found);
            }
        }
    }
}

fn tell(reason: &Reason) {
    tracing::warn!("Redis is not used until this has changed: {reason}");
}

/// The error of a store that can't be opened for that reason.
pub(super) fn refuse(place: &str, reason: Reason) -> OpenError {
    let place = place.to_owned();
    match reason {
        Reason::Refused(why) => OpenError::Engine { place, reason: why.to_string() },
        Reason::Unavailable(_) | Reason::Overloaded | Reason::TooSlow | Reason::Full => {
            OpenError::Away { place, reason }
        }
    }
}

fn reason_of(error: OpenError) -> Reason {
    if let OpenError::Away { reason, .. } = error {
        reason
    } else {
        Reason::Refused(error.to_string().into())
    }
}
