//! Throw-away servers for the tests: started on free ports, stopped when dropped.
//!
//! A server that can't be started ends the test: a contract that was not asked is not kept.

pub mod logs;
mod process;
mod disk;
mod network;
mod postgres;
mod patroni;
mod pgbouncer;
mod redis;

pub use disk::SmallDisk;
pub use network::Network;
pub use patroni::Patroni;
pub use pgbouncer::PgBouncer;
pub use postgres::{Certificate, Postgres};
pub use process::{Process, free_port, wait_until};
pub use redis::{RedisCluster, RedisServer};
