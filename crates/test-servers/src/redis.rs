//! Redis, one server or a cluster of six, thrown away when dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::is_free;
use crate::{Process, free_port, logs, wait_until};

/// The one of the system.
const INSTALLED: &str = "redis-server";
/// Cluster nodes talk to each other on their port plus this.
const BUS_OFFSET: u16 = 10_000;
const NODE_TIMEOUT: &str = "--cluster-node-timeout";
/// After so many milliseconds without an answer a master's replica takes its place.
const NODE_TIMEOUT_MS: &str = "2000";
/// The same while the servers get to know each other: one that stood still for so long would never belong to them.
const FIRST_NODE_TIMEOUT_MS: &str = "20000";

/// One server, which keeps what it has in an append-only file.
#[derive(Debug)]
pub struct RedisServer {
    /// Where it listens, on the loopback address.
    pub port: u16,
    program: PathBuf,
    process: Process,
    folder: TempDir,
    options: Vec<String>,
}

impl RedisServer {
    /// Starts an empty one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an empty one with more options, as `--name value`.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_program(Path::new(INSTALLED), free_port(), options)
    }

    /// Starts an empty one of the newer Redis that `tools/redis/install` gets, where it did.
    #[must_use]
    pub fn start_newer(options: &[&str]) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/redis/redis-server");
        program.exists().then(|| Self::start_program(&program, free_port(), options))
    }

    /// Starts one of the same version that follows this one, and waits until it does.
    #[must_use]
    pub fn replica(&self) -> Self {
        let follow = format!("127.0.0.1 {}", self.port);
        let replica = Self::start_program(&self.program, free_port(), &["--replicaof", &follow]);
        wait_until("the replica follows", || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
                && self.cli(&["INFO", "replication"]).contains("state=online")
        });
        replica
    }

    #[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
    fn start_program(program: &Path, port: u16, options: &[&str]) -> Self {
        logs::keep_events();
        let folder = tempfile::tempdir().expect("no place for files");
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let process = run(program, port, folder.path(), &options);
        let server = Self { port, program: program.to_owned(), process, folder, options };
        server.wait();
        server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What `redis-cli` prints for that command.
    pub fn cli(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it where it stands: it takes connections and answers nothing.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it anew on the same port with the same files.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = run(&self.program, self.port, self.folder.path(), &self.options);
        self.wait();
    }

    /// The same with more options.
    pub fn restart_with(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(ToString::to_string));
        self.restart();
    }

    fn wait(&self) {
        wait_until("redis-server answers", || {
            self.cli(&["PING"]).trim_end().ends_with("PONG") || self.asks_who()
        });
    }

    /// A server with a password is there once it asks for it.
    fn asks_who(&self) -> bool {
        self.cli(&["PING"]).contains("NOAUTH")
    }
}

/// A cluster of three masters with a replica each.
#[derive(Debug)]
pub struct RedisCluster {
    /// The servers, in no order.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts an empty one.
    ///
    /// # Panics
    /// Where it can't be put together.
    #[must_use]
    pub fn start() -> Self {
        let servers: Vec<_> = (0..6).map(|_| cluster_node()).collect();
        // It waits for ever where a node's greeting is lost.
        let mut create = Command::new("timeout");
        create.args(["60", "redis-cli", "--cluster", "create"]);
        create.args(servers.iter().map(|server| format!("127.0.0.1:{}", server.port)));
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let created = create.output().map(|output| output.status.success());
        assert!(created.unwrap_or(false), "redis-cli can't put a cluster together");
        let mut cluster = Self { servers };
        cluster.wait_until_whole();
        for server in &mut cluster.servers {
            server.cli(&["CONFIG", "SET", NODE_TIMEOUT.trim_start_matches('-'), NODE_TIMEOUT_MS]);
            server.options.extend([NODE_TIMEOUT, NODE_TIMEOUT_MS].map(str::to_owned));
        }
        cluster
    }

    /// Its URL, which names two of its servers.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<_> =
            self.servers.iter().take(2).map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Waits until all slots have a master, and every master a replica that follows it.
    pub fn wait_until_whole(&self) {
        wait_until("the cluster is whole", || {
            let masters = self.servers.iter().filter(|server| is_master(server)).count();
            masters == 3 && self.servers.iter().all(is_well)
        });
    }

    /// The places in [`Self::servers`] of the masters.
    #[must_use]
    pub fn masters(&self) -> Vec<usize> {
        let places = self.servers.iter().enumerate().filter(|(_, server)| is_master(server));
        places.map(|(place, _)| place).collect()
    }

    /// The place in [`Self::servers`] of a master's replica.
    ///
    /// # Panics
    /// Where it has none.
    #[expect(clippy::expect_used, reason = "a test ends at the first surprise")]
    #[must_use]
    pub fn replica_of(&self, master: usize) -> usize {
        let follows = format!("master_port:{}\r\n", self.servers[master].port);
        let replica =
            self.servers.iter().position(|server| server.cli(&["INFO", "replication"]).contains(&follows));
        replica.expect("every master has a replica")
    }
}

fn cluster_node() -> RedisServer {
    // Its bus has a port of its own, which must be free and at most 65535.
    let fits = |port: &u16| *port < u16::MAX - BUS_OFFSET && is_free(port + BUS_OFFSET);
    let port = std::iter::repeat_with(free_port).find(fits).unwrap_or_default();
    let options = [
        "--cluster-enabled",
        "yes",
        NODE_TIMEOUT,
        FIRST_NODE_TIMEOUT_MS,
        "--repl-diskless-sync-delay",
        "0",
        // While a master is away, the others go on.
        "--cluster-require-full-coverage",
        "no",
    ];
    RedisServer::start_program(Path::new(INSTALLED), port, &options)
}

fn is_master(server: &RedisServer) -> bool {
    server.cli(&["INFO", "replication"]).contains("role:master")
}

fn is_well(server: &RedisServer) -> bool {
    let replication = server.cli(&["INFO", "replication"]);
    let cluster = server.cli(&["CLUSTER", "INFO"]);
    let follows = replication.contains("master_link_status:up")
        || (replication.contains("role:master") && replication.contains("state=online"));
    follows && cluster.contains("cluster_state:ok") && cluster.contains("cluster_known_nodes:6")
}

fn run(program: &Path, port: u16, folder: &Path, options: &[String]) -> Process {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]);
    command.args(["--dir", &folder.display().to_string()]).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(&mut command)
}

fn cli(port: u16, command: &[&str]) -> String {
    // By itself it waits for ever.
    let mut asking = Command::new("timeout");
    let output = asking.args(["20", "redis-cli", "-p", &port.to_string()]).args(command).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
