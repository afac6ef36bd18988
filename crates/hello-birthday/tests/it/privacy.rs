//! Nothing that was sent is told to a log or a metric.

use hyper::Method;

use crate::access::{file_of, make, serve_with};
use crate::client::Client;
use crate::process::{Program, program, wait_for};

/// What clients send, in every place where something can be sent.
const SENT: [&str; 10] = [
    "Zebulonia",
    "zebulonia@example.org",
    "1987-03-21",
    "03-21",
    "19870321",
    "zebu_lonia",
    "Qzebulonia",
    "zebu-query",
    "zebu-header",
    "zebu-path",
];

const READS: [&str; 4] =
    ["/user?after=Qzebulonia", "/user/Zebulonia", "/birthdays?days=366", "/birthdays?after=Zebulonia"];
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const SENT_HEADERS: [(&str, &str); 3] =
    [("user-agent", "zebu-header"), ("authorization", "Bearer zebu-header"), ("referer", "zebu-header")];

#[tokio::test]
async fn no_name_address_or_date_is_in_a_log_line_or_a_metric() {
    for format in ["text", "json"] {
        let mut service = Program::start(&mut program(&[
            "--listen",
            "127.0.0.1:0",
            "--store",
            "sqlite::memory:",
            "--log",
            "trace",
            "--log-format",
            format,
        ]));
        let client = service.client();
        client.put("/hello/Zebulonia", r#"{"dateOfBirth": "1987-03-21"}"#).await;
        client.get("/hello/Zebulonia?tz=zebu-query").await.assert_refused(400);
        client.get("/hello/Zebulonia?x=zebu-query").await;
        client.put("/hello/Zebulonia", r#"{"dateOfBirth": "1987-03-21", "dateOfBirth": "1987-03-21"}"#).await;
        client.put("/hello/zebu_lonia", "1987-03-21").await.assert_refused(400);
        client.post("/user", r#"{"username": "Zebulonia", "email": "zebulonia@example.org"}"#).await;
        client
            .post("/user", r#"{"username": "Zebulonia", "email": "other.zebulonia@example.org"}"#)
            .await
            .assert_refused(409);
        client
            .post("/user", r#"{"username": "Zebulonia", "email": "zebulonia@example.org@"}"#)
            .await
            .assert_refused(400);
        for path in READS {
            client.get(path).await;
        }
        client.get("/zebu-path").await.assert_refused(404);
        client.send(Method::GET, "/hello/Zebulonia", &SENT_HEADERS, "").await;
        client.raw("GET /hello/Zebulonia HTTP/1.1\r\nzebu-header\r\n\r\n").await;
        let calendar = client.get("/birthdays.ics?remind=P1D&x=zebu-query").await;
        assert!(calendar.text().contains("Zebulonia") && calendar.text().contains("19870321"));
        client.get("/birthdays.ics?remind=zebu-query").await.assert_refused(400);
        use_the_page(client).await;
        client.delete("/user/Zebulonia").await;
        let metrics = client.get("/metrics").await;
        service.terminate();
        let ended = service.ended();
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.stderr.matches("/hello/{username}").count() >= 6,
            "requests are logged: {}",
            ended.stderr
        );
        let log: Vec<_> = ended.stderr.lines().map(without_time).collect();
        for sent in SENT {
            assert!(!log.iter().any(|line| line.contains(sent)), "{sent} in {log:#?}");
            assert!(!metrics.text().contains(sent), "{sent} in {}", metrics.text());
        }
        if format == "json" {
            for line in ended.stderr.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(
                    line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string()
                );
            }
        }
    }
}

/// What a log line says, but for when that was: it may be on the day that was sent.
fn without_time(line: &str) -> String {
    if let Ok(mut fields) = serde_json::from_str::<serde_json::Value>(line) {
        fields["timestamp"].take();
        return fields.to_string();
    }
    let (time, text) = line.split_once(' ').unwrap_or_default();
    if time.ends_with('Z') { text.to_owned() } else { line.to_owned() }
}

/// Fills in both forms of the page, well and badly.
async fn use_the_page(client: Client) {
    for form in ["username=Zebulonia&dateOfBirth=1987-03-21", "username=zebu_lonia&dateOfBirth=19870321"] {
        let answer = client.send(Method::POST, "/", &[FORM], form).await;
        assert!(matches!(answer.status.as_u16(), 303 | 400), "{answer:?}");
    }
    for query in ["", "?name=Zebulonia", "?name=zebu_lonia", "?name=Qzebulonia&name=zebu-query"] {
        let page = client.send(Method::GET, &format!("/{query}"), &[("accept", "text/html")], "").await;
        assert!(page.text().contains("Zebulonia"), "the list names her: {page:?}");
    }
}

#[tokio::test]
async fn no_token_and_no_label_is_in_a_log_line_a_metric_or_a_refusal() {
    for format in ["text", "json"] {
        let known = make("hello:read,metrics", &["--label", "zebu-label"]);
        let calendar = make("calendar", &[]);
        let expired = make("hello:read", &[]).until("2026-11-22");
        let unknown = make("hello:read", &[]);
        let (_folder, file) = file_of(&[&known, &calendar, &expired]);
        let mut service = Program::start(serve_with(&file).args(["--log", "trace", "--log-format", format]));
        let client = service.client();
        let mut told = String::new();
        for made in [&known, &calendar, &expired, &unknown] {
            let bearer = format!("Bearer {}", made.token);
            for headers in [&[("authorization", &*bearer)][..], &[("authorization", &made.token)], &[]] {
                for path in ["/hello/Anna", "/metrics", "/user", "/birthdays.ics", "/nothing"] {
                    let path = format!("{path}?token={}", made.token);
                    let answer = client.send(Method::GET, &path, headers, "").await;
                    told.push_str(answer.text());
                    told.push_str(&format!("{:?}", answer.headers));
                }
            }
        }
        // Somebody puts the token where its fingerprint belongs.
        std::fs::write(&file, known.line.replace(" hello:read", &format!(" {}", known.token))).unwrap();
        wait_for("the broken line in the log", || service.stderr().contains("wrong in line 1").then_some(()));
        service.terminate();
        told.push_str(&service.ended().stderr);
        assert!(told.contains("token_id") && told.contains("hello_birthday_build"), "{told}");
        for made in [&known, &calendar, &expired, &unknown] {
            let secret = made.token.rsplit('_').next().unwrap();
            let fingerprint = made.line.split(' ').nth(1).unwrap();
            for hidden in [secret, fingerprint, "zebu-label"] {
                assert!(!told.contains(hidden), "{hidden} in {told}");
            }
        }
    }
}
