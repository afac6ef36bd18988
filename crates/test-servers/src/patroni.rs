//! PostgreSQL that replaces its own primary: two servers that Patroni keeps, and the etcd that it asks.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::postgres::{as_other_user, give_back_memory, new_folder, programs, psql, send, send_to_all};
use crate::process::Keeper;
use crate::{Process, free_port, wait_until};

/// Two servers, one of them the primary and the other its synchronous standby. Dropped, all is killed.
#[derive(Debug)]
pub struct Patroni {
    nodes: [Node; 2],
    _etcd: Process,
    _folder: TempDir,
    _keeper: Keeper,
}

/// One server, and the Patroni that keeps it.
#[derive(Debug)]
struct Node {
    port: u16,
    /// Where its Patroni is asked.
    api: u16,
    data: PathBuf,
    patroni: Process,
}

impl Patroni {
    /// Starts them, and waits until one is the primary and the other synchronous.
    ///
    /// # Panics
    /// Where that can't be.
    #[must_use]
    pub fn start() -> Self {
        let folder = new_folder();
        let (etcd, etcd_port) = start_etcd(folder.path());
        let nodes = ["a", "b"].map(|name| Node::start(folder.path(), name, etcd_port));
        let pids = [etcd.id(), nodes[0].patroni.id(), nodes[1].patroni.id()].map(|id| id.to_string());
        #[expect(clippy::expect_used, reason = "a server that can't be cleaned up is not started")]
        fs::write(folder.path().join("pid"), pids.join(" ")).expect("a file can be written");
        let keeper = Keeper::of(folder.path());
        let patroni = Self { nodes, _etcd: etcd, _folder: folder, _keeper: keeper };
        wait_until("Patroni's standby is synchronous", || patroni.nodes.iter().any(Node::may_be_promoted));
        patroni
    }

    /// The URL of a database, which names both servers.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let [a, b] = [self.nodes[0].port, self.nodes[1].port];
        format!("postgres://postgres@127.0.0.1:{a},127.0.0.1:{b}/{database}?target_session_attrs=read-write")
    }

    /// Kills every process of the primary, and the Patroni that would start it again.
    ///
    /// # Panics
    /// Where none is the primary.
    #[expect(clippy::expect_used, reason = "a test ends at the first surprise")]
    pub fn kill_primary(&mut self) {
        let primary = self.nodes.iter_mut().find(|node| node.says("SELECT pg_is_in_recovery()", "f"));
        primary.expect("one is the primary").kill();
    }
}

impl Node {
    fn start(folder: &Path, name: &str, etcd_port: u16) -> Self {
        let (port, api, data) = (free_port(), free_port(), folder.join(name));
        let settings = folder.join(format!("{name}.yml"));
        let text = settings_of(folder, name, [port, api, etcd_port]);
        #[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
        fs::write(&settings, text).expect("a file can be written");
        let mut command = Command::new("patroni");
        as_other_user(&mut command);
        let patroni = Process::start(command.arg(settings).stdout(Stdio::null()).stderr(log(folder, name)));
        Self { port, api, data, patroni }
    }

    /// Whether Patroni takes it for the synchronous standby, and has written that down in etcd.
    fn may_be_promoted(&self) -> bool {
        let mut answer = String::new();
        let asked = TcpStream::connect(("127.0.0.1", self.api)).and_then(|mut patroni| {
            patroni.set_read_timeout(Some(Duration::from_secs(5)))?;
            patroni.write_all(b"GET /sync HTTP/1.0\r\n\r\n")?;
            patroni.read_to_string(&mut answer)
        });
        asked.is_ok() && answer.starts_with("HTTP/1.0 200")
    }

    fn says(&self, sql: &str, answer: &str) -> bool {
        psql(self.port, "postgres", sql).as_deref() == Some(answer)
    }

    fn kill(&mut self) {
        // A Patroni that is stopped can't start anew what is killed before it.
        send(self.patroni.id(), Signal::STOP);
        // Without the file there is no server.
        let pid = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        if let Some(first) = pid.lines().next().and_then(|pid| pid.parse().ok()) {
            send_to_all(first, Signal::KILL);
            give_back_memory(&self.data);
            let _ = fs::remove_file(self.data.join("postmaster.pid"));
        }
        self.patroni.kill();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start_etcd(folder: &Path) -> (Process, u16) {
    let (port, peers) = (free_port(), free_port());
    let (here, there) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new("etcd");
    as_other_user(&mut command);
    command.args(["--name", "e", "--initial-cluster", &format!("e={there}"), "--data-dir"]);
    command.arg(folder.join("etcd")).args(["--listen-client-urls", &here, "--advertise-client-urls", &here]);
    command.args(["--listen-peer-urls", &there, "--initial-advertise-peer-urls", &there]);
    let etcd = Process::start(command.stdout(Stdio::null()).stderr(log(folder, "etcd")));
    wait_until("etcd answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (etcd, port)
}

/// The least times that Patroni allows: a primary that is dead for `ttl` seconds is replaced.
fn settings_of(folder: &Path, name: &str, [port, api, etcd_port]: [u16; 3]) -> String {
    let (folder, programs) = (folder.display(), programs());
    let programs = programs.display();
    format!(
        "scope: hello
name: {name}
restapi: {{listen: '127.0.0.1:{api}', connect_address: '127.0.0.1:{api}'}}
etcd3: {{host: '127.0.0.1:{etcd_port}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    synchronous_mode: true
  initdb: [{{encoding: UTF8}}, {{locale: C.UTF-8}}, {{auth: trust}}, no-sync]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/{name}
  bin_dir: {programs}
  authentication: {{superuser: {{username: postgres}}, replication: {{username: postgres}}}}
  pgpass: {folder}/{name}.pgpass
  parameters: {{unix_socket_directories: {folder}, shared_buffers: 32MB, dynamic_shared_memory_type: mmap}}
"
    )
}

#[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
fn log(folder: &Path, name: &str) -> File {
    File::create(folder.join(format!("{name}.log"))).expect("a log can be written")
}
