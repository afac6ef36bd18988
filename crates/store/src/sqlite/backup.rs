//! How is the file copied while it is served? Whole, as it is at one moment, and read through before it gets
//! its name.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::Place;
use super::file::DatabaseFile;
use super::{guard, schema};
use crate::OpenError;

/// Copies the database into a file that must not be there yet, and says how many users that has.
pub(crate) fn backup(path: &Path, copy: &Path) -> Result<u64, OpenError> {
    let place = Place::File(DatabaseFile::find(path)?);
    let source = place.open_reader()?;
    schema::check(&source, &place)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    if copy.exists() {
        return Err(io(copy)(std::io::ErrorKind::AlreadyExists.into()));
    }
    // A copy that is broken off is never mistaken for one.
    let partial = partial(copy);
    guard::create_private(&partial)?.set_len(0).map_err(io(&partial))?;
    let users = write(&source, &partial).and_then(|()| read_through(&partial));
    let users = users.inspect_err(|_| {
        // What is left of a copy that failed is of no use; nor is the failure to remove it.
        let _ = fs::remove_file(&partial);
    })?;
    fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(io(&partial))?;
    fs::rename(&partial, copy).map_err(io(copy))?;
    let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))?;
    Ok(users)
}

fn partial(copy: &Path) -> PathBuf {
    let mut name = copy.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// All pages in one step, under one snapshot: a copy in many steps begins anew with each commit.
fn write(source: &Connection, copy: &Path) -> Result<(), OpenError> {
    let place = Place::File(DatabaseFile::find(copy)?);
    let mut target = place.open()?;
    let backup = rusqlite::backup::Backup::new(source, &mut target).map_err(|error| place.refuse(&error))?;
    let all_pages = -1;
    backup.step(all_pages).map_err(|error| place.refuse(&error))?;
    drop(backup);
    // The copy is one file: it needs no log beside it.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(|error| place.refuse(&error))
}

fn read_through(copy: &Path) -> Result<u64, OpenError> {
    let place = Place::File(DatabaseFile::find(copy)?);
    let connection = place.open()?;
    let verdict: Result<String, _> = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0));
    let verdict = verdict.unwrap_or_else(|error| error.to_string());
    if verdict != "ok" {
        return Err(OpenError::BadCopy { path: copy.to_owned(), reason: verdict });
    }
    schema::check(&connection, &place)?;
    let count = connection.query_row("SELECT count(*) FROM users", (), |row| row.get::<_, i64>(0));
    Ok(count.map_err(|error| place.refuse(&error))?.unsigned_abs())
}
