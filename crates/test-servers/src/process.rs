//! A child process that ends with its owner, or at the latest with the tests.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A running server. Dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// Where the program is not installed; the words say which.
    #[expect(clippy::panic, reason = "a server that can't be started ends the test")]
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => {
                panic!("{:?} can't be started: {error}; `make test` installs it", command.get_program())
            }
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal, such as `STOP`.
    ///
    /// # Panics
    /// Where it can't be sent.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal {name} can't be sent");
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Kills it, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a server and removes its folder when this process ends before it could do that, as a test binary
/// does whose servers are shared by all of its tests. The folder's file `pid` says whom to kill, and so does
/// each folder of a PostgreSQL server in it, which also says what piece of shared memory that leaves.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    #[expect(clippy::expect_used, reason = "a server that can't be cleaned up is not started")]
    pub(crate) fn of(folder: &Path) -> Self {
        let script = r#"read -r _
            kill -9 $(cat "$0/pid") $(head -qn 1 "$0"/*/postmaster.pid)
            sleep 1
            for file in "$0"/*/postmaster.pid; do ipcrm -m $(sed -n '7s/.* //p' "$file"); done
            rm -rf "$0""#;
        let keeper = Command::new("sh")
            .args(["-c", script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self(keeper.expect("sh is there"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The owner has killed the server already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that the system gives to nobody who doesn't ask for them by number, so that one which is free now, or was
/// left by a server that is to come back, stays free. Ten thousand above each is another of that kind.
const PORTS: Range<u32> = 10_000..20_000;

/// A port of the loopback address that is free now, and is not given again soon.
///
/// # Panics
/// Where there is none.
#[expect(clippy::expect_used, reason = "a machine without a free port can't test anything")]
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Another process that tests begins elsewhere.
    let first = std::process::id().wrapping_mul(101);
    (0..count)
        .map(|_| first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % count + PORTS.start)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| is_free(*port))
        .expect("no free port")
}

/// Whether nobody listens there, nor did a moment ago: a child of ours that is between its fork and its exec has a copy
/// of every socket, such as the one by which another thread looked.
pub(crate) fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    let can_be_bound = TcpListener::bind(address).is_ok();
    can_be_bound && TcpStream::connect(address).is_err()
}

/// Waits until that is so.
///
/// # Panics
/// After a minute.
#[expect(clippy::panic, reason = "a server that never comes ends the test")]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > Duration::from_secs(60) {
            panic!("waited a minute until {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
