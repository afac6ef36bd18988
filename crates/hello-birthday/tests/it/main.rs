//! The service as its users meet it: real servers, real sockets, real signals.
//!
//! `contract` asks any running service what every client may rely on: set `HELLO_TEST_URL` to put one
//! through it. The other modules start what they ask.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at the first surprise, and says what it skips"
)]

mod client;
mod wire;
mod app;
mod process;
mod contract;
mod calendar;
mod feed;
mod lists;
mod birthdays;
mod raw;
mod limits;
mod access;
mod hosts;
mod page;
mod browser;
mod cli;
mod stores;
mod service_manager;
mod exchange;
mod durability;
mod outages;
mod privacy;
mod monitoring;
mod house;
mod docs;
mod openapi;
mod docs_page;
