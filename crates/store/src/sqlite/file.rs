//! Which file does a path name? One and the same for SQLite, for the lock beside it and for the file system.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::OpenError;

/// A database file, named from the root: SQLite takes a name that begins with `file:` for a URI.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile(PathBuf);

impl DatabaseFile {
    /// It need not be there yet.
    pub(super) fn find(path: &Path) -> Result<Self, OpenError> {
        let found = std::path::absolute(path);
        found.map(Self).map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for DatabaseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}
