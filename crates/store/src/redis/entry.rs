//! May the servers be asked for users? Not before they were looked at: that they keep what they acknowledge,
//! and have a form of the data that this program knows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::durability::{self, Durability};
use super::link::Dialer;
use super::schema::{self, ADMIN_WITHIN};
use super::tls::Encryption;
use super::{RedisUrl, greeting};
use crate::metrics::Metrics;
use crate::{Migrated, OpenError, Reason};

/// Servers that can't be used are looked at again after so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Why users can't be asked for; nothing once they can.
pub(super) type Closed = Option<Reason>;

/// The servers, and what is asked of them first.
pub(super) struct Entry {
    pub(super) cluster: Arc<Cluster>,
    place: String,
    replicas: u32,
    metrics: Metrics,
}

impl Entry {
    /// Asks nobody yet.
    pub(super) fn new(url: &RedisUrl, replicas: u32, metrics: &Metrics) -> Result<Self, OpenError> {
        let place = url.to_string();
        let encryption = url.tls.as_ref().map(Encryption::new).transpose();
        let encryption = encryption.map_err(|reason| OpenError::Engine { place: place.clone(), reason })?;
        let dialer = Arc::new(Dialer { encryption, greeting: greeting(url), topology: url.topology });
        let cluster = Cluster::new(url.topology, url.hosts.clone(), dialer, replicas, metrics);
        Ok(Self { cluster: Arc::new(cluster), place, replicas, metrics: metrics.clone() })
    }

    /// Looks at all servers, notes the form of the data where they have none yet, and tells what they keep.
    pub(super) async fn pass(&self) -> Result<Migrated, OpenError> {
        let (migrated, found) = self.pass_silently().await?;
        for (server, promises) in &found {
            promises.tell(server, self.replicas, &self.metrics);
        }
        Ok(migrated)
    }

    /// The same for who only reads, and can lose nothing.
    pub(super) async fn pass_silently(&self) -> Result<(Migrated, Vec<(String, Durability)>), OpenError> {
        let refuse = |reason: Reason| refuse(&self.place, reason);
        self.cluster.look().await.map_err(refuse)?;
        let mut found = Vec::new();
        for node in self.cluster.nodes() {
            let promises = durability::look(&node, Instant::now() + ADMIN_WITHIN).await.map_err(refuse)?;
            found.push((node.address().to_string(), promises));
        }
        Ok((schema::mark(&self.cluster, &self.place).await?, found))
    }

    /// Looks until the servers can be used, and from then on who has what. Says in the log what is the
    /// matter, once.
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
        self.cluster.keep_looking().await;
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
