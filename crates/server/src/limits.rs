//! What may a connection cost? Everything that can wait or grow has its bound here.

use std::time::Duration;

/// The bounds on connections, and on what is read before a request is known. `Default` is what the
/// service runs with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are open at once; the next ones wait to be accepted.
    pub connections: usize,
    /// Connections that one client address (for IPv6, one /64 network) may have open at once; one more
    /// is closed. `None` for no limit: behind a proxy all connections come from a few addresses.
    pub connections_per_address: Option<usize>,
    /// How long a new connection may stay silent.
    pub first_byte: Duration,
    /// How long the head of a request may take from its first byte on.
    pub head: Duration,
    /// How long a connection may rest between two requests. Longer than the 60 s of common load
    /// balancers, or they would send requests into connections that are being closed.
    pub idle: Duration,
    /// How long a client may take none of the bytes that are ready for it.
    pub write_stall: Duration,
    /// How long a connection that ends goes on taking what the client still sends.
    pub linger: Duration,
    /// The bytes of a request's head, all in all; the service may have closer bounds for its parts.
    pub head_bytes: usize,
    /// The header fields of a request.
    pub headers: usize,
    /// The bytes that are read ahead of what is used.
    pub read_buffer_bytes: usize,
    /// The requests that a connection may carry before it is closed, so that load spreads anew.
    pub requests_per_connection: u32,
    /// The age at which a connection is closed after the request that it carries.
    pub connection_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: None,
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            head_bytes: 16 << 10,
            headers: 64,
            read_buffer_bytes: 16 << 10,
            requests_per_connection: 10_000,
            connection_age: Duration::from_secs(3600),
        }
    }
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long it goes on accepting after it was told to stop, for load balancers to notice.
    pub delay: Duration,
    /// How long requests in flight may take after that before their connections are cut.
    pub timeout: Duration,
}
