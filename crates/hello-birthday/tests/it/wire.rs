//! A connection on which a test writes what it likes, byte by byte, and reads what comes back.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use rustix::process::{Resource, getrlimit, setrlimit};
use test_servers::logs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Answer, Client};

/// A service that is silent for so long hangs: longer than every deadline that the tests choose.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn wire(&self) -> Wire {
        Wire { stream: TcpStream::connect(self.address).await.unwrap(), unread: Vec::new() }
    }
}

impl From<std::net::TcpStream> for Wire {
    fn from(stream: std::net::TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self { stream: TcpStream::from_std(stream).unwrap(), unread: Vec::new() }
    }
}

impl Wire {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends what may meet a connection that the service has closed already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        logs::sent_request(bytes.as_ref());
        self.stream.write_all(bytes.as_ref()).await
    }

    /// The next answer, or `None` where the service closes without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let has_body = !answer.status.is_informational() && answer.status != StatusCode::NO_CONTENT;
        if answer.headers.contains_key(TRANSFER_ENCODING) {
            answer.body = self.chunks().await;
        } else if has_body {
            let length = answer.headers[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
            answer.body = self.take(length).await.into();
        }
        Some(answer)
    }

    /// The next answer's status line and headers; its body, if there is one, comes next.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            if self.read().await == 0 {
                assert!(
                    self.unread.is_empty(),
                    "half an answer: {:?}",
                    self.unread.escape_ascii().to_string()
                );
                return None;
            }
        };
        let head = String::from_utf8(self.take(end).await).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap();
        let status = line.strip_prefix("HTTP/1.").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for field in lines {
            let (name, value) = field.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Some(Answer { status, headers, body: Bytes::new() })
    }

    /// Waits for the end, and says what came before it. A reset is an end, too.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read().await != 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Checks that the service closes, without a byte more.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let rest = self.rest().await;
            assert!(rest.is_empty(), "{caller}: {}", rest.escape_ascii());
        }
    }

    /// Whether another request is answered on this connection.
    pub(crate) async fn is_open(&mut self) -> bool {
        if self.try_send("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_err() {
            return false;
        }
        self.answer().await.is_some_and(|answer| answer.status == 200 && answer.body == "{}")
    }

    async fn chunks(&mut self) -> Bytes {
        let mut body = Vec::new();
        loop {
            let size = loop {
                if let Some(end) = find(&self.unread, b"\r\n") {
                    let line = self.take(end + 2).await;
                    let digits = std::str::from_utf8(&line).unwrap().trim_end();
                    break usize::from_str_radix(digits, 16).unwrap();
                }
                assert_ne!(self.read().await, 0, "the answer breaks off");
            };
            body.extend(self.take(size).await);
            assert_eq!(self.take(2).await, b"\r\n");
            if size == 0 {
                return body.into();
            }
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert_ne!(self.read().await, 0, "the answer breaks off");
        }
        let rest = self.unread.split_off(length);
        std::mem::replace(&mut self.unread, rest)
    }

    async fn read(&mut self) -> usize {
        let read = timeout(HANGS_AFTER, self.stream.read_buf(&mut self.unread)).await;
        read.expect("the service hangs").unwrap_or(0)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A thousand connections have two thousand ends, and all are files of this process.
pub(crate) fn allow_many_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
}
