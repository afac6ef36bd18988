//! The program itself, as a process that ends with its owner.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use test_servers::logs;

use crate::client::Client;

/// A service that ends tells its metrics within this, or not at all.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How long strace takes to let go of a process, unless it never does.
const STRACE_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A process of the program. Dropped, it is killed and waited for.
pub(crate) struct Program {
    child: Child,
    said: TempDir,
    /// Where it listens, once that was asked.
    address: Option<SocketAddr>,
    /// Whether its standard error is for one person's eyes, as a new token is.
    is_secret: bool,
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The most memory that it had resident, in KiB, as was last seen before its end; 0 where there is no
    /// /proc.
    pub(crate) peak_kib: u64,
}

/// The program with these arguments, and none of this process's environment: no setting of whoever runs
/// the tests shall change them.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello-birthday"));
    command.args(arguments).env_clear();
    if logs::are_kept() {
        command.env("RUST_LOG", "trace");
    }
    command
}

/// A service on a free port, with its data in that file. It doesn't tell of each request, unless that is what
/// logs are kept for: a test makes thousands.
pub(crate) fn serve(database: &Path) -> Command {
    serve_store(&format!("sqlite:{}", database.display()))
}

/// The same with its data at that URL.
pub(crate) fn serve_store(url: &str) -> Command {
    let log = if logs::are_kept() { "trace" } else { "info,request=off" };
    program(&["serve", "--listen", "127.0.0.1:0", "--store", url, "--log", log])
}

/// The same command as strace runs it: a system call on that file fails or ends the process. `None` where
/// strace is not installed.
pub(crate) fn with_fault(command: &Command, file: &Path, fault: &str) -> Option<Command> {
    traced(command, &["-P".as_ref(), file.as_ref()], fault)
}

/// The same for a system call that is about no file.
pub(crate) fn with_fault_anywhere(command: &Command, fault: &str) -> Option<Command> {
    traced(command, &[], fault)
}

fn traced(command: &Command, of_which: &[&OsStr], fault: &str) -> Option<Command> {
    let mut traced = strace(fault)?;
    // With -D the process that is started is the program, not strace.
    traced.arg("-D").args(of_which).arg(command.get_program()).args(command.get_args());
    Some(traced)
}

/// What makes system calls of a process that runs already go wrong, until it is dropped.
pub(crate) struct Fault(Child);

impl Fault {
    /// On these files, with strace; `None` where strace is not installed.
    pub(crate) fn attach(program: &Program, files: &[&Path], fault: &str) -> Option<Self> {
        let mut strace = strace(fault)?;
        for file in files {
            strace.arg("-P").arg(file);
        }
        let process = program.child.id();
        let fault = Self(strace.args(["-p", &process.to_string()]).spawn().unwrap());
        let is_traced = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status"));
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        };
        wait_for("strace", || {
            let mut threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
            threads.all(|thread| thread.is_ok_and(is_traced)).then_some(())
        });
        Some(fault)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // A tracer that is told to end lets the process go. Where that process is ending, strace can wait for a
        // thread whose end waits for strace; when it is killed, the system lets all threads go.
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        if !ends_soon(&mut self.0) {
            let _ = self.0.kill();
        }
        self.0.wait().unwrap();
    }
}

/// Whether it ends within the time that strace takes to let go of a process.
fn ends_soon(child: &mut Child) -> bool {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > STRACE_ENDS_WITHIN {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// strace with that fault; `None` where it is not installed.
fn strace(fault: &str) -> Option<Command> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("skipped: strace is not installed");
        return None;
    }
    let calls = fault.split([':', '=']).nth(1).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", fault]);
    Some(strace)
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    Program::start(command).ended()
}

/// Waits until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same with that as its standard input.
    pub(crate) fn start_with(command: &mut Command, stdin: Stdio) -> Self {
        let said = tempfile::tempdir().unwrap();
        let file = |name| File::create(said.path().join(name)).unwrap();
        command.stdin(stdin).stdout(file("stdout")).stderr(file("stderr"));
        note_records(command);
        let is_secret = command.get_args().next().is_some_and(|name| name == "token");
        Self { child: command.spawn().unwrap(), said, address: None, is_secret }
    }

    /// Waits until it listens.
    pub(crate) fn client(&mut self) -> Client {
        let address: SocketAddr = wait_for("a service that listens", || {
            let stderr = self.stderr();
            let line = stderr.lines().find_map(|line| line.split_once("listening on http://"));
            assert!(line.is_some() || self.child.try_wait().unwrap().is_none(), "{stderr}");
            // In JSON the line goes on after the address.
            line.map(|(_, rest)| rest.split('"').next().unwrap().trim().parse().unwrap())
        });
        self.address = Some(address);
        Client { address }
    }

    /// What it said so far; the last line may be incomplete.
    pub(crate) fn stderr(&self) -> String {
        let text = fs::read_to_string(self.said.path().join("stderr")).unwrap();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect()
    }

    /// Tells it to stop, as service managers do.
    pub(crate) fn terminate(&self) {
        self.keep_metrics();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Ends it without a chance to do anything more, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.keep_metrics();
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        // Whoever traces it must let go of it first, and may hang.
        if !ends_soon(&mut self.child)
            && let Some(tracer) = self.tracer()
        {
            let _ = kill_process(tracer, Signal::KILL);
        }
        self.child.wait().unwrap();
    }

    fn tracer(&self) -> Option<Pid> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
        // There is none with the number 0.
        Pid::from_raw(tracer.trim().parse().ok()?)
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> Ended {
        let mut peak_kib = 0;
        let status = wait_for("the end of a process", || {
            peak_kib = self.peak_kib().unwrap_or(peak_kib);
            self.child.try_wait().unwrap()
        });
        let stdout = fs::read_to_string(self.said.path().join("stdout")).unwrap();
        Ended { code: status.code(), stdout, stderr: self.stderr(), peak_kib }
    }

    /// What it counted, where it still answers.
    fn keep_metrics(&self) {
        let (Some(address), true) = (self.address, logs::are_kept()) else { return };
        let Ok(mut stream) = TcpStream::connect_timeout(&address, ANSWERS_WITHIN) else { return };
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).unwrap();
        let mut told = Vec::new();
        // It may end while it is asked.
        let _ = stream
            .write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            .and_then(|()| stream.read_to_end(&mut told).map(drop));
        logs::file("metrics").unwrap().write_all(&told).unwrap();
    }

    fn keep_log(&self) {
        if self.is_secret {
            let token = self.stderr().lines().last().map(str::to_owned);
            logs::sent(&token.filter(|line| line.starts_with("hb_")).unwrap_or_default());
        } else if let Some(mut kept) = logs::file("stderr.log") {
            kept.write_all(&fs::read(self.said.path().join("stderr")).unwrap()).unwrap();
        }
    }

    fn peak_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        self.keep_log();
    }
}

/// Notes whose data is in the files that a command is given.
fn note_records(command: &Command) {
    for file in command.get_args().map(Path::new) {
        let kind = file.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
        if logs::are_kept() && ["jsonl", "ndjson", "csv", "vcf"].contains(&&*kind) {
            logs::sent(&String::from_utf8_lossy(&fs::read(file).unwrap_or_default()));
        }
    }
}

impl Ended {
    /// The sentence with which the program says why it failed. There must be one, and not more.
    #[track_caller]
    pub(crate) fn sentence(&self) -> &str {
        let mut sentences = self.stderr.lines().filter_map(|line| line.strip_prefix("hello-birthday: "));
        let sentence = sentences.next().unwrap_or_else(|| panic!("no sentence: {self:?}"));
        assert_eq!(sentences.next(), None, "{self:?}");
        sentence
    }
}
