//! How is a page for people sent? Written here, with its style inside, and allowed to load nothing.

use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

/// The style of every page.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

/// What a page may do: be styled by [`STYLE`], show pictures that are in it, and send forms to where it is
/// from. No script, no frame, no other host.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = BASE64.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    // Base64 and these words are visible ASCII.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// A browser that may say nothing of where it comes from says `Origin: null` when it sends a form, and then
/// nobody could tell our forms from other sites'.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

/// An answer with that page.
pub(super) fn answer(status: StatusCode, page: &impl Template) -> Response<Body> {
    // Writing into a String fails only where a value's own Display does.
    sent(status, page.render().unwrap_or_default())
}

/// An answer with a page that was written before.
pub(super) fn sent(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (REFERRER_POLICY, REFERRER),
    ];
    (status, headers, text.into()).into_response()
}
