//! How is a line logged without anybody waiting for it? Into a bounded buffer that a thread of its own
//! writes out; what finds no room there is dropped and counted.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Bytes that may wait to be written.
const BUFFER_BYTES: usize = 1 << 20;
/// Lines are gathered for this long before they are written.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the program waits for lines to be taken.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The name under which the line of each request is filtered.
const REQUESTS: &str = "request";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Shows what a command warns of, to who called it. `serve` has a [`Log`] instead.
pub fn warn_on_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).without_time();
    let warnings = Targets::new().with_default(tracing::Level::WARN);
    // An error means that events are shown already.
    let _ = tracing_subscriber::registry().with(warnings).with(lines.with_writer(io::stderr)).try_init();
}

/// Which lines are written, such as `info` or `info,request=off`.
#[derive(Clone, Debug)]
pub struct Filter(Targets);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write a level such as info, or pairs such as info,request=off";
        // To the parser a mistyped level is the one part of the program that is logged.
        let (pairs, levels): (Vec<_>, Vec<_>) = text.split(',').partition(|part| part.contains('='));
        if !levels.iter().all(|level| is_level(level)) || !pairs.iter().all(|pair| names_a_part(pair)) {
            return Err(HOW.into());
        }
        let filter: Targets = text.parse().map_err(|_| HOW)?;
        Ok(Self(if levels.is_empty() { filter.with_default(LevelFilter::INFO) } else { filter }))
    }
}

fn is_level(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic()) && word.parse::<LevelFilter>().is_ok()
}

fn names_a_part(pair: &str) -> bool {
    let (part, _) = pair.split_once('=').unwrap_or_default();
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
}

/// Where lines go; every clone writes to the same place.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    format: Format,
    requests: bool,
    dropped: Counter,
}

/// What is said of one request. No name, no address, no query: only what the program itself knows.
pub struct RequestLine<'a> {
    /// `GET`, or `_OTHER`.
    pub method: &'static str,
    /// The route's template.
    pub route: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Until the head of the answer was ready.
    pub duration: Duration,
    /// The request's id, the client's own if it sent one.
    pub request_id: &'a str,
    /// The trace that the request belongs to, if the client told one.
    pub trace_id: Option<&'a str>,
    /// The id, which is no secret, of the token that was shown, where it is a known one.
    pub token_id: Option<&'a str>,
}

/// The thread that writes; kept by whoever ends the program.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    arrived: Condvar,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    closed: bool,
}

impl Log {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        out: impl Write + Send + 'static,
        format: Format,
        filter: &Filter,
        registry: &mut Registry,
    ) -> io::Result<(Self, Writer)> {
        let shared = Arc::new(Shared { buffer: Mutex::default(), arrived: Condvar::new() });
        let dropped = Counter::default();
        registry.register(
            "hello_birthday_log_lines_dropped",
            "Log lines that were dropped because they could not be written fast enough",
            dropped.clone(),
        );
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || writing.write_to(out))?;
        let requests = filter.0.would_enable(REQUESTS, &tracing::Level::INFO);
        Ok((Self { shared: Arc::clone(&shared), format, requests, dropped }, Writer { shared, thread }))
    }

    /// A log that nobody reads.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn nowhere() -> io::Result<Self> {
        let filter = Filter(Targets::new());
        Ok(Self::start(io::sink(), Format::Text, &filter, &mut Registry::default())?.0)
    }

    /// Sends the program's events here, too.
    ///
    /// # Errors
    /// If events are sent somewhere already.
    pub fn take_events(&self, filter: &Filter) -> Result<(), TryInitError> {
        let log = self.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false);
        let lines = lines.with_writer(move || log.clone());
        let registry = tracing_subscriber::registry().with(filter.0.clone());
        match self.format {
            Format::Text => registry.with(lines).try_init(),
            Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        }
    }

    /// Logs one request.
    pub fn request(&self, line: &RequestLine<'_>) {
        if self.requests {
            self.push(|bytes| match self.format {
                Format::Text => line.text(bytes),
                Format::Json => line.json(bytes),
            });
        }
    }

    fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = self.shared.lock();
        if buffer.closed || BUFFER_BYTES <= buffer.bytes.len() {
            self.dropped.inc();
            return;
        }
        let was_empty = buffer.bytes.is_empty();
        write(&mut buffer.bytes);
        drop(buffer);
        if was_empty {
            self.shared.arrived.notify_one();
        }
    }
}

/// An event's line comes as one write.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(|bytes| bytes.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RequestLine<'_> {
    // Writing to memory can't fail.
    fn text(&self, bytes: &mut Vec<u8>) {
        let Self { method, route, status, duration, request_id, trace_id, token_id } = self;
        let micros = duration.as_micros();
        let mut line = String::with_capacity(180);
        let _ = write!(
            line,
            "{:.6}  INFO request method={method} route={route} status={status} duration_us={micros} request_id={request_id}",
            jiff::Timestamp::now()
        );
        if let Some(trace_id) = trace_id {
            let _ = write!(line, " trace_id={trace_id}");
        }
        if let Some(token_id) = token_id {
            let _ = write!(line, " token_id={token_id}");
        }
        line.push('\n');
        bytes.extend_from_slice(line.as_bytes());
    }

    /// Ids are checked when they are read and need no escapes; nor do the program's own words.
    fn json(&self, bytes: &mut Vec<u8>) {
        let Self { method, route, status, duration, request_id, trace_id, token_id } = self;
        let micros = duration.as_micros();
        let mut line = String::with_capacity(240);
        let _ = write!(
            line,
            r#"{{"timestamp":"{:.6}","level":"INFO","message":"request","method":"{method}","route":"{route}","status":{status},"duration_us":{micros},"request_id":"{request_id}""#,
            jiff::Timestamp::now()
        );
        if let Some(trace_id) = trace_id {
            let _ = write!(line, r#","trace_id":"{trace_id}""#);
        }
        if let Some(token_id) = token_id {
            let _ = write!(line, r#","token_id":"{token_id}""#);
        }
        line.push_str("}\n");
        bytes.extend_from_slice(line.as_bytes());
    }
}

impl Writer {
    /// Writes what is left, as far as it is taken within a second.
    pub fn finish(self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_one();
        let end = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(GATHER);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let buffer = self.lock();
            let buffer = self.arrived.wait_while(buffer, |buffer| buffer.bytes.is_empty() && !buffer.closed);
            let closed = buffer.unwrap_or_else(PoisonError::into_inner).closed;
            if !closed {
                std::thread::sleep(GATHER);
            }
            std::mem::swap(&mut lines, &mut self.lock().bytes);
            // Nobody is left to be told that the log can't be written.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            if closed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn pairs_alone_leave_the_rest_at_info() {
        for (text, requests, others) in
            [("request=off", false, true), ("info,request=off", false, true), ("error", false, false)]
        {
            let Filter(targets) = text.parse().unwrap();
            assert_eq!(targets.would_enable("request", &tracing::Level::INFO), requests, "{text}");
            assert_eq!(targets.would_enable("store::sqlite", &tracing::Level::INFO), others, "{text}");
        }
    }

    /// Takes each write as one message, as slowly as they are received.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line<'a>() -> RequestLine<'a> {
        RequestLine {
            method: "GET",
            route: "/hello/{username}",
            status: 200,
            duration: Duration::from_micros(1234),
            request_id: "a-1",
            trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
            token_id: Some("5b9c2f1e"),
        }
    }

    fn written(format: Format, filter: &str) -> String {
        let (sender, receiver) = mpsc::sync_channel(10);
        let filter = filter.parse().unwrap();
        let (log, writer) = Log::start(Pipe(sender), format, &filter, &mut Registry::default()).unwrap();
        log.request(&line());
        log.request(&line());
        writer.finish();
        String::from_utf8(receiver.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn a_request_is_one_line_in_either_format() {
        let text = written(Format::Text, "info");
        assert_eq!(text.lines().count(), 2);
        let rest = "  INFO request method=GET route=/hello/{username} status=200 duration_us=1234 \
                    request_id=a-1 trace_id=0af7651916cd43dd8448eb211c80319c token_id=5b9c2f1e";
        let first = text.lines().next().unwrap();
        assert_eq!(&first["2026-11-23T17:41:50.123456Z".len()..], rest);

        let json = written(Format::Json, "info");
        let object: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(object["route"], "/hello/{username}");
        assert_eq!(object["status"], 200);
        assert_eq!(object["request_id"], "a-1");
        assert_eq!(object["token_id"], "5b9c2f1e");
        assert_eq!(object["level"], "INFO");
    }

    #[test]
    fn the_lines_of_requests_can_be_turned_off() {
        for filter in ["warn", "info,request=off", "off"] {
            assert_eq!(written(Format::Text, filter), "", "{filter}");
        }
        assert_eq!(written(Format::Text, "warn,request=info").lines().count(), 2);
    }

    #[test]
    fn a_log_that_nobody_takes_drops_lines_and_counts_them_and_never_blocks() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let filter = "info".parse().unwrap();
        let (log, writer) =
            Log::start(Pipe(sender), Format::Text, &filter, &mut Registry::default()).unwrap();
        // Two buffers' worth and more: one may be on its way out.
        let lines = 4 * BUFFER_BYTES / 100;
        for _ in 0..lines {
            log.request(&line());
        }
        let dropped = log.dropped.get();
        assert!(dropped > 0);
        drop(receiver);
        writer.finish();
        assert!(log.dropped.get() < lines as u64);
    }
}
