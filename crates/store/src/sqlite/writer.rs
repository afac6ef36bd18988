//! How do changes become durable? One thread makes all of them, many in one commit, and answers after it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connection::{LOCK_PATIENCE, spawn};
use super::failure::{Then, classify};
use super::file::Opened;
use super::guard::Lock;
use super::readers::{Readers, Slot};
use super::{Fate, rows};
use crate::lane::{Batch, Inbox};
use crate::metrics::Metrics;
use crate::{Change, OpenError, Reason, StoreError};

/// A checkpoint follows this many changes. Each touches a few pages, so the log stays at a few MiB.
const CHANGES_A_CHECKPOINT: usize = 1000;
/// Without a change for this long, the log is brought into the database and cut to nothing.
pub(super) const REST_AFTER: Duration = Duration::from_millis(500);

/// The one who writes.
pub(super) struct Writer {
    slot: Slot,
    /// What is written to; a store in memory has none, and no log either.
    file: Option<Opened>,
    /// Held until the thread ends.
    _lock: Option<Lock>,
    since_checkpoint: usize,
    /// Whether the last checkpoint failed: that is told once, not with each that is tried again.
    checkpoint_failed: bool,
    /// Set when the engine could no longer tell what it has written. Nothing is written after that.
    broken: Option<Arc<str>>,
}

impl Writer {
    pub(super) fn of_file(connection: Connection, lock: Lock, file: Opened) -> Self {
        Self { file: Some(file), _lock: Some(lock), ..Self::sharing(Slot::new(connection)) }
    }

    /// A writer on the connection that the readers use as well.
    pub(super) const fn sharing(slot: Slot) -> Self {
        Self { slot, file: None, _lock: None, since_checkpoint: 0, checkpoint_failed: false, broken: None }
    }

    /// What it writes to.
    pub(super) const fn file(&self) -> Option<&Opened> {
        self.file.as_ref()
    }

    /// Starts the thread; it ends when the lane is closed.
    pub(super) fn start(
        self,
        inbox: Inbox<Change, Fate>,
        readers: Arc<Readers>,
        report: watch::Sender<Option<Arc<str>>>,
        metrics: Metrics,
    ) -> Result<JoinHandle<()>, OpenError> {
        // A runtime of its own, for waiting with a limit; the program's may end before this thread does.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|source| OpenError::Thread { source })?;
        spawn("sqlite-writer", move || {
            runtime.block_on(self.run(inbox, &readers, &report, &metrics));
        })
    }

    async fn run(
        mut self,
        mut inbox: Inbox<Change, Fate>,
        readers: &Readers,
        report: &watch::Sender<Option<Arc<str>>>,
        metrics: &Metrics,
    ) {
        let mut rested = false;
        loop {
            let arrived = if rested {
                Ok(inbox.next_batch().await)
            } else {
                timeout(REST_AFTER, inbox.next_batch()).await
            };
            match arrived {
                Ok(Some(batch)) => match self.refusal() {
                    None => {
                        self.commit_and_answer(batch, readers, report, metrics);
                        rested = false;
                    }
                    // The log stays as it is: where another file took the place of ours, it may be that one's.
                    Some(reason) => {
                        let fates = same_fate(&batch.operations, &StoreError::NotApplied(reason));
                        batch.answer(fates);
                    }
                },
                Ok(None) => break,
                Err(_) => rested = self.rest(readers),
            }
            self.report_if_broken(report);
        }
        if !rested {
            self.rest(readers);
        }
    }

    /// Why nothing is to be written.
    fn refusal(&self) -> Option<Reason> {
        let broken = self.broken.as_ref().map(|why| Reason::Unavailable(Arc::clone(why)));
        broken.or_else(|| self.moved())
    }

    fn moved(&self) -> Option<Reason> {
        self.file.as_ref().and_then(|file| file.in_place().err())
    }

    fn commit_and_answer(
        &mut self,
        batch: Batch<Change, Fate>,
        readers: &Readers,
        report: &watch::Sender<Option<Arc<str>>>,
        metrics: &Metrics,
    ) {
        let start = Instant::now();
        let fates = self.commit(&batch.operations);
        metrics.commit.observe(start.elapsed().as_secs_f64());
        metrics.batch.observe(batch.operations.len() as f64);
        self.since_checkpoint += batch.operations.len();
        self.report_if_broken(report);
        readers.invalidate();
        batch.answer(fates);
        readers.release_stale();
        if self.since_checkpoint >= CHANGES_A_CHECKPOINT {
            self.checkpoint("PASSIVE", readers);
        }
    }

    fn report_if_broken(&self, report: &watch::Sender<Option<Arc<str>>>) {
        if self.broken.is_some() && report.borrow().is_none() {
            tracing::error!(
                why = self.broken.as_deref(),
                "the store can't tell what it has written; a restart is needed"
            );
            report.send_replace(self.broken.clone());
        }
    }

    /// Makes the changes in one transaction, and says what became of each.
    fn commit(&mut self, changes: &[Change]) -> Vec<Fate> {
        let reader = self.slot.lock();
        let result = try_commit(&reader.connection, changes);
        let failure = match result {
            Ok(fates) => {
                // Moved meanwhile, the file has them, and may be moved back or not.
                return self.moved().map_or(fates, |reason| same_fate(changes, &StoreError::Unknown(reason)));
            }
            Err(error) => classify(&error),
        };
        if !reader.connection.is_autocommit() {
            let _ = reader.connection.execute_batch("ROLLBACK");
        }
        drop(reader);
        // What the disk did with a write that failed, nobody can tell: it may be there after a restart.
        // Later commits on this connection would be acknowledged all the same, so there are none.
        let error = match failure.then {
            Then::GoOn => StoreError::NotApplied(failure.reason),
            Then::Restart => {
                self.broken = Some(failure.reason.to_string().into());
                StoreError::Unknown(failure.reason)
            }
        };
        same_fate(changes, &error)
    }

    /// Brings the log into the database. Afterwards readers must begin anew, or their marks in the log
    /// would keep it from being used again from its start.
    fn checkpoint(&mut self, mode: &str, readers: &Readers) -> bool {
        if self.file.is_none() || self.broken.is_some() {
            return true;
        }
        self.since_checkpoint = 0;
        let reader = self.slot.lock();
        let busy = checkpoint(&reader.connection, mode);
        drop(reader);
        readers.invalidate();
        let released = readers.release_stale();
        let failed_before = std::mem::replace(&mut self.checkpoint_failed, busy.is_err());
        match busy {
            Ok(busy) => released && !busy,
            Err(error) => {
                let failure = classify(&error);
                match failure.then {
                    // What is done is still in the log, but the disk can't be trusted with more.
                    Then::Restart => self.broken = Some(failure.reason.to_string().into()),
                    Then::GoOn if failed_before => {}
                    Then::GoOn => {
                        tracing::warn!(%error, "the log can't be brought into the database; it is tried again and again");
                    }
                }
                false
            }
        }
    }

    /// Leaves nothing in the log while nobody writes, and says whether that is so.
    fn rest(&mut self, readers: &Readers) -> bool {
        readers.invalidate();
        readers.release_stale() && self.checkpoint("TRUNCATE", readers)
    }
}

/// Whether another program kept the checkpoint from being complete. It doesn't wait for one.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| row.get(0));
    connection.busy_timeout(LOCK_PATIENCE)?;
    busy
}

fn try_commit(connection: &Connection, changes: &[Change]) -> rusqlite::Result<Vec<Fate>> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
    let mut fates = Vec::with_capacity(changes.len());
    for change in changes {
        match rows::apply(connection, change) {
            Ok(outcome) => fates.push(Ok(outcome)),
            // A statement that failed by itself has changed nothing, and its neighbours go on.
            Err(error) if !connection.is_autocommit() && classify(&error).alone => {
                fates.push(Err(StoreError::NotApplied(classify(&error).reason)));
            }
            Err(error) => return Err(error),
        }
    }
    connection.prepare_cached("COMMIT")?.execute(())?;
    Ok(fates)
}

fn same_fate(changes: &[Change], error: &StoreError) -> Vec<Fate> {
    changes.iter().map(|_| Err(error.clone())).collect()
}
