//! The coming birthdays: in the right order, each once, on the right day.

use birthday::{Birthday, LeapDay, Name};
use serde_json::{Value, json};
use store::{Change, Store};
use test_servers::RedisServer;

use crate::app::{App, Choice};
use crate::client::Answer;
use crate::process::{Ended, program, run};

async fn save(store: &Store, people: &[(&str, i64, i64, Option<i64>)]) {
    for &(name, month, day, year) in people {
        let birthday = Birthday::from_stored(month, day, year).unwrap();
        let name = Name::parse(name).unwrap();
        store.commit(Change::SaveBirthday { name, birthday }).await.unwrap();
    }
}

/// The names of a list, with the days until then.
fn told(list: &Value) -> Vec<(&str, i64)> {
    let one = |one: &'_ Value| one["daysUntil"].as_i64().unwrap();
    list.as_array().unwrap().iter().map(|who| (who["username"].as_str().unwrap(), one(who))).collect()
}

fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let path = link.strip_prefix('<').unwrap().strip_suffix(r#">; rel="next""#).unwrap();
    Some(path.to_owned())
}

/// Every page from that one on, put together.
async fn all_pages(app: &App, path: &str) -> Value {
    let (mut all, mut path) = (Vec::new(), Some(path.to_owned()));
    while let Some(asked) = path {
        let page = app.client.get(&asked).await;
        assert_eq!(page.status, 200, "{page:?}");
        all.extend(page.json().as_array().unwrap().iter().cloned());
        path = next(&page);
    }
    Value::Array(all)
}

#[tokio::test]
async fn coming_birthdays_are_told_soonest_first_across_the_end_of_the_year() {
    let app = App::start().await;
    app.set_now("2026-12-30T12:00:00Z");
    let people = [
        ("past", 12, 29, Some(1990)),
        ("Zoe", 12, 30, Some(2026)),
        ("é", 12, 31, None),
        ("Bob", 12, 31, Some(2000)),
        ("a", 1, 1, Some(1926)),
        ("edge", 1, 29, Some(1990)),
        ("far", 1, 30, Some(1990)),
    ];
    // Only imports bring names with other signs than letters; the list tells everybody.
    save(&app.store, &people).await;
    save(&app.store, &[("Bob_2", 12, 31, Some(1))]).await;
    let answer = app.client.get("/birthdays").await;
    assert_eq!((answer.header("content-type"), answer.header("link")), (Some("application/json"), None));
    assert_eq!(
        answer.text(),
        concat!(
            r#"[{"username":"Zoe","date":"2026-12-30","daysUntil":0,"turns":0},"#,
            r#"{"username":"Bob","date":"2026-12-31","daysUntil":1,"turns":26},"#,
            r#"{"username":"Bob_2","date":"2026-12-31","daysUntil":1,"turns":2025},"#,
            r#"{"username":"é","date":"2026-12-31","daysUntil":1},"#,
            r#"{"username":"a","date":"2027-01-01","daysUntil":2,"turns":101},"#,
            r#"{"username":"edge","date":"2027-01-29","daysUntil":30,"turns":37}]"#
        )
    );
    for (days, count) in [(0, 1), (1, 4), (2, 5), (29, 5), (30, 6), (31, 7), (363, 7), (364, 8), (366, 8)] {
        let list = app.client.get(&format!("/birthdays?days={days}")).await.json();
        assert_eq!(list.as_array().unwrap().len(), count, "{days}");
    }
}

#[tokio::test]
async fn who_is_born_on_29_february_stands_among_those_of_the_day_that_the_rule_says() {
    for (leap_day, today, expected) in [
        (LeapDay::Feb28, "2027-02-27", [("A", 1), ("B", 1), ("C", 1), ("A-", 2)]),
        (LeapDay::Mar1, "2027-02-27", [("A", 1), ("C", 1), ("A-", 2), ("B", 2)]),
        (LeapDay::Feb28, "2027-02-28", [("A", 0), ("B", 0), ("C", 0), ("A-", 1)]),
        (LeapDay::Mar1, "2027-02-28", [("A", 0), ("C", 0), ("A-", 1), ("B", 1)]),
        (LeapDay::Feb28, "2027-03-01", [("A-", 0), ("A", 364), ("C", 364), ("B", 365)]),
        (LeapDay::Mar1, "2027-03-01", [("A-", 0), ("B", 0), ("A", 364), ("C", 364)]),
        (LeapDay::Feb28, "2028-02-28", [("A", 0), ("C", 0), ("B", 1), ("A-", 2)]),
        (LeapDay::Mar1, "2028-02-28", [("A", 0), ("C", 0), ("B", 1), ("A-", 2)]),
        (LeapDay::Feb28, "2028-02-29", [("B", 0), ("A-", 1), ("A", 365), ("C", 365)]),
        (LeapDay::Mar1, "2028-02-29", [("B", 0), ("A-", 1), ("A", 365), ("C", 365)]),
        (LeapDay::Feb28, "2028-03-01", [("A-", 0), ("A", 364), ("B", 364), ("C", 364)]),
        (LeapDay::Mar1, "2028-03-01", [("A-", 0), ("A", 364), ("C", 364), ("B", 365)]),
    ] {
        let app = App::start_with(Choice { leap_day, ..Choice::default() }).await;
        app.set_now(&format!("{today}T12:00:00Z"));
        let people = [("A", 2, 28, None), ("B", 2, 29, None), ("C", 2, 28, None), ("A-", 3, 1, None)];
        save(&app.store, &people).await;
        let list = app.client.get("/birthdays?days=366").await.json();
        assert_eq!(told(&list), expected, "{leap_day:?} {today}");
        assert_eq!(all_pages(&app, "/birthdays?days=366&limit=1").await, list, "{leap_day:?} {today}");
    }
}

#[tokio::test]
async fn pages_of_any_size_tell_everybody_once() {
    for leap_day in [LeapDay::Feb28, LeapDay::Mar1] {
        let app = App::start_with(Choice { leap_day, ..Choice::default() }).await;
        // Days beside each other, 29 February and both ends of the year among them, with several people each.
        let days = [(2, 27), (2, 28), (2, 29), (3, 1), (3, 2), (12, 30), (12, 31), (1, 1), (1, 2), (11, 23)];
        for (place, (month, day)) in days.into_iter().enumerate() {
            for who in 0..3 {
                save(&app.store, &[(&format!("{who}.{place}-é"), month, day, Some(1992))]).await;
            }
        }
        for today in ["2026-11-23", "2026-12-31", "2027-02-28", "2028-02-29", "2028-03-01"] {
            app.set_now(&format!("{today}T00:00:00Z"));
            for days in [0, 1, 2, 60, 366] {
                let whole = app.client.get(&format!("/birthdays?days={days}")).await.json();
                assert_eq!(whole.as_array().unwrap().len() == 30, days == 366, "{today} {days}");
                for limit in [1, 2, 3, 5, 29, 30] {
                    let pages = all_pages(&app, &format!("/birthdays?days={days}&limit={limit}")).await;
                    assert_eq!(pages, whole, "{leap_day:?} {today} {days} {limit}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_next_page_is_right_when_midnight_comes_in_between() {
    let app = App::start().await;
    let people = [("a", 11, 23, None), ("b", 11, 24, None), ("c", 11, 24, None), ("A", 11, 25, None)];
    save(&app.store, &people).await;
    app.set_now("2026-11-23T23:59:59Z");
    let first = app.client.get("/birthdays?limit=2").await;
    assert_eq!(told(&first.json()), [("a", 0), ("b", 1)]);
    assert_eq!(next(&first).as_deref(), Some("/birthdays?days=30&limit=2&after=2026-11-24.b"));
    app.set_now("2026-11-24T00:00:00Z");
    let second = app.client.get(&next(&first).unwrap()).await;
    assert_eq!(told(&second.json()), [("c", 0), ("A", 1)]);
    app.set_now("2026-11-25T00:00:00Z");
    let later = app.client.get(&next(&first).unwrap()).await;
    assert_eq!(told(&later.json()), [("A", 0)], "a place that has passed is before today");
}

#[tokio::test]
async fn the_days_ahead_are_counted_in_the_zone_that_is_asked_for() {
    let app = App::start().await;
    save(&app.store, &[("a", 11, 23, None), ("b", 11, 24, None), ("c", 11, 24, None)]).await;
    app.set_now("2026-11-23T10:30:00Z");
    let of = async |query: &str| app.client.get(&format!("/birthdays?days=0{query}")).await.json();
    assert_eq!(told(&of("").await), [("a", 0)]);
    assert_eq!(told(&of("&tz=Pacific/Kiritimati").await), [("b", 0), ("c", 0)]);
    assert_eq!(of("&tz=Pacific/Niue").await, json!([]));
    let first = app.client.get("/birthdays?days=0&limit=1&tz=Pacific/Kiritimati").await;
    assert_eq!(told(&app.client.get(&next(&first).unwrap()).await.json()), [("c", 0)]);
}

#[tokio::test]
async fn parameters_of_coming_birthdays_that_are_none_are_refused() {
    let app = App::start().await;
    for query in [
        "days=",
        "days=-1",
        "days=367",
        "days=%2B5",
        "days=1.5",
        "days=65536",
        "days=1&days=1",
        "limit=0",
        "limit=1001",
        "limit=1&limit=1",
        "after=",
        "after=Anna",
        "after=2026-12-24",
        "after=2026-12-24.",
        "after=2026-12-24._",
        "after=2026-02-29.Anna",
        "after=20261224.Anna",
        "after=2026-12-24T10:00.Anna",
        "after=2026-12-24.Anna&after=2026-12-24.Anna",
        "tz=Lisbon",
    ] {
        app.client.get(&format!("/birthdays?{query}")).await.assert_refused(400);
    }
    for query in ["", "days=0", "days=366&limit=1000", "after=0001-01-01.a.b", "after=9999-12-31.a", "x=y"] {
        assert_eq!(app.client.get(&format!("/birthdays?{query}")).await.json(), json!([]), "{query}");
    }
}

/// A server that may lose what it is told is none of the business of who only asks it.
#[test]
fn nobodys_birthday_is_no_mail_whatever_the_server_keeps() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    let ended = run(&mut program(&["birthdays", "--store", &server.url()]));
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""), "{ended:?}");
}

#[test]
fn the_command_tells_the_same_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("a.db").display());
    let birthdays = |more: &[&str]| -> Ended {
        let ended = run(program(&["birthdays", "--store", &store]).args(more));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        ended
    };
    assert_eq!(run(&mut program(&["migrate", "--store", &store])).code, Some(0));
    assert_eq!(birthdays(&["--days", "366"]).stdout, "", "nobody's birthday is no mail");
    assert_eq!(birthdays(&["--format", "json"]).stdout, "[]\n");

    let records = folder.path().join("records.jsonl");
    let person = |number: u32| {
        let (month, day) = (number % 12 + 1, number % 28 + 1);
        format!("{{\"username\":\"p{number}\",\"dateOfBirth\":\"1990-{month:02}-{day:02}\"}}\n")
    };
    let someone = "{\"username\":\"José\",\"dateOfBirth\":\"--06-15\"}\n".to_owned();
    std::fs::write(&records, (0..1500).map(person).collect::<String>() + &someone).unwrap();
    let imported = run(program(&["import", "--store", &store]).arg(&records));
    assert_eq!(imported.code, Some(0), "{imported:?}");

    // Again if midnight came in between.
    let (json, text, soon) = loop {
        let json = || birthdays(&["--days", "366", "--format", "json"]).stdout;
        let (before, text) = (json(), birthdays(&["--days", "366", "--format", "text"]).stdout);
        let soon = birthdays(&["--days", "7"]).stdout;
        if json() == before {
            break (serde_json::from_str::<Value>(&before).unwrap(), text, soon);
        }
    };
    let lines: Vec<_> = json.as_array().unwrap().iter().map(line).collect();
    assert_eq!(lines.len(), 1501);
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    let within_a_week = json.as_array().unwrap().iter().filter(|who| who["daysUntil"].as_i64().unwrap() <= 7);
    assert_eq!(soon.lines().count(), within_a_week.count());
    assert!(told(&json).is_sorted_by_key(|(_, days)| *days));

    let refused = run(&mut program(&["birthdays", "--store", &store, "--days", "367"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let missing = run(&mut program(&["birthdays", "--store", "sqlite:/no/such/file.db"]));
    assert_eq!(missing.code, Some(1), "{missing:?}");
}

/// What the command's text says of one that its JSON tells.
fn line(who: &Value) -> String {
    let (date, name) = (who["date"].as_str().unwrap(), who["username"].as_str().unwrap());
    let when = match who["daysUntil"].as_i64().unwrap() {
        0 => "today".to_owned(),
        days => format!("in {days} day(s)"),
    };
    match who.get("turns") {
        Some(turns) => format!("{date}, {when}: {name} turns {turns}"),
        None => format!("{date}, {when}: {name}"),
    }
}
