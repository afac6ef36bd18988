//! The task itself: save a date of birth, and greet with the days until the birthday.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use birthday::{Birthday, Date, Name};
use serde::{Deserialize, Serialize};
use store::Change;

use super::App;
use super::parameters::{Greeted, InZone};
use super::payload::{Expected, Payload};
use super::refusal::Refusal;

/// `{"dateOfBirth": "YYYY-MM-DD"}`
#[derive(Deserialize)]
pub(super) struct SaveRequest {
    #[serde(rename = "dateOfBirth")]
    date_of_birth: String,
}

impl Expected for SaveRequest {
    const SHAPE: &'static str =
        r#"send a JSON object with the key "dateOfBirth" once, such as {"dateOfBirth": "1990-06-15"}"#;
}

/// `{"message": "Hello, …!"}`
#[derive(Serialize)]
pub(super) struct Greeting {
    message: String,
}

/// `PUT /hello/<username>`: keeps the date, whether the name is known or not.
pub(super) async fn save(
    State(app): State<Arc<App>>,
    Greeted(name): Greeted,
    Payload(request): Payload<SaveRequest>,
) -> Result<StatusCode, Refusal> {
    let birthday = Birthday::parse_full(&request.date_of_birth, app.almanac.today(None))?;
    keep(&app, name, birthday).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /hello/<username>`: greets, and says how many days are left.
pub(super) async fn greet(
    State(app): State<Arc<App>>,
    Greeted(name): Greeted,
    InZone(zone): InZone,
) -> Result<Json<Greeting>, Refusal> {
    let today = app.almanac.today(zone.as_ref());
    let wish = wish(&app, &name, today).await?;
    Ok(Json(Greeting { message: format!("Hello, {}! {wish}", name.as_str()) }))
}

/// Keeps a birthday, or says what became of it.
pub(super) async fn keep(app: &App, name: Name, birthday: Birthday) -> Result<(), Refusal> {
    let saved = app.store.commit(Change::SaveBirthday { name, birthday }).await;
    saved.map(|_| ()).map_err(|error| Refusal::unwritten(&error))
}

/// What somebody is told after their name.
pub(super) async fn wish(app: &App, name: &Name, today: Date) -> Result<String, Refusal> {
    let birthday = app.store.birthday(name).await.map_err(|error| Refusal::unread(&error))?;
    let birthday = birthday.ok_or_else(Refusal::unknown_birthday)?;
    Ok(match app.almanac.days_until(birthday, today) {
        0 => "Happy birthday!".to_owned(),
        days => format!("Your birthday is in {days} day(s)"),
    })
}
