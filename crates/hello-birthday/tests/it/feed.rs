//! The calendar that programs subscribe to.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use birthday::{Birthday, Date, LeapDay, Name};
use hyper::Method;
use store::Change;

use crate::app::{App, Choice};
use crate::client::Answer;

async fn save(app: &App, name: &str, birthday: &str) {
    let birthday = Birthday::parse(birthday, "2026-11-23".parse().unwrap()).unwrap();
    let name = Name::parse(name).unwrap();
    app.store.commit(Change::SaveBirthday { name, birthday }).await.unwrap();
}

/// Saves that many birthdays at once.
async fn fill(app: &App, count: usize) {
    let birthday = Birthday::from_stored(6, 15, Some(1990)).unwrap();
    let savers = (0..count).map(|number| {
        let change = Change::SaveBirthday { name: Name::parse(&format!("u{number:05}")).unwrap(), birthday };
        let store = app.store.clone();
        tokio::spawn(async move { store.commit(change).await.unwrap() })
    });
    for saver in savers.collect::<Vec<_>>() {
        saver.await.unwrap();
    }
}

async fn ask(app: &App, known: &str) -> Answer {
    app.client.send(Method::GET, "/birthdays.ics", &[("if-none-match", known)], "").await
}

#[tokio::test]
async fn the_calendar_has_everybody_whose_birthday_is_known() {
    let app = App::start().await;
    let empty = app.client.get("/birthdays.ics").await;
    assert_eq!(empty.status, 200);
    assert!(empty.text().ends_with("\r\nX-PUBLISHED-TTL:P1D\r\nEND:VCALENDAR\r\n"), "{}", empty.text());
    save(&app, "José", "1992-02-29").await;
    save(&app, "Anna", "--06-15").await;
    app.client.post("/user", r#"{"username": "my_username", "email": "me@example.org"}"#).await;
    let answer = app.client.get("/birthdays.ics").await;
    assert_eq!(answer.header("content-type"), Some("text/calendar; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    let titles: Vec<_> = answer.text().lines().filter_map(|line| line.strip_prefix("SUMMARY:")).collect();
    assert_eq!(titles, ["Anna's birthday", "José's birthday"]);
    let told = ["DTSTART;VALUE=DATE:19920229", "DESCRIPTION:Born 1992", "RRULE:FREQ=YEARLY;BYMONTH=2"];
    assert!(told.iter().all(|line| answer.text().contains(line)), "{}", answer.text());
    assert_eq!(answer.text().matches("DESCRIPTION").count(), 1, "no year is told for Anna");
    for hidden in ["my_username", "example.org"] {
        assert!(!answer.text().contains(hidden));
    }
    let head = app.client.send(Method::HEAD, "/birthdays.ics", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), answer.header("etag"));
    assert_eq!(head.header("content-length").unwrap(), answer.body.len().to_string());
}

#[tokio::test]
async fn the_same_birthdays_are_the_same_bytes_and_are_not_sent_to_whoever_has_them() {
    // One page of users, and more than two.
    for count in [3, 2345] {
        let app = App::start().await;
        app.set_now("2026-11-23T12:00:00Z");
        fill(&app, count).await;
        let first = app.client.get("/birthdays.ics").await;
        assert_eq!(first.text().matches("BEGIN:VEVENT\r\n").count(), count);
        assert_eq!(first.text().matches("BEGIN:VCALENDAR\r\n").count(), 1);
        assert!(first.text().ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"));
        let tag = first.header("etag").unwrap();
        app.set_now("2028-02-29T12:00:00Z");
        let again = app.client.get("/birthdays.ics").await;
        assert_eq!((again.body.clone(), again.header("etag")), (first.body.clone(), Some(tag)));

        for known in [tag, "*", &format!("W/{tag}"), &format!("\"x\", {tag},\"y\"")] {
            let answer = ask(&app, known).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{known}");
            assert_eq!(answer.header("etag"), Some(tag));
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        }
        for unknown in ["\"x\"", "", tag.trim_matches('"'), &tag[..tag.len() - 1]] {
            assert_eq!(ask(&app, unknown).await.status, 200, "{unknown}");
        }
        // Somebody of the last page.
        save(&app, &format!("u{:05}", count - 1), "1990-06-16").await;
        let changed = ask(&app, tag).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(tag));
        assert_eq!(changed.body.len(), first.body.len());
    }
}

#[tokio::test]
async fn a_subscriber_chooses_when_to_be_reminded() {
    let app = App::start().await;
    save(&app, "Anna", "1990-06-15").await;
    let triggers = async |query: &str| {
        let answer = app.client.get(&format!("/birthdays.ics{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        let lines = answer.text().lines().filter_map(|line| line.strip_prefix("TRIGGER:"));
        lines.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(triggers("").await, "");
    assert_eq!(triggers("?remind=P1D,P7D").await, "-P1D -P7D");
    assert_eq!(triggers("?remind=P1W%2CPT6H&x=y").await, "-PT6H -P7D");
    let tag = async |query: &str| {
        app.client.get(&format!("/birthdays.ics{query}")).await.header("etag").unwrap().to_owned()
    };
    assert_ne!(tag("").await, tag("?remind=P1D").await);
    assert_eq!(tag("?remind=P7D,P1D").await, tag("?remind=P1D,P1W").await);
    for query in ["remind=", "remind=1", "remind=P1M", "remind=-P1D", "remind=P1D&remind=P1D", "remind=P999D"]
    {
        app.client.get(&format!("/birthdays.ics?{query}")).await.assert_refused(400);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a program prints of that calendar, line by line in order.
fn expanded(mut program: Command, calendar: &[u8]) -> Vec<String> {
    let mut running = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(calendar).unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{program:?}");
    let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Fifty people: four born on 29 February, one of whom, and somebody else, in a year that nobody knows.
fn people() -> Vec<(String, Birthday)> {
    let on_the_edge =
        ["1992-02-29", "2000-02-29", "1896-02-29", "--02-29", "--06-15", "1990-02-28", "1990-03-01"];
    let birthday = |number: usize| match on_the_edge.get(number) {
        Some(text) => Birthday::parse(text, "2024-01-01".parse().unwrap()).unwrap(),
        None => {
            let (month, day) = (number % 12 + 1, number * 7 % 28 + 1);
            let part = |part: usize| i64::try_from(part).unwrap();
            Birthday::from_stored(part(month), part(day), Some(part(1920 + 2 * number))).unwrap()
        }
    };
    (0..50).map(|number| (format!("Person-{number}"), birthday(number))).collect()
}

/// Every day of 2024 to 2032 on which somebody is greeted, in the words that the libraries' lines have.
fn greeted(people: &[(String, Birthday)], rule: LeapDay) -> Vec<String> {
    let first: Date = "2024-01-01".parse().unwrap();
    let days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
    let mut lines = Vec::new();
    for day in days.take_while(|day| day.year() <= 2032) {
        let today = people.iter().filter(|(_, birthday)| birthday.days_until(day, rule) == 0);
        lines.extend(today.map(|(name, _)| format!("{day} 1 {name}'s birthday")));
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn two_libraries_find_in_the_calendar_the_days_on_which_somebody_is_greeted() {
    if std::env::var_os("HELLO_TEST_ALL").is_none() {
        println!("left out: two libraries that read the calendar (HELLO_TEST_ALL)");
        return;
    }
    let installed = root().join("target/calendars");
    let python = || {
        let mut command = Command::new(installed.join("python/bin/python"));
        command.arg(root().join("tools/calendars/expand.py"));
        command
    };
    let node = || {
        let mut command = Command::new("node");
        command.arg(root().join("tools/calendars/expand.cjs"));
        command.env("NODE_PATH", installed.join("node_modules"));
        command
    };
    for leap_day in [LeapDay::Feb28, LeapDay::Mar1] {
        let app = App::start_with(Choice { leap_day, ..Choice::default() }).await;
        let people = people();
        for (name, birthday) in &people {
            save(&app, name, &birthday.to_text()).await;
        }
        let calendar = app.client.get("/birthdays.ics?remind=P1D,P7D").await.body;
        let greeted = greeted(&people, leap_day);
        assert_eq!(greeted.len(), 50 * 9);
        assert_eq!(expanded(python(), &calendar), greeted, "icalendar and dateutil, {leap_day:?}");
        assert_eq!(expanded(node(), &calendar), greeted, "ical.js, {leap_day:?}");
    }
}
