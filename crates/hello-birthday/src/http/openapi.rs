//! What can be asked of the service, in the words that programs read (OpenAPI 3.1)?

use axum::http::header::{CONTENT_TYPE, HeaderName};

/// The document. It is written by hand; tests compare it with the table of routes and with real answers.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// `GET /openapi.json`: the document.
pub(super) async fn show() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}
