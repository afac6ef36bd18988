//! Which engine answers? One variant an engine, one match an operation.

use std::path::Path;

use birthday::{Birthday, Name, Span, User};
use prometheus_client::registry::Registry;

use crate::metrics::Metrics;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::sqlite::{self, Sqlite};
use crate::{Change, Location, Migrated, OpenError, Options, Outcome, StoreError};

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
            Location::SqliteFile(path) => Sqlite::open_file(path, options, metrics).map(Self::Sqlite),
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
            Self::Sqlite(sqlite) => sqlite.birthday(name),
            Self::Postgres(postgres) => postgres.birthday(name).await,
            Self::Redis(redis) => redis.birthday(name).await,
        }
    }

    pub(crate) async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.user(name),
            Self::Postgres(postgres) => postgres.user(name).await,
            Self::Redis(redis) => redis.user(name).await,
        }
    }

    pub(crate) async fn users(&self, after: Option<&Name>, limit: usize) -> Result<Vec<User>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.users(after, limit),
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
            Self::Sqlite(sqlite) => sqlite.birthdays(spans, after, limit),
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
            Self::Sqlite(sqlite) => sqlite.ping(),
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
