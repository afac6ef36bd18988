//! What is measured: processes that end with their owner, and what the system tells of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::Result;

/// Connections that the service may have: what is measured, and a few to ask it by.
const CONNECTIONS: &str = "10100";
/// Linux counts a process's time in hundredths of a second (proc(5), USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// A service as it is shipped, on the loopback address. Its log goes nowhere, but it is written.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    child: Child,
}

/// The bare hyper server, in a process of its own.
pub(crate) struct Yardstick {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Service {
    pub(crate) fn spawn(binary: &Path, database: &Path) -> Result<Self> {
        let address = free_address()?;
        let child = Command::new(binary)
            .args(["serve", "--listen", &address.to_string(), "--max-connections", CONNECTIONS])
            .args(["--store", &format!("sqlite:{}", database.display())])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", binary.display()))?;
        Ok(Self { address, child })
    }

    /// The same, and waits until it listens.
    pub(crate) fn start(binary: &Path, database: &Path) -> Result<Self> {
        let mut service = Self::spawn(binary, database)?;
        service.connect()?;
        Ok(service)
    }

    /// The first connection that it takes.
    pub(crate) fn connect(&mut self) -> Result<TcpStream> {
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                return Ok(stream);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the service ended: {status}").into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Yardstick {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--yardstick")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self { address: line.trim().parse()?, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // An error means that it has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The processor time that a process has had.
pub(crate) fn processor_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks: u32 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap_or(0)).sum();
    Ok(TICK * ticks)
}

/// The memory that is resident, and the process's share of it, in megabytes.
pub(crate) fn memory(process: u32) -> Result<(f64, f64)> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kilobytes = |name: &str| -> Result<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok((kilobytes("Rss:")? / 1024.0, kilobytes("Pss:")? / 1024.0))
}

/// How many files a process has open; a connection is one.
pub(crate) fn open_files(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Every connection is a file here, too.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it can't be raised, connections fail and say so.
    let _ = setrlimit(Resource::Nofile, limit);
}
