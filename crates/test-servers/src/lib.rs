//! Throw-away servers for the tests: started on free ports, stopped when dropped.
//!
//! A server that can't be started ends the test: a contract that was not asked is not kept.

mod process;
mod postgres;
mod pgbouncer;

pub use pgbouncer::PgBouncer;
pub use postgres::{Certificate, Postgres};
pub use process::{Process, free_port, wait_until};
