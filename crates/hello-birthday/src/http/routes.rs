//! Which routes are there? One table; a row has its path, its methods, and for each method the scope
//! that it needs and the body that it takes.
//!
//! `Allow`, the labels of metrics, the body limits and authorization read these rows. A method can't be
//! added without saying who may call it.

use std::fmt;
use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::MethodRouter;

use super::{App, birthdays, calendar, docs, health, hello, metrics, openapi, page, users};
use crate::access::Scope;

/// The path of the metrics, which may have a listener of their own.
pub(super) const METRICS: &str = "/metrics";

const KIB: u64 = 1024;

/// Every route of the service.
#[must_use]
pub fn all() -> Vec<Route> {
    use Access::Public;
    use Scope::{Calendar, HelloRead, HelloWrite, Metrics, UserRead, UserWrite};
    vec![
        Route::at("/").get(Public, page::show).post(HelloWrite, 4 * KIB, page::save),
        Route::at("/hello/{username}").get(HelloRead, hello::greet).put(HelloWrite, KIB, hello::save),
        Route::at("/user").get(UserRead, users::list).post(UserWrite, 4 * KIB, users::register),
        Route::at("/user/{username}")
            .get(UserRead, users::show)
            .put(UserWrite, KIB, users::change_email)
            .delete(UserWrite, users::erase),
        // A greeting is told to who knows the name; this tells all names.
        Route::at("/birthdays").get(UserRead, birthdays::list),
        Route::at("/birthdays.ics").get(Calendar, calendar::feed),
        Route::at("/-/healthy").get(Public, health::healthy),
        Route::at("/-/ready").get(Public, health::ready),
        Route::at(METRICS).get(Metrics, metrics::show),
        Route::at("/openapi.json").get(Public, openapi::show),
        Route::at("/docs").get(Public, docs::show),
    ]
}

/// Who may call an endpoint, where tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever shows a token with that scope.
    Scoped(Scope),
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Scoped(scope)
    }
}

/// As the README has it.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Scoped(scope) => scope.fmt(f),
        }
    }
}

/// One method of one route.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The method. `HEAD` goes with `GET`, and `OPTIONS` with every route.
    pub method: Method,
    /// Who may call it.
    pub access: Access,
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

    fn get<T: 'static>(self, access: impl Into<Access>, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::GET, access.into(), None, |handlers| handlers.get(handler))
    }

    fn put<T: 'static>(
        self,
        access: impl Into<Access>,
        body_limit: u64,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.with(Method::PUT, access.into(), Some(body_limit), |handlers| handlers.put(handler))
    }

    fn post<T: 'static>(
        self,
        access: impl Into<Access>,
        body_limit: u64,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.with(Method::POST, access.into(), Some(body_limit), |handlers| handlers.post(handler))
    }

    fn delete<T: 'static>(self, access: impl Into<Access>, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::DELETE, access.into(), None, |handlers| handlers.delete(handler))
    }

    fn with(
        mut self,
        method: Method,
        access: Access,
        body_limit: Option<u64>,
        add: impl FnOnce(MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>>,
    ) -> Self {
        self.endpoints.push(Endpoint { method, access, body_limit });
        self.handlers = add(self.handlers);
        self
    }
}
