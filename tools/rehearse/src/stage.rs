//! Where the rehearsal takes place: PostgreSQL, three instances, and HAProxy with the settings that are shipped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_servers::{Postgres, Process, free_port};

use crate::{Result, until};

pub(crate) const INSTANCES: usize = 3;
/// What is shipped for Compose; here only the addresses differ.
const HAPROXY: &str = include_str!("../../../deploy/compose/haproxy.cfg");

pub(crate) struct Stage {
    /// HAProxy's.
    pub(crate) address: SocketAddr,
    binary: PathBuf,
    delay: Duration,
    instances: Vec<Instance>,
    socket: PathBuf,
    pub(crate) database: String,
    // Dropped, they end; in this order.
    _proxy: Process,
    pub(crate) postgres: Postgres,
    _folder: TempDir,
}

struct Instance {
    port: u16,
    process: Process,
}

impl Stage {
    /// Starts everything, and waits until HAProxy has found each instance.
    pub(crate) async fn set(binary: &Path, delay: Duration) -> Result<Self> {
        let postgres = Postgres::start();
        let database = postgres.database();
        let url = postgres.url(&database);
        let migrated = Command::new(binary).args(["migrate", "--store", &url]).env_clear().output()?;
        if !migrated.status.success() {
            return Err(format!("no schema: {}", String::from_utf8_lossy(&migrated.stderr)).into());
        }
        let ports: Vec<u16> = (0..INSTANCES).map(|_| free_port()).collect();
        let start = |&port: &u16| Ok(Instance { port, process: start(binary, port, &url, delay)? });
        let instances = ports.iter().map(start).collect::<Result<_>>()?;

        let folder = tempfile::tempdir()?;
        let (settings, socket) = (folder.path().join("haproxy.cfg"), folder.path().join("socket"));
        let port = free_port();
        fs::write(&settings, haproxy(port, &ports, &socket)?)?;
        let mut proxy = Command::new("haproxy");
        // It tells of every instance that comes and goes.
        proxy.arg("-db").arg("-f").arg(&settings).stdin(Stdio::null()).stderr(Stdio::null());
        let proxy = Process::start(&mut proxy);

        let address = (Ipv4Addr::LOCALHOST, port).into();
        let (binary, delay) = (binary.to_owned(), delay);
        let stage = Self {
            address,
            binary,
            delay,
            instances,
            socket,
            database,
            _proxy: proxy,
            postgres,
            _folder: folder,
        };
        for instance in 0..INSTANCES {
            until("HAProxy finds every instance", || stage.is_up(instance)).await?;
        }
        Ok(stage)
    }

    /// Stops one as an orchestrator does, starts another in its place, and waits until it gets requests. How long the
    /// stop took.
    pub(crate) async fn replace(&mut self, instance: usize) -> Result<Duration> {
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
        let url = self.postgres.url(&self.database);
        old.process = start(&self.binary, old.port, &url, self.delay)?;
        until("a new instance listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, old.port)).is_ok())
            .await?;
        until("HAProxy finds it", || self.is_up(instance)).await?;
        Ok(took)
    }

    /// Whether HAProxy sends requests to that one.
    fn is_up(&self, instance: usize) -> bool {
        let said = || -> std::io::Result<String> {
            let mut socket = UnixStream::connect(&self.socket)?;
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

/// What the next version's migration does: it adds, and says since when programs can work with that.
pub(crate) fn expand_schema(postgres: &Postgres, database: &str) {
    let next = "(SELECT max(version) + 1 FROM schema_migrations)";
    postgres.sql(
        database,
        &format!(
            "DO $$ BEGIN EXECUTE format('ALTER TABLE users ADD COLUMN added_by_%s text', {next}); END $$;
             INSERT INTO schema_migrations VALUES ({next}, 'rehearsed', 1);"
        ),
    );
}

fn start(binary: &Path, port: u16, store: &str, delay: Duration) -> Result<Process> {
    if !binary.exists() {
        return Err(format!("{} isn't there: build it", binary.display()).into());
    }
    let delay = format!("{}s", delay.as_secs());
    Ok(Process::start(
        Command::new(binary)
            .args([
                "serve",
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--store",
                store,
                "--drain-delay",
                &delay,
            ])
            .args(["--log", "warn"])
            .env_clear()
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
