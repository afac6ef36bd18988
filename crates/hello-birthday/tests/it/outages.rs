//! What a client meets while the database is frozen or cut off, and how soon all is well again.
//!
//! Each takes seconds under load, so these run when `HELLO_TEST_ALL` is set. What they measure is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use test_servers::{Network, Postgres, RedisServer};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{Answer, Client, new_name};
use crate::process::{Program, program, run, serve_store};

/// Half of them read, half of them write.
const CLIENTS: usize = 32;
/// An answer is promised after 1.1 s; without the promise it would not come before the fault ends. What is
/// between is for a machine that others use.
const ANSWERED: Duration = Duration::from_secs(3);
/// How long the full speed is measured, and how long the database is away.
const MEASURED: Duration = Duration::from_secs(2);
const AWAY: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_millis(100);

fn left_out() -> bool {
    let all = std::env::var_os("HELLO_TEST_ALL").is_some();
    if !all {
        println!("left out: outages under load; `make test-all` makes them");
    }
    !all
}

/// One request, as its client saw it.
struct Seen {
    began: Instant,
    ended: Instant,
    status: u16,
    tells_when_to_retry: bool,
}

impl Seen {
    fn is_done(&self) -> bool {
        matches!(self.status, 200 | 204)
    }
}

/// Clients that ask as fast as they are answered, for as long as this is there.
struct Load {
    clients: JoinSet<Vec<Seen>>,
    running: Arc<()>,
    done: Arc<AtomicUsize>,
}

impl Load {
    fn start(client: Client) -> Self {
        let (running, done) = (Arc::new(()), Arc::<AtomicUsize>::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let method = [Method::GET, Method::PUT][number % 2].clone();
            clients.spawn(ask_while(Arc::downgrade(&running), client, method, Arc::clone(&done)));
        }
        Self { clients, running, done }
    }

    /// Waits until every client has been answered well many times since now.
    async fn goes_on(&self) {
        let enough = self.done.load(Ordering::Relaxed) + 50 * CLIENTS;
        let start = Instant::now();
        while self.done.load(Ordering::Relaxed) < enough {
            assert!(start.elapsed() < Duration::from_secs(60), "requests are not answered well");
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn stop(self) -> Vec<Seen> {
        drop(self.running);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

/// Asks for one user, or changes it, again and again.
async fn ask_while(
    running: std::sync::Weak<()>,
    client: Client,
    method: Method,
    done: Arc<AtomicUsize>,
) -> Vec<Seen> {
    let path = format!("/hello/{}", new_name());
    assert_eq!(client.put(&path, r#"{"dateOfBirth": "1990-06-15"}"#).await.status, 204);
    let mut connection = client.connect().await;
    let mut all = Vec::new();
    for number in 0_usize.. {
        if running.strong_count() == 0 {
            break;
        }
        let body = match method {
            Method::PUT => format!(r#"{{"dateOfBirth": "{:04}-06-15"}}"#, 1 + number % 2000),
            _ => String::new(),
        };
        let began = Instant::now();
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        let answer = connection.send(method.clone(), &path, &headers, body).await;
        let (status, tells_when_to_retry) = (answer.status.as_u16(), answer.header("retry-after").is_some());
        let seen = Seen { began, ended: Instant::now(), status, tells_when_to_retry };
        done.fetch_add(usize::from(seen.is_done()), Ordering::Relaxed);
        all.push(seen);
        // After so many requests the service wants another connection.
        if answer.header("connection") == Some("close") {
            connection = client.connect().await;
        }
    }
    all
}

/// Puts the database to sleep under load and wakes it; checks every answer meanwhile, and prints how fast it was
/// before and how soon it is so again.
async fn freeze_and_thaw(what: &str, url: &str, freeze: impl Fn(), thaw: impl Fn()) {
    let mut service = Program::start(&mut serve_store(url));
    let load = Load::start(service.client());
    load.goes_on().await;
    let measured = Instant::now();
    // These are no waits: they are how long it is measured and how long the fault lasts.
    sleep(MEASURED).await;
    freeze();
    let frozen = Instant::now();
    sleep(AWAY).await;
    let thawed = Instant::now();
    thaw();
    load.goes_on().await;
    sleep(MEASURED).await;
    let all = load.stop().await;

    let slowest = all.iter().map(|seen| seen.ended - seen.began).max().unwrap();
    assert!(slowest < ANSWERED, "{what}: an answer took {slowest:?}");
    let away: Vec<_> = all.iter().filter(|seen| seen.began >= frozen && seen.ended < thawed).collect();
    assert!(away.len() >= CLIENTS, "{what}: hardly anybody asked");
    for seen in &away {
        assert!(seen.status == 503 && seen.tells_when_to_retry, "{what}: {}", seen.status);
    }
    let done = |from: Instant, length: Duration| {
        all.iter().filter(|seen| seen.is_done() && seen.ended >= from && seen.ended < from + length).count()
    };
    let before = done(measured, MEASURED) as f64 / MEASURED.as_secs_f64();
    println!("{what}: {before:.0} requests/s, {CLIENTS} clients");
    println!("{what}: frozen for {AWAY:?}: {} answers, all 503, slowest of all {slowest:?}", away.len());
    for number in 0..20 {
        let done = done(thawed + WINDOW * number, WINDOW) as f64 / WINDOW.as_secs_f64();
        let (end, part) = (WINDOW * (number + 1), 100.0 * done / before);
        println!(
            "{what}: until {:4} ms after the thaw: {done:6.0} requests/s, {part:3.0} %",
            end.as_millis()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_database_is_frozen_everybody_is_answered_in_time_and_when_it_thaws_all_goes_on() {
    if left_out() {
        return;
    }
    let server = Postgres::start();
    let url = server.url(&server.database());
    migrate(&url);
    freeze_and_thaw("PostgreSQL", &url, || server.freeze(), || server.thaw()).await;
    let server = RedisServer::start();
    freeze_and_thaw("Redis", &server.url(), || server.freeze(), || server.thaw()).await;
}

fn migrate(url: &str) {
    let migrated = run(&mut program(&["migrate", "--store", url]));
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
}

/// Waits until a change is made again. Every answer until then must be a timely refusal.
async fn until_written(client: Client, path: &str, body: &str) -> Duration {
    let start = Instant::now();
    loop {
        let began = Instant::now();
        let answer = client.put(path, body.to_owned()).await;
        assert!(began.elapsed() < ANSWERED, "an answer took {:?}", began.elapsed());
        if answer.status == 204 {
            return start.elapsed();
        }
        answer.assert_refused(503);
        assert!(start.elapsed() < Duration::from_secs(30), "changes are not made again");
    }
}

/// Waits until that is read again: the connections for reads look for a new primary by themselves.
async fn until_read(client: Client, path: &str) -> Answer {
    let start = Instant::now();
    loop {
        let answer = client.get(path).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "users are not read again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_cut_off_and_replaced_gets_nothing_more() {
    if left_out() {
        return;
    }
    let (old, new) = Postgres::start_pair();
    let (to_old, to_new) = (Network::to(old.port()), Network::to(new.port()));
    let database = old.database();
    migrate(&old.url(&database));
    let (one, other) = (to_old.port(), to_new.port());
    let url = format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{other}/{database}");
    let mut service = Program::start(&mut serve_store(&url));
    let client = service.client();
    let (path, before) = (format!("/hello/{}", new_name()), r#"{"dateOfBirth": "1990-06-15"}"#);
    let known = format!("/user/{}", new_name());
    let registered = client.put(&known.replace("user", "hello"), before).await;
    assert_eq!(registered.status, 204, "{registered:?}");

    to_old.cut();
    for _ in 0..3 {
        let began = Instant::now();
        let (read, write) = tokio::join!(client.get(&known), client.put(&path, before));
        for answer in [read, write] {
            answer.assert_refused(503);
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        assert!(began.elapsed() < ANSWERED, "an answer took {:?}", began.elapsed());
    }
    new.promote();
    let resumed = until_written(client, &path, before).await;
    println!("cut off: changes were made again {resumed:?} after the promotion");
    assert_eq!(until_read(client, &known).await.json()["dateOfBirth"], "1990-06-15");

    // The old primary can be reached again, still takes itself for the primary, and waits for no standby.
    let all = "SELECT name, year FROM users ORDER BY name";
    old.set("synchronous_standby_names", "");
    let isolated = old.sql(&database, all);
    to_old.heal();
    to_new.cut();
    for year in 1800..1810 {
        let began = Instant::now();
        let refused = client.put(&path, format!(r#"{{"dateOfBirth": "{year}-06-15"}}"#)).await;
        refused.assert_refused(503);
        assert!(began.elapsed() < ANSWERED, "an answer took {:?}", began.elapsed());
    }
    assert_eq!(old.sql(&database, all), isolated, "the old primary got a change");
    to_new.heal();
    let resumed = until_written(client, &path, r#"{"dateOfBirth": "1999-09-09"}"#).await;
    println!("cut off: changes were made again {resumed:?} after the way to the new primary was whole");
    assert_eq!(old.sql(&database, all), isolated, "the old primary got a change");
    assert!(new.sql(&database, all).contains("1999"));
}
