//! Whatever bytes a client sends: no panic, and no 5xx but a 503 with its reason.
#![no_main]

use std::sync::Arc;
use std::sync::LazyLock;

use birthday::{Almanac, LeapDay, find_zone};
use hello_birthday::http::{Hosts, MetricsOn, Parts, Readiness, Service};
use hello_birthday::log::Log;
use libfuzzer_sys::fuzz_target;
use prometheus_client::registry::Registry;
use server::{Limits, serve_connection};
use store::{Location, Options, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::Runtime;

static APP: LazyLock<(Runtime, Service)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let service = runtime.block_on(async {
        let mut registry = Registry::default();
        let store = Store::open(&Location::SqliteMemory, Options::default(), &mut registry).await.unwrap();
        let clock = || "2026-11-23T12:00:00Z".parse().unwrap();
        let parts = Parts {
            store,
            almanac: Almanac::new(find_zone("UTC").unwrap(), LeapDay::Feb28, Arc::new(clock)),
            readiness: Readiness::default(),
            log: Log::nowhere().unwrap(),
            hosts: Hosts::any(),
            tokens: None,
            rate: None,
            registry,
        };
        Service::new(parts, MetricsOn::Main).0
    });
    (runtime, service)
});

fuzz_target!(|input: &[u8]| {
    let (runtime, service) = &*APP;
    let output = runtime.block_on(async {
        let (mut client, server) = duplex(1 << 20);
        client.write_all(input).await.unwrap();
        client.shutdown().await.unwrap();
        serve_connection(server, service, Limits::default(), &server::Metrics::default()).await;
        let mut output = Vec::new();
        client.read_to_end(&mut output).await.unwrap();
        output
    });
    for answer in output.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"HTTP/1.")) {
        assert!(
            !answer[9..].starts_with(b"5") || answer[9..].starts_with(b"503"),
            "{}",
            String::from_utf8_lossy(&output)
        );
    }
});
