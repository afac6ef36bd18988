//! What can stand in a path and in a query?

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use birthday::{Name, Zone, find_zone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::App;
use super::refusal::Refusal;
use crate::coming::{DAYS, DAYS_MAX, Place};
use crate::exchange::Reminders;

/// A name that can be greeted, from the path.
pub(super) struct Greeted(pub(super) Name);

/// A name that can be registered, from the path.
pub(super) struct Registered(pub(super) Name);

/// The zone of `?tz=`, if it is there.
pub(super) struct InZone(pub(super) Option<Zone>);

/// The reminders of `?remind=`; none if it is not there.
pub(super) struct Reminded(pub(super) Reminders);

/// `?limit=` and `?after=`.
pub(super) enum Page {
    /// Neither is there: everything is asked for.
    Everything,
    /// One page.
    One {
        /// 1 to [`PAGE_MAX`].
        limit: usize,
        /// The name before the first one.
        after: Option<Name>,
    },
}

/// `?days=`, `?limit=` and `?after=`.
pub(super) struct DaysAhead {
    /// 0 to [`DAYS_MAX`].
    pub(super) days: u16,
    /// 1 to [`PAGE_MAX`].
    pub(super) limit: usize,
    /// The place before the first one.
    pub(super) after: Option<Place>,
}

/// The most users of one page, and as many as are read at once.
pub(super) const PAGE_MAX: usize = 1000;

impl FromRequestParts<Arc<App>> for Greeted {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Ok(Self(Name::parse_letters(&username(parts, app).await?)?))
    }
}

impl FromRequestParts<Arc<App>> for Registered {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Ok(Self(Name::parse(&username(parts, app).await?)?))
    }
}

impl FromRequestParts<Arc<App>> for InZone {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Parameters {
            tz: Option<String>,
        }
        let Parameters { tz } = query(parts, "send the parameter tz at most once")?;
        Ok(Self(tz.as_deref().map(find_zone).transpose()?))
    }
}

impl FromRequestParts<Arc<App>> for Reminded {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Parameters {
            remind: Option<String>,
        }
        let Parameters { remind } = query(parts, "send the parameter remind at most once")?;
        Ok(Self(remind.as_deref().map(str::parse).transpose()?.unwrap_or_default()))
    }
}

impl FromRequestParts<Arc<App>> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Parameters {
            limit: Option<String>,
            after: Option<String>,
        }
        match query(parts, "send the parameters limit and after at most once each")? {
            Parameters { limit: None, after: None } => Ok(Self::Everything),
            Parameters { limit, after } => {
                let limit = page_size(limit.as_deref())?;
                let after = after.as_deref().map(Name::parse).transpose().map_err(|error| {
                    Refusal::bad_request(format!("the parameter after must be a username: {error}"))
                })?;
                Ok(Self::One { limit, after })
            }
        }
    }
}

impl FromRequestParts<Arc<App>> for DaysAhead {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Parameters {
            days: Option<String>,
            limit: Option<String>,
            after: Option<String>,
        }
        let Parameters { days, limit, after } =
            query(parts, "send the parameters days, limit and after at most once each")?;
        let days = days.map_or(Ok(DAYS), |days| number("days", &days, 0..=DAYS_MAX))?;
        let after = after.as_deref().map(str::parse).transpose().map_err(|error| {
            Refusal::bad_request(format!("the parameter after must be a place in the list: {error}"))
        });
        Ok(Self { days, limit: page_size(limit.as_deref())?, after: after? })
    }
}

/// What is left as it is where it stands in a path or in a query: RFC 3986, section 2.3.
pub(super) fn encoded(text: &str) -> impl fmt::Display + '_ {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, &RESERVED)
}

async fn username(parts: &mut Parts, app: &Arc<App>) -> Result<String, Refusal> {
    let Path(username) = Path::from_request_parts(parts, app)
        .await
        .map_err(|_| Refusal::bad_request("the username must be percent-encoded UTF-8"))?;
    Ok(username)
}

fn query<T: DeserializeOwned>(parts: &Parts, once: &'static str) -> Result<T, Refusal> {
    let Query(parameters) = Query::try_from_uri(&parts.uri).map_err(|_| Refusal::bad_request(once))?;
    Ok(parameters)
}

fn page_size(limit: Option<&str>) -> Result<usize, Refusal> {
    limit.map_or(Ok(PAGE_MAX), |limit| number("limit", limit, 1..=PAGE_MAX))
}

/// A number in ASCII digits alone.
fn number<T>(parameter: &str, text: &str, range: RangeInclusive<T>) -> Result<T, Refusal>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        Refusal::bad_request(format!("the parameter {parameter} must be a number from {least} to {most}"))
    })
}
