//! What every client may rely on, asked of any running service, route by route and refusal by refusal.

use hyper::Method;
use serde_json::json;

use crate::app::App;
use crate::client::{Answer, Client, new_name};

/// The service to ask: the one at `HELLO_TEST_URL`, or else one that is started for the test.
struct Target {
    client: Client,
    _app: Option<App>,
}

impl Target {
    async fn find() -> Self {
        match std::env::var("HELLO_TEST_URL") {
            Ok(url) => {
                let host = url.trim_start_matches("http://").trim_end_matches('/');
                let address = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
                Self { client: Client { address }, _app: None }
            }
            Err(_) => {
                let app = App::start().await;
                Self { client: app.client, _app: Some(app) }
            }
        }
    }
}

fn born(date: &str) -> String {
    json!({ "dateOfBirth": date }).to_string()
}

fn user(username: &str, email: &str) -> String {
    json!({ "username": username, "email": email }).to_string()
}

/// The day in UTC on which an answer was given, by its own Date header (RFC 9110, section 6.6.1).
fn day_of(answer: &Answer) -> jiff::civil::Date {
    let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", answer.header("date").unwrap());
    date.unwrap().to_date().unwrap()
}

#[tokio::test]
async fn the_root_says_hello_world() {
    let Target { client, .. } = &Target::find().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, world!"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn a_saved_birthday_is_greeted_with_the_days_that_are_left() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let path = format!("/hello/{name}");
    for days_ahead in [0, 1, 2, 27, 59, 100, 364] {
        let today = day_of(&client.get("/").await);
        let birthday = today.checked_add(jiff::Span::new().days(days_ahead)).unwrap();
        let long_ago = birthday.checked_sub(jiff::Span::new().years(28)).unwrap();
        let saved = client.put(&path, born(&long_ago.to_string())).await;
        assert_eq!((saved.status.as_u16(), saved.text()), (204, ""));
        let answer = client.get(&path).await;
        if day_of(&answer) != today {
            continue; // Midnight passed in between; the other days are asked all the same.
        }
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let message = match days_ahead {
            0 => format!("Hello, {name}! Happy birthday!"),
            days => format!("Hello, {name}! Your birthday is in {days} day(s)"),
        };
        assert_eq!(answer.text(), json!({ "message": message }).to_string());
    }
}

#[tokio::test]
async fn saving_answers_204_whether_it_made_changed_or_found_the_entry() {
    let Target { client, .. } = &Target::find().await;
    let path = format!("/hello/{}", new_name());
    for date in ["1990-06-15", "1990-06-15", "2000-02-29", "0001-01-01"] {
        let saved = client.put(&path, born(date)).await;
        assert_eq!((saved.status.as_u16(), saved.text()), (204, ""), "{date}");
    }
}

#[tokio::test]
async fn composed_and_decomposed_accents_meet_the_same_entry() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let (composed, decomposed) = (format!("/hello/{name}%C3%A9"), format!("/hello/{name}e%CC%81"));
    client.get(&composed).await.assert_refused(404);
    assert_eq!(client.put(&decomposed, born("1990-06-15")).await.status, 204);
    let message = client.get(&composed).await.message();
    assert!(message.starts_with(&format!("Hello, {name}é! ")), "{message}");
    assert_eq!(client.get(&decomposed).await.message(), message);
    let record = client.get(&format!("/user/{name}e%CC%81")).await.json();
    assert_eq!(record["username"], format!("{name}é"));
    assert_eq!(client.post("/user", user(&format!("{name}e\u{301}"), "a@example.org")).await.status, 201);
    assert_eq!(client.get(&format!("/user/{name}%C3%A9")).await.json()["email"], "a@example.org");
}

#[tokio::test]
async fn case_is_kept_and_matters() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    assert_eq!(client.put(&format!("/hello/{name}a"), born("1990-06-15")).await.status, 204);
    client.get(&format!("/hello/{name}A")).await.assert_refused(404);
}

#[tokio::test]
async fn names_that_are_not_letters_are_not_greeted() {
    let Target { client, .. } = &Target::find().await;
    for name in [
        "bob1",
        "bob-x",
        "my_username",
        "bob.",
        "bob%20",
        "%20bob",
        "o'neil",
        "..%2F",
        "%2e%2e%2f",
        "%3Cscript%3E",
        "'%3B%20DROP",
        "%F0%9F%98%80",
        "%E2%85%A7",
        "%E2%93%90",
        "%CC%81a",
        "john%0A",
        "a%00b",
        "%E2%80%AEa",
        "a%E2%80%8Db",
        "%EF%BC%91",
        "a%2Fb",
        "%FF",
        "%C3%28",
        "%zz",
        "a%",
        "+",
    ] {
        let path = format!("/hello/{name}");
        client.get(&path).await.assert_refused(400);
        client.put(&path, born("1990-06-15")).await.assert_refused(400);
    }
    for (length, status) in [(64, 204), (65, 400)] {
        let name: String = new_name().chars().cycle().take(length).collect();
        assert_eq!(
            client.put(&format!("/hello/{name}"), born("1990-06-15")).await.status,
            status,
            "{length}"
        );
    }
}

#[tokio::test]
async fn names_of_letters_in_any_script_are_greeted() {
    let Target { client, .. } = &Target::find().await;
    for letters in ["José", "Łukasz", "देवी", "李", "أحمد", "ß", "ﬁ", "Å"] {
        let name = format!("{letters}{}", new_name());
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/hello/{encoded}");
        assert_eq!(client.put(&path, born("1990-06-15")).await.status, 204, "{name}");
        assert!(client.get(&path).await.message().starts_with(&format!("Hello, {name}! ")));
    }
}

#[tokio::test]
async fn a_date_of_birth_that_is_none_is_refused() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let path = format!("/hello/{name}");
    let today = day_of(&client.get("/").await);
    let tomorrow = today.tomorrow().unwrap();
    for date in [
        &today.to_string(),
        &tomorrow.to_string(),
        "2999-01-01",
        "9999-12-31",
        "0000-01-01",
        "1900-02-29",
        "2023-02-29",
        "2000-00-10",
        "2000-13-01",
        "2000-04-31",
        "2000-1-1",
        "20000101",
        "+2000-01-01",
        "-001-01-01",
        "2000-01-01T00:00:00Z",
        " 2000-01-01",
        "2000-01-01 ",
        "2000-01-01\n",
        "2000-01-01\0",
        "2000‐01‐01",
        "٢٠٠٠-٠١-٠١",
        "2000-W01-1",
        "2000-123",
        "01-01-2000",
        "2000/01/01",
        "--02-29",
        "",
        "foo",
        "1990-06-150",
    ] {
        client.put(&path, born(date)).await.assert_refused(400);
    }
    client.get(&path).await.assert_refused(404);
    let yesterday = today.yesterday().unwrap().yesterday().unwrap();
    assert_eq!(client.put(&path, born(&yesterday.to_string())).await.status, 204);
}

#[tokio::test]
async fn a_body_that_is_not_the_object_is_refused() {
    let Target { client, .. } = &Target::find().await;
    let path = format!("/hello/{}", new_name());
    for body in [
        "",
        " ",
        "hi",
        "null",
        "1",
        "\"2000-01-01\"",
        "[]",
        r#"["2000-01-01"]"#,
        "{}",
        r#"{"dateofbirth": "2000-01-01"}"#,
        r#"{"dateOfBirth": null}"#,
        r#"{"dateOfBirth": 20000101}"#,
        r#"{"dateOfBirth": ["2000-01-01"]}"#,
        r#"{"dateOfBirth": {"x": 1}}"#,
        r#"{"dateOfBirth": "2000-01-01", "dateOfBirth": "2000-01-02"}"#,
        r#"{"dateOfBirth": "2000-01-01"} x"#,
        r#"{"dateOfBirth": "2000-01-01"}{}"#,
        r#"{"dateOfBirth": "2000-01-01""#,
        r#"{'dateOfBirth': '2000-01-01'}"#,
        r#"{dateOfBirth: "2000-01-01"}"#,
        "{“dateOfBirth”: “2000-01-01”}",
        "\u{feff}{\"dateOfBirth\": \"2000-01-01\"}",
        r#"{"dateOfBirth": "\ud800"}"#,
        "dateOfBirth=2000-01-01",
    ] {
        client.put(&path, body).await.assert_refused(400);
    }
    client.put(&path, &b"{\"dateOfBirth\": \"2000-01-01\xff\"}"[..]).await.assert_refused(400);
    client.get(&path).await.assert_refused(404);
    let generous = r#" {"x": [1, {"dateOfBirth": 2}], "\u0064ateOfBirth": "2000-01-01", "y": null} "#;
    assert_eq!(client.put(&path, generous).await.status, 204, "keys that are not known are ignored");
}

#[tokio::test]
async fn only_json_as_it_is_is_taken() {
    let Target { client, .. } = &Target::find().await;
    let path = &format!("/hello/{}", new_name());
    let put =
        async |headers: &[(&str, &str)]| client.send(Method::PUT, path, headers, born("1990-06-15")).await;
    for other in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""] {
        let refused = put(&[("content-type", other)]).await;
        refused.assert_refused(415);
        assert_eq!(refused.header("accept"), Some("application/json"));
    }
    for coding in ["gzip", "identity", "br"] {
        let refused = put(&[("content-type", "application/json"), ("content-encoding", coding)]).await;
        refused.assert_refused(415);
        assert_eq!(refused.header("accept-encoding"), Some("identity"));
    }
    put(&[("content-type", "application/json"), ("content-type", "text/plain")]).await.assert_refused(415);
    for json in ["application/json", "application/json; charset=UTF-8", "application/ld+json"] {
        assert_eq!(put(&[("content-type", json)]).await.status, 204, "{json}");
    }
    assert_eq!(put(&[]).await.status, 204, "none at all is read as JSON");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let padded = |json: String, length: usize| format!("{json}{}", " ".repeat(length - json.len()));
    for (length, status) in [(1024, 204), (1025, 413)] {
        let answer = client.put(&format!("/hello/{name}"), padded(born("1990-06-15"), length)).await;
        assert_eq!(answer.status, status, "{length}");
    }
    for (length, status) in [(4096, 201), (4097, 413)] {
        let answer = client.post("/user", padded(user(&name, "a@example.org"), length)).await;
        assert_eq!(answer.status, status, "{length}");
    }
    client.put(&format!("/hello/{name}"), " ".repeat(100_000)).await.assert_refused(413);
}

#[tokio::test]
async fn a_user_is_registered_once_and_can_be_registered_again_with_the_same_address() {
    let Target { client, .. } = &Target::find().await;
    let name = format!("{}_4.7-1", new_name());
    let made = client.post("/user", user(&name, "a@example.org")).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header("location"), Some(format!("/user/{name}").as_str()));
    assert_eq!(made.json(), json!({ "username": name, "email": "a@example.org" }));
    let again = client.post("/user", user(&name, "a@example.org")).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, made.json()));
    client.post("/user", user(&name, "b@example.org")).await.assert_refused(409);
    client.get(&format!("/hello/{name}")).await.assert_refused(400);
}

#[tokio::test]
async fn somebody_with_a_birthday_can_be_given_an_address() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let path = format!("/user/{name}");
    assert_eq!(client.put(&format!("/hello/{name}"), born("2000-02-29")).await.status, 204);
    let record = json!({ "username": name, "email": null, "dateOfBirth": "2000-02-29" });
    assert_eq!(client.get(&path).await.json(), record);
    assert_eq!(client.post("/user", user(&name, "a@example.org")).await.status, 201);
    let record = json!({ "username": name, "email": "a@example.org", "dateOfBirth": "2000-02-29" });
    assert_eq!(client.get(&path).await.json(), record);
}

#[tokio::test]
async fn what_registers_nobody_is_refused() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    for (username, email) in [
        ("", "a@b.org"),
        ("_a", "a@b.org"),
        ("a b", "a@b.org"),
        ("a\u{202e}", "a@b.org"),
        ("a\0", "a@b.org"),
        ("é?", "a@b.org"),
        (&name, ""),
        (&name, "a"),
        (&name, "a@"),
        (&name, "a@b@c"),
        (&name, "a b@c"),
        (&name, "a@b\r\nBcc: x@y"),
        (&name, "é@b.org"),
    ] {
        client.post("/user", user(username, email)).await.assert_refused(400);
    }
    client.post("/user", user(&"a".repeat(65), "a@b.org")).await.assert_refused(400);
    client.post("/user", user(&name, &format!("{}@b.org", "a".repeat(249)))).await.assert_refused(400);
    for body in [
        r#"{"username": "anna"}"#,
        r#"{"email": "a@b.org"}"#,
        r#"{"username": "anna", "email": null}"#,
        r#"["anna", "a@b.org"]"#,
    ] {
        client.post("/user", body).await.assert_refused(400);
    }
    client.get(&format!("/user/{name}")).await.assert_refused(404);
}

#[tokio::test]
async fn an_address_can_be_changed_and_a_user_erased() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let path = format!("/user/{name}");
    let email = |address: &str| json!({ "email": address }).to_string();
    client.put(&path, email("a@example.org")).await.assert_refused(404);
    client.delete(&path).await.assert_refused(404);
    client.post("/user", user(&name, "a@example.org")).await;
    client.put(&format!("/hello/{name}"), born("1990-06-15")).await;
    for _ in 0..2 {
        assert_eq!(client.put(&path, email("b@example.org")).await.status, 204);
        assert_eq!(client.get(&path).await.json()["email"], "b@example.org");
    }
    client.put(&path, email("nonsense")).await.assert_refused(400);
    client.put(&path, "{}").await.assert_refused(400);
    assert_eq!(client.delete(&path).await.status, 204);
    client.get(&path).await.assert_refused(404);
    client.get(&format!("/hello/{name}")).await.assert_refused(404);
    client.delete(&path).await.assert_refused(404);
}

#[tokio::test]
async fn users_are_listed_in_the_order_of_their_bytes_whole_or_in_pages() {
    let Target { client, .. } = &Target::find().await;
    let prefix = new_name();
    let mut mine: Vec<_> =
        ["", "-", ".", "0", "A", "_", "a", "é", "李"].map(|end| format!("{prefix}{end}")).into();
    for name in mine.iter().rev() {
        assert_eq!(client.post("/user", user(name, "a@example.org")).await.status, 201);
    }
    mine.sort_unstable();

    let whole = client.get("/user").await;
    assert_eq!((whole.status.as_u16(), whole.header("content-type")), (200, Some("application/json")));
    let names = |answer: &Answer| -> Vec<String> {
        let users = answer.json();
        users.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    let everybody = names(&whole);
    assert!(everybody.is_sorted());
    let listed: Vec<_> = everybody.iter().filter(|name| name.starts_with(&prefix)).cloned().collect();
    assert_eq!(listed, mine);

    let mut next = Some(format!("/user?limit=4&after={prefix}"));
    let mut paged = vec![prefix.clone()];
    while let Some(path) = next {
        let page = client.get(&path).await;
        assert!(names(&page).len() <= 4);
        paged.extend(names(&page));
        next = page.header("link").map(|link| {
            assert!(link.ends_with(r#">; rel="next""#), "{link}");
            link.trim_start_matches('<').split('>').next().unwrap().to_owned()
        });
        if !paged.iter().all(|name| name.starts_with(&prefix)) {
            break;
        }
    }
    assert_eq!(paged[..mine.len()], mine);
}

#[tokio::test]
async fn parameters_that_are_none_are_refused() {
    let Target { client, .. } = &Target::find().await;
    let path = format!("/hello/{}", new_name());
    client.put(&path, born("1990-06-15")).await;
    for query in
        ["tz=", "tz=Lisbon", "tz=%2B01:00", "tz=UTC&tz=UTC", "tz=../../etc/passwd", "tz=%00", "tz=%FF"]
    {
        client.get(&format!("{path}?{query}")).await.assert_refused(400);
    }
    for query in [
        "limit=",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=%2B5",
        "limit=1.5",
        "limit=x",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "after=",
        "after=_",
        "after=a%20b",
        "after=a&after=b",
        "after=%00",
    ] {
        client.get(&format!("/user?{query}")).await.assert_refused(400);
    }
    assert_eq!(client.get("/user?limit=1000&unknown=ignored").await.status, 200);
    assert_eq!(client.get(&format!("{path}?unknown=ignored")).await.status, 200);
}

#[tokio::test]
async fn head_is_get_without_the_body_and_options_says_allow() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    client.put(&format!("/hello/{name}"), born("1990-06-15")).await;
    let paths = [
        ("/".to_owned(), "GET, HEAD, POST, OPTIONS"),
        (format!("/hello/{name}"), "GET, HEAD, PUT, OPTIONS"),
        ("/user?limit=1".to_owned(), "GET, HEAD, POST, OPTIONS"),
        (format!("/user/{name}"), "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/-/healthy".to_owned(), "GET, HEAD, OPTIONS"),
        ("/-/ready".to_owned(), "GET, HEAD, OPTIONS"),
    ];
    for (path, allow) in &paths {
        let (get, head) = (client.get(path).await, client.send(Method::HEAD, path, &[], "").await);
        assert_eq!((head.status, head.text()), (get.status, ""), "{path}");
        for header in ["content-type", "content-length", "link"] {
            assert_eq!(head.header(header), get.header(header), "{path} {header}");
        }
        let options = client.send(Method::OPTIONS, path, &[], "").await;
        assert_eq!((options.status.as_u16(), options.header("allow")), (204, Some(*allow)), "{path}");
        for method in ["PATCH", "TRACE", "BREW"] {
            let refused = client.send(method.parse().unwrap(), path, &[], "").await;
            refused.assert_refused(405);
            assert_eq!(refused.header("allow"), Some(*allow), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_known_is_refused_whatever_the_method() {
    let Target { client, .. } = &Target::find().await;
    for path in [
        "/nothing",
        "/hello",
        "/hello/",
        "/hello/a/b",
        "//hello/bob",
        "/hello/../user",
        "/user/",
        "/-/",
        "/Hello/bob",
        "/metrics/",
    ] {
        client.get(path).await.assert_refused(404);
        client.put(path, born("1990-06-15")).await.assert_refused(404);
        client.send(Method::HEAD, path, &[], "").await.status.is_client_error().then_some(()).unwrap();
    }
}

#[tokio::test]
async fn it_is_healthy_and_ready() {
    let Target { client, .. } = &Target::find().await;
    for path in ["/-/healthy", "/-/ready"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"), "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_its_id_and_the_headers_that_keep_it_to_its_reader() {
    let Target { client, .. } = &Target::find().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/nothing"),
        (Method::PUT, "/hello/x1"),
        (Method::OPTIONS, "/user"),
    ] {
        let sent = [("x-request-id", "a-1.B_2"), ("traceparent", trace)];
        let answer = client.send(method.clone(), path, &sent, "").await;
        assert_eq!(answer.header("x-request-id"), Some("a-1.B_2"));
        assert_eq!(answer.header("traceparent"), Some(trace));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {path}");
        }
        assert!(answer.header("server").is_none());
        assert!(answer.header("access-control-allow-origin").is_none());
        let sent = [("x-request-id", "not an id"), ("traceparent", "nor this")];
        let answer = client.send(method, path, &sent, "").await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(16));
        assert_eq!(answer.header("traceparent"), None);
    }
}

#[tokio::test]
async fn saves_of_one_name_at_once_end_with_one_of_them() {
    let Target { client, .. } = &Target::find().await;
    let name = new_name();
    let dates: Vec<_> = (1..=28).map(|day| format!("1990-06-{day:02}")).collect();
    let savers: Vec<_> = dates
        .iter()
        .map(|date| {
            let (client, path, body) = (*client, format!("/hello/{name}"), born(date));
            tokio::spawn(async move { client.put(&path, body).await.status })
        })
        .collect();
    for saver in savers {
        assert_eq!(saver.await.unwrap(), 204);
    }
    let kept = client.get(&format!("/user/{name}")).await.json();
    assert!(dates.iter().any(|date| kept["dateOfBirth"] == *date), "{kept}");
}
