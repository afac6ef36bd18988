//! May whoever sends a request do what it asks for? The one place where that is decided: by the head of the
//! request and what the table of routes says, before a byte of the body is read.

use axum::extract::{Query, Request};
use axum::http::Uri;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use birthday::Almanac;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::refusal::Refusal;
use super::routes::Access;
use crate::access::{Scope, TokensInForce};

/// By what it is decided.
#[derive(Clone)]
pub(super) enum Authorization {
    /// By nothing: anybody may do anything.
    Off,
    /// By the token that is shown, on the day that it is.
    ByToken(TokensInForce, Almanac),
}

/// A token as a request shows it; without `Debug`, so that it is in no log.
enum Shown {
    Nowhere,
    InHeader(Vec<u8>),
    InUrl(String),
}

impl Authorization {
    pub(super) fn by(tokens: Option<TokensInForce>, almanac: Almanac) -> Self {
        tokens.map_or(Self::Off, |tokens| Self::ByToken(tokens, almanac))
    }

    /// Refuses a caller who may not do that. Puts the id of a known token into the request.
    pub(super) fn check(&self, access: Access, request: &mut Request) -> Result<(), Refusal> {
        match (self, access) {
            (Self::Off, _) | (Self::ByToken(..), Access::Public) => Ok(()),
            (Self::ByToken(tokens, almanac), Access::Scoped(scope)) => {
                check_token(tokens, almanac, scope, request)
            }
        }
    }
}

fn check_token(
    tokens: &TokensInForce,
    almanac: &Almanac,
    scope: Scope,
    request: &mut Request,
) -> Result<(), Refusal> {
    let shown = Shown::by(request, scope)?;
    let found = match &shown {
        Shown::Nowhere => return Err(Refusal::no_token()),
        Shown::InHeader(token) => tokens.find(token),
        Shown::InUrl(token) => tokens.find(token.as_bytes()),
    };
    let grant = found.ok_or_else(|| Refusal::invalid_token("use a token that this service knows"))?;
    request.extensions_mut().insert(grant.id().clone());
    if !grant.is_valid_on(almanac.today(Some(&TimeZone::UTC))) {
        return Err(Refusal::invalid_token("use a token that has not expired"));
    }
    // What a URL gives away should open nothing else.
    if matches!(shown, Shown::InUrl(_)) && !grant.scopes().are_only(scope) {
        return Err(Refusal::invalid_token("use a token with no other scope in a URL"));
    }
    if grant.scopes().contain(scope) { Ok(()) } else { Err(Refusal::insufficient_scope(scope)) }
}

impl Shown {
    fn by(request: &Request, scope: Scope) -> Result<Self, Refusal> {
        let in_header = in_header(request.headers())?;
        let in_url = if scope.allows_token_in_url() { in_url(request.uri())? } else { None };
        match (in_header, in_url) {
            (None, None) => Ok(Self::Nowhere),
            (Some(token), None) => Ok(Self::InHeader(token)),
            (None, Some(token)) => Ok(Self::InUrl(token)),
            (Some(_), Some(_)) => {
                Err(Refusal::bad_request("send the token in a header or in the URL, not in both"))
            }
        }
    }
}

fn in_header(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(bearer(value)),
        (Some(_), Some(_)) => Err(Refusal::bad_request("send the header Authorization at most once")),
    }
}

/// RFC 6750, section 2.1, with a scheme whose case doesn't matter (RFC 9110, section 11.1). What has another
/// scheme shows no token.
fn bearer(value: &HeaderValue) -> Option<Vec<u8>> {
    let mut words = value.as_bytes().splitn(2, |byte| *byte == b' ');
    let is_bearer = words.next()?.eq_ignore_ascii_case(b"Bearer");
    is_bearer.then(|| words.next().unwrap_or_default().trim_ascii().to_vec())
}

fn in_url(uri: &Uri) -> Result<Option<String>, Refusal> {
    #[derive(Deserialize)]
    struct Parameters {
        token: Option<String>,
    }
    let Query(Parameters { token }) = Query::try_from_uri(uri)
        .map_err(|_| Refusal::bad_request("send the parameter token at most once"))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::response::IntoResponse;
    use birthday::{LeapDay, find_zone};

    use super::*;
    use crate::access::{Grant, Label, Token, Tokens, parse_day};

    /// What a request to that URL with those values of Authorization is answered, where the only token
    /// has these scopes and ends on 23 November 2026; 200 where it may go on.
    fn status(now: &'static str, scopes: &str, access: Access, ask: impl FnOnce(&str) -> Ask) -> u16 {
        let token = Token::make().unwrap();
        let last_day = Some(parse_day("2026-11-23").unwrap());
        let grant = Grant::to(&token, scopes.parse().unwrap(), last_day, Label::default());
        let tokens: Tokens = grant.to_string().parse().unwrap();
        // Far from UTC: a token's last day doesn't follow the service's zone.
        let zone = find_zone("Pacific/Kiritimati").unwrap();
        let almanac = Almanac::new(zone, LeapDay::Feb28, Arc::new(move || now.parse().unwrap()));
        let Ask(url, headers) = ask(token.reveal());
        let mut request = Request::builder().uri(url).body(Body::empty()).unwrap();
        for value in headers {
            request.headers_mut().append(AUTHORIZATION, value.parse().unwrap());
        }
        match Authorization::by(Some(tokens.into()), almanac).check(access, &mut request) {
            Ok(()) => 200,
            Err(refusal) => refusal.into_response().status().as_u16(),
        }
    }

    struct Ask(String, Vec<String>);

    const NOW: &str = "2026-11-23T12:00:00Z";
    const CALENDAR: Access = Access::Scoped(Scope::Calendar);

    fn with_header(value: String) -> Ask {
        Ask("/".into(), vec![value])
    }

    #[test]
    fn a_token_is_shown_in_one_header() {
        let access = Scope::HelloRead.into();
        let ask = |headers: fn(&str) -> Vec<String>| {
            status(NOW, "hello:read", access, |token| Ask("/".into(), headers(token)))
        };
        assert_eq!(ask(|token| vec![format!("Bearer {token}")]), 200);
        assert_eq!(ask(|token| vec![format!("bEARER   {token} ")]), 200);
        assert_eq!(ask(|_| vec![]), 401);
        assert_eq!(ask(|token| vec![format!("Bearer {token}"), format!("Bearer {token}")]), 400);
        for malformed in
            ["{}", "Basic {}", "Bearer", "Bearer ", "Bearer{}", "Bearer x{}", "Bearer {} x", "Bearer\t{}", ""]
        {
            let status =
                status(NOW, "hello:read", access, |token| with_header(malformed.replace("{}", token)));
            assert_eq!(status, 401, "{malformed}");
        }
        assert_eq!(status(NOW, "hello:read", access, |token| Ask(format!("/?token={token}"), vec![])), 401);
    }

    #[test]
    fn a_token_allows_what_its_scopes_say_to_the_end_of_its_last_day_in_utc() {
        let shown = |token: &str| with_header(format!("Bearer {token}"));
        for (now, expected) in [("2026-11-23T23:59:59.999Z", 200), ("2026-11-24T00:00:00Z", 401)] {
            assert_eq!(status(now, "hello:read", Scope::HelloRead.into(), shown), expected, "{now}");
        }
        for needed in Scope::ALL {
            for given in Scope::ALL {
                let expected = if needed == given { 200 } else { 403 };
                assert_eq!(status(NOW, &given.to_string(), needed.into(), shown), expected);
            }
        }
        assert_eq!(status(NOW, "hello:read", Access::Public, |_| with_header("Bearer x".into())), 200);
    }

    #[test]
    fn a_url_shows_a_token_for_the_calendar_alone_and_only_where_it_is_needed() {
        let in_url = |token: &str| Ask(format!("/?a=b&token={token}"), vec![]);
        for (scopes, access, expected) in [
            ("calendar", CALENDAR, 200),
            ("calendar,hello:read", CALENDAR, 401),
            ("hello:read", CALENDAR, 401),
            ("hello:read", Scope::HelloRead.into(), 401),
            ("calendar", Scope::HelloRead.into(), 401),
        ] {
            assert_eq!(status(NOW, scopes, access, in_url), expected, "{scopes} {access}");
        }
        assert_eq!(status(NOW, "calendar", CALENDAR, |_| Ask("/?token=".into(), vec![])), 401);
        assert_eq!(status(NOW, "calendar", CALENDAR, |t| Ask(format!("/?token={t}&token={t}"), vec![])), 400);
        let both = |t: &str| Ask(format!("/?token={t}"), vec![format!("Bearer {t}")]);
        assert_eq!(status(NOW, "calendar", CALENDAR, both), 400);
        let in_header = |token: &str| with_header(format!("Bearer {token}"));
        assert_eq!(status(NOW, "calendar,hello:read", CALENDAR, in_header), 200);
        assert_eq!(status("2026-11-24T00:00:00Z", "calendar", CALENDAR, in_url), 401);
    }
}
