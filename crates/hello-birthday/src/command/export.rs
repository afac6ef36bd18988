//! `export`: write every record, in the order of their names' bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use store::Store;

use super::progress;
use super::settings::ExportSettings;
use super::{Failure, with_store_to_read};
use crate::exchange::Output;

/// Records read at once.
const PAGE: usize = 1000;

pub(super) fn run(settings: &ExportSettings) -> Result<(), Failure> {
    let format = settings.format()?;
    let progress = progress::counter();
    let records = with_store_to_read(&settings.store, async |store| match &settings.file {
        None => write_all(store, format, &mut io::stdout().lock(), &progress).await,
        Some(path) => write_file(store, format, path, &progress).await,
    });
    progress.finish_and_clear();
    progress::say(&format!("{} records were exported", records?));
    Ok(())
}

/// The file gets its name once it is whole and on the disk: one that was broken off is never mistaken for one.
async fn write_file(
    store: &Store,
    format: Output,
    path: &Path,
    progress: &ProgressBar,
) -> Result<u64, Failure> {
    if path.exists() {
        return Err(unwritten(path)(io::ErrorKind::AlreadyExists.into()));
    }
    let partial = partial(path);
    let mut file = create(&partial)?;
    let written = write_all(store, format, &mut file, progress).await;
    let written = written.and_then(|records| {
        file.sync_all().map_err(unwritten(&partial))?;
        publish(&partial, path).map_err(unwritten(path))?;
        Ok(records)
    });
    // It has its other name now, or is of no use; nor is the failure to remove it.
    let _ = fs::remove_file(&partial);
    written
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Personal data: the file is for its owner alone, and never replaces another.
fn create(path: &Path) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(0o600).open(path).map_err(unwritten(path))
}

/// Gives the file its name, durably, and never that of another.
fn publish(partial: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(partial, path) {
        // Not every file system lets a file have two names.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            fs::rename(partial, path)?;
        }
        linked => linked?,
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn unwritten(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Failed(format!("{} can't be written: {error}", path.display()))
}

async fn write_all(
    store: &Store,
    format: Output,
    out: &mut impl Write,
    progress: &ProgressBar,
) -> Result<u64, Failure> {
    let unwritten = |error: io::Error| Failure::Failed(format!("the export can't be written: {error}"));
    let mut out = BufWriter::new(out);
    out.write_all(format.head().as_bytes()).map_err(unwritten)?;
    let (mut after, mut records) = (None, 0);
    loop {
        let users = store.users(after.as_ref(), PAGE).await.map_err(Failure::failed)?;
        let mut lines = Vec::new();
        for user in &users {
            format.write(user, &mut lines);
        }
        out.write_all(&lines).map_err(unwritten)?;
        records += users.len() as u64;
        progress.set_position(records);
        match users.last() {
            Some(last) if users.len() == PAGE => after = Some(last.name.clone()),
            _ => break,
        }
    }
    out.flush().map_err(unwritten)?;
    Ok(records)
}
