//! Which routes are there? One table; a row has its path, its methods, and for each method the scope
//! that it needs and the body that it takes.
//!
//! `Allow`, the labels of metrics, the body limits and (once there are tokens) authorization read these
//! rows. A method can't be added without its scope.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::MethodRouter;

use super::{App, health, hello, index, metrics, users};

/// The path of the metrics, which may have a listener of their own.
pub(super) const METRICS: &str = "/metrics";

const KIB: u64 = 1024;

/// Every route of the service.
#[must_use]
pub fn all() -> Vec<Route> {
    use Scope::{HelloRead, HelloWrite, Metrics, Public, UserRead, UserWrite};
    vec![
        Route::at("/").get(Public, index::hello_world),
        Route::at("/hello/{username}").get(HelloRead, hello::greet).put(HelloWrite, KIB, hello::save),
        Route::at("/user").get(UserRead, users::list).post(UserWrite, 4 * KIB, users::register),
        Route::at("/user/{username}")
            .get(UserRead, users::show)
            .put(UserWrite, KIB, users::change_email)
            .delete(UserWrite, users::erase),
        Route::at("/-/healthy").get(Public, health::healthy),
        Route::at("/-/ready").get(Public, health::ready),
        Route::at(METRICS).get(Metrics, metrics::show),
    ]
}

/// What a caller must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing in particular.
    Public,
    /// To be told a greeting, and so the day of a birthday.
    HelloRead,
    /// To save a birthday.
    HelloWrite,
    /// To read records.
    UserRead,
    /// To register, change and erase users.
    UserWrite,
    /// To read the metrics.
    Metrics,
}

/// One method of one route.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The method. `HEAD` goes with `GET`, and `OPTIONS` with every route.
    pub method: Method,
    /// What its caller must be allowed to do.
    pub scope: Scope,
    /// The most bytes that its body may have; `None` where none is read.
    pub body_limit: Option<u64>,
}

/// One route.
pub struct Route {
    path: &'static str,
    endpoints: Vec<Endpoint>,
    handlers: MethodRouter<Arc<App>>,
}

impl Route {
    fn at(path: &'static str) -> Self {
        Self { path, endpoints: Vec::new(), handlers: MethodRouter::new() }
    }

    /// The path, with names in braces for what varies.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// The methods.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub(super) fn into_parts(self) -> (&'static str, Vec<Endpoint>, MethodRouter<Arc<App>>) {
        (self.path, self.endpoints, self.handlers)
    }

    fn get<T: 'static>(self, scope: Scope, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::GET, scope, None, |handlers| handlers.get(handler))
    }

    fn put<T: 'static>(self, scope: Scope, body_limit: u64, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::PUT, scope, Some(body_limit), |handlers| handlers.put(handler))
    }

    fn post<T: 'static>(self, scope: Scope, body_limit: u64, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::POST, scope, Some(body_limit), |handlers| handlers.post(handler))
    }

    fn delete<T: 'static>(self, scope: Scope, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::DELETE, scope, None, |handlers| handlers.delete(handler))
    }

    fn with(
        mut self,
        method: Method,
        scope: Scope,
        body_limit: Option<u64>,
        add: impl FnOnce(MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>>,
    ) -> Self {
        self.endpoints.push(Endpoint { method, scope, body_limit });
        self.handlers = add(self.handlers);
        self
    }
}
