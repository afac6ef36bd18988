//! The coming birthdays: whose, when, and which age they bring.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use birthday::Zone;

use super::App;
use super::parameters::{DaysAhead, InZone, encoded};
use super::refusal::Refusal;
use crate::coming::{Ahead, ComingRecord, Place, page};

/// `GET /birthdays`: one page, soonest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    InZone(zone): InZone,
    asked: DaysAhead,
) -> Result<Response, Refusal> {
    let ahead = Ahead::of(app.almanac.today(zone.as_ref()), asked.days);
    // One more than is shown tells whether there is another page.
    let mut coming = page(&app.store, &app.almanac, ahead, asked.after.as_ref(), asked.limit + 1)
        .await
        .map_err(|error| Refusal::unread(&error))?;
    let more = asked.limit < coming.len();
    coming.truncate(asked.limit);
    let next = coming.last().filter(|_| more).map(|last| next_page(&asked, &last.into(), zone.as_ref()));
    let coming: Vec<_> = coming.iter().map(ComingRecord::from).collect();
    Ok((next.map(|link| [(LINK, link)]), Json(coming)).into_response())
}

fn next_page(asked: &DaysAhead, last: &Place, zone: Option<&Zone>) -> String {
    let DaysAhead { days, limit, after: _ } = asked;
    let after = last.to_string();
    let zone = zone.and_then(|zone| zone.iana_name());
    let tz = zone.map(|name| format!("&tz={}", encoded(name))).unwrap_or_default();
    format!("</birthdays?days={days}&limit={limit}&after={}{tz}>; rel=\"next\"", encoded(&after))
}
