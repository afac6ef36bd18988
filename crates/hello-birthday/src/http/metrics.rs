//! What is counted of requests, and how is everything that is counted shown?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::App;
use super::routes::{Endpoint, METRICS};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The boundaries of OpenTelemetry's http.server.request.duration, and three below them.
const SECONDS: [f64; 17] = [
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The methods that have a label of their own; all others share the last one, or a client could make up
/// as many time series as it likes.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "_OTHER"];
/// The statuses whose counters are looked up once.
const STATUSES: [u16; 20] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 421, 429, 431, 499, 503];

/// Durations by method, route and status, under the names of OpenTelemetry's conventions.
#[derive(Clone)]
pub(super) struct RequestMetrics(Family<Labels, Histogram, fn() -> Histogram>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    http_request_method: &'static str,
    http_route: &'static str,
    http_response_status_code: u16,
}

/// The same for one route, each found once.
pub(super) struct RouteMetrics {
    family: RequestMetrics,
    route: &'static str,
    found: [[OnceLock<Histogram>; STATUSES.len()]; METHODS.len()],
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family =
            Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register_with_unit(
            "http_server_request_duration",
            "How long requests took until the head of their answer was ready",
            Unit::Seconds,
            family.clone(),
        );
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("hello_birthday_build", "The program's version", version);
        Self(family)
    }

    pub(super) fn route(&self, route: &'static str, endpoints: &[Endpoint]) -> RouteMetrics {
        // A counter that begins with its first failure has no rate until the second: these begin with none.
        let is_asked_by_users = route != METRICS && !route.starts_with("/-/");
        for endpoint in endpoints.iter().filter(|_| is_asked_by_users) {
            let labels = Labels {
                http_request_method: METHODS[place_of(&endpoint.method)],
                http_route: route,
                http_response_status_code: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            };
            drop(self.0.get_or_create(&labels));
        }
        RouteMetrics {
            family: self.clone(),
            route,
            found: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
        }
    }
}

impl RouteMetrics {
    /// Counts one answer, and says under which name of its method.
    pub(super) fn count(&self, method: &Method, status: u16, duration: Duration) -> &'static str {
        let method = place_of(method);
        let seconds = duration.as_secs_f64();
        let labels = Labels {
            http_request_method: METHODS[method],
            http_route: self.route,
            http_response_status_code: status,
        };
        match STATUSES.iter().position(|known| *known == status) {
            Some(status) => {
                let find = || self.family.0.get_or_create(&labels).clone();
                self.found[method][status].get_or_init(find).observe(seconds);
            }
            None => self.family.0.get_or_create(&labels).observe(seconds),
        }
        METHODS[method]
    }
}

fn place_of(method: &Method) -> usize {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1)
}

/// `GET /metrics`: everything that is counted, in the OpenMetrics text format 1.0.
pub(super) async fn show(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 1], String) {
    let mut text = String::new();
    // Writing to memory can't fail.
    let _ = encode(&mut text, &app.metrics);
    ([(CONTENT_TYPE, OPEN_METRICS)], text)
}
