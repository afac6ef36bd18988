//! Throw-away PostgreSQL servers: a primary, its replicas, and the faults that they can have.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::Keeper;
use crate::{Process, SmallDisk, free_port, logs, wait_until};

/// A running server with the superuser `postgres`, who needs no password. Dropped, it is killed and nothing of it
/// is left.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    databases: AtomicUsize,
    _keeper: Keeper,
}

/// What a server shows to prove itself, both in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Postgres {
    /// Starts a primary with an empty database.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a primary with settings such as `max_connections=50`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = new_folder();
        run(&mut initdb(&folder));
        Self::start_in(folder, settings.iter().map(ToString::to_string).collect())
    }

    /// Starts a primary whose write-ahead log is on that disk, in pieces of a megabyte.
    #[must_use]
    pub fn start_with_log_on(disk: &SmallDisk) -> Self {
        let folder = new_folder();
        run(initdb(&folder).arg("--wal-segsize=1").arg("--waldir").arg(disk.path().join("wal")));
        Self::start_in(folder, Vec::new())
    }

    /// Starts a primary that answers after its standby has flushed, and that standby.
    #[must_use]
    pub fn start_pair() -> (Self, Self) {
        let primary = Self::start();
        let standby = primary.replica("standby");
        primary.set("synchronous_standby_names", "standby");
        wait_until("the standby is synchronous", || {
            primary.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync"
        });
        (primary, standby)
    }

    /// Starts a primary that speaks TLS with that certificate, on request.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
    pub fn start_with_tls(certificate: &Certificate) -> Self {
        let folder = new_folder();
        for (name, text) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode can be set");
            give_away(&path);
        }
        let file = |name: &str| folder.path().join(name).display().to_string();
        let settings = vec![
            "ssl=on".into(),
            format!("ssl_cert_file={}", file("server.crt")),
            format!("ssl_key_file={}", file("server.key")),
        ];
        run(&mut initdb(&folder));
        Self::start_in(folder, settings)
    }

    /// Starts a replica that streams from this server; it calls itself by that name.
    #[must_use]
    pub fn replica(&self, name: &str) -> Self {
        let folder = new_folder();
        let source = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        run(program("pg_basebackup")
            .args(["--checkpoint=fast", "--write-recovery-conf", "--no-sync", "-d", &source, "-D"])
            .arg(data(&folder)));
        Self::start_in(folder, Vec::new())
    }

    fn start_in(folder: TempDir, settings: Vec<String>) -> Self {
        logs::keep_events();
        let port = free_port();
        let process = launch(&folder, port, &settings);
        let keeper = Keeper::of(folder.path());
        let server =
            Self { process, folder, port, settings, databases: AtomicUsize::new(0), _keeper: keeper };
        server.wait();
        server
    }

    fn wait(&self) {
        wait_until("PostgreSQL answers", || self.try_sql("postgres", "SELECT 1").is_some());
    }

    /// The port on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database, and says its name.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs SQL in a database, as the superuser, and gives its answer: one line a row, `|` between columns.
    ///
    /// # Panics
    /// Where it is refused.
    #[expect(clippy::panic, reason = "a test ends at the first surprise")]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|| panic!("refused: {sql}"))
    }

    /// The same where it may be refused.
    pub fn try_sql(&self, database: &str, sql: &str) -> Option<String> {
        psql(self.port, database, sql)
    }

    /// Sets a setting of the whole server, while it runs.
    pub fn set(&self, setting: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// From now on everybody but the superuser is asked for a password.
    ///
    /// # Panics
    /// Where its file can't be written.
    #[expect(clippy::expect_used, reason = "a test ends at the first surprise")]
    pub fn ask_for_passwords(&self) {
        let rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data(&self.folder).join("pg_hba.conf"), rules).expect("the rules can be written");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Makes a primary of a replica.
    pub fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote()");
    }

    /// Kills every process of the server, as a power cut would, and waits until they are gone.
    pub fn kill(&mut self) {
        // Who has ended is known by a number that may be another's by now.
        if self.process.ended().is_some() {
            return;
        }
        let children = send_to_all(self.process.id(), Signal::KILL);
        self.process.kill();
        wait_until("PostgreSQL is gone", || children.iter().all(|child| is_gone(*child)));
    }

    /// Starts the server again that was killed.
    pub fn restart(&mut self) {
        self.process = launch(&self.folder, self.port, &self.settings);
        self.wait();
    }

    /// Stops every process of the server in its tracks: connections stay, and nothing answers.
    pub fn freeze(&self) {
        send_to_all(self.process.id(), Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        send_to_all(self.process.id(), Signal::CONT);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        give_back_memory(&data(&self.folder));
    }
}

/// Gives back the piece of shared memory by which a server knows that its folder is in use: who was killed has left
/// it to the machine, which has room for some thousands. Its number ends the seventh line of the server's file.
pub(crate) fn give_back_memory(data: &Path) {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    if let Some(number) = file.lines().nth(6).and_then(|line| line.split_whitespace().last()) {
        // An error means that it is gone.
        let _ = Command::new("ipcrm").args(["-m", number]).stderr(Stdio::null()).status();
    }
}

/// The command that makes an empty server in that folder.
fn initdb(folder: &TempDir) -> Command {
    let mut initdb = program("initdb");
    initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
    initdb.args(["--locale=C.UTF-8", "-D"]).arg(data(folder));
    initdb
}

/// What the server on that port answers, one line a row; `None` where it refuses.
pub(crate) fn psql(port: u16, database: &str, sql: &str) -> Option<String> {
    // It has a limit for connecting alone.
    let mut asking = Command::new("timeout");
    as_other_user(&mut asking);
    let output = asking
        .args(["--signal=KILL", "90"])
        .arg(programs().join("psql"))
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-p"])
        .arg(port.to_string())
        .args(["-d", database, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "5")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn launch(folder: &TempDir, port: u16, settings: &[String]) -> Process {
    let mut server = program("postgres");
    server.arg("-D").arg(data(folder)).args(["-p", &port.to_string(), "-k"]).arg(folder.path());
    for setting in ["listen_addresses=127.0.0.1", "shared_buffers=32MB", "wal_keep_size=128MB"] {
        server.args(["-c", setting]);
    }
    // What its processes share is in its folder, and goes with that.
    server.args(["-c", "dynamic_shared_memory_type=mmap"]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let process = Process::start(server.stdout(Stdio::null()).stderr(log(folder)));
    note(folder, &process);
    process
}

/// Tells the keeper whom to kill.
#[expect(clippy::expect_used, reason = "a server that can't be cleaned up is not started")]
pub(crate) fn note(folder: &TempDir, process: &Process) {
    fs::write(folder.path().join("pid"), process.id().to_string()).expect("a file can be written");
}

#[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
fn log(folder: &TempDir) -> fs::File {
    let path = folder.path().join("log");
    fs::OpenOptions::new().create(true).append(true).open(path).expect("a log can be written")
}

/// A folder that the servers' user may use.
#[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
pub(crate) fn new_folder() -> TempDir {
    let folder =
        tempfile::Builder::new().prefix("hello-birthday-test-").tempdir().expect("a folder can be made");
    give_away(folder.path());
    folder
}

#[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
pub(crate) fn give_away(path: &Path) {
    if let Some((user, group)) = other_user() {
        chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

/// PostgreSQL and PgBouncer refuse to be run by root; then it is the user of Debian's package.
pub(crate) fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields: Vec<_> = users.lines().find(|line| line.starts_with("postgres:"))?.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

/// The folder of PostgreSQL's programs, of the newest version that is installed.
pub(crate) fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin")).max().unwrap_or_default()
}

fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    as_other_user(&mut command);
    command
}

pub(crate) fn as_other_user(command: &mut Command) {
    command.current_dir("/");
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
}

#[expect(clippy::panic, reason = "a server that can't be started ends the test")]
fn run(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            panic!("{:?} failed: {}", command.get_program(), String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => {
            panic!("{:?} can't be started: {error}; `make servers` installs it", command.get_program())
        }
    }
}

/// Sends a signal to a server's first process and to its children; says who they are.
pub(crate) fn send_to_all(first: u32, signal: Signal) -> Vec<u32> {
    // Stopped, it begets no more of them; dead, it would no longer be known as their parent.
    send(first, Signal::STOP);
    let children = children(first);
    send(first, signal);
    children.iter().for_each(|child| send(*child, signal));
    children
}

pub(crate) fn send(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // An error means that it has ended.
        let _ = kill_process(process, signal);
    }
}

/// Whether a process has ended and given back all that it had, though nobody may have asked how.
fn is_gone(process: u32) -> bool {
    status_of(process).is_none_or(|status| status.starts_with(['Z', 'X']))
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(process: u32) -> Option<u32> {
    status_of(process)?.split_whitespace().nth(1)?.parse().ok()
}

/// What the system knows of a process: its state, its parent and more.
fn status_of(process: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    Some(status.rsplit_once(')')?.1.trim_start().to_owned())
}
