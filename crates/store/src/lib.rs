//! Where users and their birthdays are kept.
//!
//! [`Store`] is the whole of it; which engine answers is chosen by a URL and nothing else.

mod store;
mod change;
mod error;
mod import;
mod location;
mod lane;
mod recent;
mod backend;
mod sqlite;
mod postgres;
mod redis;
mod migrate;
mod metrics;

pub use change::{Change, Outcome};
pub use error::{OpenError, Reason, StoreError};
pub use import::{Batches, IMPORT_BATCH, ImportError, Imported};
pub use location::{InvalidLocation, Location};
pub use migrate::Migrated;
pub use postgres::{Address, AddressParts, InvalidAddress};
pub use redis::{InvalidRedisUrl, RedisUrl};
pub use store::{ANSWER_WITHIN, Options, Store};
