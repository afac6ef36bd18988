//! What the store promises while the masters of a Redis cluster are killed, frozen and changed.
//!
//! A cluster takes a while to lose and to find a master, so these run when `HELLO_TEST_ALL` is set;
//! `HELLO_FAILOVERS` says how many masters are killed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use birthday::{Birthday, Name};
use prometheus_client::registry::Registry;
use store::{Change, Options, Outcome, Store, StoreError};
use test_servers::{Process, RedisCluster, logs, wait_until};

/// An answer is promised after 1 s; without the promise it would not come before a master is replaced. What is
/// between is for a machine that others use.
const ANSWERED: Duration = Duration::from_secs(3);
const WRITERS: usize = 16;
const NAMES_A_WRITER: usize = 20;

#[expect(clippy::print_stdout, reason = "what was not tested must be told")]
fn left_out() -> bool {
    let all = std::env::var_os("HELLO_TEST_ALL").is_some();
    if !all {
        println!("left out: the faults of a Redis cluster; `make test-all` makes them");
    }
    !all
}

fn failovers() -> usize {
    std::env::var("HELLO_FAILOVERS").map_or(2, |number| number.parse().unwrap())
}

async fn open(cluster: &RedisCluster, redis_wait: u32) -> Store {
    let options = Options { redis_wait, ..Options::default() };
    Store::open(&cluster.url().parse().unwrap(), options, &mut Registry::default()).await.unwrap()
}

fn name(text: &str) -> Name {
    logs::sent(text);
    Name::parse(text).unwrap()
}

/// A birthday for a number, and the number of a birthday: later numbers are greater.
fn day(number: u64) -> Birthday {
    let number = i64::try_from(number).unwrap();
    Birthday::from_stored(number % 12 + 1, number / 12 % 28 + 1, Some(number / 336 + 1)).unwrap()
}

fn number(day: Birthday) -> u64 {
    let year = u64::try_from(day.year().unwrap()).unwrap();
    let (month, day) = (u64::try_from(day.month()).unwrap(), u64::try_from(day.day()).unwrap());
    (year - 1) * 336 + (day - 1) * 12 + month - 1
}

async fn save(store: &Store, who: &Name, value: u64) -> Result<Outcome, StoreError> {
    store
        .commit(Change::SaveBirthday { name: who.clone(), birthday: day(value) })
        .await
        .inspect_err(logs::log)
}

/// One name that one writer saves again and again.
struct Register {
    name: Name,
    tried: AtomicU64,
    done: AtomicU64,
}

/// Many registers, and those who write them until told to stop.
struct Load {
    registers: Vec<Arc<Register>>,
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<(u64, Duration)>>,
}

impl Load {
    fn registers() -> Vec<Arc<Register>> {
        let register = |number| Register {
            name: name(&format!("u{number}")),
            tried: AtomicU64::new(0),
            done: AtomicU64::new(0),
        };
        (0..WRITERS * NAMES_A_WRITER).map(register).map(Arc::new).collect()
    }

    fn start(store: &Store, registers: &[Arc<Register>]) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let writers = registers.chunks(NAMES_A_WRITER).map(|own| {
            let (store, own, stop) = (store.clone(), own.to_vec(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut done, mut slowest) = (0, Duration::ZERO);
                for register in own.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let value = register.tried.fetch_add(1, Ordering::Relaxed) + 1;
                    let start = Instant::now();
                    if save(&store, &register.name, value).await.is_ok() {
                        register.done.store(value, Ordering::Relaxed);
                        done += 1;
                    }
                    slowest = slowest.max(start.elapsed());
                }
                (done, slowest)
            })
        });
        Self { registers: registers.to_vec(), writers: writers.collect(), stop }
    }

    /// Every register has been written once more since then.
    async fn all_go_on(&self) {
        let before: Vec<_> = self.registers.iter().map(|one| one.done.load(Ordering::Relaxed)).collect();
        let start = Instant::now();
        while self
            .registers
            .iter()
            .zip(&before)
            .any(|(one, before)| one.done.load(Ordering::Relaxed) == *before)
        {
            assert!(start.elapsed() < Duration::from_secs(60), "some are never written again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every register has been tried once more since then, and was answered, whatever the answer.
    async fn all_are_answered(&self) {
        let tried = |one: &Arc<Register>| one.tried.load(Ordering::Relaxed);
        let before: Vec<_> = self.registers.iter().map(tried).collect();
        let start = Instant::now();
        // Of two that were begun, one has ended.
        while self.registers.iter().zip(&before).any(|(one, before)| tried(one) < before + 2) {
            assert!(start.elapsed() < Duration::from_secs(60), "some are never tried again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many changes were done, and how long the slowest took, whatever its end.
    async fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut slowest) = (0, Duration::ZERO);
        for writer in self.writers {
            let (done, slow) = writer.await.unwrap();
            all += done;
            slowest = slowest.max(slow);
        }
        (all, slowest)
    }
}

/// How many changes that were done are gone, once the store has all slots again. What is read may be newer than
/// what was done: unknown ones may be there. What was lost is not lost again.
async fn lost(store: &Store, registers: &[Arc<Register>]) -> u64 {
    let start = Instant::now();
    while store.users(None, 1).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "the store does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut lost = 0;
    for register in registers {
        let (done, tried) = (register.done.load(Ordering::Relaxed), register.tried.load(Ordering::Relaxed));
        let read = store.birthday(&register.name).await.unwrap().map_or(0, number);
        assert!(read <= tried, "a value from nowhere");
        lost += done.saturating_sub(read);
        register.done.store(read, Ordering::Relaxed);
    }
    lost
}

/// Kills one master after the other under load; says how many changes were done and how many are lost.
#[expect(clippy::print_stdout, reason = "which of them lost something must be told")]
async fn failover_again_and_again(redis_wait: u32) -> (u64, u64, Duration) {
    let mut cluster = RedisCluster::start();
    let store = open(&cluster, redis_wait).await;
    let registers = Load::registers();
    let (mut done, mut gone, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..failovers() {
        let load = Load::start(&store, &registers);
        load.all_go_on().await;
        let masters = cluster.masters();
        let victim = masters[round % masters.len()];
        cluster.servers[victim].kill();
        // Whatever the new master takes would hide what is lost.
        let (made_before, slow_before) = load.stop().await;
        wait_until("a replica takes its place", || cluster.masters().len() == 3);
        let lost_with_it = lost(&store, &registers).await;
        println!("redis_wait {redis_wait}, master {round}: {made_before} changes done, {lost_with_it} lost");

        let load = Load::start(&store, &registers);
        if redis_wait == 0 {
            load.all_go_on().await;
        }
        // The new master has no replica until the old one is back, so changes that wait for one wait.
        cluster.servers[victim].restart();
        cluster.wait_until_whole();
        load.all_go_on().await;
        let (made, slow) = load.stop().await;
        done += made_before + made;
        slowest = slowest.max(slow_before).max(slow);
        gone += lost_with_it + lost(&store, &registers).await;
    }
    let listed = store.users(None, 1000).await.unwrap().len();
    assert_eq!(listed, registers.len());
    (done, gone, slowest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_wait_nothing_done_is_lost_when_masters_are_killed() {
    if left_out() {
        return;
    }
    let (done, lost, slowest) = failover_again_and_again(1).await;
    println!(
        "redis_wait 1: {} failovers, {done} changes done, {lost} lost, slowest {slowest:?}",
        failovers()
    );
    assert_eq!(lost, 0);
    assert!(slowest < ANSWERED, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_wait_the_loss_of_a_failover_is_counted() {
    if left_out() {
        return;
    }
    let (done, lost, slowest) = failover_again_and_again(0).await;
    println!(
        "redis_wait 0: {} failovers, {done} changes done, {lost} lost, slowest {slowest:?}",
        failovers()
    );
    assert!(slowest < ANSWERED, "{slowest:?}");
}

/// On one machine a replica has everything at once. Here its link is cut a moment before its master dies; says
/// how many changes were done and how many are lost.
async fn failover_behind_a_cut_link(redis_wait: u32) -> (u64, u64) {
    let mut cluster = RedisCluster::start();
    let store = open(&cluster, redis_wait).await;
    let registers = Load::registers();
    let load = Load::start(&store, &registers);
    load.all_go_on().await;
    let master = cluster.masters()[0];
    let replica = cluster.replica_of(master);
    // A frozen replica doesn't connect again.
    cluster.servers[replica].freeze();
    cluster.servers[master].cli(&["CLIENT", "KILL", "TYPE", "replica"]);
    load.all_are_answered().await;
    cluster.servers[master].kill();
    let (done, _) = load.stop().await;
    cluster.servers[replica].thaw();
    wait_until("the replica takes its place", || cluster.masters().contains(&replica));
    (done, lost(&store, &registers).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_does_not_have_is_lost_with_its_master_but_nothing_that_waited_for_it() {
    if left_out() {
        return;
    }
    for redis_wait in [0, 1] {
        let (done, lost) = failover_behind_a_cut_link(redis_wait).await;
        println!("redis_wait {redis_wait}, link cut before: {done} changes done, {lost} lost");
        assert_eq!(lost == 0, redis_wait == 1, "{lost} lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_dead_master_had_is_not_answered() {
    if left_out() {
        return;
    }
    let mut cluster = RedisCluster::start();
    let store = open(&cluster, 0).await;
    let names: Vec<_> = (0..200).map(|number| name(&format!("u{number}"))).collect();
    for who in &names {
        save(&store, who, 1).await.unwrap();
    }
    let victim = cluster.masters()[0];
    let its = cluster.servers[victim].cli(&["KEYS", "*:u:*"]);
    let its: Vec<_> = its.lines().filter_map(|key| key.rsplit(':').next()).collect();
    assert!(!its.is_empty() && its.len() < names.len());
    cluster.servers[victim].kill();
    for who in &names {
        let start = Instant::now();
        let (read, write) = tokio::join!(store.birthday(who), save(&store, who, 2));
        assert!(start.elapsed() < ANSWERED, "{:?}", start.elapsed());
        if its.contains(&who.as_str()) {
            assert!(matches!(read, Err(StoreError::NotApplied(_))), "{read:?}");
            assert!(write.is_err());
        } else {
            assert_eq!(read.unwrap().is_some(), write.is_ok(), "{}", who.as_str());
        }
    }
    store.ping().await.unwrap();
    assert!(store.users(None, 10).await.is_err(), "a list without some of the users is no list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_are_moved_under_load_are_followed() {
    if left_out() {
        return;
    }
    let cluster = RedisCluster::start();
    let store = open(&cluster, 0).await;
    let registers = Load::registers();
    let load = Load::start(&store, &registers);
    load.all_go_on().await;
    let masters = cluster.masters();
    let id = |place: usize| cluster.servers[place].cli(&["CLUSTER", "MYID"]).trim().to_owned();
    let mut reshard = Command::new("redis-cli");
    reshard.args(["--cluster", "reshard", &format!("127.0.0.1:{}", cluster.servers[masters[0]].port)]);
    reshard.args(["--cluster-from", &id(masters[0]), "--cluster-to", &id(masters[1])]);
    reshard.args(["--cluster-slots", "2000", "--cluster-yes"]);
    let mut moving = Process::start(reshard.stdout(Stdio::null()).stderr(Stdio::null()));
    let moved = loop {
        if let Some(moved) = moving.ended() {
            break moved;
        }
        for register in &registers {
            if register.done.load(Ordering::Relaxed) > 0 {
                assert!(store.birthday(&register.name).await.unwrap().is_some(), "a user was not found");
            }
        }
    };
    assert!(moved.success(), "{moved}");
    load.all_go_on().await;
    load.stop().await;
    assert_eq!(lost(&store, &registers).await, 0);
    assert_eq!(store.users(None, 1000).await.unwrap().len(), registers.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_master_keeps_nobody_else_waiting() {
    if left_out() {
        return;
    }
    let cluster = RedisCluster::start();
    let store = open(&cluster, 0).await;
    let registers = Load::registers();
    for register in &registers {
        save(&store, &register.name, 1).await.unwrap();
    }
    let victim = cluster.masters()[1];
    let its = cluster.servers[victim].cli(&["KEYS", "*:u:*"]);
    let its: Vec<_> = its.lines().filter_map(|key| key.rsplit(':').next()).collect();
    cluster.servers[victim].freeze();
    let start = Instant::now();
    let asked: Vec<_> = registers
        .iter()
        .map(|register| {
            let (store, who) = (store.clone(), register.name.clone());
            tokio::spawn(async move { (store.birthday(&who).await, start.elapsed(), who) })
        })
        .collect();
    let (mut of_its, mut of_others) = (Vec::new(), Vec::new());
    for one in asked {
        let (read, took, who) = one.await.unwrap();
        if its.contains(&who.as_str()) {
            assert!(matches!(read, Err(StoreError::NotApplied(_))), "{read:?}");
            of_its.push(took);
        } else {
            assert!(read.unwrap().is_some());
            of_others.push(took);
        }
    }
    assert!(of_its.iter().max().unwrap() < &ANSWERED, "{of_its:?}");
    assert!(of_others.iter().max() < of_its.iter().min(), "some waited: {of_others:?}");
    cluster.servers[victim].thaw();
    wait_until("the cluster is whole", || cluster.masters().len() == 3);
}
