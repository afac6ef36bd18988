//! The calendar: everybody's birthday, for programs that subscribe to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use birthday::Name;
use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use store::{Store, StoreError};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::parameters::{PAGE_MAX, Reminded};
use super::refusal::Refusal;
use crate::exchange::Calendar;

/// How long the reading for an entity tag may take: the head of the answer must be there within 2 s.
const TAGGED_WITHIN: Duration = Duration::from_secs(1);

/// A subscriber may keep it, and asks each time whether it is still the same.
const KEPT_BY_ONE_AND_ASKED_AGAIN: &str = "private, no-cache";

/// `GET /birthdays.ics`: everybody's birthday, or 304 to whoever has it already.
pub(super) async fn feed(
    State(app): State<Arc<App>>,
    Reminded(reminders): Reminded,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let calendar = Calendar::new(app.almanac.leap_day(), reminders);
    let feed = Feed { store: app.store.clone(), calendar };
    feed.answer(&headers, Instant::now() + TAGGED_WITHIN).await.map_err(|error| Refusal::unread(&error))
}

/// The calendar of the users in a store.
struct Feed {
    store: Store,
    calendar: Calendar,
}

/// The text of one page of users.
struct Chunk {
    text: Vec<u8>,
    /// The last name of a full page; others are the end of the calendar.
    last: Option<Name>,
}

impl Feed {
    async fn answer(self, headers: &HeaderMap, tagged_until: Instant) -> Result<Response, StoreError> {
        let first = self.chunk(None).await?;
        let tag = self.tag(&first, tagged_until).await?;
        let kept = (CACHE_CONTROL, KEPT_BY_ONE_AND_ASKED_AGAIN);
        let is_known = tag.as_ref().is_some_and(|tag| has_already(headers, tag));
        let tag = tag.map(|tag| [(ETAG, tag)]);
        if is_known {
            return Ok((StatusCode::NOT_MODIFIED, [kept], tag, ()).into_response());
        }
        let head = [kept, (CONTENT_TYPE, "text/calendar; charset=utf-8")];
        Ok((head, tag, self.body(first)).into_response())
    }

    /// What is written of the users after that name, or of the first ones.
    async fn chunk(&self, after: Option<&Name>) -> Result<Chunk, StoreError> {
        let users = self.store.users(after, PAGE_MAX).await?;
        let last = users.last().filter(|_| users.len() == PAGE_MAX).map(|user| user.name.clone());
        let mut text = Vec::new();
        if after.is_none() {
            self.calendar.write_head(&mut text);
        }
        for user in &users {
            self.calendar.write_user(user, &mut text);
        }
        if last.is_none() {
            self.calendar.write_end(&mut text);
        }
        Ok(Chunk { text, last })
    }

    /// The entity tag of the whole, if that is read in time. It stands in the head, before the body: more
    /// than one page is read once for the tag and, if the subscriber has another one, once more to be sent.
    ///
    /// What is changed in between is sent under a tag that nothing has any more, so it is asked for again.
    async fn tag(&self, first: &Chunk, until: Instant) -> Result<Option<String>, StoreError> {
        let mut digest = Sha256::new_with_prefix(&first.text);
        let mut last = first.last.clone();
        while let Some(name) = last {
            // The embedded store never waits, so others on this thread are let in between.
            yield_now().await;
            if until <= Instant::now() {
                return Ok(None);
            }
            let Ok(chunk) = timeout_at(until, self.chunk(Some(&name))).await else { return Ok(None) };
            let chunk = chunk?;
            digest.update(&chunk.text);
            last = chunk.last;
        }
        let digits: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(format!("\"{digits}\"")))
    }

    fn body(self, first: Chunk) -> Body {
        match first.last {
            None => first.text.into(),
            Some(_) => Body::from_stream(self.read(first)),
        }
    }

    /// Reads page by page while the client takes them; nothing is held between two pages.
    fn read(self, first: Chunk) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(Some((self, Ok(first))), |state| async {
            let (feed, chunk) = state?;
            match chunk {
                Ok(Chunk { text, last: None }) => Some((Ok(text.into()), None)),
                Ok(Chunk { text, last: Some(last) }) => {
                    let next = feed.chunk(Some(&last)).await;
                    Some((Ok(text.into()), Some((feed, next))))
                }
                // The status is sent already: all that is left is to break the connection off.
                Err(error) => {
                    tracing::warn!(%error, "a calendar was broken off");
                    Some((Err(io::Error::other(error)), None))
                }
            }
        })
    }
}

/// RFC 9110, section 13.1.2: any of the tags that were sent will do, weak or not, and `*` stands for all.
fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let sent = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut sent = sent.flat_map(|value| value.split(',')).map(str::trim);
    sent.any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(sent) == tag)
}

#[cfg(test)]
mod tests {
    use birthday::{Birthday, LeapDay};
    use http_body_util::BodyExt;
    use prometheus_client::registry::Registry;
    use store::{Change, Location, Options};

    use super::*;
    use crate::exchange::Reminders;

    #[tokio::test]
    async fn what_takes_too_long_to_tag_is_sent_without_a_tag() {
        let mut registry = Registry::default();
        let store = Store::open(&Location::SqliteMemory, Options::default(), &mut registry).await.unwrap();
        let birthday = Birthday::from_stored(6, 15, None).unwrap();
        let savers = (0..=PAGE_MAX).map(|number| {
            let (store, name) = (store.clone(), Name::parse(&number.to_string()).unwrap());
            tokio::spawn(async move { store.commit(Change::SaveBirthday { name, birthday }).await.unwrap() })
        });
        for saver in savers.collect::<Vec<_>>() {
            saver.await.unwrap();
        }
        let calendar = Calendar::new(LeapDay::Feb28, Reminders::default());
        let feed = Feed { store, calendar };
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, "*".parse().unwrap())]);
        let answer = feed.answer(&known, Instant::now()).await.unwrap();
        assert_eq!((answer.status(), answer.headers().get(ETAG)), (StatusCode::OK, None));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let events = body.windows(12).filter(|window| window == b"BEGIN:VEVENT");
        assert_eq!(events.count(), PAGE_MAX + 1);
    }
}
