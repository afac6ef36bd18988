//! What is done stays done, whatever happens to the process and its disk.
//!
//! Each writer has names of its own and gives them dates that never come again, so that a record tells
//! which of its writes was the last one that was kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use test_servers::SmallDisk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{Answer, Client, new_name};
use crate::process::{Fault, Program, program, run, serve, wait_for, with_fault};

/// As many as fill batches while a commit takes its time.
const WRITERS: usize = 32;
const NAMES_A_WRITER: usize = 3;

/// What one writer knows of its names.
struct Writer {
    names: Vec<Known>,
    /// The next write's number; no number comes twice.
    next: i32,
    done: usize,
    failed: usize,
}

/// What the answers say of one name.
struct Known {
    name: String,
    /// The write that was done last.
    done: Option<i32>,
    /// The writes after it whose fate is unknown.
    unknown: Vec<i32>,
}

/// How a write ended, as its answer says.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Done,
    NotApplied,
    Unknown,
    /// The connection ended instead: unknown, and nothing more can be sent.
    Cut,
}

impl Writer {
    fn new() -> Self {
        let known = || Known { name: new_name(), done: None, unknown: Vec::new() };
        Self {
            names: std::iter::repeat_with(known).take(NAMES_A_WRITER).collect(),
            next: 0,
            done: 0,
            failed: 0,
        }
    }

    /// Writes until the connection ends.
    async fn write_until_cut(mut self, client: Client, load: Arc<Load>) -> Self {
        let Ok(mut connection) = client.try_connect().await else { return self };
        loop {
            let number = self.next;
            self.next += 1;
            let known = &mut self.names[number as usize % NAMES_A_WRITER];
            let path = format!("/hello/{}", known.name);
            let body = format!(r#"{{"dateOfBirth": "{}"}}"#, date_of(number));
            let after_failure = load.failed.load(Ordering::SeqCst);
            let headers = [(CONTENT_TYPE.as_str(), "application/json")];
            let fate = match connection.try_send(Method::PUT, &path, &headers, body).await {
                Err(_) => Fate::Cut,
                Ok(answer) if answer.status == 204 => Fate::Done,
                Ok(answer) => {
                    answer.assert_refused(503);
                    match answer.json()["outcome"].as_str() {
                        Some("unknown") => Fate::Unknown,
                        Some("not_applied") => Fate::NotApplied,
                        other => panic!("{other:?}"),
                    }
                }
            };
            match fate {
                Fate::Done => {
                    assert!(!after_failure, "done, and asked for after the store had failed");
                    known.done = Some(number);
                    known.unknown.clear();
                    self.done += 1;
                    load.done.fetch_add(1, Ordering::SeqCst);
                }
                Fate::NotApplied => self.failed += 1,
                Fate::Unknown => {
                    load.failed.store(true, Ordering::SeqCst);
                    known.unknown.push(number);
                    self.failed += 1;
                }
                Fate::Cut => {
                    known.unknown.push(number);
                    return self;
                }
            }
        }
    }

    /// Checks that each record is the last one that is done or a later one whose fate is unknown, and
    /// takes it for done.
    async fn check(&mut self, client: Client) {
        let mut connection = client.connect().await;
        for known in &mut self.names {
            let answer = connection.send(Method::GET, &format!("/user/{}", known.name), &[], "").await;
            let found = match answer.status.as_u16() {
                404 => None,
                200 => Some(number_of(answer.json()["dateOfBirth"].as_str().unwrap().parse().unwrap())),
                _ => panic!("{answer:?}"),
            };
            let may_be = found == known.done || found.is_some_and(|number| known.unknown.contains(&number));
            assert!(may_be, "found {found:?}, done {:?}, unknown {:?}", known.done, known.unknown);
            known.done = found;
            known.unknown.clear();
        }
    }
}

fn date_of(number: i32) -> Date {
    date(1, 1, 1).checked_add(number.days()).unwrap()
}

fn number_of(date_of_birth: Date) -> i32 {
    date(1, 1, 1).until(date_of_birth).unwrap().get_days()
}

/// What writers tell each other and the test.
#[derive(Default)]
struct Load {
    done: AtomicUsize,
    /// Set with the first write whose answer says that its fate is unknown.
    failed: AtomicBool,
}

/// All writers at work.
struct Writers {
    tasks: JoinSet<Writer>,
    load: Arc<Load>,
}

impl Writers {
    fn start(writers: Vec<Writer>, client: Client) -> Self {
        let load = Arc::<Load>::default();
        let tasks =
            writers.into_iter().map(|writer| writer.write_until_cut(client, Arc::clone(&load))).collect();
        Self { tasks, load }
    }

    /// Waits until the service is gone and every writer has seen it.
    async fn cut(self) -> Vec<Writer> {
        let cut = tokio::time::timeout(Duration::from_secs(120), self.tasks.join_all()).await;
        cut.expect("the service goes on")
    }
}

fn writers() -> Vec<Writer> {
    std::iter::repeat_with(Writer::new).take(WRITERS).collect()
}

async fn check_all(writers: &mut [Writer], client: Client, database: &Path) {
    for writer in writers {
        writer.check(client).await;
    }
    assert_whole(database);
}

fn assert_whole(database: &Path) {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    (folder, path)
}

fn log_of(database: &Path) -> PathBuf {
    database.with_extension("db-wal")
}

/// With the schema there, a service that starts writes nothing before its first request.
fn migrated_folder() -> (TempDir, PathBuf) {
    let (folder, path) = folder();
    let migrated = run(&mut program(&["migrate", "--store", &format!("sqlite:{}", path.display())]));
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    (folder, path)
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_that_is_done_is_lost_when_the_process_is_killed_at_any_moment() {
    let cycles = number_from("HELLO_KILL_CYCLES").unwrap_or(5);
    let seed = number_from("HELLO_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HELLO_KILL_SEED={seed} HELLO_KILL_CYCLES={cycles}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (_folder, path) = folder();
    let mut writers = writers();
    let mut service = Program::start(&mut serve(&path));
    for cycle in 1..=cycles {
        let at_work = Writers::start(writers, service.client());
        // Not a wait: the moment of the fault is what the seed chooses.
        tokio::time::sleep(Duration::from_millis(random.u64(100..=500))).await;
        service.kill();
        writers = at_work.cut().await;
        service = Program::start(&mut serve(&path));
        check_all(&mut writers, service.client(), &path).await;
        if cycle % 20 == 0 || cycle == cycles {
            println!("{cycle} kills, {} writes done", done(&writers));
        }
    }
    assert!(cycles < done(&writers) as u64, "hardly anything was written");
    assert_eq!(writers.iter().map(|writer| writer.failed).sum::<usize>(), 0);
}

fn done(writers: &[Writer]) -> usize {
    writers.iter().map(|writer| writer.done).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_that_is_done_is_lost_when_the_process_dies_on_its_way_into_the_file() {
    let (_folder, path) = migrated_folder();
    let mut writers = writers();
    for count in [1, 2, 3, 5, 8, 13, 40, 100] {
        // The signal comes before the n-th write into the log, and that write isn't made.
        let fault = format!("inject=pwrite64:signal=SIGKILL:when={count}");
        let Some(mut traced) = with_fault(&serve(&path), &log_of(&path), &fault) else { return };
        let mut service = Program::start(&mut traced);
        writers = Writers::start(writers, service.client()).cut().await;
        assert_eq!(service.ended().code, None);
        let mut service = Program::start(&mut serve(&path));
        check_all(&mut writers, service.client(), &path).await;
        service.terminate();
        assert_eq!(service.ended().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_disk_error_nothing_is_done_any_more_and_a_restart_mends_it() {
    let (_folder, path) = migrated_folder();
    let mut writers = writers();
    // Before so many commits the log isn't brought into the database file.
    for count in [1, 2, 3, 7, 20] {
        let fault = format!("inject=fsync,fdatasync:error=EIO:when={count}");
        let Some(mut traced) = with_fault(&serve(&path), &log_of(&path), &fault) else { return };
        let mut service = Program::start(&mut traced);
        let at_work = Writers::start(writers, service.client());
        let load = Arc::clone(&at_work.load);
        writers = at_work.cut().await;
        let ended = service.ended();
        assert_eq!(ended.code, Some(74), "{ended:?}");
        assert!(ended.sentence().starts_with("the store can't go on: "), "{ended:?}");
        assert!(load.failed.load(Ordering::SeqCst), "nobody was told that a fate is unknown");

        let mut service = Program::start(&mut serve(&path));
        check_all(&mut writers, service.client(), &path).await;
        service.terminate();
        assert_eq!(service.ended().code, Some(0));
    }
}

/// The log is brought into the database file now and then; that file is asked for nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_error_beside_the_log_ends_the_service_as_well() {
    let (_folder, path) = migrated_folder();
    let mut writers = writers();
    for count in [1, 2] {
        let fault = format!("inject=fsync,fdatasync:error=EIO:when={count}");
        let Some(mut traced) = with_fault(&serve(&path), &path, &fault) else { return };
        let mut service = Program::start(&mut traced);
        writers = Writers::start(writers, service.client()).cut().await;
        let ended = service.ended();
        assert_eq!(ended.code, Some(74), "{ended:?}");

        let mut service = Program::start(&mut serve(&path));
        check_all(&mut writers, service.client(), &path).await;
        service.terminate();
        assert_eq!(service.ended().code, Some(0));
    }
}

async fn put(client: Client, name: &str) -> Answer {
    client.put(&format!("/hello/{name}"), r#"{"dateOfBirth": "1990-06-15"}"#).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_answers_reads_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let path = disk.path().join("x.db");
    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    let first = new_name();
    let answer = put(client, &first).await;
    assert_eq!(answer.status, 204, "{answer:?}");

    disk.fill();
    // The files may have some room of their own left; not for 10,000 names.
    let mut refused = None;
    for _ in 0..10_000 {
        let name = new_name();
        let answer = put(client, &name).await;
        if answer.status != 204 {
            refused = Some((name, answer));
            break;
        }
    }
    let (name, answer) = refused.unwrap();
    answer.assert_refused(503);
    assert_eq!(answer.json()["outcome"], "not_applied");
    assert!(answer.header("retry-after").is_some());
    client.get(&format!("/hello/{name}")).await.assert_refused(404);
    assert_eq!(client.get(&format!("/hello/{first}")).await.status, 200);
    assert_eq!(client.get("/user").await.status, 200);
    put(client, &name).await.assert_refused(503);
    // Twice a second the log is tried to be brought into the database; that it can't be is told once.
    let told = || service.stderr().matches("can't be brought into the database").count();
    wait_for("a log that stays", || (told() > 0).then_some(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(told(), 1, "{}", service.stderr());

    // Nor does a restart need room.
    service.terminate();
    assert_eq!(service.ended().code, Some(0));
    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    assert_eq!(client.get(&format!("/hello/{first}")).await.status, 200);
    client.get(&format!("/hello/{name}")).await.assert_refused(404);

    disk.make_room();
    let answer = put(client, &name).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    for name in [first, name] {
        assert_eq!(client.get(&format!("/hello/{name}")).await.status, 200);
    }
    assert_whole(&path);
    service.terminate();
    assert_eq!(service.ended().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_file_is_moved_away_nothing_is_done_and_the_log_says_why() {
    let (folder, path) = folder();
    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    let [first, second] = [(); 2].map(|()| new_name());
    assert_eq!(put(client, &first).await.status, 204);
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    wait_for("a service that is not ready", || service.stderr().contains("not ready").then_some(()));
    client.get("/-/ready").await.assert_refused(503);
    let refused = put(client, &second).await;
    refused.assert_refused(503);
    assert_eq!(refused.json()["outcome"], "not_applied");
    assert_eq!(client.get(&format!("/hello/{first}")).await.status, 200);
    let line = |what| {
        wait_for(what, || service.stderr().lines().find(|line| line.contains(what)).map(str::to_owned))
    };
    let failed = line("a request failed");
    let id = refused.header("x-request-id").unwrap();
    assert!(failed.contains(&format!("request_id={id}")), "{failed}");
    let why = format!("{} was moved, removed or replaced while it is in use", path.display());
    for line in [failed, line("not ready")] {
        assert!(line.contains(&why), "{line}");
    }

    std::fs::rename(&aside, &path).unwrap();
    wait_for("a service that is ready", || {
        service.stderr().contains("ready: the store answers").then_some(())
    });
    assert_eq!(client.get("/-/ready").await.status, 200);
    assert_eq!(put(client, &second).await.status, 204);
    service.terminate();
    assert_eq!(service.ended().code, Some(0));
}

/// The service promises 2 seconds; a machine that others use needs more.
async fn get_in_time(client: Client, path: &str) -> Option<Answer> {
    tokio::time::timeout(Duration::from_secs(10), client.get(path)).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_hangs_no_request_but_those_that_are_reading() {
    let (_folder, path) = folder();
    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    let name = new_name();
    let log = log_of(&path);
    assert_eq!(put(client, &name).await.status, 204);
    // Longer than anybody here waits: it ends with the fault.
    let Some(fault) = Fault::attach(&service, &[&path, &log], "inject=pread64:delay_enter=60000000") else {
        return;
    };
    // After a commit nothing that a reader kept in memory is the present.
    put(client, &new_name()).await;
    let user = format!("/user/{name}");
    let readers: JoinSet<_> = (0..32)
        .map(|_| {
            let user = user.clone();
            async move { get_in_time(client, &user).await }
        })
        .collect();
    let healthy = get_in_time(client, "/-/healthy").await.expect("it is healthy and doesn't say so");
    assert_eq!(healthy.status, 200);
    let mut answered = 0;
    for answer in readers.join_all().await.into_iter().flatten() {
        answer.assert_refused(503);
        answered += 1;
    }
    // One on each thread that reads; there are 16 at most.
    let threads = std::thread::available_parallelism().unwrap().get().min(16);
    assert!(32 - threads <= answered, "{answered} of 32 were answered");
    for _ in 0..3 {
        get_in_time(client, &user).await.expect("an answer while the disk hangs").assert_refused(503);
    }
    assert_eq!(get_in_time(client, "/-/ready").await.expect("an answer").status, 503);

    drop(fault);
    let (mut answer, start) = (client.get(&user).await, Instant::now());
    while answer.status != 200 {
        answer.assert_refused(503);
        assert!(start.elapsed() < Duration::from_secs(60), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = client.get(&user).await;
    }
    service.terminate();
    assert_eq!(service.ended().code, Some(0));
}

/// A service that was told to stop while its disk hangs says that; it ends once strace lets go of its threads.
async fn assert_stops(service: Program, fault: Fault, says: &str) {
    service.terminate();
    wait_for(says, || service.stderr().contains(says).then_some(()));
    drop(fault);
    assert_eq!(service.ended().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_hangs_keeps_no_service_from_stopping() {
    let (_folder, path) = folder();
    let mut service = Program::start(serve(&path).args(["--drain-timeout", "1s"]));
    let client = service.client();
    let name = new_name();
    assert_eq!(put(client, &name).await.status, 204);
    let hang = "inject=pread64:delay_enter=60000000";
    let Some(fault) = Fault::attach(&service, &[&path, &log_of(&path)], hang) else { return };
    put(client, &new_name()).await;
    let reader = tokio::spawn(async move { client.get(&format!("/user/{name}")).await });
    let start = Instant::now();
    while get_in_time(client, "/-/ready").await.expect("an answer").status != 503 {
        assert!(start.elapsed() < Duration::from_secs(60), "it is ready for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_stops(service, fault, "stopped connections_cut=1").await;
    reader.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_hangs_keeps_no_service_from_stopping() {
    let (_folder, path) = folder();
    let mut service = Program::start(serve(&path).args(["--drain-timeout", "1s"]));
    let client = service.client();
    assert_eq!(put(client, &new_name()).await.status, 204);
    let hang = "inject=pwrite64:delay_enter=60000000";
    let Some(fault) = Fault::attach(&service, &[&path, &log_of(&path)], hang) else { return };
    put(client, &new_name()).await.assert_refused(503);
    assert_stops(service, fault, "the store can't be closed in time").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_told_to_stop_finishes_what_it_began_and_keeps_it() {
    let (_folder, path) = folder();
    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    let (name, slow) = (new_name(), new_name());
    assert_eq!(put(client, &name).await.status, 204);

    // A request that is half here when the signal comes.
    let body = r#"{"dateOfBirth": "1991-07-16"}"#;
    let (begun, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    let head = format!("PUT /hello/{slow} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    let expect = "Expect: 100-continue\r\n\r\n";
    stream.write_all(format!("{head}{expect}").as_bytes()).await.unwrap();
    // The service asks for the body, so it is at this request.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(begun.as_bytes()).await.unwrap();
    service.terminate();
    wait_for("a service that stops", || service.stderr().contains("stopping").then_some(()));
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let ended = service.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("connections_cut=0"), "{ended:?}");
    assert!(!log_of(&path).exists(), "the log was not brought into the database");

    let mut service = Program::start(&mut serve(&path));
    let client = service.client();
    for (name, date_of_birth) in [(name, "1990-06-15"), (slow, "1991-07-16")] {
        assert_eq!(client.get(&format!("/user/{name}")).await.json()["dateOfBirth"], date_of_birth);
    }
}
