//! Where the rehearsal takes place: PostgreSQL, three instances, and HAProxy with the settings that are shipped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_servers::{Postgres, Process, free_port};

use crate::version::Version;
use crate::{Result, WITHOUT_DISK, until};

pub(crate) const INSTANCES: usize = 3;
/// What is shipped for Compose; here only the addresses differ.
const HAPROXY: &str = include_str!("../../../deploy/compose/haproxy.cfg");

pub(crate) struct Stage {
    /// HAProxy's.
    pub(crate) address: SocketAddr,
    delay: Duration,
    instances: Vec<Instance>,
    socket: PathBuf,
    /// The store's URL.
    store: String,
    // Dropped, they end; in this order.
    _proxy: Process,
    _postgres: Postgres,
    _folder: TempDir,
}

struct Instance {
    port: u16,
    process: Process,
}

impl Stage {
    /// Starts everything, and waits until HAProxy has found each instance.
    pub(crate) async fn set(version: &Version, delay: Duration) -> Result<Self> {
        let postgres = Postgres::start_with(WITHOUT_DISK);
        let store = postgres.url(&postgres.database());
        migrate(version, &store)?;
        let ports: Vec<u16> = (0..INSTANCES).map(|_| free_port()).collect();
        let start = |&port: &u16| Ok(Instance { port, process: start(version, port, &store, delay)? });
        let instances = ports.iter().map(start).collect::<Result<_>>()?;

        let folder = tempfile::tempdir()?;
        let (settings, socket) = (folder.path().join("haproxy.cfg"), folder.path().join("socket"));
        let port = free_port();
        fs::write(&settings, haproxy(port, &ports, &socket)?)?;
        let mut proxy = std::process::Command::new("haproxy");
        // It tells of every instance that comes and goes.
        proxy.arg("-db").arg("-f").arg(&settings).stdin(Stdio::null()).stderr(Stdio::null());
        let proxy = Process::start(&mut proxy);

        let address = (Ipv4Addr::LOCALHOST, port).into();
        let stage = Self {
            address,
            delay,
            instances,
            socket,
            store,
            _proxy: proxy,
            _postgres: postgres,
            _folder: folder,
        };
        for instance in 0..INSTANCES {
            until("HAProxy finds every instance", || stage.is_up(instance)).await?;
        }
        Ok(stage)
    }

    /// Brings the schema to where that version wants it.
    pub(crate) fn migrate(&self, version: &Version) -> Result<()> {
        migrate(version, &self.store)
    }

    /// Stops one as an orchestrator does, starts that version in its place, and waits until it gets requests. How long
    /// the stop took.
    pub(crate) async fn replace(&mut self, instance: usize, version: &Version) -> Result<Duration> {
        let (old, begun) = (&mut self.instances[instance], Instant::now());
        old.process.signal("TERM");
        let mut ended = None;
        until("an instance stops", || {
            ended = old.process.ended();
            ended.is_some()
        })
        .await?;
        let took = begun.elapsed();
        match ended {
            Some(status) if status.success() => {}
            Some(_) | None => return Err(format!("an instance ended with {ended:?}").into()),
        }
        old.process = start(version, old.port, &self.store, self.delay)?;
        until("a new instance listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, old.port)).is_ok())
            .await?;
        until("HAProxy finds it", || self.is_up(instance)).await?;
        Ok(took)
    }

    /// Whether HAProxy sends requests to that one.
    fn is_up(&self, instance: usize) -> bool {
        let said = || -> std::io::Result<String> {
            let mut socket = UnixStream::connect(&self.socket)?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            socket.write_all(b"show stat\n")?;
            let mut said = String::new();
            socket.read_to_string(&mut said)?;
            Ok(said)
        };
        let row = format!("hello,hello{instance},");
        // HAProxy's management guide, 9.1: the eighteenth column is the status.
        let is_up = |line: &str| line.starts_with(&row) && line.split(',').nth(17) == Some("UP");
        said().is_ok_and(|said| said.lines().any(is_up))
    }
}

fn migrate(version: &Version, store: &str) -> Result<()> {
    let done = version.command()?.args(["migrate", "--store", store]).output()?;
    if !done.status.success() {
        return Err(format!("no schema: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(())
}

fn start(version: &Version, port: u16, store: &str, delay: Duration) -> Result<Process> {
    let (listen, delay) = (format!("127.0.0.1:{port}"), format!("{}s", delay.as_secs()));
    Ok(Process::start(
        version
            .command()?
            .args(["serve", "--listen", &listen, "--store", store, "--drain-delay", &delay, "--log", "warn"])
            .stdin(Stdio::null()),
    ))
}

/// The shipped settings, with addresses of here in place of those that Docker gives.
fn haproxy(port: u16, servers: &[u16], socket: &Path) -> Result<String> {
    let server = |(index, port): (usize, &u16)| format!("    server hello{index} 127.0.0.1:{port}\n");
    let servers: String = servers.iter().enumerate().map(server).collect();
    let mut text = HAPROXY.to_owned();
    for (shipped, here) in [
        ("global\n", format!("global\n    stats socket {}\n", socket.display())),
        ("    bind :8080\n", format!("    bind 127.0.0.1:{port}\n")),
        (" resolvers docker init-addr none\n", "\n".into()),
        ("    server-template hello 3 hello-scaled:8080\n", servers),
    ] {
        if !text.contains(shipped) {
            return Err(format!("deploy/compose/haproxy.cfg has changed: there is no {shipped:?}").into());
        }
        text = text.replacen(shipped, &here, 1);
    }
    Ok(text)
}
