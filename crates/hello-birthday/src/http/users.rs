//! Users and their addresses: list, register, show, change, erase.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LINK, LOCATION};
use axum::response::{IntoResponse, Response};
use birthday::{Email, Name, User};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use store::{Change, Outcome, Store};

use super::App;
use super::parameters::{PAGE_MAX, Page, Registered, encoded};
use super::payload::{Expected, Payload};
use super::refusal::Refusal;
use crate::exchange::WholeUser;

/// `{"username": "…", "email": "…"}`
#[derive(Deserialize)]
pub(super) struct RegisterRequest {
    username: String,
    email: String,
}

impl Expected for RegisterRequest {
    const SHAPE: &'static str = r#"send a JSON object with the keys "username" and "email" once each, such as {"username": "anna", "email": "anna@example.org"}"#;
}

/// `{"email": "…"}`
#[derive(Deserialize)]
pub(super) struct ChangeEmailRequest {
    email: String,
}

impl Expected for ChangeEmailRequest {
    const SHAPE: &'static str =
        r#"send a JSON object with the key "email" once, such as {"email": "anna@example.org"}"#;
}

/// A user as lists have it.
#[derive(Serialize)]
pub(super) struct ListedUser<'a> {
    username: &'a str,
    email: Option<&'a str>,
}

/// `GET /user`: everybody, or one page.
pub(super) async fn list(State(app): State<Arc<App>>, page: Page) -> Result<Response, Refusal> {
    match page {
        Page::Everything => everybody(app.store.clone()).await,
        Page::One { limit, after } => one_page(&app.store, limit, after.as_ref()).await,
    }
}

/// `POST /user`: gives a name its address.
pub(super) async fn register(
    State(app): State<Arc<App>>,
    Payload(request): Payload<RegisterRequest>,
) -> Result<Response, Refusal> {
    let name = Name::parse(&request.username)?;
    let email = Email::parse(&request.email)?;
    let change = Change::Register { name: name.clone(), email: email.clone() };
    let outcome = app.store.commit(change).await.map_err(|error| Refusal::unwritten(&error))?;
    let user = Json(ListedUser { username: name.as_str(), email: Some(email.as_str()) });
    match outcome {
        Outcome::Done => Ok((StatusCode::CREATED, [(LOCATION, path_of(&name))], user).into_response()),
        Outcome::Unchanged => Ok(user.into_response()),
        // Nobody can be missing who is only just being registered.
        Outcome::Conflict | Outcome::Absent => Err(Refusal::other_email()),
    }
}

/// `GET /user/<username>`: everything that is kept of somebody.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Registered(name): Registered,
) -> Result<Json<WholeUser>, Refusal> {
    let user = app.store.user(&name).await.map_err(|error| Refusal::unread(&error))?;
    let user = user.ok_or_else(Refusal::unknown_user)?;
    Ok(Json(WholeUser::from(&user)))
}

/// `PUT /user/<username>`: gives a known name another address.
pub(super) async fn change_email(
    State(app): State<Arc<App>>,
    Registered(name): Registered,
    Payload(request): Payload<ChangeEmailRequest>,
) -> Result<StatusCode, Refusal> {
    let email = Email::parse(&request.email)?;
    known(app.store.commit(Change::ChangeEmail { name, email }).await)
}

/// `DELETE /user/<username>`: forgets everything that is kept of somebody.
pub(super) async fn erase(
    State(app): State<Arc<App>>,
    Registered(name): Registered,
) -> Result<StatusCode, Refusal> {
    known(app.store.commit(Change::Erase { name }).await)
}

fn known(outcome: Result<Outcome, store::StoreError>) -> Result<StatusCode, Refusal> {
    match outcome.map_err(|error| Refusal::unwritten(&error))? {
        Outcome::Done | Outcome::Unchanged => Ok(StatusCode::NO_CONTENT),
        Outcome::Absent | Outcome::Conflict => Err(Refusal::unknown_user()),
    }
}

async fn one_page(store: &Store, limit: usize, after: Option<&Name>) -> Result<Response, Refusal> {
    // One more than is shown tells whether there is another page.
    let mut users = store.users(after, limit + 1).await.map_err(|error| Refusal::unread(&error))?;
    let more = limit < users.len();
    users.truncate(limit);
    let next = users.last().filter(|_| more).map(|last| {
        let after = encoded(last.name.as_str());
        [(LINK, format!("</user?limit={limit}&after={after}>; rel=\"next\""))]
    });
    let users: Vec<_> = users.iter().map(listed).collect();
    Ok((next, Json(users)).into_response())
}

/// Everybody, read page by page while the client takes them; nothing is held between two pages.
async fn everybody(store: Store) -> Result<Response, Refusal> {
    // The first page is read before the answer begins, while a failure can still be told.
    let first = store.users(None, PAGE_MAX).await.map_err(|error| Refusal::unread(&error))?;
    let body = stream::unfold(Some((store, Chunk::first(&first))), |state| async {
        let (store, chunk) = state?;
        let next = match &chunk.last {
            None => None,
            Some(last) => match store.users(Some(last), PAGE_MAX).await {
                Ok(users) => Some((store, Chunk::following(&users))),
                // The status is sent already: all that is left is to break the connection off.
                Err(error) => {
                    tracing::warn!(%error, "a list of users was broken off");
                    return Some((Err(io::Error::other(error)), None));
                }
            },
        };
        Some((Ok(Bytes::from(chunk.json)), next))
    });
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response())
}

/// One page of the list as text.
struct Chunk {
    json: Vec<u8>,
    /// The last name of a full page; others are the end of the list.
    last: Option<Name>,
}

impl Chunk {
    fn first(users: &[User]) -> Self {
        Self::of(users, b'[')
    }

    fn following(users: &[User]) -> Self {
        Self::of(users, b',')
    }

    fn of(users: &[User], before: u8) -> Self {
        let last = users.last().filter(|_| users.len() == PAGE_MAX).map(|user| user.name.clone());
        let listed: Vec<_> = users.iter().map(listed).collect();
        // Texts always have a JSON form: `[…]`, of which only the inside is used.
        let json = serde_json::to_vec(&listed).unwrap_or_default();
        let inside = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        let mut json = Vec::with_capacity(inside.len() + 2);
        if before == b'[' || !inside.is_empty() {
            json.push(before);
        }
        json.extend_from_slice(inside);
        if last.is_none() {
            json.push(b']');
        }
        Self { json, last }
    }
}

fn listed(user: &User) -> ListedUser<'_> {
    ListedUser { username: user.name.as_str(), email: user.email.as_ref().map(Email::as_str) }
}

fn path_of(name: &Name) -> String {
    format!("/user/{}", encoded(name.as_str()))
}
