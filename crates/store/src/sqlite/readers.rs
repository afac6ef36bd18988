//! How are reads answered without waiting for writes, and without paying for a new snapshot each time?
//!
//! A reader keeps its read transaction while a shared counter of commits stands still: this process is
//! the only writer, so as long as nobody committed, the snapshot is the present. Opening and closing a
//! snapshot is most of what a look-up costs (docs/decisions/0008-kept-snapshots.md).
//!
//! A read is made by the thread that asks, and one that waits for a disk holds that thread up. So reads leave
//! the runtime a thread, and are made elsewhere while the disk is slow
//! (docs/decisions/0012-reads-leave-a-thread.md).

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::{Place, spawn};
use super::failure::classify;
use crate::{ANSWER_WITHIN, OpenError, Reason, StoreError};

/// The most readers of the threads that answer, and of those that may wait for a disk.
const READERS_MAX: usize = 16;
/// How often reads are looked at; one that is seen twice is slow.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many looks in a row without a slow read make the disk a quick one again: ten seconds.
const CALM_LOOKS: u32 = 40;

/// The readers, and the counter by which they know whether their snapshot is the present.
pub(super) struct Readers {
    /// For the threads that answer: one fewer than there are, so that one never waits for a disk.
    here: Vec<Slot>,
    /// For threads that nobody else waits for.
    elsewhere: Vec<Slot>,
    /// For each of the latter.
    places: Arc<Semaphore>,
    commits: AtomicU64,
    /// Whether snapshots are kept. The store in memory has one connection, which the writer needs too.
    keep: Keep,
    /// Whether the disk lets reads wait.
    slow: AtomicBool,
}

/// A connection that is locked for as long as one thread uses it.
#[derive(Clone)]
pub(super) struct Slot(Arc<Locked>);

struct Locked {
    reader: Mutex<Reader>,
    /// Counts the beginnings and the ends of reads: odd while one is under way.
    turns: AtomicU64,
}

/// A reader while a read is under way, however that ends.
struct Taken<'a> {
    reader: MutexGuard<'a, Reader>,
    turns: &'a AtomicU64,
}

impl<'a> Taken<'a> {
    fn begin(reader: MutexGuard<'a, Reader>, slot: &'a Slot) -> Self {
        let taken = Self { reader, turns: &slot.0.turns };
        taken.turn();
        taken
    }

    /// Nobody else counts while the reader is locked.
    fn turn(&self) {
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.turn();
    }
}

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
        let reader = Mutex::new(Reader { connection, snapshot: None });
        Self(Arc::new(Locked { reader, turns: AtomicU64::new(0) }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Reader> {
        // A panic elsewhere leaves the connection as it was between two statements.
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while somebody uses it.
    fn try_lock(&self) -> Option<MutexGuard<'_, Reader>> {
        match self.0.reader.try_lock() {
            Ok(reader) => Some(reader),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Readers {
    /// Those of a file.
    pub(super) fn open(place: &Place) -> Result<Self, OpenError> {
        let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        let readers = threads.saturating_sub(1).clamp(1, READERS_MAX);
        let open = || (0..readers).map(|_| Ok(Slot::new(place.open_reader()?))).collect::<Result<_, _>>();
        Ok(Self::of(open()?, open()?, Keep::Snapshots))
    }

    /// A single reader on the writer's own connection, and that connection for the writer.
    pub(super) fn sharing(connection: Connection) -> (Self, Slot) {
        let slot = Slot::new(connection);
        (Self::of(vec![slot.clone()], Vec::new(), Keep::Nothing), slot)
    }

    fn of(here: Vec<Slot>, elsewhere: Vec<Slot>, keep: Keep) -> Self {
        let places = Arc::new(Semaphore::new(elsewhere.len()));
        Self { here, elsewhere, places, commits: AtomicU64::new(0), keep, slow: AtomicBool::new(false) }
    }

    /// Runs one query on what is committed now, in time.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.read_here(query) {
            Ok(answer) => answer,
            // In a box: a request that is answered at once needs no room for this.
            Err(query) => Box::pin(self.read_elsewhere(query)).await,
        }
    }

    /// The same, and never on the thread that asks if there is a disk to wait for.
    pub(super) async fn read_patiently<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.keep {
            Keep::Nothing => self.read(query).await,
            Keep::Snapshots => self.read_elsewhere(query).await,
        }
    }

    /// On the thread that asks, which is by far the cheapest way; gives the query back where that thread could
    /// wait for a slow disk, or is the last one that doesn't.
    fn read_here<T, Q: FnOnce(&Connection) -> rusqlite::Result<T>>(
        &self,
        query: Q,
    ) -> Result<Result<T, StoreError>, Q> {
        let taken = match self.keep {
            Keep::Nothing => Some(Taken::begin(self.here[0].lock(), &self.here[0])),
            Keep::Snapshots if self.slow.load(Ordering::Relaxed) => None,
            Keep::Snapshots => take_free(&self.here),
        };
        match taken {
            Some(taken) => Ok(self.read_by(taken, query)),
            None => Err(query),
        }
    }

    async fn read_elsewhere<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let read = async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let readers = Arc::clone(self);
            let read = move || {
                // Kept until the disk has answered, whoever still waits for that.
                let _place = place;
                loop {
                    // Who has a place has a reader, but for the moment in which the writer looks at it.
                    if let Some(taken) = take_free(&readers.elsewhere) {
                        return readers.read_by(taken, query);
                    }
                    std::thread::yield_now();
                }
            };
            tokio::task::spawn_blocking(read).await
        };
        match timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(StoreError::NotApplied(Reason::Unavailable("it ended before it answered".into())))
            }
            Err(_) => Err(StoreError::NotApplied(Reason::TooSlow)),
        }
    }

    fn read_by<T>(
        &self,
        mut taken: Taken<'_>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = &mut *taken.reader;
        let answer = self.refresh(reader).and_then(|()| query(&reader.connection));
        answer.map_err(|error| {
            reader.release();
            StoreError::NotApplied(classify(&error).reason)
        })
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.here.iter().chain(&self.elsewhere)
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
        for slot in self.slots() {
            match slot.try_lock() {
                Some(mut reader) if reader.snapshot.is_some_and(|snapshot| snapshot != present) => {
                    reader.release();
                }
                Some(_) => {}
                None => all = false,
            }
        }
        all
    }

    /// Whether a read is under way that was so at the last look, which saw these turns.
    fn is_any_seen_again(&self, seen: &mut [u64]) -> bool {
        let mut any = false;
        for (slot, seen) in self.slots().zip(seen) {
            let turns = slot.0.turns.load(Ordering::Relaxed);
            any |= turns % 2 == 1 && turns == *seen;
            *seen = turns;
        }
        any
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

/// Looks out for reads that a disk lets wait, until the store closes.
pub(super) fn start_watch(
    readers: Arc<Readers>,
    closing: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, OpenError> {
    let runtime = Handle::try_current().ok();
    spawn("sqlite-watch", move || {
        let mut seen = vec![0; readers.slots().count()];
        let mut calm = CALM_LOOKS;
        while !closing.load(Ordering::Relaxed) {
            std::thread::park_timeout(LOOK_EVERY);
            if !readers.is_any_seen_again(&mut seen) {
                calm = calm.saturating_add(1);
                readers.slow.store(calm < CALM_LOOKS, Ordering::Relaxed);
                continue;
            }
            calm = 0;
            if !readers.slow.swap(true, Ordering::Relaxed) {
                tracing::warn!("the disk of the store is slow");
            }
            // The thread that is held up may be the one that was to look for what comes in; work from outside
            // wakes another, which then does.
            if let Some(runtime) = &runtime {
                drop(runtime.spawn(async {}));
            }
        }
    })
}

/// This thread's own, unless somebody has that, or else any that is free.
fn take_free(slots: &[Slot]) -> Option<Taken<'_>> {
    let (before, own_and_after) = slots.split_at(slot_of_this_thread() % slots.len());
    let mut slots = own_and_after.iter().chain(before);
    slots.find_map(|slot| Some(Taken::begin(slot.try_lock()?, slot)))
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
