//! The page for people, as HTTP carries it. What a browser makes of it is looked at in `browser`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use birthday::{Birthday, Name};
use hello_birthday::http::routes;
use hyper::Method;
use sha2::{Digest, Sha256};
use store::Change;

use crate::access::{file_of, make, serve_with};
use crate::app::{App, Choice};
use crate::client::{Answer, Client};
use crate::process::Program;

const PAGE: [(&str, &str); 1] = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn page(client: Client, path: &str) -> Answer {
    client.send(Method::GET, path, &PAGE, "").await
}

async fn submit(client: Client, form: &str) -> Answer {
    client.send(Method::POST, "/", &[FORM], form.to_owned()).await
}

async fn save(app: &App, name: &str, birthday: &str) {
    let birthday = Birthday::parse(birthday, "2026-11-23".parse().unwrap()).unwrap();
    let name = Name::parse(name).unwrap();
    app.store.commit(Change::SaveBirthday { name, birthday }).await.unwrap();
}

/// A service on 23 November 2026.
async fn start() -> App {
    let app = App::start_with(Choice { zone: "Europe/Lisbon", ..Choice::default() }).await;
    app.set_now("2026-11-23T12:00:00Z");
    app
}

impl Answer {
    /// The page that was answered with that status.
    #[track_caller]
    fn page(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("text/html; charset=utf-8"));
        self.text()
    }
}

/// The tag of the field with that id, without its newlines.
fn field<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<input id=\"{id}\"")).unwrap();
    page[start..].split_inclusive('>').next().unwrap()
}

/// What stands beside the field with that id.
fn reason<'a>(page: &'a str, id: &str) -> Option<&'a str> {
    let marked = field(page, id).contains(&format!(r#"aria-invalid="true" aria-describedby="{id}-reason""#));
    let start = page.split_once(&format!("id=\"{id}-reason\">"));
    assert_eq!(marked, start.is_some(), "{page}");
    start.map(|(_, rest)| rest.split('<').next().unwrap())
}

fn title(page: &str) -> &str {
    page.split_once("<title>").unwrap().1.split("</title>").next().unwrap()
}

/// The list: name, date, when, and what else is told.
fn listed(page: &str) -> Vec<String> {
    let Some((_, list)) = page.split_once("<ol") else { return Vec::new() };
    let rows = list.split("<li").skip(1).map(|row| row.split("</li>").next().unwrap());
    let words = |row: &str| {
        let text = row.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
        text.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("|")
    };
    rows.map(words).collect()
}

#[tokio::test]
async fn who_names_html_gets_the_page_and_everybody_else_the_words() {
    let app = start().await;
    for (accept, is_page) in [
        (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), true),
        (Some("text/html;q=0.9, text/plain;q=0.1"), true),
        (Some("text/html;q=0.1, text/plain"), false),
        (Some("application/json"), false),
        (Some("*/*"), false),
        (None, false),
    ] {
        for (method, path) in [(Method::GET, "/"), (Method::GET, "/?name=Anna"), (Method::HEAD, "/")] {
            let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
            let answer = app.client.send(method.clone(), path, &headers, "").await;
            assert_eq!(answer.header("vary"), Some("Accept"), "{accept:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let expected = if is_page { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
            assert_eq!(answer.header("content-type"), Some(expected), "{accept:?}");
            assert!(is_page || method == Method::HEAD || answer.text() == "Hello, world!", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_page_may_be_styled_by_its_own_style_and_load_nothing() {
    let app = start().await;
    let answer = page(app.client, "/").await;
    let text = answer.page(200);
    let style = text.split_once("<style>").unwrap().1.split("</style>").next().unwrap();
    let digest = BASE64.encode(Sha256::digest(style));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.contains(&format!("style-src 'sha256-{digest}';")), "{policy}");
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    for other in ["<script", " style=", " onclick", "javascript:", "=\"/", "url("] {
        assert!(!text.contains(other), "{other}: below a prefix, and without a script: {text}");
    }
}

#[tokio::test]
async fn the_page_tells_the_day_and_whose_birthdays_come() {
    let app = start().await;
    let empty = page(app.client, "/").await;
    assert!(empty.page(200).contains("Nobody's yet."), "{empty:?}");
    assert!(empty.text().contains(r#"<time datetime="2026-11-23">Monday, 23 November 2026</time>"#));
    assert!(empty.text().contains("(Europe/Lisbon)"));
    assert!(field(empty.text(), "born").contains("max=2026-11-22"));
    for (name, birthday) in
        [("Zoe", "1990-11-23"), ("Tomás", "--11-24"), ("my_name", "1990-12-24"), ("שרה", "1992-02-29")]
    {
        save(&app, name, birthday).await;
    }
    let full = page(app.client, "/").await;
    assert_eq!(
        listed(full.page(200)),
        [
            "Zoe|Monday, 23 November|,|turns 36|today",
            "Tomás|Tuesday, 24 November|tomorrow",
            "my_name|Thursday, 24 December|,|turns 36|in 31 days",
            "שרה|Sunday, 28 February|,|turns 35|in 97 days",
        ]
    );
    assert!(full.text().contains("<bdi class=\"who\">שרה</bdi>"));
    assert!(!full.text().contains("as JSON"));
    for number in 0..17_u8 {
        save(&app, &format!("p{number}"), "1990-06-15").await;
    }
    let more = page(app.client, "/").await;
    assert_eq!(listed(more.page(200)).len(), 20);
    assert!(more.text().contains("These are the next 20."));
}

#[tokio::test]
async fn a_name_is_greeted_with_the_sentence_of_the_api() {
    let app = start().await;
    for (name, birthday) in [("Anna", "1990-06-15"), ("Zoe", "1990-11-23"), ("José", "1992-02-29")] {
        save(&app, name, birthday).await;
        let path = name.replace('é', "e%CC%81");
        let told = page(app.client, &format!("/?name={path}")).await;
        let sentence = app.client.get(&format!("/hello/{path}")).await.message();
        let shown = sentence.replacen(name, &format!("<bdi>{name}</bdi>"), 1);
        assert!(told.page(200).contains(&format!("role=\"status\">{shown}</p>")), "{told:?}");
        assert_eq!(reason(told.text(), "name"), None);
    }
    let told = page(app.client, "/?name=+Anna%20").await;
    assert!(told.page(200).contains("Hello, <bdi>Anna</bdi>!"), "{told:?}");
}

#[tokio::test]
async fn who_cannot_be_greeted_is_told_why_beside_the_field() {
    let app = start().await;
    save(&app, "Zoe", "1990-11-23").await;
    let letters = "the username must contain only letters (accents and vowel signs may follow a letter)";
    for (query, status, typed, why) in [
        ("name=Anna", 404, "Anna", "no birthday is saved for that name"),
        ("name=R2D2", 400, "R2D2", letters),
        ("name=", 400, "", "the username must have 1 to 64 characters"),
        ("name=%FF", 400, "\u{fffd}", letters),
        ("name=a&name=b", 400, "", "send the parameter name at most once"),
    ] {
        let answer = page(app.client, &format!("/?{query}")).await;
        let text = answer.page(status);
        assert_eq!(reason(text, "name"), Some(why), "{query}");
        assert!(field(text, "name").contains(&format!("value=\"{typed}\"")), "{query}: {text}");
        assert!(title(text).starts_with("Not greeted"), "{query}");
        assert_eq!(listed(text).len(), 1, "the list is there all the same");
        assert!(!text.contains("role=\"status\""));
    }
}

#[tokio::test]
async fn a_form_saves_and_goes_on_to_the_greeting() {
    let app = start().await;
    for (form, location, name) in [
        ("username=Anna&dateOfBirth=1990-06-15", "./?name=Anna", "Anna"),
        ("dateOfBirth=1992-02-29&more=ignored&username=Jose%CC%81", "./?name=Jos%C3%A9", "Jos%C3%A9"),
        // As a phone's keyboard completes a word.
        ("username=+Bert+&dateOfBirth=1990-06-15", "./?name=Bert", "Bert"),
    ] {
        let answer = submit(app.client, form).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(location)));
        let kept = app.client.get(&format!("/user/{name}")).await.json();
        assert!(form.contains(kept["dateOfBirth"].as_str().unwrap()), "{kept}");
    }
    let typed = [("content-type", "Application/X-WWW-Form-URLencoded; charset=UTF-8")];
    let form = "username=Anna&dateOfBirth=1990-06-16";
    assert_eq!(app.client.send(Method::POST, "/", &typed, form).await.status, 303);
}

#[tokio::test]
async fn a_form_that_is_refused_comes_back_with_what_was_typed() {
    let app = start().await;
    save(&app, "Zoe", "1990-11-23").await;
    let (letters, length) =
        ("the username must contain only letters", "the username must have 1 to 64 characters");
    let (form, no_day) = ("the date of birth must be written as", "the date of birth must be a real date");
    let not_before = "the date of birth must be before today";
    let long = "a".repeat(65);
    for (name, born, why_name, why_born) in [
        ("R2D2", "1990-06-15", Some(letters), None),
        ("Anna", "2026-11-23", None, Some(not_before)),
        ("Anna", "2026-02-30", None, Some(no_day)),
        ("Anna", "1.1.1990", None, Some(form)),
        ("", "", Some(length), Some(form)),
        (&long, "1990-06-15", Some(length), None),
    ] {
        let answer = submit(app.client, &format!("username={name}&dateOfBirth={born}")).await;
        let text = answer.page(400);
        for (id, typed, why) in [("username", name, why_name), ("born", born, why_born)] {
            assert!(field(text, id).contains(&format!("value=\"{typed}\"")), "{name} {born}: {text}");
            let told = reason(text, id);
            assert!(why.is_none_or(|why| told.is_some_and(|told| told.starts_with(why))), "{told:?}");
            assert_eq!(told.is_some(), why.is_some(), "{name} {born}");
        }
        assert!(title(text).starts_with("Not saved"));
        assert_eq!(listed(text).len(), 1);
        assert_eq!(answer.header("location"), None);
    }
    app.client.get("/user/Anna").await.assert_refused(404);
}

#[tokio::test]
async fn what_is_typed_is_text_and_never_markup() {
    let app = start().await;
    let typed = "%22%3E%3Cscript%3E%26%27";
    let answers = [
        page(app.client, &format!("/?name={typed}")).await,
        submit(app.client, &format!("username={typed}&dateOfBirth={typed}")).await,
    ];
    for (answer, count) in answers.iter().zip([1, 2]) {
        let text = answer.page(400);
        assert!(!text.contains("<script") && !text.contains("\"\">"), "{text}");
        assert_eq!(text.matches("value=\"&#34;&#62;&#60;script&#62;&#38;&#39;\"").count(), count, "{text}");
    }
    // So is a host.
    let answer =
        app.client.raw("GET / HTTP/1.1\r\nHost: a'b\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    let answer = answer.await;
    assert!(answer.contains("value=\"http://a&#39;b/birthdays.ics\""), "{answer}");
}

#[tokio::test]
async fn only_a_form_is_read_as_one() {
    let app = start().await;
    let form = "username=Anna&dateOfBirth=1990-06-15";
    for headers in [
        &[][..],
        &[("content-type", "application/json")],
        &[("content-type", "multipart/form-data; boundary=a")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded; charset=latin1")],
        &[FORM, FORM],
    ] {
        let answer = app.client.send(Method::POST, "/", headers, form).await;
        answer.assert_refused(415);
        assert_eq!(answer.header("accept"), Some(FORM.1), "{headers:?}");
    }
    let coded = [FORM, ("content-encoding", "gzip")];
    app.client.send(Method::POST, "/", &coded, form).await.assert_refused(415);
    for form in [
        "",
        "username=Anna",
        "dateOfBirth=1990-06-15",
        "username=Anna&username=Anna&dateOfBirth=1990-06-15",
        "username=Anna&dateOfBirth=1990-06-15&dateOfBirth=1990-06-15",
        r#"{"username":"Anna","dateOfBirth":"1990-06-15"}"#,
    ] {
        submit(app.client, form).await.assert_refused(400);
    }
    submit(app.client, &format!("username={}", "a".repeat(4096))).await.assert_refused(413);
    app.client.get("/user/Anna").await.assert_refused(404);
}

#[tokio::test]
async fn the_calendars_address_is_the_one_by_which_the_browser_found_the_page() {
    let app = start().await;
    let seen_at = async |host: &str, more: &str| {
        let request = format!("GET / HTTP/1.1\r\n{host}{more}Accept: text/html\r\nConnection: close\r\n\r\n");
        let answer = app.client.raw(request).await;
        let value = answer.split_once("<input id=\"address\" readonly value=\"");
        value.map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
    };
    let fetched = "Sec-Fetch-Site: none\r\n";
    for (host, more, expected) in [
        ("example.org", fetched, "https://example.org/birthdays.ics"),
        ("example.org:8443", fetched, "https://example.org:8443/birthdays.ics"),
        ("192.168.1.2:8080", "", "http://192.168.1.2:8080/birthdays.ics"),
        ("example.org", "X-Forwarded-Proto: https\r\n", "http://example.org/birthdays.ics"),
        ("localhost:8080", fetched, "http://localhost:8080/birthdays.ics"),
        ("hello.localhost", fetched, "http://hello.localhost/birthdays.ics"),
        ("127.0.0.2:8080", fetched, "http://127.0.0.2:8080/birthdays.ics"),
        ("[::1]:8080", fetched, "http://[::1]:8080/birthdays.ics"),
        ("[2001:db8::1]", fetched, "https://[2001:db8::1]/birthdays.ics"),
    ] {
        assert_eq!(seen_at(&format!("Host: {host}\r\n"), more).await.as_deref(), Some(expected), "{host}");
    }
    let old = app.client.raw("GET / HTTP/1.0\r\nAccept: text/html\r\n\r\n").await;
    assert!(old.contains("<a href=\"birthdays.ics\">"), "{old}");
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_changes_nothing_and_is_not_read() {
    let app = start().await;
    let ours = format!("http://{}", app.client.address);
    let elsewhere = [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", &ours)],
        vec![("origin", "http://evil.example")],
        vec![("origin", "null")],
    ];
    let mut asked = 0;
    for route in routes::all() {
        let path = route.path().replace("{username}", "Anna");
        for endpoint in route.endpoints().iter().filter(|endpoint| !endpoint.method.is_safe()) {
            for headers in &elsewhere {
                // A typeless Blob says no Content-Type, and would be JSON.
                let mut wire = app.client.wire().await;
                let sent: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let host = app.client.address;
                let method = &endpoint.method;
                wire.send(format!(
                    "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{sent}Content-Length: 29\r\n\r\n"
                ))
                .await;
                wire.answer().await.unwrap().assert_refused(403);
                wire.assert_closed().await;
                asked += 1;
            }
        }
    }
    assert!(asked >= 5 * elsewhere.len(), "{asked}");
    let form = "username=Anna&dateOfBirth=1990-06-15";
    for (own, status) in
        [(vec![], 303), (vec![("sec-fetch-site", "same-origin")], 303), (vec![("origin", &*ours)], 303)]
    {
        let headers = [&[FORM][..], &own].concat();
        assert_eq!(app.client.send(Method::POST, "/", &headers, form).await.status, status, "{own:?}");
    }
    let read = app.client.send(Method::GET, "/hello/Anna", &elsewhere[0], "").await;
    assert_eq!(read.status, 200, "reading changes nothing");
}

#[tokio::test]
async fn where_tokens_are_asked_for_the_page_shows_and_greets_nobody() {
    let (made, metrics) = (make("hello:write,user:read", &[]), make("metrics", &[]));
    let (_folder, file) = file_of(&[&made, &metrics]);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    let bearer = format!("Bearer {}", made.token);
    let shown = ("authorization", bearer.as_str());
    let form = "username=Anna&dateOfBirth=1990-06-15";
    submit(client, form).await.assert_refused(401);
    assert_eq!(client.send(Method::POST, "/", &[FORM, shown], form).await.status, 303);
    for path in ["/", "/?name=Anna", "/?name=R2D2"] {
        for headers in [&PAGE[..], &[PAGE[0], shown]] {
            let answer = client.send(Method::GET, path, headers, "").await;
            let text = answer.page(200);
            assert!(text.contains("a token") && text.contains("<a href=\"docs\">"), "{text}");
            for absent in ["Anna", "R2D2", "<form", "<ol", "birthdays.ics"] {
                assert!(!text.contains(absent), "{absent}: {text}");
            }
        }
    }
    let refused =
        client.send(Method::POST, "/", &[FORM, shown], "username=R2D2&dateOfBirth=1990-06-15").await;
    assert!(refused.page(400).contains("the username must contain only letters"));
    assert!(!refused.text().contains("Anna") && !refused.text().contains("<form"));
    let bearer = format!("Bearer {}", metrics.token);
    let metrics = client.send(Method::GET, "/metrics", &[("authorization", &bearer)], "").await;
    for (operation, times) in [("commit", 1), ("birthday", 0), ("birthdays", 0), ("user", 0)] {
        let name = "hello_birthday_store_operation_duration_seconds_count";
        let line = format!("{name}{{operation=\"{operation}\"}} {times}\n");
        assert!(metrics.text().contains(&line), "{line} in {}", metrics.text());
    }
}

#[tokio::test]
async fn while_the_store_does_not_answer_the_page_comes_and_says_so() {
    // Nobody listens there.
    let location = "postgres://nobody@127.0.0.1:1/nothing".parse().unwrap();
    let app = App::start_with(Choice { location, ..Choice::default() }).await;
    app.set_now("2026-11-23T12:00:00Z");
    let unread = "the store does not answer; nothing was read; try again";
    let plain = page(app.client, "/").await;
    assert!(plain.page(503).contains(&format!("<p class=\"reason\">{unread}</p>")), "{plain:?}");
    assert!(title(plain.text()).starts_with("Not complete"));
    let greeted = page(app.client, "/?name=Anna").await;
    assert_eq!(reason(greeted.page(503), "name"), Some(unread));
    let saved = submit(app.client, "username=Anna&dateOfBirth=1990-06-15").await;
    let told = "role=\"alert\">the store does not answer; nothing was changed; try again</p>";
    assert!(saved.page(503).contains(told), "{saved:?}");
    assert!(title(saved.text()).starts_with("Not saved"));
    assert!(field(saved.text(), "username").contains("value=\"Anna\""));
    assert!(field(saved.text(), "born").contains("value=\"1990-06-15\""));
    let refused = submit(app.client, "username=R2D2&dateOfBirth=1990-06-15").await;
    assert!(refused.page(400).contains(unread), "the form's own refusal comes first: {refused:?}");
    for answer in [&plain, &greeted, &saved] {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}
