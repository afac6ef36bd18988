//! The task itself: save a date of birth, and greet with the days until the birthday.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use birthday::{Birthday, Name};
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
    app.store
        .commit(Change::SaveBirthday { name, birthday })
        .await
        .map_err(|error| Refusal::unwritten(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /hello/<username>`: greets, and says how many days are left.
pub(super) async fn greet(
    State(app): State<Arc<App>>,
    Greeted(name): Greeted,
    InZone(zone): InZone,
) -> Result<Json<Greeting>, Refusal> {
    let today = app.almanac.today(zone.as_ref());
    let birthday = app.store.birthday(&name).await.map_err(|error| Refusal::unread(&error))?;
    let birthday = birthday.ok_or_else(Refusal::unknown_birthday)?;
    Ok(Json(Greeting { message: message(&name, app.almanac.days_until(birthday, today)) }))
}

fn message(name: &Name, days: i32) -> String {
    let name = name.as_str();
    match days {
        0 => format!("Hello, {name}! Happy birthday!"),
        days => format!("Hello, {name}! Your birthday is in {days} day(s)"),
    }
}
