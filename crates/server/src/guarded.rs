//! How long may a client keep a connection waiting? A stream that ends itself at its deadlines.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Limits, Metrics};

/// A stream with the deadlines of [`Limits`] for what comes between requests; within a request the
/// service has its own.
///
/// One timer serves all of them. It is only ever moved to an earlier time: one that fires too early
/// looks at the clock and is set again, so that a busy connection doesn't pay for setting it.
pub(crate) struct Guarded<S> {
    stream: S,
    limits: Limits,
    metrics: Metrics,
    activity: Arc<Activity>,
    waits_for: Input,
    since: Instant,
    /// Since when the client has taken nothing of what is ready for it.
    stalled: Option<Instant>,
    /// Since when nothing more is written.
    ended: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What the stream must know of the requests on it.
#[derive(Default)]
pub(crate) struct Activity(AtomicU8);

/// What is read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    FirstByte,
    Head,
    NextRequest,
}

const READING: u8 = 0;
const ANSWERING: u8 = 1;
const ANSWERED: u8 = 2;

impl Activity {
    /// A request was read and is being answered.
    pub(crate) fn answering(&self) {
        self.0.store(ANSWERING, Ordering::Relaxed);
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&self) {
        self.0.store(ANSWERED, Ordering::Relaxed);
    }
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, limits: Limits, metrics: Metrics, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            limits,
            metrics,
            activity,
            waits_for: Input::FirstByte,
            since: Instant::now(),
            stalled: None,
            ended: None,
            timer: None,
        }
    }

    fn came_bytes(&mut self) {
        if self.waits_for != Input::Head {
            self.waits_for = Input::Head;
            self.since = Instant::now();
        }
    }

    /// From an answer on, the next request is waited for. Whether an answer came since the last call.
    fn came_answer(&mut self) -> bool {
        let came = self.activity.0.load(Ordering::Relaxed) == ANSWERED;
        if came {
            self.activity.0.store(READING, Ordering::Relaxed);
            self.waits_for = Input::NextRequest;
            self.since = Instant::now();
        }
        came
    }

    /// Whether the client took too long to send what is waited for.
    fn is_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.activity.0.load(Ordering::Relaxed) == ANSWERING {
            return Poll::Pending;
        }
        self.came_answer();
        let (patience, what) = match self.waits_for {
            Input::FirstByte => (self.limits.first_byte, "first_byte"),
            Input::Head => (self.limits.head, "head"),
            Input::NextRequest => (self.limits.idle, "next_request"),
        };
        self.expired(self.since + patience, what, cx)
    }

    /// Whether the client took too long to take what is ready for it.
    fn is_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.expired(since + self.limits.write_stall, "write", cx)
    }

    fn took_bytes(&mut self) {
        self.stalled = None;
        if self.waits_for == Input::NextRequest {
            // A long answer is no rest.
            self.since = Instant::now();
        }
    }

    fn expired(&mut self, deadline: Instant, what: &'static str, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.passed(deadline, cx).map(|()| {
            self.metrics.timed_out.get_or_create(&[("waited_for", what)]).inc();
            io::ErrorKind::TimedOut.into()
        })
    }

    fn passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.is_late(cx).map(Err),
            Poll::Ready(result) => {
                if before < buf.filled().len() {
                    this.came_bytes();
                }
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, buf) {
            Poll::Pending => this.is_stalled(cx).map(Err),
            Poll::Ready(result) => {
                this.took_bytes();
                Poll::Ready(result)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write_vectored(cx, bufs) {
            Poll::Pending => this.is_stalled(cx).map(Err),
            Poll::Ready(result) => {
                this.took_bytes();
                Poll::Ready(result)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.came_answer() {
            // Where a read found nothing while the request was answered, hyper waits for that read to be
            // woken and asks for no other: the timer that ends the rest must be set here.
            let _ = this.passed(this.since + this.limits.idle, cx);
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Ends the writing side, and then takes for a while what the client still sends: a stream that is
    /// closed over unread bytes is reset, and a reset can overtake the answer that was just written.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        let since = *this.ended.get_or_insert_with(Instant::now);
        let mut scratch = [0; 4096];
        loop {
            let mut unread = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.passed(since + this.limits.linger, cx).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn guarded<S>(stream: S) -> (Guarded<S>, Arc<Activity>) {
        let activity = Arc::<Activity>::default();
        (Guarded::new(stream, Limits::default(), Metrics::default(), Arc::clone(&activity)), activity)
    }

    /// Reads until the stream ends itself, and says after how many seconds that was.
    async fn seconds_until_late<S: AsyncRead + Unpin>(stream: &mut Guarded<S>) -> u64 {
        let start = Instant::now();
        loop {
            match stream.read(&mut [0; 64]).await {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return start.elapsed().as_secs();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_has_ten_seconds() {
        let (_client, server) = duplex(64);
        assert_eq!(seconds_until_late(&mut guarded(server).0).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_five_seconds_however_steadily_it_dribbles() {
        let (mut client, server) = duplex(64);
        let dribble = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(900)).await;
                if client.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        // The first byte after 0.9 s, and 5 s from there.
        let (mut stream, _activity) = guarded(server);
        assert_eq!(seconds_until_late(&mut stream).await, 5);
        drop(stream);
        dribble.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_at_rest_has_seventy_five_seconds_and_then_a_head_five_again() {
        let (mut client, server) = duplex(64);
        let (mut stream, activity) = guarded(server);
        client.write_all(b"request").await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 7);
        activity.answering();
        activity.answered();
        assert_eq!(seconds_until_late(&mut stream).await, 75);

        let (mut client, server) = duplex(64);
        let (mut stream, activity) = guarded(server);
        activity.answering();
        activity.answered();
        let half = async {
            tokio::time::sleep(Duration::from_secs(70)).await;
            client.write_all(b"half a head").await.unwrap();
        };
        let (seconds, ()) = tokio::join!(seconds_until_late(&mut stream), half);
        assert_eq!(seconds, 75, "70 of rest and 5 for the head");
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_request_is_answered_nothing_is_late() {
        let (_client, server) = duplex(64);
        let (mut stream, activity) = guarded(server);
        activity.answering();
        let late = tokio::time::timeout(Duration::from_secs(1000), seconds_until_late(&mut stream)).await;
        assert!(late.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_has_ten_seconds() {
        let (mut client, server) = duplex(64);
        let (mut stream, _activity) = guarded(server);
        let start = Instant::now();
        let take_some = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            client.read_exact(&mut [0; 64]).await.unwrap();
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 1024]), take_some);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 17, "7 until it took some, and 10 from there");
    }
}
