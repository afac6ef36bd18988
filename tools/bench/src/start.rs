//! How long does a service take from its start to its first answer?

use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::load::name;
use crate::process::Service;
use crate::report::Report;

const STARTS: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// Made anew for each start.
    Empty,
    Filled,
}

pub(crate) fn measure(binary: &Path, database: &Path, kind: Database, report: &mut Report) -> Result<()> {
    for _ in 0..STARTS {
        let (row, path) = match kind {
            Database::Empty => {
                for ending in ["", "-wal", "-shm", ".lock"] {
                    // Before the first start there is none.
                    let _ = std::fs::remove_file(format!("{}{ending}", database.display()));
                }
                ("start_empty", "/".to_owned())
            }
            Database::Filled => ("start_filled", format!("/hello/{}", name(1))),
        };
        let start = Instant::now();
        let mut service = Service::spawn(binary, database)?;
        let mut stream = service.connect()?;
        ask(&mut stream, &path)?;
        report.row(row, &[("milliseconds", start.elapsed().as_secs_f64() * 1e3)])?;
    }
    Ok(())
}

/// One request; its answer comes in one piece.
pub(crate) fn ask(stream: &mut (impl Read + Write), path: &str) -> Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("answered {answer}").into()) }
}
