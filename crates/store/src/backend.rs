//! Which engine answers? One variant an engine, one match an operation.

use std::path::Path;
use std::pin::pin;

use birthday::{Birthday, Name, Span, User};
use futures_util::{StreamExt as _, stream};
use prometheus_client::registry::Registry;

use crate::metrics::Metrics;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::sqlite::{self, Sqlite};
use crate::{
    Batches, Change, ImportError, Imported, Location, Migrated, OpenError, Options, Outcome, Reason,
    StoreError,
};

/// Records of an import that are on their way to a server at once: enough to fill one batch while another
/// is written.
const UNDER_WAY: usize = 2048;

/// The engines; the set is closed, and the compiler lists every place to touch when one is added.
#[derive(Clone)]
pub(crate) enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Redis(Redis),
}

impl Backend {
    pub(crate) async fn open(
        location: &Location,
        options: Options,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        match location {
            Location::SqliteFile(path) => {
                Sqlite::open_file(path, options, metrics, registry).map(Self::Sqlite)
            }
            Location::SqliteMemory => Sqlite::open_memory(metrics).map(Self::Sqlite),
            Location::Postgres(address) => {
                Postgres::open(address, options, metrics, registry).await.map(Self::Postgres)
            }
            Location::Redis(url) => Redis::open(url, options.redis_wait, metrics).await.map(Self::Redis),
        }
    }

    pub(crate) async fn open_to_read(
        location: &Location,
        options: Options,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        match location {
            Location::SqliteFile(path) => Sqlite::open_file_to_read(path, metrics).map(Self::Sqlite),
            Location::SqliteMemory => Self::open(location, options, metrics, registry).await,
            Location::Postgres(address) => {
                Postgres::open_to_read(address, metrics, registry).await.map(Self::Postgres)
            }
            Location::Redis(url) => Redis::open_now(url, options.redis_wait, metrics).await.map(Self::Redis),
        }
    }

    pub(crate) async fn backup(location: &Location, copy: &Path) -> Result<u64, OpenError> {
        match location {
            Location::SqliteFile(path) => sqlite::backup(path, copy),
            Location::SqliteMemory | Location::Postgres(_) | Location::Redis(_) => {
                Err(OpenError::NoBackup { place: location.to_string() })
            }
        }
    }

    pub(crate) async fn import(
        location: &Location,
        options: Options,
        batches: Batches,
        progress: impl FnMut(Imported) + Send + 'static,
    ) -> Result<Imported, ImportError> {
        let import = match location {
            Location::SqliteFile(path) => sqlite::Import::open_file(path, options)?,
            Location::SqliteMemory => sqlite::Import::open_memory()?,
            Location::Postgres(_) | Location::Redis(_) => {
                let registry = &mut Registry::default();
                let metrics = Metrics::register(registry);
                let backend = Self::open(location, options, &metrics, registry).await?;
                // A server may be away for who serves; who writes at once needs it now.
                let imported = match backend.ping().await {
                    Ok(()) => backend.commit_each(batches, progress).await.map_err(ImportError::BrokenOff),
                    Err(error) => {
                        let (place, reason) = (location.to_string(), error.reason().clone());
                        Err(OpenError::Away { place, reason }.into())
                    }
                };
                backend.close().await;
                return imported;
            }
        };
        let work = move || import.take_in(batches, progress);
        let ended = |_| StoreError::Unknown(Reason::Unavailable("it ended before it answered".into()));
        tokio::task::spawn_blocking(work).await.map_err(ended)?
    }

    /// A server's worker makes batches by itself of what is on its way at once.
    async fn commit_each(
        &self,
        mut batches: Batches,
        mut progress: impl FnMut(Imported),
    ) -> Result<Imported, StoreError> {
        let users = stream::poll_fn(move |context| batches.poll_recv(context)).flat_map(stream::iter);
        let mut outcomes = pin!(users.map(|user| self.commit(Change::Put(user))).buffer_unordered(UNDER_WAY));
        let mut imported = Imported::default();
        while let Some(outcome) = outcomes.next().await {
            imported.count(outcome?);
            progress(imported);
        }
        Ok(imported)
    }

    pub(crate) async fn migrate(location: &Location, options: Options) -> Result<Migrated, OpenError> {
        match location {
            Location::SqliteFile(path) => Sqlite::migrate_file(path, options),
            // There is nothing to keep, and so nothing to bring up to date.
            Location::SqliteMemory => Ok(Migrated::default()),
            Location::Postgres(address) => Postgres::migrate(address).await,
            Location::Redis(url) => Redis::migrate(url, options.redis_wait).await,
        }
    }

    pub(crate) async fn birthday(&self, name: &Name) -> Result<Option<Birthday>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.birthday(name).await,
            Self::Postgres(postgres) => postgres.birthday(name).await,
            Self::Redis(redis) => redis.birthday(name).await,
        }
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.user(name).await,
            Self::Postgres(postgres) => postgres.user(name).await,
            Self::Redis(redis) => redis.user(name).await,
        }
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.users(after, limit).await,
            Self::Postgres(postgres) => postgres.users(after, limit).await,
            Self::Redis(redis) => redis.users(after, limit).await,
        }
    }

    pub(crate) async fn birthdays(
        &self,
        spans: &[Span],
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Birthday)>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.birthdays(spans, after, limit).await,
            Self::Postgres(postgres) => postgres.birthdays(spans, after, limit).await,
            Self::Redis(redis) => redis.birthdays(spans, after, limit).await,
        }
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<Outcome, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.commit(change).await,
            Self::Postgres(postgres) => postgres.commit(change).await,
            Self::Redis(redis) => redis.commit(change).await,
        }
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.ping().await,
            Self::Postgres(postgres) => postgres.ping().await,
            Self::Redis(redis) => redis.ping().await,
        }
    }

    pub(crate) async fn broken(&self) -> String {
        match self {
            Self::Sqlite(sqlite) => sqlite.broken().await,
            // A server that is away comes back by itself.
            Self::Postgres(_) | Self::Redis(_) => std::future::pending().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
            Self::Redis(redis) => redis.close().await,
        }
    }
}
