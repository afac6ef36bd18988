//! How are a great many records taken in? As few commits as the engine can make of them, not one answer each.

use birthday::User;
use tokio::sync::mpsc::Receiver;

use crate::{OpenError, Outcome, StoreError};

/// The records of one batch: as many as make a commit cheap, a few MiB.
pub const IMPORT_BATCH: usize = 32 << 10;

/// Where the records of an import come from: batches of at most [`IMPORT_BATCH`].
pub type Batches = Receiver<Vec<User>>;

/// What became of the records so far. All of them are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New, or with something new in them.
    pub taken: u64,
    /// All of it was there.
    pub unchanged: u64,
}

/// Why records were not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// None of them was.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Some may have been; taking them in again is safe.
    #[error("the import was broken off, and can be repeated from its start: {0}")]
    BrokenOff(#[from] StoreError),
}

impl Imported {
    pub(crate) const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.taken += 1,
            Outcome::Unchanged | Outcome::Conflict | Outcome::Absent => self.unchanged += 1,
        }
    }
}
