//! How does the service say no? Every error becomes an answer here, and nowhere else: problem details
//! (RFC 9457) that tell the caller in one sentence what to change, and nothing of the inside.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use birthday::{InvalidBirthday, InvalidEmail, InvalidName, UnknownTimeZone};
use serde::Serialize;
use store::{Reason, StoreError};

use crate::access::Scope;
use crate::exchange::InvalidReminders;

/// An answer that refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
    outcome: Option<Outcome>,
    header: Option<(HeaderName, HeaderValue)>,
    /// Whether the connection ends with it: nobody can tell where the next request would begin, or it
    /// would take too long to get there.
    closes: bool,
    /// For the log alone.
    cause: Option<Cause>,
}

/// What a store said that failed; it goes with the answer, within this program, to where requests are logged.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) Arc<StoreError>);

/// Seconds after which a client may try again; spread, so that many don't come back at once.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u16> = 1..=3;

#[derive(Serialize)]
struct Problem<'a> {
    /// The problem is no more than what the status says (RFC 9457, section 4.2.1).
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// What became of a change that was not done.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    NotApplied,
    Unknown,
}

impl Refusal {
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn unclear_framing() -> Self {
        Self::bad_request("send Transfer-Encoding at most once, with the value chunked").and_close()
    }

    pub(super) fn broken_body() -> Self {
        Self::bad_request("send the whole body, framed as HTTP/1.1 says").and_close()
    }

    /// RFC 6750, section 3.1: where no token was sent, no error is named.
    pub(super) fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "send the header Authorization: Bearer with a token")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="hello-birthday""#))
    }

    pub(super) fn invalid_token(detail: &'static str) -> Self {
        let challenge = r#"Bearer realm="hello-birthday", error="invalid_token""#;
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(super) fn insufficient_scope(needed: Scope) -> Self {
        let challenge =
            format!(r#"Bearer realm="hello-birthday", error="insufficient_scope", scope="{needed}""#);
        let refusal = Self::new(StatusCode::FORBIDDEN, format!("use a token with the scope {needed}"));
        match HeaderValue::from_str(&challenge) {
            Ok(challenge) => refusal.with(WWW_AUTHENTICATE, challenge),
            Err(_) => refusal,
        }
    }

    pub(super) fn of_another_site() -> Self {
        let detail = "send changes from this service's own page, or from no page";
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn misdirected() -> Self {
        let detail = "ask by an IP address, by localhost, or by a name that the service was given by --host or HELLO_HOSTS";
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    pub(super) fn unknown_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nobody of that name is registered")
    }

    pub(super) fn unknown_birthday() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no birthday is saved for that name")
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(super) fn method_not_allowed(allow: &str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("use one of the methods {allow}"));
        match HeaderValue::from_str(allow) {
            Ok(allow) => refusal.with(ALLOW, allow),
            Err(_) => refusal,
        }
    }

    pub(super) fn body_too_late(seconds: u64) -> Self {
        let detail = format!("send the whole body within {seconds} seconds");
        Self::new(StatusCode::REQUEST_TIMEOUT, detail).and_close()
    }

    pub(super) fn other_email() -> Self {
        let detail = "the user has another e-mail address; change it with PUT /user/<username>";
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn body_too_long(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("send a body of at most {limit} bytes")).and_close()
    }

    pub(super) fn uri_too_long(limit: usize) -> Self {
        let detail = format!("send a path and a query of at most {limit} bytes each");
        Self::new(StatusCode::URI_TOO_LONG, detail)
    }

    pub(super) fn headers_too_long(limit: usize) -> Self {
        let detail = format!("send headers of at most {limit} bytes in all");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the header Content-Type: application/json")
            .with(ACCEPT, HeaderValue::from_static("application/json"))
    }

    pub(super) fn not_a_form() -> Self {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        let detail = "send the header Content-Type: application/x-www-form-urlencoded";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).with(ACCEPT, FORM)
    }

    /// RFC 9110, section 12.5.3: a 415 for a coding says in Accept-Encoding which ones are taken.
    pub(super) fn encoded() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as it is, without the header Content-Encoding",
        )
        .with(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    pub(super) fn expectation_failed() -> Self {
        Self::new(StatusCode::EXPECTATION_FAILED, "send no Expect header other than Expect: 100-continue")
    }

    pub(super) fn too_many_requests(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "send fewer requests a second")
            .with(RETRY_AFTER, seconds.into())
    }

    pub(super) fn not_ready(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_retry()
    }

    /// A read that failed.
    pub(super) fn unread(error: &StoreError) -> Self {
        Self::of_store(error, "nothing was read; try again", None)
    }

    /// A change that was not applied, or of which nobody knows.
    pub(super) fn unwritten(error: &StoreError) -> Self {
        match error {
            StoreError::NotApplied(_) => {
                Self::of_store(error, "nothing was changed; try again", Some(Outcome::NotApplied))
            }
            StoreError::Unknown(_) => Self::of_store(
                error,
                "the change may have been made or not; it is safe to send it again",
                Some(Outcome::Unknown),
            ),
        }
    }

    fn of_store(error: &StoreError, then: &'static str, outcome: Option<Outcome>) -> Self {
        let what = match error.reason() {
            Reason::Overloaded => "the service is overloaded",
            Reason::TooSlow => "the store is too slow",
            Reason::Full => "the store is full",
            Reason::Unavailable(_) | Reason::Refused(_) => "the store does not answer",
        };
        let detail = format!("{what}; {then}");
        let cause = Some(Cause(Arc::new(error.clone())));
        Self { outcome, cause, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }.with_retry()
    }

    /// What to change, in one sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The page that tells these refusals in its own words; its status is that of the first.
    pub(super) fn told_by(all: &[&Self], mut page: Response<Body>) -> Response<Body> {
        if let Some(first) = all.first() {
            *page.status_mut() = first.status;
            page.headers_mut().extend(first.header.clone());
        }
        if let Some(cause) = all.iter().find_map(|refusal| refusal.cause.clone()) {
            page.extensions_mut().insert(cause);
        }
        page
    }

    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), outcome: None, header: None, closes: false, cause: None }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    fn and_close(self) -> Self {
        Self { closes: true, ..self }
    }

    fn with_retry(self) -> Self {
        self.with(RETRY_AFTER, fastrand::u16(RETRY_AFTER_SECONDS).into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let Self { status, detail, outcome, header, closes, cause } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let problem =
            Problem { r#type: "about:blank", title, status: status.as_u16(), detail: &detail, outcome };
        // Numbers and texts always have a JSON form.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.headers_mut().extend(header);
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        if closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<InvalidName> for Refusal {
    fn from(error: InvalidName) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<InvalidBirthday> for Refusal {
    fn from(error: InvalidBirthday) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<InvalidEmail> for Refusal {
    fn from(error: InvalidEmail) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<UnknownTimeZone> for Refusal {
    fn from(error: UnknownTimeZone) -> Self {
        Self::bad_request(format!("{error} (parameter tz)"))
    }
}

impl From<InvalidReminders> for Refusal {
    fn from(error: InvalidReminders) -> Self {
        Self::bad_request(format!("{error} (parameter remind)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_tells_of_more_than_one_refusal_is_logged_for_the_store_all_the_same() {
        let failed = Refusal::unread(&StoreError::NotApplied(Reason::TooSlow));
        let page = Refusal::told_by(&[&Refusal::bad_request("no name"), &failed], Response::default());
        assert_eq!(page.status(), StatusCode::BAD_REQUEST);
        assert!(page.extensions().get::<Cause>().is_some());
    }
}
