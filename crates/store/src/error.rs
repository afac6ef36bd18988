//! What can go wrong with a store: when it is opened, and when it is asked.

use std::path::PathBuf;
use std::sync::Arc;

/// Why a store gave no answer, sorted by what became of the change. A read that failed is simply not
/// applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed, and nothing will be.
    #[error("not applied: {0}")]
    NotApplied(Reason),
    /// The change may be seen later, or may not. It can be repeated safely.
    #[error("unknown: {0}")]
    Unknown(Reason),
}

/// What was the matter.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Reason {
    /// More changes wait than the store keeps waiting.
    #[error("too many changes are waiting")]
    Overloaded,
    /// No answer came in time.
    #[error("the store took too long")]
    TooSlow,
    /// There is no room for more data.
    #[error("the store has no room left")]
    Full,
    /// The store can't be asked; the text is for the operator's log.
    #[error("the store can't be asked: {0}")]
    Unavailable(Arc<str>),
    /// The store answers, and will have nothing to do with us as we are set; the text is for the operator's
    /// log.
    #[error("the store refuses us: {0}")]
    Refused(Arc<str>),
}

impl StoreError {
    /// What was the matter.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        match self {
            Self::NotApplied(reason) | Self::Unknown(reason) => reason,
        }
    }

    pub(crate) fn into_reason(self) -> Reason {
        match self {
            Self::NotApplied(reason) | Self::Unknown(reason) => reason,
        }
    }
}

/// Why a store can't be opened or migrated: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error("{} is in use: another hello-birthday{} writes to it", path.display(), held_by(holder))]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The process that holds it, as far as it can be told.
        holder: Option<u32>,
    },
    /// A file system on which SQLite's log doesn't work.
    #[error(
        "{} is on {kind}, where SQLite's write-ahead log loses data; choose a local disk, or insist with --any-file-system",
        path.display()
    )]
    FileSystem {
        /// The database file.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// A database, but not one of this program.
    #[error("{place} is not a hello-birthday database")]
    NotOurs {
        /// The database.
        place: String,
    },
    /// A schema that a newer version of the program made and this one can't work with.
    #[error(
        "the schema has version {found}, made by a newer hello-birthday; this one knows versions up to {known} and can't work with it"
    )]
    TooNew {
        /// The version that was found.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A schema that this version of the program has more steps for.
    #[error("{place} has an older schema; run `hello-birthday migrate` first")]
    TooOld {
        /// The database.
        place: String,
    },
    /// A store that has tools of its own for that.
    #[error("only an embedded store in a file can be copied by this program, not {place}")]
    NoBackup {
        /// The store.
        place: String,
    },
    /// A copy that is not what was copied.
    #[error("the copy {} is damaged: {reason}", path.display())]
    BadCopy {
        /// The copy.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("{} can't be opened: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// The operating system gave no thread to write in.
    #[error("the store's thread can't be started: {source}")]
    Thread {
        /// Its words.
        source: std::io::Error,
    },
    /// A server does not answer, or can't yet.
    #[error("{place} can't be opened: {reason}")]
    Away {
        /// The database.
        place: String,
        /// What was the matter.
        reason: Reason,
    },
    /// The engine refused.
    #[error("{place} can't be opened: {reason}")]
    Engine {
        /// The database.
        place: String,
        /// Its words.
        reason: String,
    },
}

fn held_by(holder: &Option<u32>) -> String {
    holder.map(|process| format!(" (process {process})")).unwrap_or_default()
}
