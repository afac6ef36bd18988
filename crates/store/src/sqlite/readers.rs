//! How are reads answered without waiting for writes, and without paying for a new snapshot each time?
//!
//! A reader keeps its read transaction while a shared counter of commits stands still: this process is
//! the only writer, so as long as nobody committed, the snapshot is the present. Opening and closing a
//! snapshot is most of what a look-up costs (docs/decisions/0008-kept-snapshots.md).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::connection::Place;
use super::failure::classify;
use crate::{OpenError, StoreError};

/// The most readers; a thread has one of its own as long as there are no more threads than this.
const READERS_MAX: usize = 16;

/// The readers, and the counter by which they know whether their snapshot is the present.
pub(super) struct Readers {
    slots: Vec<Slot>,
    commits: AtomicU64,
    /// Whether snapshots are kept. The store in memory has one connection, which the writer needs too.
    keep: Keep,
}

/// A connection that is locked for as long as one thread uses it.
#[derive(Clone)]
pub(super) struct Slot(Arc<Mutex<Reader>>);

pub(super) struct Reader {
    pub(super) connection: Connection,
    /// The count of commits before the snapshot was begun, where one is kept.
    snapshot: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Snapshots,
    Nothing,
}

impl Slot {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(Reader { connection, snapshot: None })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Reader> {
        // A panic elsewhere leaves the connection as it was between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    /// One reader for each thread that the machine runs at once.
    pub(super) fn open(place: &Place) -> Result<Self, OpenError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(READERS_MAX);
        let slots = (0..=threads).map(|_| Ok(Slot::new(place.open_reader()?)));
        Ok(Self {
            slots: slots.collect::<Result<_, _>>()?,
            commits: AtomicU64::new(0),
            keep: Keep::Snapshots,
        })
    }

    /// A single reader on the writer's own connection, and that connection for the writer.
    pub(super) fn sharing(connection: Connection) -> (Self, Slot) {
        let slot = Slot::new(connection);
        (Self { slots: vec![slot.clone()], commits: AtomicU64::new(0), keep: Keep::Nothing }, slot)
    }

    /// Runs one query on what is committed now.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut reader = self.slots[slot_of_this_thread() % self.slots.len()].lock();
        let answer = self.refresh(&mut reader).and_then(|()| query(&reader.connection));
        answer.map_err(|error| {
            reader.release();
            StoreError::NotApplied(classify(&error).reason)
        })
    }

    /// Tells the readers that their snapshots are the past. Called after a commit and before its
    /// answers: whoever reads after an answer must see the commit.
    pub(super) fn invalidate(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    /// Ends the snapshots that are the past, so that they don't hold the log back, and says whether
    /// there is none left. A reader that is busy right now is passed over.
    pub(super) fn release_stale(&self) -> bool {
        if self.keep == Keep::Nothing {
            return true;
        }
        let present = self.commits.load(Ordering::Acquire);
        let mut all = true;
        for slot in &self.slots {
            match slot.0.try_lock() {
                Ok(mut reader) if reader.snapshot.is_some_and(|snapshot| snapshot != present) => {
                    reader.release();
                }
                Ok(_) => {}
                Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => all = false,
            }
        }
        all
    }

    fn refresh(&self, reader: &mut Reader) -> rusqlite::Result<()> {
        if self.keep == Keep::Nothing {
            return Ok(());
        }
        // Read before the snapshot is begun: a commit in between makes the snapshot newer than its
        // number says, and at worst it is renewed once too often.
        let present = self.commits.load(Ordering::Acquire);
        if reader.snapshot == Some(present) {
            return Ok(());
        }
        reader.release();
        reader.connection.prepare_cached("BEGIN")?.execute(())?;
        reader.snapshot = Some(present);
        Ok(())
    }
}

impl Reader {
    fn release(&mut self) {
        if self.snapshot.take().is_some() {
            // Ending a transaction that only read can't fail in a way that matters: if it did, the next
            // BEGIN fails, and says so to who asked.
            let _ = self.connection.prepare_cached("ROLLBACK").and_then(|mut end| end.execute(()));
        }
    }
}

/// Threads get numbers in the order in which they first read.
fn slot_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(mine));
            mine
        })
    })
}
