//! One round: everything that is compared, one after the other, each for the same time.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::load::{Ask, Load, Measured, run};
use crate::process::{Service, Yardstick, processor_time};
use crate::report::Report;
use crate::{Result, disk};

/// As many as keep both cores busy.
const MANY: usize = 64;

pub(crate) struct Round<'a> {
    pub(crate) round: usize,
    pub(crate) each: Duration,
    pub(crate) users: u32,
    pub(crate) folder: &'a Path,
}

/// What is compared.
const SUBJECTS: [Subject; 6] = [
    Subject::Disk,
    Subject::Service("put_1", Ask::Save, 1),
    Subject::Service("put_64", Ask::Save, MANY),
    Subject::Service("get_64", Ask::Greeting, MANY),
    Subject::Service("root_64", Ask::Root, MANY),
    Subject::Yardstick,
];

#[derive(Clone, Copy)]
enum Subject {
    Disk,
    Service(&'static str, Ask, usize),
    Yardstick,
}

pub(crate) async fn measure(
    round: &Round<'_>,
    service: &Service,
    yardstick: &Yardstick,
    report: &mut Report,
) -> Result<()> {
    // Each round begins with another one, so that none is always the one after the heaviest.
    for turn in 0..SUBJECTS.len() {
        match SUBJECTS[(round.round + turn) % SUBJECTS.len()] {
            Subject::Disk => {
                let measured = disk::measure(round.folder, round.each)?;
                tell(report, round, "fdatasync", &measured, None)?;
            }
            Subject::Service(name, ask, connections) => {
                let server = (service.address, service.id());
                serve(report, round, name, server, ask, connections).await?;
            }
            Subject::Yardstick => {
                let server = (yardstick.address, yardstick.id());
                serve(report, round, "hyper_64", server, Ask::Root, MANY).await?;
            }
        }
    }
    Ok(())
}

async fn serve(
    report: &mut Report,
    round: &Round<'_>,
    name: &'static str,
    (address, process): (SocketAddr, u32),
    ask: Ask,
    connections: usize,
) -> Result<()> {
    let before = processor_time(process)?;
    let measured = run(address, Load { ask, connections, each: round.each, users: round.users }).await?;
    let used = processor_time(process)? - before;
    tell(report, round, name, &measured, Some(used))
}

fn tell(
    report: &mut Report,
    round: &Round<'_>,
    name: &'static str,
    measured: &Measured,
    processor: Option<Duration>,
) -> Result<()> {
    let mut figures = vec![
        ("round", round.round as f64),
        ("per_second", measured.per_second()),
        ("p50_ms", measured.percentile(0.5)),
        ("p99_ms", measured.percentile(0.99)),
    ];
    if let Some(processor) = processor {
        figures.push(("cpu_us", processor.as_secs_f64() * 1e6 / measured.latencies.len() as f64));
    }
    report.row(name, &figures)
}
