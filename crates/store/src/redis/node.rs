//! How is one server asked, and how are its changes made? In batches: what arrives while one is under way
//! goes out with the next, and for changes so does one question to the replicas for all of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, Pipeline, Value, cmd, from_redis_value};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::failure::{Refusal, Silence, accepted};
use super::layout::Bucket;
use super::link::{Dialer, Link, be_master, load_script};
use super::strange;
use super::url::Address;
use crate::lane::{Inbox, Lane, lane};
use crate::metrics::Metrics;
use crate::{Change, Outcome, Reason, StoreError};
use birthday::{Birthday, Email, User};

/// How long a batch may take. Whoever waits longer than an operation may take is answered before.
const BATCH_WITHIN: Duration = Duration::from_secs(1);
/// How long replicas may take to say that they have a batch.
const REPLICAS_WITHIN: Duration = Duration::from_millis(500);

/// One server that has data. Reads and writes go over connections of their own: a write may have to wait
/// for replicas, and Redis answers nothing else on a connection meanwhile.
pub(super) struct Node {
    pub(super) reads: Arc<Link>,
    changes: Arc<Link>,
    questions: Lane<Question, Reply>,
    writes: Lane<Order, Answer>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// One command that only reads.
pub(super) struct Question {
    pub(super) command: Cmd,
    /// Whether the server is asked for a slot that it is only about to get.
    pub(super) asking: bool,
    pub(super) deadline: Instant,
}

/// What a server replies to a question, errors among it.
pub(super) type Reply = Result<Value, Silence>;

/// One change that is to be made.
pub(super) struct Order {
    pub(super) change: Arc<Change>,
    /// Whether the server is asked for a slot that it is only about to get.
    pub(super) asking: bool,
}

/// How one change ended at a server.
pub(super) type Answer = Result<Outcome, Failure>;

/// Why a server made no change, or why nobody can tell.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Silence(Silence),
    Refusal(Refusal),
    /// It was made, but fewer replicas have it than are asked for: a failover may undo it.
    TooFewReplicas,
}

impl Failure {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Silence(silence) => silence.of_write(),
            Self::Refusal(refusal) => refusal.of_write(),
            Self::TooFewReplicas => {
                StoreError::Unknown(Reason::Unavailable("too few replicas have the change".into()))
            }
        }
    }
}

impl Node {
    pub(super) fn start(address: &Address, dialer: &Arc<Dialer>, replicas: u32, metrics: &Metrics) -> Self {
        let link = || Arc::new(Link::new(address.clone(), Arc::clone(dialer)));
        let (reads, changes) = (link(), link());
        let (writes, inbox) = lane(metrics.queue.clone());
        let writer = Writer {
            link: Arc::clone(&changes),
            reads: Arc::clone(&reads),
            replicas,
            metrics: metrics.clone(),
        };
        let writing = tokio::spawn(writer.run(inbox));
        let (questions, inbox) = lane(metrics.read_queue.clone());
        let answering = tokio::spawn(answer(Arc::clone(&reads), inbox));
        Self { reads, changes, questions, writes, workers: Mutex::new(vec![writing, answering]) }
    }

    pub(super) fn address(&self) -> &Address {
        &self.reads.address
    }

    /// A sign of life. A server that turns out to be a replica gives none: every connection to it is left.
    pub(super) async fn ping(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut commands = Pipeline::with_capacity(2);
        commands.add_command(cmd("PING"));
        if let Some(claim) = self.reads.claim() {
            commands.add_command(claim);
        }
        let mut replies = self.reads.read(&commands, deadline).await.map_err(Silence::of_read)?.into_iter();
        let alive = replies.next();
        if let Err(replica) = be_master(replies.next(), self.address()) {
            self.reads.leave();
            self.changes.leave();
            return Err(StoreError::NotApplied(replica));
        }
        accepted(alive, self.address()).map(drop).map_err(Refusal::of_read)
    }

    /// Asks something that is not about one bucket.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: Cmd,
        deadline: Instant,
    ) -> Result<T, StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        let replies = self.reads.read(&commands, deadline).await.map_err(Silence::of_read)?;
        let value = accepted(replies.into_iter().next(), self.address()).map_err(Refusal::of_read)?;
        from_redis_value(value).map_err(|_| strange())
    }

    /// Asks one thing, together with whatever others ask at the same time.
    pub(super) async fn read(&self, question: Question) -> Result<Value, StoreError> {
        let patience = question.deadline.saturating_duration_since(Instant::now());
        match self.questions.ask(question, patience).await {
            Ok(reply) => reply.map_err(Silence::of_read),
            // Reading changes nothing, whenever it was given up.
            Err(StoreError::NotApplied(reason) | StoreError::Unknown(reason)) => {
                Err(StoreError::NotApplied(reason))
            }
        }
    }

    /// Hands over a change, and waits no longer than `patience`.
    pub(super) async fn write(&self, order: Order, patience: Duration) -> Result<Answer, StoreError> {
        self.writes.ask(order, patience).await
    }

    /// Lets it finish what waits.
    pub(super) async fn close(&self) {
        self.writes.close().await;
        self.questions.close().await;
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // A task that panicked said so already.
            let _ = worker.await;
        }
    }
}

/// Asks everything that waits in one message, until nobody can ask any more.
async fn answer(link: Arc<Link>, mut inbox: Inbox<Question, Reply>) {
    while let Some(mut batch) = inbox.next_batch().await {
        let questions = std::mem::take(&mut batch.operations);
        let replies = reply(&link, questions).await;
        batch.answer(replies);
    }
}

async fn reply(link: &Link, questions: Vec<Question>) -> Vec<Reply> {
    let count = questions.len();
    let deadline = questions.iter().map(|question| question.deadline).max();
    let mut commands = Pipeline::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    for Question { command, asking, .. } in questions {
        if asking {
            commands.add_command(cmd("ASKING"));
        }
        commands.add_command(command);
        places.push(commands.len() - 1);
    }
    match link.read(&commands, deadline.unwrap_or_else(Instant::now)).await {
        Ok(mut replies) => {
            let own = |place: usize| replies.get_mut(place).map(std::mem::take).unwrap_or_default();
            places.into_iter().map(own).map(Ok).collect()
        }
        Err(silence) => vec![Err(silence); count],
    }
}

/// The one who makes a server's changes.
struct Writer {
    link: Arc<Link>,
    reads: Arc<Link>,
    replicas: u32,
    metrics: Metrics,
}

/// Whether the script must be told to the server before it is used.
#[derive(Clone, Copy)]
enum Script {
    Known,
    Forgotten,
}

impl Writer {
    async fn run(self, mut inbox: Inbox<Order, Answer>) {
        loop {
            // While a connection is made, the changes that wait are not begun: those that are given up
            // meanwhile are certainly not made.
            let _ = self.link.line_by(Instant::now() + BATCH_WITHIN).await;
            let Some(batch) = inbox.next_batch().await else { return };
            let start = Instant::now();
            let answers = self.commit(&batch.operations).await;
            self.metrics.commit.observe(start.elapsed().as_secs_f64());
            self.metrics.batch.observe(batch.operations.len() as f64);
            batch.answer(answers);
        }
    }

    async fn commit(&self, orders: &[Order]) -> Vec<Answer> {
        let deadline = Instant::now() + BATCH_WITHIN;
        let all: Vec<&Order> = orders.iter().collect();
        let mut answers = self.attempt(&all, Script::Known, deadline).await;
        // A server forgets its scripts when it is started anew; what was refused for that was not begun.
        let (places, forgotten): (Vec<usize>, Vec<&Order>) = orders
            .iter()
            .enumerate()
            .filter(|(place, _)| {
                matches!(answers.get(*place), Some(Err(Failure::Refusal(Refusal::NoScript))))
            })
            .unzip();
        if !forgotten.is_empty() {
            let again = self.attempt(&forgotten, Script::Forgotten, deadline).await;
            for (place, answer) in places.into_iter().zip(again) {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = answer;
                }
            }
        }
        let from_replica = |answer: &Answer| matches!(answer, Err(Failure::Refusal(Refusal::Replica(_))));
        if answers.iter().any(from_replica) {
            // The way there may lead to its master by now.
            self.link.leave();
            self.reads.leave();
        }
        answers
    }

    /// Sends all orders at once; gives an answer for each.
    async fn attempt(&self, orders: &[&Order], script: Script, deadline: Instant) -> Vec<Answer> {
        match self.exchange(orders, script, deadline).await {
            Ok((replies, have_it)) => replies
                .into_iter()
                .zip(orders)
                .map(|(reply, order)| match (self.outcome(reply), &*order.change) {
                    // What was there already, or no longer, may be so there only: it is asked for like what is new.
                    (Ok(Outcome::Done | Outcome::Unchanged), _)
                    | (Ok(Outcome::Absent), Change::Erase { .. })
                        if have_it < self.replicas =>
                    {
                        Err(Failure::TooFewReplicas)
                    }
                    (answer, _) => answer,
                })
                .collect(),
            Err(silence) => orders.iter().map(|_| Err(Failure::Silence(silence.clone()))).collect(),
        }
    }

    /// The replies to the orders, and how many replicas have what they changed.
    async fn exchange(
        &self,
        orders: &[&Order],
        script: Script,
        deadline: Instant,
    ) -> Result<(Vec<Value>, u32), Silence> {
        let line = self.link.line_by(deadline).await?;
        let mut commands = Pipeline::with_capacity(orders.len() + 2);
        let first = match script {
            Script::Known => 0,
            Script::Forgotten => {
                commands.add_command(load_script());
                1
            }
        };
        for order in orders {
            if order.asking {
                commands.add_command(cmd("ASKING"));
            }
            commands.add_command(self.evaluate(line.script(), &order.change));
        }
        if self.replicas > 0 {
            let mut wait = cmd("WAIT");
            wait.arg(self.replicas).arg(REPLICAS_WITHIN.as_millis() as u64);
            commands.add_command(wait);
        }
        let mut replies = self.link.exchange(line, &commands, deadline).await?;
        let have_it = match (self.replicas, replies.last()) {
            (0, _) => 0,
            (_, Some(Value::Int(number))) => u32::try_from(*number).unwrap_or(0),
            // A server that is no longer a master doesn't wait for its replicas.
            (_, _) => 0,
        };
        replies.drain(..first);
        let mut replies = replies.into_iter();
        let own = orders.iter().map(|order| {
            if order.asking {
                replies.next();
            }
            replies.next().unwrap_or_default()
        });
        Ok((own.collect(), have_it))
    }

    fn outcome(&self, reply: Value) -> Answer {
        let word = accepted(Some(reply), &self.link.address).map_err(Failure::Refusal)?;
        match from_redis_value::<String>(word).as_deref() {
            Ok("D") => Ok(Outcome::Done),
            Ok("U") => Ok(Outcome::Unchanged),
            Ok("C") => Ok(Outcome::Conflict),
            Ok("A") => Ok(Outcome::Absent),
            Ok(_) | Err(_) => {
                Err(Failure::Refusal(Refusal::Unsure(Reason::Unavailable("a strange reply".into()))))
            }
        }
    }

    fn evaluate(&self, script: &str, change: &Change) -> Cmd {
        let name = change.name();
        let bucket = Bucket::of(name);
        let mut command = cmd("EVALSHA");
        command.arg(script).arg(3).arg(bucket.user_key(name)).arg(bucket.names_key()).arg(bucket.days_key());
        let what = match change {
            Change::SaveBirthday { .. } => "save",
            Change::Register { .. } => "register",
            Change::ChangeEmail { .. } => "email",
            Change::Erase { .. } => "erase",
            Change::Put(_) => "put",
        };
        command.arg(what).arg(name.as_str()).arg(u8::from(self.replicas > 0));
        match change {
            Change::SaveBirthday { birthday, .. } => command.arg(birthday.to_text()),
            Change::Register { email, .. } | Change::ChangeEmail { email, .. } => command.arg(email.as_str()),
            Change::Erase { .. } => &mut command,
            Change::Put(User { birthday, email, .. }) => command
                .arg(birthday.map(Birthday::to_text).unwrap_or_default())
                .arg(email.as_ref().map(Email::as_str).unwrap_or_default()),
        };
        command
    }
}
