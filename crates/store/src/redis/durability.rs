//! What does the server promise about data that it has acknowledged? Asked once, at the start: a server
//! that throws data away is refused, one that may lose some is told of.

use ::redis::{Pipeline, Value, cmd, from_redis_value};
use tokio::time::Instant;

use super::failure::Silence;
use super::node::Node;
use crate::Reason;
use crate::metrics::Metrics;

/// What is looked at.
const SETTINGS: [&str; 4] = ["appendonly", "appendfsync", "maxmemory-policy", "min-replicas-to-write"];

/// A server's settings, as far as it tells them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Durability {
    appendonly: Option<String>,
    appendfsync: Option<String>,
    maxmemory_policy: Option<String>,
    min_replicas: Option<String>,
}

/// Looks at one server, and refuses it if it throws data away.
pub(super) async fn look(node: &Node, deadline: Instant) -> Result<Durability, Reason> {
    let mut commands = Pipeline::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        let mut get = cmd("CONFIG");
        get.arg("GET").arg(setting);
        commands.add_command(get);
    }
    let replies = node.reads.read(&commands, deadline).await.map_err(Silence::reason)?;
    let mut replies = replies.into_iter().map(setting);
    let mut next = || replies.next().flatten();
    let found = Durability {
        appendonly: next(),
        appendfsync: next(),
        maxmemory_policy: next(),
        min_replicas: next(),
    };
    found.judge(&node.address().to_string()).map(|()| found)
}

/// `[name, value]`; nothing where the server doesn't tell, as managed ones don't.
fn setting(reply: Value) -> Option<String> {
    let (_, value): (String, String) = from_redis_value(reply).ok()?;
    Some(value)
}

impl Durability {
    fn judge(&self, server: &str) -> Result<(), Reason> {
        // "volatile" policies evict only keys that expire, and none of ours do.
        match self.maxmemory_policy.as_deref().filter(|policy| policy.starts_with("allkeys")) {
            None => Ok(()),
            Some(policy) => Err(Reason::Refused(
                format!(
                    "{server} has maxmemory-policy {policy}, which throws users away when memory is short; set it to noeviction"
                )
                .into(),
            )),
        }
    }

    /// Tells what a server that is used promises.
    pub(super) fn tell(&self, server: &str, replicas: u32, metrics: &Metrics) {
        if self.maxmemory_policy.is_none() {
            tracing::warn!(server, "Redis doesn't tell its settings; see that it keeps what it acknowledges");
        }
        let (crash, power) = self.survives();
        let failover = replicas > 0;
        if crash == Some(false) || power == Some(false) {
            tracing::warn!(
                server,
                appendonly = self.appendonly,
                appendfsync = self.appendfsync,
                "Redis may lose what is done when it or its machine stops; appendonly yes and appendfsync always keep it"
            );
        }
        if !failover {
            let min_replicas = self.min_replicas.as_deref();
            tracing::info!(server, min_replicas, "a failover may lose what is done; --redis-wait 1 keeps it");
        }
        metrics.tell_durability("server_crash", crash);
        metrics.tell_durability("power_loss", power);
        metrics.tell_durability("failover", Some(failover));
    }

    /// Whether what is done survives the end of the server, and that of its machine.
    ///
    /// With everysec, Redis holds back what it has to write while the disk is busy with what it wrote before,
    /// for up to two seconds, and answers all the same (`flushAppendOnlyFile` in its aof.c): that is lost when it
    /// is killed. With "no" it writes at once, and leaves the rest to the system.
    fn survives(&self) -> (Option<bool>, Option<bool>) {
        match (self.appendonly.as_deref(), self.appendfsync.as_deref()) {
            (Some("yes"), Some("always")) => (Some(true), Some(true)),
            (Some("yes"), Some("no")) => (Some(true), Some(false)),
            (Some(_), Some(_)) => (Some(false), Some(false)),
            (None, _) | (_, None) => (None, None),
        }
    }
}
