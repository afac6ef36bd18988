//! A client that sends exactly what it is told to.

use std::error::Error;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use test_servers::logs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where the service is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub(crate) async fn put(&self, path: &str, json: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, path, &[(CONTENT_TYPE.as_str(), "application/json")], json).await
    }

    pub(crate) async fn post(&self, path: &str, json: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, &[(CONTENT_TYPE.as_str(), "application/json")], json).await
    }

    /// One request on a connection of its own. The path goes out as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.connect().await.send(method, path, headers, body).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        self.try_connect().await.unwrap()
    }

    /// For a service that may be gone.
    pub(crate) async fn try_connect(&self) -> Result<Connection, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender, host: self.address.to_string() })
    }

    /// Sends bytes as they are, ends its side, and reads until the service closes.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        logs::sent_request(bytes.as_ref());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is the answer's end all the same.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A connection that can carry more than one request.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// The same, by another name.
    pub(crate) fn asking_for(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// For a service that may be gone before it has answered.
    pub(crate) async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let body = body.into();
        note(path, headers, &body);
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        // The connection's own task has to see the end of the answer before.
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = Answer { status: head.status, headers: head.headers, body };
        answer.note();
        Ok(answer)
    }
}

/// Notes what no log may tell.
fn note(path: &str, headers: &[(&str, &str)], body: &[u8]) {
    logs::sent_target(path);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("authorization") {
            logs::sent(value);
        }
    }
    logs::sent(&String::from_utf8_lossy(body));
}

impl Answer {
    /// Notes whose data came back. A refusal is the program's own words.
    fn note(&self) {
        if logs::are_kept() && self.status == 200 {
            note_values(&serde_json::from_slice(&self.body).unwrap_or_default());
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The words of a greeting.
    pub(crate) fn message(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// Checks that this refuses with that status, in the form that every refusal has.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["title"], self.status.canonical_reason().unwrap());
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
    }
}

fn note_values(value: &Value) {
    match value {
        Value::Array(list) => list.iter().for_each(note_values),
        Value::Object(fields) => {
            let personal = ["username", "email", "dateOfBirth"].into_iter();
            personal.filter_map(|key| fields.get(key)?.as_str()).for_each(logs::sent);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A name of letters that no other test uses.
pub(crate) fn new_name() -> String {
    let letters = std::iter::repeat_with(fastrand::alphabetic);
    letters.take(20).collect()
}
