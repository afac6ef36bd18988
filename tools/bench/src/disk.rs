//! How fast can anything be durable on this disk? An append of one page, and the sync that makes it stay.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::Measured;

const PAGE: [u8; 4096] = [0x5a; 4096];

pub(crate) fn measure(folder: &Path, each: Duration) -> Result<Measured> {
    let mut file = File::create(folder.join("appended"))?;
    let start = Instant::now();
    let mut latencies = Vec::new();
    while start.elapsed() < each {
        let begun = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    Ok(Measured::new(latencies, start.elapsed()))
}
