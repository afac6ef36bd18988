//! Which file does a path name? One and the same for SQLite, for the lock beside it and for the file system.

use std::fmt;
use std::io::{self, ErrorKind::NotFound};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{OpenError, Reason};

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

/// A database file, its log and the log's index while they are open, by what the file system calls them: device
/// and number. What is written to a file that its name no longer leads to is lost with the process.
#[derive(Clone)]
pub(super) struct Opened([(PathBuf, Identity); 3]);

type Identity = (u64, u64);

impl Opened {
    /// There must be a connection already that has read something: that makes the other two.
    pub(super) fn of(file: &DatabaseFile) -> Result<Self, OpenError> {
        let opened = |ending| {
            let path = beside(&file.0, ending);
            match identity(&path) {
                Ok(identity) => Ok((path, identity)),
                Err(source) => Err(OpenError::Io { path, source }),
            }
        };
        Ok(Self([opened("")?, opened("-wal")?, opened("-shm")?]))
    }

    /// Whether all three names still lead there.
    pub(super) fn in_place(&self) -> Result<(), Reason> {
        self.0.iter().try_for_each(|(path, opened)| {
            let why = match identity(path) {
                Ok(now) if now == *opened => return Ok(()),
                Err(error) if error.kind() != NotFound => format!("can't be looked at: {error}"),
                Ok(_) | Err(_) => "was moved, removed or replaced while it is in use".to_owned(),
            };
            Err(Reason::Unavailable(format!("{} {why}", path.display()).into()))
        })
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    path.metadata().map(|facts| (facts.dev(), facts.ino()))
}

/// The file beside that one whose name has an ending more.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
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
