//! How much memory does a service take, at rest and for each connection?

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::process::{Service, memory, open_files};
use crate::report::Report;
use crate::start::ask;

const CONNECTIONS: usize = 10_000;

pub(crate) fn measure(service: &Service, when: &'static str, report: &mut Report) -> Result<()> {
    let (resident, share) = memory(service.id())?;
    report.row("memory", &[(when, resident)])?;
    report.row("memory_share", &[(when, share)])
}

/// At rest, with connections that never said anything, and with ones that each made a request.
pub(crate) fn measure_connections(binary: &Path, database: &Path, report: &mut Report) -> Result<()> {
    for requests in [Requests::None, Requests::One] {
        let mut service = Service::start(binary, database)?;
        ask(&mut service.connect()?, "/")?;
        measure(&service, "idle", report)?;
        let _open = open(&service, requests)?;
        measure(&service, requests.label(), report)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Requests {
    None,
    One,
}

impl Requests {
    const fn label(self) -> &'static str {
        match self {
            Self::None => "silent_10k",
            Self::One => "asked_10k",
        }
    }
}

/// A silent connection is closed after ten seconds; opening them all takes less.
fn open(service: &Service, requests: Requests) -> Result<Vec<TcpStream>> {
    // The two connections that it was asked by may still be among them.
    let files = open_files(service.id())?.saturating_sub(2);
    let mut streams = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(service.address)?;
        if let Requests::One = requests {
            ask(&mut stream, "/")?;
        }
        streams.push(stream);
    }
    for _ in 0..5000 {
        if files + CONNECTIONS <= open_files(service.id())? {
            return Ok(streams);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("not all connections were accepted".into())
}
