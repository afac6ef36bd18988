//! `export`: write every record, in the order of their names' bytes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

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
        None => write_all(store, format, io::stdout().lock(), &progress).await,
        Some(path) => write_all(store, format, create(path)?, &progress).await,
    });
    progress.finish_and_clear();
    progress::say(&format!("{} records were exported", records?));
    Ok(())
}

/// Personal data: the file is for its owner alone, and never replaces another.
fn create(path: &Path) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| Failure::Failed(format!("{} can't be written: {error}", path.display())))
}

async fn write_all(
    store: &Store,
    format: Output,
    out: impl Write,
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
