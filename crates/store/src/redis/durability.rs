//! What do the servers promise about data that they have acknowledged? One that throws data away is refused at
//! the start; what may be lost is told of, then and whenever it changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ::redis::{Pipeline, Value, cmd, from_redis_value};
use tokio::time::Instant;

use super::failure::Silence;
use super::node::Node;
use crate::Reason;
use crate::metrics::{Durability, Metrics};

/// What is looked at.
const SETTINGS: [&str; 4] = ["appendonly", "appendfsync", "maxmemory-policy", "min-replicas-to-write"];

/// A server's settings, as far as it tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    appendonly: Option<String>,
    appendfsync: Option<String>,
    maxmemory_policy: Option<String>,
    min_replicas: Option<String>,
}

impl Settings {
    pub(super) async fn of(node: &Node, deadline: Instant) -> Result<Self, Reason> {
        let mut commands = Pipeline::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let mut get = cmd("CONFIG");
            get.arg("GET").arg(setting);
            commands.add_command(get);
        }
        let replies = node.reads.read(&commands, deadline).await.map_err(Silence::reason)?;
        let mut replies = replies.into_iter().map(setting);
        let mut next = || replies.next().flatten();
        Ok(Self { appendonly: next(), appendfsync: next(), maxmemory_policy: next(), min_replicas: next() })
    }

    /// Refuses a server that throws data away.
    pub(super) fn judge(&self, server: &str) -> Result<(), Reason> {
        let Some(policy) = self.evicting() else { return Ok(()) };
        Err(Reason::Refused(
            format!(
                "{server} has maxmemory-policy {policy}, which throws users away when memory is short; set it to noeviction"
            )
            .into(),
        ))
    }

    /// The policy that evicts users. "volatile" ones evict only keys that expire, and none of ours do.
    fn evicting(&self) -> Option<&str> {
        self.maxmemory_policy.as_deref().filter(|policy| policy.starts_with("allkeys"))
    }

    /// Whether what is done survives the end of the server, and that of its machine.
    ///
    /// With everysec, Redis holds back what it has to write while the disk is busy with what it wrote before,
    /// for up to two seconds, and answers all the same (`flushAppendOnlyFile` in its aof.c): that is lost when it
    /// is killed. With "no" it writes at once, and leaves the rest to the system.
    fn survives(&self) -> (Option<bool>, Option<bool>) {
        if self.evicting().is_some() {
            return (Some(false), Some(false));
        }
        match (self.appendonly.as_deref(), self.appendfsync.as_deref()) {
            (Some("yes"), Some("always")) => (Some(true), Some(true)),
            (Some("yes"), Some("no")) => (Some(true), Some(false)),
            (Some(_), Some(_)) => (Some(false), Some(false)),
            (None, _) | (_, None) => (None, None),
        }
    }

    fn log(&self, server: &str, replicas: u32) {
        if self.maxmemory_policy.is_none() {
            tracing::warn!(server, "Redis doesn't tell its settings; see that it keeps what it acknowledges");
        }
        if let Some(policy) = self.evicting() {
            tracing::error!(server, policy, "Redis throws users away when memory is short; set noeviction");
        }
        if let (Some(false), _) | (_, Some(false)) = self.survives() {
            tracing::warn!(
                server,
                appendonly = self.appendonly,
                appendfsync = self.appendfsync,
                "Redis may lose what is done when it or its machine stops; appendonly yes and appendfsync always keep it"
            );
        }
        if replicas == 0 {
            let min_replicas = self.min_replicas.as_deref();
            tracing::info!(server, min_replicas, "a failover may lose what is done; --redis-wait 1 keeps it");
        }
    }
}

/// `[name, value]`; nothing where the server doesn't tell, as managed ones don't.
fn setting(reply: Value) -> Option<String> {
    let (_, value): (String, String) = from_redis_value(reply).ok()?;
    Some(value)
}

/// The settings of all servers, by their addresses.
pub(super) type Found = BTreeMap<String, Settings>;

/// Tells what the servers promise, and tells it again when that has changed.
pub(super) struct Promises {
    /// How many of a server's replicas a change waits for.
    replicas: u32,
    metrics: Metrics,
    told: Mutex<Found>,
}

impl Promises {
    pub(super) fn new(replicas: u32, metrics: &Metrics) -> Self {
        Self { replicas, metrics: metrics.clone(), told: Mutex::default() }
    }

    pub(super) fn tell(&self, found: Found) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (server, settings) in &found {
            if told.get(server) != Some(settings) {
                settings.log(server, self.replicas);
            }
        }
        let (crash, power): (Vec<_>, Vec<_>) = found.values().map(Settings::survives).unzip();
        self.metrics.promise(Durability {
            server_crash: least(&crash),
            power_loss: least(&power),
            failover: Some(self.replicas > 0),
        });
        *told = found;
    }
}

/// Of several servers the one that promises least counts, and one that tells nothing may be that one.
fn least(promised: &[Option<bool>]) -> Option<bool> {
    if promised.contains(&Some(false)) {
        Some(false)
    } else if promised.contains(&None) {
        None
    } else {
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_servers_the_one_that_promises_least_counts() {
        assert_eq!(least(&[Some(true), Some(true)]), Some(true));
        assert_eq!(least(&[Some(true), None]), None);
        assert_eq!(least(&[Some(true), None, Some(false)]), Some(false));
    }
}
