//! How is one connection served, from its first request to its last?

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::guarded::{Activity, Guarded};
use crate::{Limits, Metrics};

/// The other end of a connection: an extension of each request on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// When a connection should end.
#[derive(Clone, Default)]
pub(crate) struct Ending {
    /// Answers tell the client that this was the last one on its connection.
    pub(crate) last_answers: Arc<AtomicBool>,
    /// Connections without a request end at once; new ones may still send their first one, for as long
    /// as connections that end linger.
    pub(crate) at_once: CancellationToken,
}

/// Serves one connection until its client, a limit or a deadline ends it.
pub async fn serve_connection<IO, S, B>(stream: IO, service: &S, limits: Limits, metrics: &Metrics)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    serve_until(stream, None, service, limits, metrics, &Ending::default()).await;
}

pub(crate) async fn serve_until<IO, S, B>(
    stream: IO,
    client: Option<Peer>,
    service: &S,
    limits: Limits,
    metrics: &Metrics,
    ending: &Ending,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let activity = Arc::<Activity>::default();
    let io = Guarded::new(stream, limits, metrics.clone(), Arc::clone(&activity));
    let end_of_life = Instant::now() + limits.connection_age;
    let requests = AtomicU32::new(0);
    let requests = &requests;
    let service = service_fn(move |mut request: Request<Incoming>| {
        activity.answering();
        if let Some(client) = client {
            request.extensions_mut().insert(client);
        }
        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = service.call(request);
        let activity = Arc::clone(&activity);
        async move {
            let mut response = answer.await?;
            let is_last = number >= limits.requests_per_connection
                || ending.last_answers.load(Ordering::Relaxed)
                || end_of_life <= Instant::now();
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            activity.answered();
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(http1(limits).serve_connection(TokioIo::new(io), service));
    // How a connection ended is its client's affair; what the client did wrong was answered or counted.
    let _ = tokio::select! {
        // What has come is read before the connection is taken for one without a request.
        biased;
        ended = connection.as_mut() => ended,
        () = ending.at_once.cancelled() => {
            // Who has only just connected has a request on its way.
            let is_new = requests.load(Ordering::Relaxed) == 0;
            if is_new && timeout(limits.linger, connection.as_mut()).await.is_ok() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

fn http1(limits: Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1
        .half_close(false)
        // Guarded has the deadlines: this one can't tell a slow head from a connection at rest.
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.read_buffer_bytes);
    http1
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    #[tokio::test]
    async fn a_request_that_comes_with_the_end_is_answered() {
        for _ in 0..32 {
            let (mut client, server) = duplex(1024);
            let ending = Ending::default();
            let hello = service_fn(|_| ready(Ok(Response::new("hello".to_owned()))));
            let (limits, metrics) =
                (Limits { linger: Duration::ZERO, ..Limits::default() }, Metrics::default());
            let serve = serve_until(server, None, &hello, limits, &metrics, &ending);
            let ask = async {
                client.write_all(GET).await.unwrap();
                assert_ne!(client.read(&mut [0; 1024]).await.unwrap(), 0);
                ending.at_once.cancel();
                client.write_all(GET).await.unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
            };
            tokio::join!(ask, serve);
        }
    }
}
