//! The right day: 29 February, time zones, midnight. The tests set what time it is.

use birthday::LeapDay;
use hyper::Method;

use crate::app::{App, Choice};

const BORN_ON_29_FEBRUARY: &str = r#"{"dateOfBirth": "1992-02-29"}"#;

#[tokio::test]
async fn somebody_born_on_29_february_is_greeted_by_the_rule() {
    let days = |days: u32| format!("Hello, Anna! Your birthday is in {days} day(s)");
    let today = || "Hello, Anna! Happy birthday!".to_owned();
    let dates =
        ["2027-02-27", "2027-02-28", "2027-03-01", "2028-02-27", "2028-02-28", "2028-02-29", "2028-03-01"];
    for (leap_day, greetings) in [
        (LeapDay::Feb28, [days(1), today(), days(365), days(2), days(1), today(), days(364)]),
        (LeapDay::Mar1, [days(2), days(1), today(), days(2), days(1), today(), days(365)]),
    ] {
        let app = App::start_with(Choice { leap_day, ..Choice::default() }).await;
        assert_eq!(app.client.put("/hello/Anna", BORN_ON_29_FEBRUARY).await.status, 204);
        for (date, greeting) in dates.iter().zip(greetings) {
            for time in ["00:00:00", "12:00:00", "23:59:59.999"] {
                app.set_now(&format!("{date}T{time}Z"));
                assert_eq!(
                    app.client.get("/hello/Anna").await.message(),
                    greeting,
                    "{leap_day:?} {date} {time}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_date_of_birth_is_before_today_in_the_zone_of_the_service() {
    let app = App::start_with(Choice { zone: "Pacific/Kiritimati", ..Choice::default() }).await;
    // 14 hours ahead of UTC: it is 24 November there.
    app.set_now("2026-11-23T10:00:00Z");
    let save =
        async |date: &str| app.client.put("/hello/Anna", format!(r#"{{"dateOfBirth": "{date}"}}"#)).await;
    assert_eq!(save("2026-11-23").await.status, 204);
    save("2026-11-24").await.assert_refused(400);
    save("2026-11-25").await.assert_refused(400);
    app.set_now("2026-11-23T09:59:59.999Z");
    save("2026-11-23").await.assert_refused(400);
}

#[tokio::test]
async fn a_read_can_ask_for_the_day_of_another_zone() {
    let app = App::start().await;
    app.set_now("2026-11-23T10:30:00Z");
    assert_eq!(app.client.put("/hello/Anna", r#"{"dateOfBirth": "1990-11-24"}"#).await.status, 204);
    let greeting = async |query: &str| app.client.get(&format!("/hello/Anna{query}")).await.message();
    let tomorrow = "Hello, Anna! Your birthday is in 1 day(s)";
    assert_eq!(greeting("").await, tomorrow);
    assert_eq!(greeting("?tz=UTC").await, tomorrow);
    assert_eq!(greeting("?tz=Pacific/Kiritimati").await, "Hello, Anna! Happy birthday!");
    assert_eq!(greeting("?tz=Pacific%2FKiritimati&x=y").await, "Hello, Anna! Happy birthday!");
    assert_eq!(greeting("?tz=Pacific/Niue").await, "Hello, Anna! Your birthday is in 2 day(s)");
    assert_eq!(app.client.send(Method::HEAD, "/hello/Anna?tz=UTC", &[], "").await.status, 200);
}

#[tokio::test]
async fn the_day_after_a_birthday_is_a_year_away_and_zero_is_never_printed() {
    let app = App::start().await;
    app.set_now("2026-06-01T12:00:00Z");
    assert_eq!(app.client.put("/hello/Anna", r#"{"dateOfBirth": "1990-06-15"}"#).await.status, 204);
    for (date, days) in [("2026-06-14", 1), ("2026-06-16", 364), ("2027-06-16", 365), ("2026-12-31", 166)] {
        app.set_now(&format!("{date}T12:00:00Z"));
        let greeting = app.client.get("/hello/Anna").await.message();
        assert_eq!(greeting, format!("Hello, Anna! Your birthday is in {days} day(s)"), "{date}");
    }
    app.set_now("2026-06-15T12:00:00Z");
    assert_eq!(app.client.get("/hello/Anna").await.message(), "Hello, Anna! Happy birthday!");
}
