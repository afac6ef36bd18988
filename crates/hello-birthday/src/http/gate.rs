//! What surrounds every request? Before the handler: may it come in at all? After it: the headers,
//! the count and the log line that every answer gets.
//!
//! One gate stands before each route and knows its row of the table; one more stands before whatever
//! has no route.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either};
use server::{Peer, Rate};
use tower::{Layer, Service};

use super::App;
use super::authorization::Authorization;
use super::hosts::Hosts;
use super::metrics::{RequestMetrics, RouteMetrics};
use super::payload::BodyLimit;
use super::refusal::{Cause, Refusal};
use super::request_id::Ids;
use super::routes::{Endpoint, Route};
use super::same_site;
use crate::access::TokenId;
use crate::log::{Log, RequestLine};

/// The most bytes of a path, and of a query.
const URI_PART_BYTES: usize = 2 << 10;
/// The most bytes of the headers, with the four that HTTP/1 puts around each.
const HEADER_BYTES: usize = 8 << 10;
/// What is counted for a request that its client gave up. No answer has this status: it is nginx's, which those
/// who read logs know.
const GIVEN_UP: u16 = 499;
/// The label of what has no route.
const NO_ROUTE: &str = "none";

/// The headers that every answer has, unless it brings its own.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The routes behind their gates.
pub(super) fn router(
    routes: Vec<Route>,
    app: &Arc<App>,
    log: &Log,
    metrics: &RequestMetrics,
    rate: Option<&Arc<Rate>>,
    hosts: &Hosts,
    authorization: &Authorization,
) -> Router {
    let gate = |path: &'static str, endpoints: Option<Vec<Endpoint>>| GateLayer {
        row: Arc::new(Row {
            path,
            metrics: metrics.route(path, endpoints.as_deref().unwrap_or_default()),
            endpoints,
            log: log.clone(),
            hosts: hosts.clone(),
            authorization: authorization.clone(),
            // Whoever looks after the service is never told to come back later.
            rate: rate.filter(|_| !path.starts_with("/-/")).cloned(),
        }),
    };
    let nothing = tower::service_fn(|_: Request| ready(Ok::<_, Infallible>(StatusCode::NOT_FOUND)));
    let mut router = Router::new().fallback_service(gate(NO_ROUTE, None).layer(nothing));
    for route in routes {
        let (path, endpoints, handlers) = route.into_parts();
        router = router.route(path, handlers.layer(gate(path, Some(endpoints))));
    }
    router.with_state(Arc::clone(app))
}

/// What a gate knows of the route behind it.
struct Row {
    path: &'static str,
    /// `None` for what has no route.
    endpoints: Option<Vec<Endpoint>>,
    metrics: RouteMetrics,
    log: Log,
    hosts: Hosts,
    authorization: Authorization,
    rate: Option<Arc<Rate>>,
}

#[derive(Clone)]
struct GateLayer {
    row: Arc<Row>,
}

#[derive(Clone)]
struct Gate<S> {
    row: Arc<Row>,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { row: Arc::clone(&self.row), inner }
    }
}

impl<S> Service<Request> for Gate<S>
where
    S: Service<Request, Error = Infallible, Future: Send + 'static>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let start = Instant::now();
        let row = Arc::clone(&self.row);
        let method = request.method().clone();
        let ids = Ids::of(request.headers());
        let admitted = row.admit(&mut request);
        let token = request.extensions().get::<TokenId>().cloned();
        let answer = match admitted {
            Ok(Admitted::Handle) => Either::Left(self.inner.call(request)),
            Ok(Admitted::Answered(response)) => Either::Right(ready(response)),
            Err(refusal) => Either::Right(ready(refusal.into_response())),
        };
        let asked = Asked { row, method, ids, token, start, is_answered: false };
        Box::pin(async move {
            let mut response = match answer {
                Either::Left(answer) => answer.await?.into_response(),
                Either::Right(answer) => answer.await,
            };
            asked.finish(&mut response);
            Ok(response)
        })
    }
}

/// A request that is counted and logged once, however it ends.
struct Asked {
    row: Arc<Row>,
    method: Method,
    ids: Ids,
    token: Option<TokenId>,
    start: Instant,
    is_answered: bool,
}

impl Asked {
    fn finish(mut self, response: &mut Response) {
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.entry(name).or_insert(value);
        }
        self.ids.echo(headers);
        if let Some(Cause(error)) = response.extensions().get() {
            tracing::warn!(%error, request_id = %self.ids.request_id(), "a request failed");
        }
        self.is_answered = true;
        self.tell(response.status().as_u16());
    }

    fn tell(&self, status: u16) {
        let duration = self.start.elapsed();
        let method = self.row.metrics.count(&self.method, status, duration);
        self.row.log.request(&RequestLine {
            method,
            route: self.row.path,
            status,
            duration,
            request_id: self.ids.request_id(),
            trace_id: self.ids.trace_id(),
            token_id: self.token.as_ref().map(TokenId::as_str),
        });
    }
}

/// Nobody waits for the answer any more. A panic, which also ends a request, is counted as such.
impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered && !std::thread::panicking() {
            self.tell(GIVEN_UP);
        }
    }
}

enum Admitted {
    Handle,
    Answered(Response),
}

impl Row {
    /// Decides by the head of a request alone; its body is not read before.
    fn admit(&self, request: &mut Request) -> Result<Admitted, Refusal> {
        if let (Some(rate), Some(Peer(address))) = (&self.rate, request.extensions().get()) {
            rate.check(*address, Instant::now()).map_err(Refusal::too_many_requests)?;
        }
        check_head(request, &self.hosts)?;
        same_site::check(request)?;
        let Some(endpoints) = &self.endpoints else {
            return self.without_route(request.method(), request.uri());
        };
        let Some(endpoint) = followed(endpoints, request.method()) else {
            return Err(Refusal::method_not_allowed(&allow(endpoints)));
        };
        self.authorization.check(endpoint.access, request)?;
        if request.method() == Method::OPTIONS {
            return Ok(Admitted::Answered(options(&allow(endpoints))));
        }
        if let Some(limit) = endpoint.body_limit {
            check_length(request.headers(), limit)?;
            request.extensions_mut().insert(BodyLimit(limit));
        }
        Ok(Admitted::Handle)
    }

    fn without_route(&self, method: &Method, uri: &Uri) -> Result<Admitted, Refusal> {
        const ALL: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
        match *method {
            // RFC 9110, section 9.3.7: the server as a whole is asked.
            Method::OPTIONS if uri.path() == "*" => Ok(Admitted::Answered(options(ALL))),
            // A tunnel has no path that could be known or unknown.
            Method::CONNECT => Err(Refusal::method_not_allowed(ALL)),
            _ => Err(Refusal::unknown_path()),
        }
    }
}

/// The endpoint whose rules a request of that method follows.
fn followed<'a>(endpoints: &'a [Endpoint], method: &Method) -> Option<&'a Endpoint> {
    let find = |method: &Method| endpoints.iter().find(|endpoint| endpoint.method == *method);
    match *method {
        // GET without the body.
        Method::HEAD => find(&Method::GET),
        // Who may read may ask how; a route that can't be read is asked by whoever may use it.
        Method::OPTIONS => find(&Method::GET).or(endpoints.first()),
        _ => find(method),
    }
}

/// The rules that hold whatever is asked for.
fn check_head(request: &Request, hosts: &Hosts) -> Result<(), Refusal> {
    let (uri, headers) = (request.uri(), request.headers());
    if URI_PART_BYTES < uri.path().len().max(uri.query().map_or(0, str::len)) {
        return Err(Refusal::uri_too_long(URI_PART_BYTES));
    }
    if HEADER_BYTES < headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum() {
        return Err(Refusal::headers_too_long(HEADER_BYTES));
    }
    check_host(request.version(), uri, headers, hosts)?;
    let codings =
        headers.get_all(TRANSFER_ENCODING).iter().map(|value| value.as_bytes().split(|byte| *byte == b','));
    if 1 < codings.flatten().count() {
        return Err(Refusal::unclear_framing());
    }
    let is_continue = |expected: &HeaderValue| expected.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(EXPECT).iter().all(is_continue) { Ok(()) } else { Err(Refusal::expectation_failed()) }
}

/// RFC 9112, section 3.2: HTTP/1.1 without exactly one Host is refused. An absolute target names the
/// host as well (section 3.2.2); the two must agree, or somebody in between was misled. Whether the name is one of
/// ours is asked where there is one: a browser always sends it.
fn check_host(version: Version, uri: &Uri, headers: &HeaderMap, hosts: &Hosts) -> Result<(), Refusal> {
    let mut sent = headers.get_all(HOST).iter();
    match (sent.next(), sent.next(), uri.authority()) {
        (Some(_), Some(_), _) => Err(Refusal::bad_request("send the Host header exactly once")),
        (None, _, _) if version == Version::HTTP_11 => Err(Refusal::bad_request("send the Host header")),
        (None, _, _) => Ok(()),
        (Some(host), None, authority) => {
            let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
            // An authority may name a user; a Host may not (RFC 9110, section 7.2).
            let host = host.filter(|host| !host.as_str().contains('@'));
            match (host, authority) {
                (None, _) => Err(Refusal::bad_request("send a Host header that names a host")),
                (Some(host), Some(authority)) if host != *authority => {
                    Err(Refusal::bad_request("send a Host header that agrees with the request's target"))
                }
                (Some(host), _) => hosts.check(&host),
            }
        }
    }
}

/// A body that says it is too long is refused before a byte of it is read.
fn check_length(headers: &HeaderMap, limit: u64) -> Result<(), Refusal> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| limit < length) { Err(Refusal::body_too_long(limit)) } else { Ok(()) }
}

fn options(allow: &str) -> Response {
    (StatusCode::NO_CONTENT, [("allow", allow)], Body::empty()).into_response()
}

fn allow(endpoints: &[Endpoint]) -> String {
    let mut methods = Vec::new();
    for endpoint in endpoints {
        methods.push(endpoint.method.as_str());
        if endpoint.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}
