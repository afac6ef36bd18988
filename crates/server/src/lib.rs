//! Listening, limits, deadlines and draining for HTTP/1.1. It moves bytes and knows no birthdays.
//!
//! The accept loop is our own because the ready-made one has no limit on connections, no deadline for
//! a request's head and no drain to speak of (docs/decisions/0005-accept-loop.md).

mod serve;
mod connection;
mod guarded;
mod addresses;
mod rate;
mod limits;
mod metrics;

pub use connection::{Peer, serve_connection};
pub use limits::{Drain, Limits};
pub use metrics::Metrics;
pub use rate::Rate;
pub use serve::{Drained, Server, listen};
