//! What happens when the network is cut? A way to a server on which bytes vanish, and nobody is told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A proxy before a server on the loopback address. It ends with the tests.
#[derive(Debug)]
pub struct Network {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: AtomicU16,
    /// Even while it is whole; each cut and each healing adds one.
    changes: AtomicU64,
    /// The ends of connections that were cut: they stay open, so that nobody is told.
    silent: Mutex<Vec<TcpStream>>,
}

impl Network {
    /// A way to the server on that port.
    ///
    /// # Panics
    /// Where there is no port for it.
    #[expect(clippy::expect_used, reason = "a server that can't be started ends the test")]
    #[must_use]
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port");
        let port = listener.local_addr().expect("a listener without an address").port();
        let target = AtomicU16::new(target);
        let state = Arc::new(State { target, changes: AtomicU64::new(0), silent: Mutex::default() });
        let accepting = Arc::clone(&state);
        thread::spawn(move || listener.incoming().flatten().for_each(|client| accepting.accept(client)));
        Self { port, state }
    }

    /// Where it listens, on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// New connections get to the server on that port, as where a name or an address is handed on. Those that are
    /// there stay.
    pub fn lead_to(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// From now on bytes vanish, in both directions. Connections stay open, and new ones are made.
    pub fn cut(&self) {
        self.state.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// New connections get through again. Those that missed something stay silent, as TCP would have given
    /// them up.
    pub fn heal(&self) {
        self.state.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl State {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        let since = self.changes.load(Ordering::SeqCst);
        if since % 2 == 1 {
            return self.silence(client);
        }
        // Nobody listens: the client's connection ends.
        let target = self.target.load(Ordering::SeqCst);
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { return };
        let ends = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
        for (from, to) in ends {
            if let (Ok(from), Ok(to)) = (from, to) {
                let state = Arc::clone(self);
                thread::spawn(move || state.carry(since, from, to));
            }
        }
    }

    /// Carries bytes one way until that end is closed or the network is cut.
    fn carry(&self, since: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            if self.changes.load(Ordering::SeqCst) != since {
                self.silence(from);
                return self.silence(to);
            }
            if read == 0 || to.write_all(&bytes[..read]).is_err() {
                // An error means that it is closed already.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }

    fn silence(&self, end: TcpStream) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    }
}
