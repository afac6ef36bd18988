//! `import`: take in records. Good ones go in, bad ones are named by their line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use birthday::{Almanac, LeapDay, Timestamp, User};
use store::{IMPORT_BATCH, Imported, Store};
use tokio::sync::mpsc;

use super::Failure;
use super::progress;
use super::settings::ImportSettings;
use crate::exchange::{self, Records, Rules};

/// Bytes read at once from a file.
const READ_BYTES: usize = 64 << 10;
/// Batches that wait to be written: one is enough, since one is being filled and one written.
const BATCHES_WAITING: usize = 1;

/// How many records were read.
#[derive(Default)]
struct Tally {
    good: u64,
    bad: u64,
}

pub(super) fn run(settings: &ImportSettings) -> Result<(), Failure> {
    let today = Almanac::new(settings.time_zone(), LeapDay::default(), Arc::new(Timestamp::now)).today(None);
    let rules = Rules { today, spaces: settings.spaces };
    let format = settings.format()?;
    let input = open(settings.file.as_deref())?;
    let records = exchange::read(format, input, rules).map_err(Failure::failed)?;
    let tally = if settings.dry_run { try_out(records)? } else { take_in(settings, records)? };
    match tally.bad {
        0 => Ok(()),
        bad => Err(Failure::Failed(format!("{bad} records are bad, each named above"))),
    }
}

fn open(path: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    let Some(path) = path else { return Ok(Box::new(BufReader::new(io::stdin()))) };
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::with_capacity(READ_BYTES, file))),
        Err(error) => Err(Failure::Failed(format!("{} can't be read: {error}", path.display()))),
    }
}

fn try_out(records: Records) -> Result<Tally, Failure> {
    let tally = for_each_good(records, |_| ControlFlow::Continue(()))?;
    progress::say(&format!("{} records could be imported; nothing was written", tally.good));
    Ok(tally)
}

/// Reads in one thread while the store writes in another: the bounded channel between them keeps memory
/// constant.
fn take_in(settings: &ImportSettings, records: Records) -> Result<Tally, Failure> {
    let (location, options) = (settings.store.location()?, settings.store.options()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let result = runtime.block_on(async {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let reader = tokio::task::spawn_blocking(|| read_batches(records, sender));
        let progress = progress::counter();
        let shown = progress.clone();
        let show = move |so_far: Imported| shown.set_position(so_far.taken + so_far.unchanged);
        let imported = Store::import(&location, options, batches, show).await;
        progress.finish_and_clear();
        let Imported { taken, unchanged } = imported.map_err(Failure::failed)?;
        let tally = reader.await.map_err(Failure::failed)?;
        progress::say(&format!(
            "{taken} records were imported into {location}, {unchanged} were there already"
        ));
        tally
    });
    // Where the store has failed, nobody waits for an input that may never end.
    runtime.shutdown_background();
    result
}

/// Reads until there is nothing more, or nobody who takes it: whoever doesn't has failed, and says so itself.
fn read_batches(records: Records, sender: mpsc::Sender<Vec<User>>) -> Result<Tally, Failure> {
    let mut batch = Vec::with_capacity(IMPORT_BATCH);
    let hand_over = |batch| match sender.blocking_send(batch) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let tally = for_each_good(records, |user| {
        batch.push(user);
        if batch.len() < IMPORT_BATCH {
            return ControlFlow::Continue(());
        }
        hand_over(std::mem::replace(&mut batch, Vec::with_capacity(IMPORT_BATCH)))
    });
    // What is left goes in even where reading ended early; the failure is told afterwards.
    let _ = hand_over(batch);
    tally
}

/// Hands over the good records; says which are bad.
fn for_each_good(records: Records, mut take: impl FnMut(User) -> ControlFlow<()>) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for record in records {
        let record = record.map_err(Failure::failed)?;
        match record.user {
            Ok(user) => {
                tally.good += 1;
                if take(user).is_break() {
                    break;
                }
            }
            Err(reason) => {
                tally.bad += 1;
                progress::say(&format!("{}: {reason}", record.lines));
            }
        }
    }
    Ok(tally)
}
