//! What does a service manager hand over, and what does it want to be told? systemd's protocol, which others
//! speak, too: sd_listen_fds(3) and sd_notify(3).

use std::io;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

/// The listener that was opened for us, if one was. It stays open while the service is restarted, so that
/// connections wait for the next process rather than be refused.
pub(super) fn listener() -> io::Result<Option<TcpListener>> {
    let mut handed_over = ListenFd::from_env();
    if 1 < handed_over.len() {
        return Err(io::Error::other("more than one was handed over"));
    }
    let Some(listener) = handed_over.take_tcp_listener(0)? else { return Ok(None) };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).map(Some)
}

/// Requests are answered from now on.
pub(super) fn say_serving() {
    say(NotifyState::Ready);
}

/// The end has begun.
pub(super) fn say_stopping() {
    say(NotifyState::Stopping);
}

/// Says nothing where nobody wants to know.
fn say(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager can't be told");
    }
}
