//! Three instances behind HAProxy, as compose.yaml has them, over PostgreSQL: each in turn is told to stop and replaced by a
//! newer version, whose migration ran before, while requests keep coming. Last, all go back to the first version.
//!
//! So that "none failed" says something, the same is done once more by instances that stop at once, without a drain delay:
//! there some must fail.

use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::load::{Load, Tally};
use crate::stage::{self, Stage};
use crate::version::{Programs, Version};
use crate::{Result, until};

/// As in compose.yaml: HAProxy looks every second, and needs two looks.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// Less than this share of the rate that was asked for is another test than was asked for.
const KEPT: f64 = 0.97;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// How many upgrades there are at least
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// How many requests there are at least
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Requests a second, sent whether or not those before are answered
    #[arg(long, default_value_t = 4_500)]
    rate: u32,
}

pub(crate) async fn rehearse(arguments: &Arguments) -> Result<ExitCode> {
    arguments.programs.check()?;
    println!("{} requests a second, one in five a PUT; drain delay {DRAIN_DELAY:?}", arguments.rate);
    let drained = upgrades(arguments, DRAIN_DELAY, arguments.rounds, arguments.requests).await?;
    println!("the same once more with no drain delay, to see that it can fail");
    let cut = upgrades(arguments, Duration::ZERO, 1, 0).await?;
    if drained.failed() > 0 {
        println!("FAILED: {} requests of an upgrade with a drain delay failed", drained.failed());
        return Ok(ExitCode::FAILURE);
    }
    if cut.failed() == 0 {
        println!("FAILED: without a drain delay no request failed, so this rehearsal can't see one");
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "0 of {} requests failed; without a drain delay, {} of {}",
        drained.all(),
        cut.failed(),
        cut.all()
    );
    Ok(ExitCode::SUCCESS)
}

/// Upgrades so many times, and until there were so many requests, and goes back; tells of each round.
async fn upgrades(arguments: &Arguments, delay: Duration, rounds: u32, requests: u64) -> Result<Tally> {
    let programs = &arguments.programs;
    let mut stage = Stage::set(&programs.today(), delay).await?;
    let load = Load::start(Arc::new(RwLock::new(vec![stage.address])), arguments.rate).await?;
    let mut sum = Tally::default();
    let mut round = 0;
    while round < rounds || sum.all() < requests {
        round += 1;
        let version = programs.later(round);
        stage.migrate(&version)?;
        sum.add(replace_all(&mut stage, &version, &load, &format!("round {round}")).await?);
    }
    sum.add(replace_all(&mut stage, &programs.today(), &load, "back to the first version").await?);
    // Requests that came late are made up for; a machine that is too slow for the rate only falls back further.
    until("this machine keeps that rate (ask for less by --rate)", || {
        load.rate() >= KEPT * f64::from(arguments.rate)
    })
    .await?;
    let sent = load.rate();
    sum.add(load.end().await);
    println!("  {sum}; {sent:.0} requests a second");
    Ok(sum)
}

/// Replaces one instance after the other by that version; what became of the requests meanwhile.
async fn replace_all(stage: &mut Stage, version: &Version, load: &Load, what: &str) -> Result<Tally> {
    let mut stops = Vec::new();
    for instance in 0..stage::INSTANCES {
        stops.push(format!("{:.1}", stage.replace(instance, version).await?.as_secs_f64()));
    }
    let tally = load.take();
    println!("  {what}: {tally}; the instances stopped in {} s", stops.join(", "));
    Ok(tally)
}
