//! Rehearses upgrades that nobody notices, and counts the requests that fail: one is one too many.
#![expect(clippy::print_stdout, reason = "a report is printed")]

mod version;
mod load;
mod stage;
mod rollout;
mod manifests;
mod pods;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// To start or to stop, to be ready or to be found: what takes longer won't come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How PostgreSQL runs: no rehearsal is of power cuts, and a disk that hangs for a second would look like an upgrade that
/// fails a request.
const WITHOUT_DISK: &[&str] = &["fsync=off"];

/// Rehearse an upgrade under load, and count the requests that fail
#[derive(Parser)]
enum Command {
    /// Replace three instances behind HAProxy
    Rollout(rollout::Arguments),
    /// Do with processes what a cluster does with manifests: install, test, upgrade
    Pods(pods::Arguments),
}

fn main() -> Result<ExitCode> {
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut told_to_end = signal(SignalKind::terminate())?;
        tokio::select! {
            verdict = rehearse(&command) => verdict,
            // What was started ends with the stage, not with this process.
            _ = told_to_end.recv() => Err("told to end".into()),
        }
    })
}

async fn rehearse(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Rollout(arguments) => rollout::rehearse(arguments).await,
        Command::Pods(arguments) => pods::rehearse(arguments).await,
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return Err(format!("waited {PATIENCE:?} until {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
