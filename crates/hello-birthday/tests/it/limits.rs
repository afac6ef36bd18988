//! What can wait or grow ends at its bound, and a stop drops nobody who is being answered.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use birthday::{Email, Name};
use server::{Drain, Drained, Limits};
use store::Change;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::app::{App, Choice};
use crate::client::Client;
use crate::process::{Program, program};
use crate::wire::{Wire, allow_many_files};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const DATE: &str = r#"{"dateOfBirth": "2000-01-01"}"#;
/// A request whose 100 says that the service waits for its body.
const PUT: &str = "PUT /hello/Anna HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n";
/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(200);

/// Nothing is ever late.
fn patient() -> Limits {
    Limits { first_byte: NEVER, head: NEVER, idle: NEVER, write_stall: NEVER, ..Limits::default() }
}

async fn app(limits: Limits) -> App {
    App::start_with(Choice { limits, ..Choice::default() }).await
}

/// Waits until that is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("waited a minute until {what}"));
}

/// A connection that has carried one request already.
async fn used(client: &Client) -> Wire {
    let mut wire = client.wire().await;
    wire.send(GET).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, None));
    wire
}

/// A connection whose request waits for its body.
async fn in_flight(client: &Client) -> Wire {
    let mut wire = client.wire().await;
    wire.send(PUT).await;
    assert_eq!(wire.answer().await.unwrap().status, 100);
    wire
}

/// Waits until the service has closed its listener.
async fn until_refused(client: &Client) {
    until("nobody listens", async || TcpStream::connect(client.address).await.is_err()).await;
}

/// Opens connections, one after another, until nobody listens.
async fn keep_coming(address: SocketAddr) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        // A connection that ends by a reset leaves its port at once, or there would soon be none.
        socket.set_zero_linger().unwrap();
        match socket.connect(address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => {}
        }
    }
}

async fn timed_out(app: &App, waited_for: &str) -> bool {
    let sample = format!("hello_birthday_connections_timed_out_total{{waited_for=\"{waited_for}\"}} 1");
    app.client.get("/metrics").await.text().lines().any(|line| line == sample)
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_its_deadline() {
    let app = app(Limits { first_byte: SOON, ..patient() }).await;
    app.client.wire().await.assert_closed().await;
    assert!(timed_out(&app, "first_byte").await);
}

#[tokio::test]
async fn half_a_head_is_closed_at_its_deadline() {
    let app = app(Limits { head: SOON, ..patient() }).await;
    let mut wire = app.client.wire().await;
    wire.send("GET / HTTP/1.1\r\nHo").await;
    wire.assert_closed().await;
    assert!(timed_out(&app, "head").await);
    // A connection that was used before has no more patience.
    let mut wire = used(&app.client).await;
    wire.send("G").await;
    wire.assert_closed().await;
}

#[tokio::test]
async fn a_head_that_dribbles_is_closed_at_the_same_deadline() {
    let app = app(Limits { head: SOON, ..patient() }).await;
    let mut wire = app.client.wire().await;
    wire.send("GET /").await;
    until("the head is late", async || {
        let sent = wire.try_send("x").await;
        sent.is_err() || timeout(Duration::from_millis(10), wire.rest()).await.is_ok()
    })
    .await;
    assert!(timed_out(&app, "head").await);
}

#[tokio::test]
async fn a_connection_at_rest_is_closed_at_its_deadline() {
    let app = app(Limits { idle: SOON, ..patient() }).await;
    used(&app.client).await.assert_closed().await;
    assert!(timed_out(&app, "next_request").await);
}

#[tokio::test]
async fn a_client_that_takes_none_of_its_answers_is_cut_off() {
    let app = app(Limits { write_stall: SOON, ..patient() }).await;
    let long = ["x"; 3].map(|letter| letter.repeat(60)).join(".");
    let saves = (0..1000).map(|number| {
        let name = Name::parse(&format!("user{number}")).unwrap();
        let email = Email::parse(&format!("user{number}@{long}.org")).unwrap();
        app.store.commit(Change::Register { name, email })
    });
    for saved in futures_util::future::join_all(saves).await {
        saved.unwrap();
    }
    // More than all buffers of the operating system hold.
    let mut wire = app.client.wire().await;
    wire.send("GET /user HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200)).await;
    until("the client is cut off", async || timed_out(&app, "write").await).await;
    let most = 200 * app.client.get("/user").await.body.len();
    assert!(wire.rest().await.len() < most);
}

#[tokio::test]
async fn half_a_body_is_answered_408_at_its_deadline_however_steadily_it_dribbles() {
    let app = app(patient()).await;
    let mut dribbling = app.client.wire().await;
    dribbling.send("PUT /hello/Anna HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
    let mut silent = app.client.wire().await;
    silent.send("PUT /hello/Anna HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n{\"date").await;
    let mut answer = None;
    until("the body is late", async || {
        dribbling.try_send(" ").await.unwrap();
        answer = timeout(Duration::from_millis(10), dribbling.answer()).await.unwrap_or_default();
        answer.is_some()
    })
    .await;
    for (answer, mut wire) in [(answer, dribbling), (silent.answer().await, silent)] {
        let answer = answer.unwrap();
        answer.assert_refused(408);
        assert_eq!(answer.header("connection"), Some("close"));
        wire.assert_closed().await;
    }
}

#[tokio::test]
async fn a_connection_carries_so_many_requests_and_says_which_is_the_last() {
    let app = app(Limits { requests_per_connection: 3, ..patient() }).await;
    let mut wire = app.client.wire().await;
    wire.send(GET.repeat(4)).await;
    for close in [None, None, Some("close")] {
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, close));
    }
    wire.assert_closed().await;
}

#[tokio::test]
async fn a_connection_that_is_old_enough_ends_with_the_request_that_it_carries() {
    let app = app(Limits { connection_age: Duration::ZERO, ..patient() }).await;
    let mut wire = app.client.wire().await;
    wire.send(GET).await;
    assert_eq!(wire.answer().await.unwrap().header("connection"), Some("close"));
    wire.assert_closed().await;
}

#[tokio::test]
async fn one_connection_too_many_waits_until_there_is_a_place() {
    let app = app(Limits { connections: 2, ..patient() }).await;
    let (mut first, second) = (used(&app.client).await, used(&app.client).await);
    let mut third = app.client.wire().await;
    third.send(GET).await;
    assert!(timeout(SOON, third.answer()).await.is_err(), "there was a place");
    assert!(first.is_open().await);
    drop(second);
    assert_eq!(third.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn one_connection_too_many_of_an_address_is_closed() {
    let app = app(Limits { connections_per_address: Some(2), ..patient() }).await;
    let (mut first, second) = (used(&app.client).await, used(&app.client).await);
    app.client.wire().await.assert_closed().await;
    assert!(first.is_open().await);
    drop(second);
    until("there is a place", async || app.client.wire().await.is_open().await).await;
}

#[tokio::test]
async fn a_thousand_bad_connections_keep_nobody_from_being_answered() {
    allow_many_files();
    let app = app(Limits::default()).await;
    let mut bad = Vec::new();
    for number in 0..1000 {
        let mut wire = app.client.wire().await;
        match number % 3 {
            0 => {}
            1 => wire.send("GET / HTTP/1.1\r\nHost").await,
            _ => wire.send("PUT /hello/Anna HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n{").await,
        }
        bad.push(wire);
    }
    let mut kept = used(&app.client).await;
    for _ in 0..100 {
        assert!(kept.is_open().await);
        assert_eq!(app.client.put("/hello/Anna", DATE).await.status, 204);
        assert_eq!(app.client.get("/hello/Anna").await.status, 200);
    }
    drop(bad);
}

#[tokio::test]
async fn while_a_stop_is_delayed_everybody_is_answered_and_told_to_go() {
    let drain = Drain { delay: NEVER, timeout: NEVER };
    let limits = Limits { first_byte: SOON, ..patient() };
    let mut app = App::start_with(Choice { drain, limits, ..Choice::default() }).await;
    assert_eq!(app.client.get("/-/ready").await.status, 200);
    let mut kept = used(&app.client).await;
    app.tell_to_stop();
    until("it is not ready", async || app.client.get("/-/ready").await.status != 200).await;
    let ready = app.client.get("/-/ready").await;
    ready.assert_refused(503);
    assert!(ready.header("retry-after").is_some());
    // For as long as this one is silent nobody else comes; the service still listens.
    app.client.wire().await.assert_closed().await;
    assert_eq!(app.client.get("/-/healthy").await.status, 200);
    for wire in [&mut kept, &mut app.client.wire().await] {
        wire.send(GET).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, Some("close")));
        wire.assert_closed().await;
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_after_the_stop_and_a_connection_at_rest_is_closed() {
    let mut app = app(patient()).await;
    let (mut at_rest, mut busy) = (used(&app.client).await, in_flight(&app.client).await);
    app.tell_to_stop();
    at_rest.assert_closed().await;
    until_refused(&app.client).await;
    busy.send(DATE).await;
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (204, Some("close")));
    busy.assert_closed().await;
    drop((at_rest, busy));
    assert_eq!(app.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn what_takes_longer_than_a_stop_may_is_cut_and_told() {
    let drain = Drain { delay: Duration::ZERO, timeout: SOON };
    let app = App::start_with(Choice { drain, limits: patient(), ..Choice::default() }).await;
    let (mut first, mut second) = (in_flight(&app.client).await, in_flight(&app.client).await);
    assert_eq!(app.stop().await, Drained { cut: 2 });
    first.assert_closed().await;
    second.assert_closed().await;
}

#[tokio::test]
async fn who_connected_before_the_stop_is_answered() {
    let app = app(patient()).await;
    let client = app.client;
    // Nothing is awaited here, so the service can't have accepted any of them.
    let waiting: Vec<_> = std::iter::repeat_with(|| {
        let mut stream = std::net::TcpStream::connect(client.address).unwrap();
        stream.write_all(GET.as_bytes()).unwrap();
        stream
    })
    .take(100)
    .collect();
    let stopping = tokio::spawn(app.stop());
    for stream in waiting {
        let mut wire = Wire::from(stream);
        assert_eq!(wire.answer().await.unwrap().status, 200);
        wire.assert_closed().await;
    }
    assert_eq!(stopping.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_ends_though_new_connections_keep_coming() {
    let mut app = app(patient()).await;
    let address = app.client.address;
    let crowd: Vec<_> = (0..16).map(|_| tokio::spawn(keep_coming(address))).collect();
    app.tell_to_stop();
    let gone = futures_util::future::join_all(crowd);
    timeout(Duration::from_secs(4), gone).await.expect("the service listens for ever");
    assert_eq!(app.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_that_is_on_its_way_on_a_new_connection_at_the_stop_is_answered() {
    let mut app = app(Limits { linger: Duration::from_secs(20), ..patient() }).await;
    let mut new = app.client.wire().await;
    app.tell_to_stop();
    until_refused(&app.client).await;
    new.send(GET).await;
    assert_eq!(new.answer().await.unwrap().status, 200);
    drop(new);
    assert_eq!(app.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn without_files_for_more_connections_those_that_are_open_are_served_and_later_all() {
    let mut program = tokio::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --listen 127.0.0.1:0 --store sqlite::memory:"])
        .arg(env!("CARGO_BIN_EXE_hello-birthday"))
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(program.stderr.take().unwrap()).lines();
    let address = loop {
        let line = log.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("listening on http://") {
            break address.parse().unwrap();
        }
    };
    let client = Client { address };
    let mut kept = used(&client).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(client.wire().await);
    }
    while !log.next_line().await.unwrap().unwrap().contains("no connection can be accepted") {}
    // Somebody reads the log, or the service would have nowhere to write it.
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    assert!(kept.is_open().await);
    drop(crowd);
    assert!(used(&client).await.is_open().await);
    assert!(kept.is_open().await);
    program.kill().await.unwrap();
    reading.await.unwrap();
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let app = App::start_with(Choice { requests_a_second: NonZeroU32::new(1), ..Choice::default() }).await;
    let mut refused = None;
    // A burst of two, and one more for each second that this takes.
    for _ in 0..1000 {
        let answer = app.client.get("/hello/Anna").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    refused.assert_refused(429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    for _ in 0..10 {
        assert_eq!(app.client.get("/-/ready").await.status, 200, "probes are never held off");
    }
}

#[tokio::test]
async fn a_request_that_its_client_gives_up_is_logged_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = format!("sqlite:{}", path.display());
    let mut service = Program::start(&mut program(&["serve", "--listen", "127.0.0.1:0", "--store", &store]));
    let client = service.client();
    // The change waits while another program has the lock.
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut wire = client.wire().await;
    wire.send(&PUT.replace("Host: a", "Host: localhost")).await;
    assert_eq!(wire.answer().await.unwrap().status, 100);
    wire.send(DATE).await;
    drop(wire);
    let line = "method=PUT route=/hello/{username} status=499";
    until("its line", async || service.stderr().contains(line)).await;
    let counted =
        r#"http_request_method="PUT",http_route="/hello/{username}",http_response_status_code="499"} 1"#;
    let metrics = client.get("/metrics").await;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}
