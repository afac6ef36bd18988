//! How is a body read? As one JSON object, or the form of a page, in time, and no longer than its route allows.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::refusal::Refusal;

/// How long a body may take, from the head of its request to its last byte.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// The most bytes that a body may have; the gate puts it into the request.
#[derive(Clone, Copy)]
pub(super) struct BodyLimit(pub(super) u64);

/// A JSON object with the keys that `T` names.
pub(super) struct Payload<T>(pub(super) T);

/// The fields that `T` names, as a page's form sends them.
pub(super) struct Submitted<T>(pub(super) T);

/// What a handler wants to be sent, and how it tells a caller who sent something else.
pub(super) trait Expected: DeserializeOwned {
    /// One sentence.
    const SHAPE: &'static str;
}

/// How a body is written.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Form,
}

impl<T: Expected, S: Sync> FromRequest<S> for Payload<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        parse(&body(request, Format::Json).await?).map(Self)
    }
}

impl<T: Expected, S: Sync> FromRequest<S> for Submitted<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let bytes = body(request, Format::Form).await?;
        let fields = serde_urlencoded::from_bytes(&bytes);
        fields.map(Self).map_err(|_| Refusal::bad_request(T::SHAPE))
    }
}

async fn body(request: Request, format: Format) -> Result<Bytes, Refusal> {
    check_headers(request.headers(), format)?;
    let limit = request.extensions().get().map_or(0, |BodyLimit(limit)| *limit);
    read(request.into_body(), limit).await
}

fn check_headers(headers: &HeaderMap, format: Format) -> Result<(), Refusal> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::encoded());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next(), format) {
        (None, _, Format::Json) => Ok(()),
        (Some(content_type), None, Format::Json) if is_json(content_type.as_bytes()) => Ok(()),
        (Some(content_type), None, Format::Form) if is_form(content_type.as_bytes()) => Ok(()),
        (_, _, Format::Json) => Err(Refusal::not_json()),
        // A form says that it is one: browsers do.
        (_, _, Format::Form) => Err(Refusal::not_a_form()),
    }
}

/// `application/json` or a type that ends in `+json` (RFC 6839), in UTF-8.
fn is_json(content_type: &[u8]) -> bool {
    is_utf_8_and(content_type, |essence| {
        essence == "application/json"
            || essence.strip_prefix("application/").is_some_and(|subtype| subtype.ends_with("+json"))
    })
}

/// `application/x-www-form-urlencoded` (<https://url.spec.whatwg.org/#application/x-www-form-urlencoded>), in UTF-8.
fn is_form(content_type: &[u8]) -> bool {
    is_utf_8_and(content_type, |essence| essence == "application/x-www-form-urlencoded")
}

fn is_utf_8_and(content_type: &[u8], is_right: impl Fn(&str) -> bool) -> bool {
    let Ok(text) = std::str::from_utf8(content_type) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let utf_8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    is_right(&essence) && parts.all(utf_8)
}

async fn read(body: Body, limit: u64) -> Result<Bytes, Refusal> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match timeout(BODY_WITHIN, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::body_too_long(limit)),
        Ok(Err(_)) => Err(Refusal::broken_body()),
        Err(_) => Err(Refusal::body_too_late(BODY_WITHIN.as_secs())),
    }
}

fn parse<T: Expected>(bytes: &[u8]) -> Result<T, Refusal> {
    // What is skipped, such as a key that nobody knows, is not looked at by the parser.
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::bad_request("send the body in UTF-8"))?;
    // A JSON array would be taken for an object with its values in order.
    let first = text.bytes().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| byte != b'{') {
        return Err(Refusal::bad_request(T::SHAPE));
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::bad_request(T::SHAPE),
        _ if text.is_empty() => Refusal::bad_request(T::SHAPE),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => {
            let (line, column) = (error.line(), error.column());
            Refusal::bad_request(format!("the body is not valid JSON at line {line}, column {column}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_type() {
        for json in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/merge-patch+json",
        ] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in [
            "",
            "text/json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json; charset=utf-16",
            "image/svg+json",
            "application/json, text/plain",
            "application/\u{ff}json",
        ] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
    #[test]
    fn a_form_is_told_by_its_type() {
        let form = "application/x-www-form-urlencoded";
        for form in [form, "Application/X-WWW-Form-Urlencoded", &format!("{form}; charset=utf-8")] {
            assert!(is_form(form.as_bytes()), "{form}");
        }
        for other in ["", "application/json", "multipart/form-data; boundary=a", "text/plain"] {
            assert!(!is_form(other.as_bytes()), "{other}");
        }
        assert!(!is_form(format!("{form}; charset=latin1").as_bytes()));
    }
}
