//! The embedded store: one SQLite file, one writer that commits in groups, and readers that never wait
//! for it.

mod file;
mod guard;
mod connection;
mod schema;
mod readers;
mod writer;
mod import;
mod rows;
mod failure;
mod backup;
mod disk;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use birthday::{Birthday, Name, Span, User};
use prometheus_client::registry::Registry;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::lane::{Lane, lane};
use crate::metrics::{Durability, Metrics};
use crate::{ANSWER_WITHIN, Change, Migrated, OpenError, Options, Outcome, Reason, StoreError};
pub(crate) use backup::backup;
use connection::Place;
use file::{DatabaseFile, Opened};
use guard::Lock;
pub(crate) use import::Import;
use readers::Readers;
use writer::Writer;

/// How one change ended.
type Fate = Result<Outcome, StoreError>;

/// The handle; every clone is the same store.
#[derive(Clone)]
pub(crate) struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    lane: Lane<Change, Fate>,
    readers: Arc<Readers>,
    /// What is written to, where that is a file.
    file: Option<Opened>,
    /// Why the store is broken, once it is.
    broken: watch::Receiver<Option<Arc<str>>>,
    closing: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

impl Sqlite {
    pub(crate) fn open_file(
        path: &Path,
        options: Options,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let file = DatabaseFile::find(path)?;
        let lock = Lock::take(&file, options)?;
        disk::register(file.path(), registry);
        let place = Place::File(file.clone());
        let mut connection = place.open_writer()?;
        schema::migrate(&mut connection, &place)?;
        let readers = Readers::open(&place)?;
        let opened = Opened::of(&file)?;
        metrics.promise(Durability { server_crash: Some(true), power_loss: Some(true), failover: None });
        Self::start(Writer::of_file(connection, lock, opened), readers, metrics, Some(&place))
    }

    pub(crate) fn open_memory(metrics: &Metrics) -> Result<Self, OpenError> {
        let mut connection = Place::Memory.open_writer()?;
        schema::migrate(&mut connection, &Place::Memory)?;
        let (readers, only) = Readers::sharing(connection);
        metrics.promise(Durability { server_crash: Some(false), power_loss: Some(false), failover: None });
        Self::start(Writer::sharing(only), readers, metrics, None)
    }

    /// Readers alone, beside a service that may be writing: no lock is taken, nothing is checked that
    /// would write, and no snapshot is kept, since nobody tells them of a commit.
    pub(crate) fn open_file_to_read(path: &Path, metrics: &Metrics) -> Result<Self, OpenError> {
        let place = Place::File(DatabaseFile::find(path)?);
        let connection = place.open_reader()?;
        schema::check(&connection, &place)?;
        let (readers, _) = Readers::sharing(connection);
        // A lane without a worker: changes are not applied.
        let (lane, _) = lane(metrics.queue.clone());
        let (_, broken) = watch::channel(None);
        let (readers, closing) = (Arc::new(readers), Arc::default());
        let threads = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { lane, readers, file: None, broken, closing, threads }) })
    }

    pub(crate) fn migrate_file(path: &Path, options: Options) -> Result<Migrated, OpenError> {
        let file = DatabaseFile::find(path)?;
        let _lock = Lock::take(&file, options)?;
        let place = Place::File(file);
        schema::migrate(&mut place.open_writer()?, &place)
    }

    /// Starts the writer's thread, the one that looks out for slow reads, and for a file the one that looks
    /// whether it is whole.
    fn start(
        writer: Writer,
        readers: Readers,
        metrics: &Metrics,
        check: Option<&Place>,
    ) -> Result<Self, OpenError> {
        let (lane, inbox) = lane(metrics.queue.clone());
        let (report, broken) = watch::channel(None);
        let readers = Arc::new(readers);
        let file = writer.file().cloned();
        let closing = Arc::new(AtomicBool::new(false));
        let mut threads = vec![writer.start(inbox, Arc::clone(&readers), report.clone(), metrics.clone())?];
        if let Some(place) = check {
            threads.push(connection::start_check(place, report, Arc::clone(&closing))?);
        }
        threads.push(readers::start_watch(Arc::clone(&readers), Arc::clone(&closing))?);
        let threads = Mutex::new(threads);
        Ok(Self { shared: Arc::new(Shared { lane, readers, file, broken, closing, threads }) })
    }

    pub(crate) async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        let name = name.clone();
        self.shared.readers.read(move |connection| rows::birthday(connection, &name)).await
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        let name = name.clone();
        self.shared.readers.read(move |connection| rows::user(connection, &name)).await
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        let after = after.cloned();
        self.shared.readers.read(move |connection| rows::users(connection, after.as_ref(), limit)).await
    }

    pub(crate) async fn birthdays(
        &self,
        spans: &[Span],
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Birthday)>, StoreError> {
        let (spans, after) = (spans.to_owned(), after.cloned());
        let read = move |connection: &Connection| rows::birthdays(connection, &spans, after.as_ref(), limit);
        self.shared.readers.read(read).await
    }

    pub(crate) async fn commit(&self, change: Change) -> Fate {
        self.shared.lane.ask(change, ANSWER_WITHIN).await?
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        if let Some(reason) = &*self.shared.broken.borrow() {
            return Err(StoreError::NotApplied(Reason::Unavailable(Arc::clone(reason))));
        }
        let file = self.shared.file.clone();
        let look = move |connection: &Connection| {
            let in_place = file.as_ref().map_or(Ok(()), Opened::in_place);
            rows::touch(connection).map(|()| in_place)
        };
        self.shared.readers.read_patiently(look).await?.map_err(StoreError::NotApplied)
    }

    pub(crate) async fn broken(&self) -> String {
        let mut broken = self.shared.broken.clone();
        match broken.wait_for(Option::is_some).await {
            Ok(reason) => reason.as_deref().unwrap_or_default().to_owned(),
            // Closed, and never broken.
            Err(_) => std::future::pending().await,
        }
    }

    pub(crate) async fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.lane.close().await;
        let threads =
            std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // One that rests between two looks sees that it is over.
            thread.thread().unpark();
            // A thread that panicked said so already.
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }
}

#[cfg(test)]
mod tests;
