//! Which file does a path name? One and the same for SQLite, for the lock beside it and for the file system.

use std::fmt;
use std::io::{self, ErrorKind::NotFound};
use std::path::{Path, PathBuf};

use crate::OpenError;

/// A database file by its one real name, without links: under two names it would have two locks. It begins at
/// the root, since SQLite takes a name that begins with `file:` for a URI.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile(PathBuf);

impl DatabaseFile {
    /// It need not be there yet.
    pub(super) fn find(path: &Path) -> Result<Self, OpenError> {
        real(path).map(Self).map_err(|source| OpenError::Io { path: path.to_owned(), source })
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

/// The folder in which a file is, or will be.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn real(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == NotFound => real_when_made(path),
        found => found,
    }
}

/// Of a file that is not there yet, though a link may lead to it already.
fn real_when_made(path: &Path) -> io::Result<PathBuf> {
    if let Ok(target) = path.read_link() {
        return real(&folder(path).join(target));
    }
    let name = path.file_name().ok_or(NotFound)?;
    Ok(folder(path).canonicalize()?.join(name))
}
