//! The service over HTTP: what every request gets.

pub mod routes;
mod gate;
mod hosts;
mod same_site;
mod authorization;
mod request_id;
mod refusal;
mod payload;
mod parameters;
mod accept;
mod html;
mod page;
mod hello;
mod users;
mod birthdays;
mod calendar;
mod health;
mod metrics;
mod openapi;
mod docs;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use birthday::Almanac;
use hyper::body::Incoming;
use hyper::{Request, Response};
use prometheus_client::registry::Registry;
use server::Rate;
use store::Store;
use tower::Service as _;

use crate::access::TokensInForce;
use crate::log::Log;
use authorization::Authorization;
pub use health::Readiness;
pub use hosts::{HostName, Hosts};
use metrics::RequestMetrics;
pub use openapi::OPENAPI;

/// What the handlers work with.
pub struct App {
    store: Store,
    almanac: Almanac,
    readiness: Readiness,
    metrics: Arc<Registry>,
    /// For the one page that greets without a token where none is asked for.
    authorization: Authorization,
}

/// What the service is made of.
pub struct Parts {
    /// Where the users are.
    pub store: Store,
    /// What day it is.
    pub almanac: Almanac,
    /// Whether requests should be sent here.
    pub readiness: Readiness,
    /// Where requests are logged.
    pub log: Log,
    /// By which names it may be asked.
    pub hosts: Hosts,
    /// Who may do what; `None` where anybody may do anything.
    pub tokens: Option<TokensInForce>,
    /// How many requests a client address may make; `None` for as many as it likes.
    pub rate: Option<Rate>,
    /// Where requests are counted, beside what the other rooms count there.
    pub registry: Registry,
}

/// On which listener the metrics are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsOn {
    /// Beside everything else.
    Main,
    /// Alone on a listener of their own.
    Own,
}

/// Answers the requests of one listener; cheap to clone.
#[derive(Clone)]
pub struct Service(Router);

impl Service {
    /// The services of the main listener, and of the metrics' own one.
    #[must_use]
    pub fn new(parts: Parts, metrics_on: MetricsOn) -> (Self, Self) {
        let Parts { store, almanac, readiness, log, hosts, tokens, rate, mut registry } = parts;
        let rate = rate.map(Arc::new);
        let requests = RequestMetrics::register(&mut registry);
        let authorization = Authorization::by(tokens, almanac.clone());
        let metrics = Arc::new(registry);
        let app = App { store, almanac, readiness, metrics, authorization: authorization.clone() };
        let app = Arc::new(app);
        let (main, own) = match metrics_on {
            MetricsOn::Main => (routes::all(), Vec::new()),
            MetricsOn::Own => routes::all().into_iter().partition(|route| route.path() != routes::METRICS),
        };
        let service = |routes, rate, hosts, authorization| {
            Self(gate::router(routes, &app, &log, &requests, rate, hosts, authorization))
        };
        // Whoever can reach a listener for the metrics alone was let in by that.
        (
            service(main, rate.as_ref(), &hosts, &authorization),
            service(own, None, &Hosts::any(), &Authorization::Off),
        )
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = axum::routing::future::RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // A Router is always ready.
        self.0.clone().call(request)
    }
}
