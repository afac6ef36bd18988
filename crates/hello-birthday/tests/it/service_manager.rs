//! The program under a service manager, such as systemd.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::process::{Program, serve, wait_for};

/// Between an answer and the next request.
const REST: Duration = Duration::from_millis(15);

/// The program as a service manager starts it: what it hands over begins with file descriptor 3.
pub(crate) fn handed(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null"#]);
    command.arg(env!("CARGO_BIN_EXE_hello-birthday")).args(arguments).env_clear();
    command
}

pub(crate) fn start(command: &mut Command, listener: &TcpListener) -> Program {
    Program::start_with(command, OwnedFd::from(listener.try_clone().unwrap()).into())
}

/// The setting that the shipped unit has.
fn drain_delay() -> String {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/hello-birthday.service");
    let unit = fs::read_to_string(unit).unwrap();
    let delay = unit.lines().find_map(|line| line.strip_prefix("Environment=HELLO_DRAIN_DELAY="));
    delay.unwrap().to_owned()
}

/// Asks over kept connections, anew only where the service said that it closes, and never a second time.
/// Connections at rest are those that a service which ends at once would close under a request.
async fn keep_asking(client: Client, enough: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    while !enough.load(Ordering::Relaxed) {
        let mut connection = client.try_connect().await.expect("a connection");
        loop {
            let answer = connection.try_send(Method::GET, "/hello/Anna", &[], "").await.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.header("connection") == Some("close") || enough.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(REST).await;
        }
    }
}

#[tokio::test]
async fn a_restart_on_a_listener_that_is_handed_over_fails_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("users.db").display());
    let arguments = ["--store", &store, "--drain-delay", &drain_delay(), "--log", "info,request=off"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client { address: listener.local_addr().unwrap() };
    let mut service = start(&mut handed(&arguments), &listener);
    assert_eq!(client.put("/hello/Anna", r#"{"dateOfBirth": "1990-06-15"}"#).await.status, 204);

    let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut crowd: Vec<_> = (0..40)
        .map(|_| tokio::spawn(keep_asking(client, Arc::clone(&enough), Arc::clone(&answered))))
        .collect();
    for _ in 0..5 {
        let (before, began) = (answered.load(Ordering::Relaxed), Instant::now());
        while answered.load(Ordering::Relaxed) < before + 100 {
            if let Some(failed) = crowd.iter().position(JoinHandle::is_finished) {
                crowd.remove(failed).await.unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nobody is answered");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        service.terminate();
        let ended = tokio::task::spawn_blocking(|| service.ended()).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("connections_cut=0"), "{ended:?}");
        service = start(&mut handed(&arguments), &listener);
    }
    enough.store(true, Ordering::Relaxed);
    for asked in crowd {
        asked.await.unwrap();
    }
}

#[tokio::test]
async fn a_service_manager_is_told_when_requests_are_answered_and_when_the_end_begins() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("notify");
    let manager = UnixDatagram::bind(&told).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut service = Program::start(serve(Path::new(":memory:")).env("NOTIFY_SOCKET", &told));
    assert_eq!(hear(), "READY=1\n");
    assert_eq!(service.client().get("/-/ready").await.status, 200);
    service.terminate();
    assert_eq!(hear(), "STOPPING=1\n");
    assert_eq!(service.ended().code, Some(0));
}

#[test]
fn what_is_handed_over_and_is_no_listener_ends_the_start_with_a_sentence() {
    let mut command = handed(&["--store", "sqlite::memory:"]);
    let ended = Program::start_with(&mut command, Stdio::null()).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.sentence().starts_with("the listener of the service manager: "), "{ended:?}");
}

#[test]
fn the_address_of_a_listener_that_is_handed_over_is_the_one_that_is_warned_of() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let service = start(&mut handed(&["--store", "sqlite::memory:"]), &listener);
    let address = listener.local_addr().unwrap().to_string();
    wait_for("the warning", || service.stderr().contains("anybody who can reach").then_some(()));
    assert!(service.stderr().contains(&address), "{}", service.stderr());
}
