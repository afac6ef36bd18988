//! A throw-away PgBouncer that gives every transaction another session.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::postgres::{as_other_user, new_folder, note};
use crate::process::Keeper;
use crate::{Postgres, Process, free_port, wait_until};

/// A running pooler before a server. Dropped, it is killed.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    _folder: TempDir,
    _keeper: Keeper,
    port: u16,
}

impl PgBouncer {
    /// Starts it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
    pub fn start(server: &Postgres) -> Self {
        let folder = new_folder();
        let port = free_port();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 4\nserver_lifetime = 1\n",
            server.port()
        );
        fs::write(&settings, text).expect("a file can be written");
        let mut command = Command::new("pgbouncer");
        as_other_user(&mut command);
        let process =
            Process::start(command.arg("-q").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()));
        note(&folder, &process);
        let keeper = Keeper::of(folder.path());
        wait_until("PgBouncer answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _process: process, _folder: folder, _keeper: keeper, port }
    }

    /// The URL of one of the server's databases, through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?pool_mode=transaction", self.port)
    }
}
