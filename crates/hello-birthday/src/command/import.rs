//! `import`: take in records, a line each. Good ones go in, bad ones are named by their line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use birthday::{Almanac, Date, LeapDay, Timestamp, User};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use prometheus_client::registry::Registry;
use store::{Change, Outcome, Store, StoreError};

use super::Failure;
use super::progress;
use super::settings::ImportSettings;
use crate::exchange::read_line;

/// Records that are on their way at once: enough to fill one batch while another is written.
const UNDER_WAY: usize = 2048;
/// The most bytes of a line: a record with the longest name and address, each character escaped.
const LINE_BYTES: u64 = 8 << 10;

/// What became of the records so far.
#[derive(Default)]
struct Tally {
    taken: u64,
    unchanged: u64,
    bad: u64,
}

pub(super) fn run(settings: &ImportSettings) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let today =
            Almanac::new(settings.time_zone(), LeapDay::default(), Arc::new(Timestamp::now)).today(None);
        let input = open(settings.file.as_deref())?;
        let progress = progress::counter();
        let tally = if settings.dry_run {
            let mut tally = Tally::default();
            for_each_record(input, today, &mut tally, |_, tally| tally.taken += 1)?;
            tally
        } else {
            let (location, options) = (settings.store.location()?, settings.store.options()?);
            let store =
                Store::open(&location, options, &mut Registry::default()).await.map_err(Failure::failed)?;
            // A server may be away for who serves; who writes at once needs it now.
            let result = match store.ping().await {
                Ok(()) => take_in(&store, input, today, &progress).await,
                Err(error) => Err(Failure::Failed(format!("{location}: {}", error.reason()))),
            };
            store.close().await;
            result?
        };
        progress.finish_and_clear();
        conclude(&tally, settings.dry_run)
    })
}

fn conclude(tally: &Tally, dry_run: bool) -> Result<(), Failure> {
    let Tally { taken, unchanged, bad } = tally;
    if dry_run {
        progress::say(&format!("{taken} records could be imported; nothing was written"));
    } else {
        progress::say(&format!("{taken} records were imported, {unchanged} were there already"));
    }
    if *bad == 0 { Ok(()) } else { Err(Failure::Failed(format!("{bad} records are bad, each named above"))) }
}

fn open(path: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    let Some(path) = path else { return Ok(Box::new(BufReader::new(io::stdin()))) };
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(Failure::Failed(format!("{} can't be read: {error}", path.display()))),
    }
}

/// Reads in one thread and writes from here: the bounded channel between them keeps memory constant.
async fn take_in(
    store: &Store,
    input: Box<dyn BufRead + Send>,
    today: Date,
    progress: &ProgressBar,
) -> Result<Tally, Failure> {
    let (sender, mut records) = tokio::sync::mpsc::channel::<User>(UNDER_WAY);
    let reader = tokio::task::spawn_blocking(move || {
        let mut tally = Tally::default();
        // Whoever no longer takes records has failed, and says so itself.
        for_each_record(input, today, &mut tally, |user, _| drop(sender.blocking_send(user))).map(|()| tally)
    });
    let mut tally = Tally::default();
    let mut under_way = FuturesUnordered::new();
    let mut arrived = Vec::with_capacity(UNDER_WAY);
    let mut more = true;
    while more || !under_way.is_empty() {
        tokio::select! {
            biased;
            Some(outcome) = under_way.next() => tally.count(outcome)?,
            count = records.recv_many(&mut arrived, UNDER_WAY), if more && under_way.len() < UNDER_WAY => {
                under_way.extend(arrived.drain(..).map(|user| store.commit(Change::Put(user))));
                more = count > 0;
            }
        }
        progress.set_position(tally.taken + tally.unchanged);
    }
    let read = reader.await.map_err(Failure::failed)??;
    Ok(Tally { bad: read.bad, ..tally })
}

impl Tally {
    fn count(&mut self, outcome: Result<Outcome, StoreError>) -> Result<(), Failure> {
        match outcome {
            Ok(Outcome::Done) => self.taken += 1,
            Ok(Outcome::Unchanged | Outcome::Conflict | Outcome::Absent) => self.unchanged += 1,
            Err(error) => {
                let words = "the import was broken off, and can be repeated from its start";
                return Err(Failure::Failed(format!("{words}: {error}")));
            }
        }
        Ok(())
    }
}

/// Hands over the good records; says which lines are bad.
fn for_each_record(
    mut input: Box<dyn BufRead + Send>,
    today: Date,
    tally: &mut Tally,
    mut take: impl FnMut(User, &mut Tally),
) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = io::Read::take(&mut input, LINE_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failure::Failed(format!("line {number} can't be read: {error}")))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_BYTES && !line.ends_with(b"\n") {
            return Err(Failure::Failed(format!(
                "line {number} is longer than {LINE_BYTES} bytes, and no record"
            )));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_line(&line, today) {
            Ok(user) => take(user, tally),
            Err(reason) => {
                tally.bad += 1;
                progress::say(&format!("line {number}: {reason}"));
            }
        }
    }
    Ok(())
}
