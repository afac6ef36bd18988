//! How is the file copied while it is served? Whole, as it is at one moment, and read through before it gets
//! its name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection::Place;
use super::file::{DatabaseFile, beside, folder};
use super::schema;
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
        return Err(io(copy)(io::ErrorKind::AlreadyExists.into()));
    }
    // A copy that is broken off is never mistaken for one.
    let partial = beside(copy, ".partial");
    let file = create_anew(&partial).map_err(io(&partial))?;
    let copied = write(&source, &place, &partial).and_then(|()| read_through(&partial)).and_then(|users| {
        publish(&file, &partial, copy).map_err(io(copy))?;
        Ok(users)
    });
    // It has its other name now, or is of no use; nor is the failure to remove it.
    let _ = fs::remove_file(&partial);
    copied
}

/// What was broken off earlier goes, or where a link led its file would be written to.
fn create_anew(partial: &Path) -> io::Result<File> {
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(partial)
}

/// Gives the copy its name, durably, and never that of another file.
fn publish(file: &File, partial: &Path, copy: &Path) -> io::Result<()> {
    file.sync_all()?;
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::other("another backup has begun to make it anew"));
    }
    match fs::hard_link(partial, copy) {
        // Not every file system lets a file have two names.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !copy.exists() => {
            fs::rename(partial, copy)?;
        }
        linked => linked?,
    }
    File::open(folder(copy))?.sync_all()
}

/// All pages in one step, under one snapshot: a copy in many steps begins anew with each commit.
fn write(source: &Connection, original: &Place, copy: &Path) -> Result<(), OpenError> {
    let place = Place::File(DatabaseFile::find(copy)?);
    let mut target = place.open()?;
    let backup = Backup::new(source, &mut target).map_err(|error| place.refuse(&error))?;
    let all_pages = -1;
    let step = backup.step(all_pages).map_err(|error| place.refuse(&error))?;
    // For a lock the engine has waited already, as long as for any.
    if step != StepResult::Done {
        return Err(original.refuse_for("another program keeps it locked"));
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_another_program_keeps_locked_is_not_copied_as_if_it_were_empty() {
        let folder = tempfile::tempdir().unwrap();
        let [path, partial] = ["x.db", "copy.db.partial"].map(|name| folder.path().join(name));
        let shell = Connection::open(&path).unwrap();
        shell.execute_batch("CREATE TABLE users (x)").unwrap();
        let place = Place::File(DatabaseFile::find(&path).unwrap());
        let source = place.open_reader().unwrap();
        shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
        source.busy_timeout(Duration::from_millis(10)).unwrap();
        File::create(&partial).unwrap();
        let refused = write(&source, &place, &partial).unwrap_err().to_string();
        assert!(refused.contains("x.db can't be opened: another program keeps it locked"), "{refused}");
        shell.execute_batch("ROLLBACK").unwrap();
        write(&source, &place, &partial).unwrap();
    }

    #[test]
    fn of_two_backups_to_one_name_the_earlier_one_gives_it_to_no_part_of_the_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let [copy, partial] = ["copy.db", "copy.db.partial"].map(|name| folder.path().join(name));
        let earlier = create_anew(&partial).unwrap();
        let later = create_anew(&partial).unwrap();
        publish(&earlier, &partial, &copy).unwrap_err();
        assert!(!copy.exists());
        publish(&later, &partial, &copy).unwrap();
    }
}
