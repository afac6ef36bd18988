//! How does the embedded store take in a great many records? One commit for each batch, in the order in which
//! the table keeps them, so that each page of it is written once.

use std::path::Path;

use birthday::User;
use rusqlite::Connection;

use super::connection::Place;
use super::failure::{Then, classify};
use super::file::{DatabaseFile, Opened};
use super::guard::Lock;
use super::{rows, schema};
use crate::import::{Batches, Imported};
use crate::{ImportError, OpenError, Options, StoreError};

/// Pages kept in memory, in KiB: those of the index by day, which every batch touches all over.
const CACHE_KIB: i64 = 16 << 10;

/// The connection that takes in, and what keeps other writers out meanwhile. No reader keeps a snapshot, no
/// other change waits: this is not the store that is served.
pub(crate) struct Import {
    pub(super) connection: Connection,
    /// What is written to, where that is a file.
    file: Option<Opened>,
    /// Let go of after the connection is closed.
    _lock: Option<Lock>,
}

impl Import {
    pub(crate) fn open_file(path: &Path, options: Options) -> Result<Self, OpenError> {
        let file = DatabaseFile::find(path)?;
        let lock = Lock::take(&file, options)?;
        let import = Self::open(&Place::File(file.clone()), Some(lock))?;
        Ok(Self { file: Some(Opened::of(&file)?), ..import })
    }

    pub(crate) fn open_memory() -> Result<Self, OpenError> {
        Self::open(&Place::Memory, None)
    }

    fn open(place: &Place, lock: Option<Lock>) -> Result<Self, OpenError> {
        let mut connection = place.open_writer()?;
        schema::migrate(&mut connection, place)?;
        // SQLite counts KiB where the number is negative.
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(|error| place.refuse(&error))?;
        Ok(Self { connection, file: None, _lock: lock })
    }

    /// Takes in what arrives until nothing more does, and tells after each commit how far it is. Blocks.
    pub(crate) fn take_in(
        self,
        mut batches: Batches,
        mut progress: impl FnMut(Imported),
    ) -> Result<Imported, ImportError> {
        let mut imported = Imported::default();
        while let Some(mut batch) = batches.blocking_recv() {
            // Stable: of two records of one name the later one comes later.
            batch.sort_by(|one, other| one.name.cmp(&other.name));
            self.commit(&batch, &mut imported).map_err(|error| fate(&error))?;
            if let Some(file) = &self.file {
                file.in_place().map_err(StoreError::Unknown)?;
            }
            progress(imported);
            self.checkpoint("PASSIVE")?;
        }
        self.checkpoint("TRUNCATE")?;
        Ok(imported)
    }

    fn commit(&self, batch: &[User], imported: &mut Imported) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        for user in batch {
            imported.count(rows::put(&transaction, user)?);
        }
        transaction.commit()
    }

    /// Brings the log into the database, as far as nobody who reads needs it. Where it can't be, what was
    /// committed is durable all the same, in the log.
    fn checkpoint(&self, mode: &str) -> Result<(), StoreError> {
        let done = self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |_| Ok(()));
        let Err(error) = done else { return Ok(()) };
        match fate(&error) {
            // The disk can't be trusted with more.
            unknown @ StoreError::Unknown(_) => Err(unknown),
            StoreError::NotApplied(_) => {
                tracing::warn!(%error, "the log could not be brought into the database; the records are in it");
                Ok(())
            }
        }
    }
}

fn fate(error: &rusqlite::Error) -> StoreError {
    let failure = classify(error);
    match failure.then {
        Then::GoOn => StoreError::NotApplied(failure.reason),
        // What the disk did with a write that failed, nobody can tell.
        Then::Restart => StoreError::Unknown(failure.reason),
    }
}
