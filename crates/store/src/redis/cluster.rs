//! Which server has which bucket, and who is asked when that changes? One server has them all, or those
//! of a cluster share them and may hand them on at any time.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::{Cmd, Pipeline, Value, cmd, from_redis_value};
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::failure::{Refusal, Silence, accepted};
use super::layout::{BUCKETS, Bucket};
use super::link::{Dialer, Link};
use super::node::{Failure, Node, Order, Question};
use super::url::{Address, Topology};
use crate::metrics::Metrics;
use crate::{Change, Outcome, Reason, StoreError};

/// How long one operation may take, redirections and all.
pub(super) const OPERATION_WITHIN: Duration = Duration::from_secs(1);
/// How often one operation may be sent on to another server.
const REDIRECTIONS_MAX: usize = 5;
/// The pause before an operation is tried again while its slot is being moved.
const MOVING_PAUSE: Duration = Duration::from_millis(20);
/// How long one server may take to tell who has what.
const LOOK_WITHIN: Duration = Duration::from_millis(600);
/// Who has what is asked this often even if nothing seems wrong…
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// …and not more often than this, however much does.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// The servers.
pub(super) struct Cluster {
    topology: Topology,
    seeds: Vec<Address>,
    dialer: Arc<Dialer>,
    replicas: u32,
    metrics: Metrics,
    map: RwLock<Map>,
    doubt: Notify,
}

/// Whom to ask for a bucket.
struct Place {
    node: Arc<Node>,
    /// Whether it is only about to get the bucket.
    asking: bool,
}

#[derive(Default)]
struct Map {
    /// By bucket; none where the cluster has nobody for a slot.
    owners: Vec<Option<Arc<Node>>>,
    nodes: HashMap<Address, Arc<Node>>,
}

impl Cluster {
    pub(super) fn new(
        topology: Topology,
        seeds: Vec<Address>,
        dialer: Arc<Dialer>,
        replicas: u32,
        metrics: &Metrics,
    ) -> Self {
        let map = Map { owners: vec![None; BUCKETS], nodes: HashMap::new() };
        let (map, doubt, metrics) = (RwLock::new(map), Notify::new(), metrics.clone());
        Self { topology, seeds, dialer, replicas, metrics, map, doubt }
    }

    /// Asks who has what, of any that answers; the error is that of the last one asked.
    pub(super) async fn look(&self) -> Result<(), Reason> {
        if self.topology == Topology::Single {
            self.change(|map, cluster| {
                for address in &cluster.seeds {
                    map.owners = vec![Some(cluster.node(map, address)); BUCKETS];
                }
            });
            return Ok(());
        }
        let known: Vec<Arc<Node>> = self.nodes();
        let mut failure = Reason::Unavailable("no server is known".into());
        for node in &known {
            match self.look_through(&node.reads).await {
                Ok(()) => return Ok(()),
                Err(reason) => failure = reason,
            }
        }
        for seed in self.seeds.iter().filter(|seed| !known.iter().any(|node| node.address() == *seed)) {
            match self.look_through(&Link::new(seed.clone(), Arc::clone(&self.dialer))).await {
                Ok(()) => return Ok(()),
                Err(reason) => failure = reason,
            }
        }
        Err(failure)
    }

    async fn look_through(&self, link: &Link) -> Result<(), Reason> {
        let mut commands = Pipeline::new();
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        commands.add_command(slots);
        let replies = link.read(&commands, Instant::now() + LOOK_WITHIN).await.map_err(Silence::reason)?;
        let masters = match replies.into_iter().next() {
            // The code of a server that is told to be none of a cluster, and of a command that it doesn't know.
            Some(Value::ServerError(error)) if error.code() == "ERR" => None,
            reply => ranges(accepted(reply, &link.address).map_err(Refusal::reason)?, &link.address),
        };
        let strange = || Reason::Refused(format!("{} tells nothing of a cluster", link.address).into());
        let masters = masters.ok_or_else(strange)?;
        self.change(|map, cluster| {
            for bucket in Bucket::all() {
                let has = |range: &&Range| (range.first..=range.last).contains(&bucket.slot());
                let owner = masters.iter().find(has).map(|range| cluster.node(map, &range.master));
                if let Some(place) = map.owners.get_mut(bucket.index()) {
                    *place = owner;
                }
            }
            let in_use = |address: &Address| masters.iter().any(|range| range.master == *address);
            // Those that are left finish what they have, and end with their last user.
            map.nodes.retain(|address, _| in_use(address));
        });
        Ok(())
    }

    /// Keeps the map true, until it is dropped. The same trouble is logged once.
    pub(super) async fn keep_looking(&self) {
        let mut told = None;
        loop {
            let _ = timeout(LOOK_EVERY, self.doubt.notified()).await;
            match self.look().await.map_err(|reason| reason.to_string()) {
                Ok(()) => {
                    if told.take().is_some() {
                        tracing::info!("the cluster tells again who has which slot");
                    }
                }
                Err(error) if told.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::warn!(error, "nobody tells who has which slot of the cluster");
                    told = Some(error);
                }
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Every server that has data now.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).nodes.values().cloned().collect()
    }

    /// Makes a change, wherever its user is now.
    pub(super) async fn write(&self, change: Change) -> Result<Outcome, StoreError> {
        let deadline = Instant::now() + OPERATION_WITHIN;
        let bucket = Bucket::of(change.name());
        let change = Arc::new(change);
        let mut place = self.place(bucket)?;
        let mut redirections = 0;
        loop {
            let Place { node, asking } = place;
            let order = Order { change: Arc::clone(&change), asking };
            let answer = node.write(order, deadline.saturating_duration_since(Instant::now())).await;
            let failure = match answer {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(failure)) => failure,
                Err(error) => {
                    self.doubt.notify_one();
                    return Err(error);
                }
            };
            redirections += 1;
            let next = match &failure {
                Failure::Refusal(refusal) if redirections <= REDIRECTIONS_MAX => {
                    self.follow(bucket, refusal, deadline).await
                }
                Failure::Refusal(_) | Failure::Silence(_) | Failure::TooFewReplicas => None,
            };
            place = next.ok_or_else(|| {
                self.doubt.notify_one();
                failure.into_error()
            })?;
        }
    }

    /// Asks for something of one bucket.
    pub(super) async fn read(
        &self,
        bucket: Bucket,
        command: Cmd,
        deadline: Instant,
    ) -> Result<Value, StoreError> {
        let mut place = self.place(bucket)?;
        let mut redirections = 0;
        loop {
            let Place { node, asking } = place;
            let question = Question { command: command.clone(), asking, deadline };
            let reply = node.read(question).await.inspect_err(|_| self.doubt.notify_one())?;
            let refusal = match accepted(Some(reply), node.address()) {
                Ok(value) => return Ok(value),
                Err(refusal) => refusal,
            };
            redirections += 1;
            let next = match redirections {
                ..=REDIRECTIONS_MAX => self.follow(bucket, &refusal, deadline).await,
                _ => None,
            };
            place = next.ok_or_else(|| {
                self.doubt.notify_one();
                refusal.of_read()
            })?;
        }
    }

    /// Asks for many things at once: one message a server. The answers are in the order of the questions.
    pub(super) async fn read_many(
        &self,
        questions: &[(Bucket, Cmd)],
        deadline: Instant,
    ) -> Result<Vec<Value>, StoreError> {
        let mut parts: Vec<(Arc<Node>, Vec<usize>)> = Vec::new();
        for (index, (bucket, _)) in questions.iter().enumerate() {
            let Place { node, .. } = self.place(*bucket)?;
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &node)) {
                Some((_, indices)) => indices.push(index),
                None => parts.push((node, vec![index])),
            }
        }
        let answers = join_all(parts.iter().map(|(node, indices)| {
            let mut commands = Pipeline::with_capacity(indices.len());
            for (_, command) in indices.iter().filter_map(|index| questions.get(*index)) {
                commands.add_command(command.clone());
            }
            async move { node.reads.read(&commands, deadline).await }
        }));
        let mut values = vec![Value::Nil; questions.len()];
        for ((_, indices), replies) in parts.iter().zip(answers.await) {
            let replies = replies.map_err(|silence| {
                self.doubt.notify_one();
                silence.of_read()
            })?;
            for (index, reply) in indices.iter().zip(replies) {
                if let Some(value) = values.get_mut(*index) {
                    *value = reply;
                }
            }
        }
        // What has moved meanwhile is asked for by itself.
        for (value, (bucket, command)) in values.iter_mut().zip(questions) {
            if matches!(value, Value::ServerError(_)) {
                *value = self.read(*bucket, command.clone(), deadline).await?;
            }
        }
        Ok(values)
    }

    /// Whom to ask next; `None` if nobody else would know better.
    async fn follow(&self, bucket: Bucket, refusal: &Refusal, deadline: Instant) -> Option<Place> {
        if self.topology == Topology::Single || deadline <= Instant::now() {
            return None;
        }
        match refusal {
            Refusal::Moved(address) => {
                self.doubt.notify_one();
                let node = self.change(|map, cluster| {
                    let node = cluster.node(map, address);
                    if let Some(owner) = map.owners.get_mut(bucket.index()) {
                        *owner = Some(Arc::clone(&node));
                    }
                    node
                });
                Some(Place { node, asking: false })
            }
            Refusal::Ask(address) => {
                Some(Place { node: self.change(|map, cluster| cluster.node(map, address)), asking: true })
            }
            Refusal::TryAgain => {
                sleep(MOVING_PAUSE).await;
                self.place(bucket).ok()
            }
            Refusal::NoScript | Refusal::Replica(_) | Refusal::NotApplied(_) | Refusal::Unsure(_) => None,
        }
    }

    fn place(&self, bucket: Bucket) -> Result<Place, StoreError> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let node = map.owners.get(bucket.index()).cloned().flatten().ok_or_else(|| {
            self.doubt.notify_one();
            let nobody = "no server of the cluster has that part of the data";
            StoreError::NotApplied(Reason::Unavailable(nobody.into()))
        })?;
        Ok(Place { node, asking: false })
    }

    fn change<T>(&self, make: impl FnOnce(&mut Map, &Self) -> T) -> T {
        make(&mut self.map.write().unwrap_or_else(PoisonError::into_inner), self)
    }

    /// The server at that address, which is made known if it was not.
    fn node(&self, map: &mut Map, address: &Address) -> Arc<Node> {
        let start = || Arc::new(Node::start(address, &self.dialer, self.replicas, &self.metrics));
        Arc::clone(map.nodes.entry(address.clone()).or_insert_with(start))
    }
}

/// Slots that one master has.
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

/// Reads the reply to CLUSTER SLOTS: `[first, last, [host, port, …], replicas…]` for each range.
fn ranges(reply: Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    ranges
        .into_iter()
        .map(|range| {
            let Value::Array(parts) = range else { return None };
            let mut parts = parts.into_iter();
            let (first, last) =
                (from_redis_value(parts.next()?).ok()?, from_redis_value(parts.next()?).ok()?);
            let Value::Array(master) = parts.next()? else { return None };
            let mut master = master.into_iter();
            // Without a name, or with "?" for one that is not known, it is the host that was asked.
            let host: Option<String> = from_redis_value(master.next()?).ok()?;
            let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or(asked.host.clone());
            let port = from_redis_value(master.next()?).ok()?;
            Some(Range { first, last, master: Address { host, port } })
        })
        .collect()
}
