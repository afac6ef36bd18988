//! How do many callers share one commit? What arrives while a batch runs joins the next one.
//!
//! There is no timer and no knob: an idle lane hands over a single operation at once, a busy one
//! fills its batches by itself, because more arrives while one batch takes its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::{Reason, StoreError};

/// The most operations that may wait; one more is refused at once.
pub(crate) const QUEUE_MAX: usize = 4096;
/// The most operations of one batch.
pub(crate) const BATCH_MAX: usize = 1024;

/// The callers' end.
pub(crate) struct Lane<Op, Answer> {
    queue: mpsc::Sender<Message<Op, Answer>>,
    depth: Gauge<i64, AtomicI64>,
}

/// The worker's end.
pub(crate) struct Inbox<Op, Answer> {
    queue: mpsc::Receiver<Message<Op, Answer>>,
    arrived: Vec<Message<Op, Answer>>,
    depth: Gauge<i64, AtomicI64>,
}

/// The operations of one batch, in the order of their arrival, and who waits for each.
pub(crate) struct Batch<Op, Answer> {
    pub(crate) operations: Vec<Op>,
    waiters: Vec<oneshot::Sender<Answer>>,
}

enum Message<Op, Answer> {
    Operation { operation: Op, claim: Claim, waiter: oneshot::Sender<Answer> },
    Close,
}

/// Settles who has an operation: the worker that starts it, or the caller that gives it up. Whoever
/// takes the claim first has it, so an operation that was given up is certainly never started.
#[derive(Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Both ends of a new lane; the gauge follows how many operations wait.
pub(crate) fn lane<Op, Answer>(depth: Gauge<i64, AtomicI64>) -> (Lane<Op, Answer>, Inbox<Op, Answer>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (
        Lane { queue: sender, depth: depth.clone() },
        Inbox { queue: receiver, arrived: Vec::with_capacity(BATCH_MAX), depth },
    )
}

impl<Op, Answer> Lane<Op, Answer> {
    /// Hands over one operation and waits for its answer, no longer than `patience`.
    pub(crate) async fn ask(&self, operation: Op, patience: Duration) -> Result<Answer, StoreError> {
        let (waiter, answer) = oneshot::channel();
        let claim = Claim::default();
        let message = Message::Operation { operation, claim: claim.clone(), waiter };
        self.queue.try_send(message).map_err(|error| {
            StoreError::NotApplied(match error {
                mpsc::error::TrySendError::Full(_) => Reason::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Reason::Unavailable("it is closed".into()),
            })
        })?;
        self.depth.inc();
        let reason = match timeout(patience, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(_)) => Reason::Unavailable("it ended before it answered".into()),
            Err(_) => Reason::TooSlow,
        };
        Err(if claim.take() { StoreError::NotApplied(reason) } else { StoreError::Unknown(reason) })
    }

    /// Lets the worker finish what waits, and nothing after that.
    pub(crate) async fn close(&self) {
        // An error means that the worker has ended already.
        let _ = self.queue.send(Message::Close).await;
    }
}

impl<Op, Answer> Inbox<Op, Answer> {
    /// Waits for the next batch, which has at least one operation; `None` once the lane is closed and
    /// empty. May be dropped while it waits without losing an operation.
    pub(crate) async fn next_batch(&mut self) -> Option<Batch<Op, Answer>> {
        loop {
            if self.queue.recv_many(&mut self.arrived, BATCH_MAX).await == 0 {
                return None;
            }
            let mut batch = Batch { operations: Vec::new(), waiters: Vec::new() };
            for message in self.arrived.drain(..) {
                match message {
                    Message::Close => self.queue.close(),
                    Message::Operation { operation, claim, waiter } => {
                        self.depth.dec();
                        if claim.take() {
                            batch.operations.push(operation);
                            batch.waiters.push(waiter);
                        }
                    }
                }
            }
            if !batch.operations.is_empty() {
                return Some(batch);
            }
        }
    }
}

impl<Op, Answer> Batch<Op, Answer> {
    /// Answers every waiter, the first with the first answer.
    pub(crate) fn answer(self, answers: impl IntoIterator<Item = Answer>) {
        for (waiter, answer) in self.waiters.into_iter().zip(answers) {
            // Whoever is gone needs no answer.
            let _ = waiter.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_arrives_while_a_batch_runs_joins_the_next_and_everyone_gets_their_own_answer() {
        let (lane, mut inbox) = lane::<u32, u32>(Gauge::default());
        let lane = Arc::new(lane);
        let ask = |number| {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move { assert_eq!(lane.ask(number, LONG).await.unwrap(), number * 2) })
        };
        let mut callers = vec![ask(0)];
        let first = inbox.next_batch().await.unwrap();
        callers.extend((1..10).map(ask));
        while inbox.queue.len() < 9 {
            tokio::task::yield_now().await;
        }
        let mut sizes = Vec::new();
        for batch in [first, inbox.next_batch().await.unwrap()] {
            sizes.push(batch.operations.len());
            let answers: Vec<_> = batch.operations.iter().map(|number| number * 2).collect();
            batch.answer(answers);
        }
        assert_eq!(sizes, [1, 9]);
        for caller in callers {
            caller.await.unwrap();
        }
        lane.close().await;
        assert!(inbox.next_batch().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_was_given_up_before_it_started_is_never_started() {
        let (lane, mut inbox) = lane::<&str, ()>(Gauge::default());
        let refused = lane.ask("given up", Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(StoreError::NotApplied(Reason::TooSlow))), "{refused:?}");
        let (_, batch) = tokio::join!(lane.ask("kept", Duration::from_secs(1)), inbox.next_batch());
        assert_eq!(batch.unwrap().operations, ["kept"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_was_started_and_not_answered_in_time_is_unknown() {
        let (lane, mut inbox) = lane::<(), ()>(Gauge::default());
        let (answer, batch) = tokio::join!(lane.ask((), Duration::from_secs(1)), inbox.next_batch());
        assert!(matches!(answer, Err(StoreError::Unknown(Reason::TooSlow))), "{answer:?}");
        assert!(batch.is_some());
    }

    #[tokio::test]
    async fn a_worker_that_ends_leaves_nobody_waiting() {
        let (lane, mut inbox) = lane::<(), ()>(Gauge::default());
        let (answer, ()) = tokio::join!(lane.ask((), LONG), async { drop(inbox.next_batch().await) });
        assert!(matches!(answer, Err(StoreError::Unknown(Reason::Unavailable(_)))), "{answer:?}");
        drop(inbox);
        let answer = lane.ask((), LONG).await;
        assert!(matches!(answer, Err(StoreError::NotApplied(Reason::Unavailable(_)))), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let (lane, inbox) = lane::<usize, ()>(Gauge::default());
        let lane = Arc::new(lane);
        let callers: Vec<_> = (0..QUEUE_MAX)
            .map(|number| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move { lane.ask(number, LONG).await })
            })
            .collect();
        while inbox.queue.len() < QUEUE_MAX {
            tokio::task::yield_now().await;
        }
        let refused = lane.ask(0, LONG).await;
        assert!(matches!(refused, Err(StoreError::NotApplied(Reason::Overloaded))), "{refused:?}");
        assert_eq!(lane.depth.get(), i64::try_from(QUEUE_MAX).unwrap());
        drop(inbox);
        for caller in callers {
            assert!(matches!(caller.await.unwrap(), Err(StoreError::NotApplied(_))));
        }
    }
}
