//! How is a connection opened, so that what was committed stays committed?

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::watch;

use super::file::DatabaseFile;
use crate::OpenError;

/// How long a statement waits for a lock that another program holds, such as the sqlite3 shell.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long the file may be checked after start: a large one is checked in part.
const CHECK_AT_MOST: Duration = Duration::from_secs(5);
/// The log file is cut to this many bytes when it is begun anew after an unusual growth.
const LOG_BYTES_KEPT: i64 = 64 << 20;
/// Statements kept prepared on each connection; there are fewer in all.
const STATEMENTS_KEPT: usize = 32;

/// Where the data is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(DatabaseFile),
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Memory => f.write_str("a database in memory"),
        }
    }
}

impl Place {
    /// The one connection that writes, checkpoints and migrates.
    pub(super) fn open_writer(&self) -> Result<Connection, OpenError> {
        let connection = self.open()?;
        self.harden(&connection).map_err(|error| self.refuse(&error))?;
        if let Self::File(_) = self {
            self.expect(&connection, "journal_mode", "PRAGMA journal_mode = WAL", "wal")?;
            connection.pragma_update(None, "synchronous", "FULL").map_err(|error| self.refuse(&error))?;
            self.expect(
                &connection,
                "synchronous",
                "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous",
                "2",
            )?;
        }
        Ok(connection)
    }

    /// A connection that can't write. It reads at once, for SQLite opens the log only then, by its name, which may
    /// lead elsewhere later.
    pub(super) fn open_reader(&self) -> Result<Connection, OpenError> {
        let connection = self.open()?;
        self.harden(&connection)
            .and_then(|()| connection.pragma_update(None, "query_only", true))
            .and_then(|()| connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())))
            .map_err(|error| self.refuse(&error))?;
        Ok(connection)
    }

    pub(super) fn refuse(&self, error: &rusqlite::Error) -> OpenError {
        self.refuse_for(&error.to_string())
    }

    pub(super) fn refuse_for(&self, reason: &str) -> OpenError {
        OpenError::Engine { place: self.to_string(), reason: reason.to_owned() }
    }

    /// With nothing set yet. Every connection is opened here.
    pub(super) fn open(&self) -> Result<Connection, OpenError> {
        // No thread shares a connection without a lock of ours, so SQLite's own would be a second one.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match self {
            Self::File(file) => Connection::open_with_flags(file.path(), flags),
            Self::Memory => Connection::open_in_memory_with_flags(flags | OpenFlags::SQLITE_OPEN_CREATE),
        };
        connection.map_err(|error| self.refuse(&error))
    }

    fn harden(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.busy_timeout(LOCK_PATIENCE)?;
        // Checkpoints are the writer's, after it answered; see `Writer`.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        // Mapped memory turns an I/O error into a signal, and a stray write into corruption.
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // Who was erased shall not linger in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)
    }

    /// Durability rests on these two settings, so they are read back.
    fn expect(&self, connection: &Connection, what: &str, sql: &str, wanted: &str) -> Result<(), OpenError> {
        let value: String =
            connection.query_row(sql, (), |row| row.get(0)).map_err(|error| self.refuse(&error))?;
        if value == wanted {
            return Ok(());
        }
        Err(self.refuse_for(&format!("its {what} is {value} and can't be made {wanted}")))
    }
}

/// Reads through the file beside the running service and reports a page that is damaged. It ends early
/// when the service closes.
pub(super) fn start_check(
    place: &Place,
    report: watch::Sender<Option<Arc<str>>>,
    closing: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, OpenError> {
    let mut connection = place.open_reader()?;
    spawn("sqlite-check", move || {
        let end = Instant::now() + CHECK_AT_MOST;
        let stop = move || Instant::now() >= end || closing.load(Ordering::Relaxed);
        let verdict = connection
            .progress_handler(10_000, Some(stop))
            .and_then(|()| connection.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0)));
        let damage = match verdict {
            Ok(verdict) if verdict == "ok" => return,
            Ok(damage) => damage,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => return,
            Err(error) => error.to_string(),
        };
        tracing::error!(damage, "the database file is damaged");
        report.send_replace(Some("the database file is damaged; restore a backup".into()));
    })
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| OpenError::Thread { source })
}
