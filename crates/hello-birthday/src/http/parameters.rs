//! What can stand in a path and in a query?

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use birthday::{Name, Zone, find_zone};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::App;
use super::refusal::Refusal;
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
                let limit = limit.as_deref().map_or(Some(PAGE_MAX), page_size);
                let limit = limit.ok_or_else(|| {
                    Refusal::bad_request(format!("the parameter limit must be a number from 1 to {PAGE_MAX}"))
                })?;
                let after = after.as_deref().map(Name::parse).transpose().map_err(|error| {
                    Refusal::bad_request(format!("the parameter after must be a username: {error}"))
                })?;
                Ok(Self::One { limit, after })
            }
        }
    }
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

fn page_size(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|_| digits)?;
    (1..=PAGE_MAX).contains(&size).then_some(size)
}
