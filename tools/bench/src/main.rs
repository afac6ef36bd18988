//! Measures hello-birthday beside the limits of the machine that it runs on.
//!
//! All that is compared is measured in one run, in rounds, side by side: on a machine that others use as
//! well, a figure alone says little and a ratio within a round says much. `docs/benchmarks.md` says how to
//! read the output.
#![expect(clippy::print_stdout, reason = "a report is printed")]

mod process;
mod load;
mod yardstick;
mod disk;
mod throughput;
mod start;
mod memory;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use process::Service;
use report::Report;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measure the release binary; takes about two minutes
#[derive(Parser)]
struct Arguments {
    /// The program
    #[arg(default_value = "target/release/hello-birthday")]
    binary: PathBuf,
    /// Where the raw rows go, one JSON object a line
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Where the data is put for the time of the run; its disk is what is measured
    #[arg(long, value_name = "FOLDER", default_value = "target")]
    folder: PathBuf,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement of a round takes, in milliseconds
    #[arg(long, default_value_t = 2000)]
    milliseconds: u64,
    /// How many users there are
    #[arg(long, default_value_t = 100_000)]
    users: u32,
    /// Only answer requests as a bare hyper server does, and tell where
    #[arg(long, hide = true)]
    yardstick: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if arguments.yardstick {
        return runtime.block_on(yardstick::serve());
    }
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    process::raise_file_limit();
    let mut report = Report::new(arguments.raw.as_deref())?;
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let database = folder.path().join("x.db");

    report.row("binary", &[("megabytes", process::megabytes(arguments.binary.metadata()?.len()))])?;
    start::measure(&arguments.binary, &folder.path().join("empty"), start::Database::Empty, &mut report)?;

    let service = Service::start(&arguments.binary, &database)?;
    load::fill(service.address, arguments.users).await?;
    let yardstick = process::Yardstick::start()?;
    let each = Duration::from_millis(arguments.milliseconds);
    for round in 0..arguments.rounds {
        let round = throughput::Round { round, each, users: arguments.users, folder: folder.path() };
        throughput::measure(&round, &service, &yardstick, &mut report).await?;
    }
    memory::measure(&service, "after_load", &mut report)?;
    drop((service, yardstick));

    start::measure(&arguments.binary, &database, start::Database::Filled, &mut report)?;
    memory::measure_connections(&arguments.binary, &database, &mut report)?;
    report.print();
    Ok(())
}
