//! What no client library sends: one table of requests, byte by byte, and what each is answered.

#![expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]

use std::time::Duration;

use server::Limits;

use crate::app::{App, Choice};
use crate::client::Answer;
use crate::wire::allow_many_files;

/// What is sent, and what should come back.
struct Row {
    what: &'static str,
    request: Vec<u8>,
    status: u16,
    form: Form,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The service refuses: problem details.
    Problem,
    /// The HTTP parser refuses: a status and nothing more.
    Bare,
    /// It is no refusal.
    Good,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The next request on the connection is answered.
    Open,
    Closed,
}

use Form::{Bare, Good, Problem};
use Then::{Closed, Open};

fn row(what: &'static str, request: impl Into<Vec<u8>>, status: u16, form: Form, then: Then) -> Row {
    Row { what, request: request.into(), status, form, then }
}

/// A GET of that target.
fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET ", target.as_ref(), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()
}

/// A GET with that in place of headers; each ends with its line end.
fn get_with(headers: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /hello/Alice HTTP/1.1\r\n", headers.as_ref(), b"\r\n"].concat()
}

/// A PUT with those headers after `Host`, and that after the head.
fn put_with(headers: impl AsRef<[u8]>, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [b"PUT /hello/Alice HTTP/1.1\r\nHost: a\r\n", headers.as_ref(), b"\r\n", rest.as_ref()].concat()
}

/// A PUT of that body.
fn put(body: impl AsRef<[u8]>) -> Vec<u8> {
    put_with(format!("Content-Length: {}\r\n", body.as_ref().len()), body)
}

fn fields(count: usize) -> String {
    (0..count).map(|number| format!("X-{number}: y\r\n")).collect()
}

const DATE: &str = r#"{"dateOfBirth": "2000-01-01"}"#;

/// Sends every row on a connection of its own, and names each that is answered otherwise.
async fn check(app: &App, rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row { what, request, status, form, then } in rows {
        let mut wire = app.client.wire().await;
        wire.send(&request).await;
        let answer = wire.answer().await;
        let found = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        let formed = match (&answer, form) {
            (None, _) => status == 0,
            (Some(answer), Problem) => is_problem(answer),
            (Some(answer), Bare) => answer.body.is_empty() && answer.header("content-type").is_none(),
            (Some(answer), Good) => !is_problem(answer),
        };
        let ended = match then {
            Open => wire.is_open().await,
            Closed => wire.rest().await.is_empty(),
        };
        if found != status || !formed || !ended {
            wrong.push(format!(
                "{what}: wanted {status} {form:?} {then:?}, ended so: {ended}, got {answer:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_problem(answer: &Answer) -> bool {
    answer.header("content-type") == Some("application/problem+json")
        && answer.json()["status"] == answer.status.as_u16()
        && answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty())
}

async fn app_with_alice() -> App {
    let app = App::start().await;
    assert_eq!(app.client.put("/hello/Alice", DATE).await.status, 204);
    app
}

#[tokio::test]
async fn a_request_names_one_host_and_it_agrees_with_the_target() {
    let app = app_with_alice().await;
    let absolute = |host: &str| format!("GET http://a.example/hello/Alice HTTP/1.1\r\nHost: {host}\r\n\r\n");
    check(
        &app,
        vec![
            row("one", get_with("Host: a\r\n"), 200, Good, Open),
            row("one with a port", get_with("Host: a.example:8080\r\n"), 200, Good, Open),
            row("an IPv6 one", get_with("Host: [::1]:8080\r\n"), 200, Good, Open),
            row("none", get_with(""), 400, Problem, Open),
            row("two", get_with("Host: a\r\nHost: b\r\n"), 400, Problem, Open),
            row("the same twice", get_with("Host: a\r\nHost: a\r\n"), 400, Problem, Open),
            row("an empty one", get_with("Host: \r\n"), 400, Problem, Open),
            row("two in one", get_with("Host: a, b\r\n"), 400, Problem, Open),
            row("a path", get_with("Host: a/b\r\n"), 400, Problem, Open),
            row("a user", get_with("Host: user@a\r\n"), 400, Problem, Open),
            row("bytes", get_with(b"Host: \xff\r\n"), 400, Problem, Open),
            row("absolute target", absolute("a.example"), 200, Good, Open),
            row("absolute target, case", absolute("A.Example"), 200, Good, Open),
            row("absolute target, other host", absolute("b.example"), 400, Problem, Open),
            row("absolute target, other port", absolute("a.example:81"), 400, Problem, Open),
            row("absolute target without Host", "GET http://a/ HTTP/1.1\r\n\r\n", 400, Problem, Open),
            row("HTTP/1.0 without Host", "GET /hello/Alice HTTP/1.0\r\n\r\n", 200, Good, Closed),
            row("HTTP/1.0 with Host", "GET /hello/Alice HTTP/1.0\r\nHost: a\r\n\r\n", 200, Good, Closed),
            row("HTTP/1.0 with two", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, Problem, Closed),
            row("no host, no route", "GET /x HTTP/1.1\r\n\r\n", 400, Problem, Open),
            row("HTTP/1.0 kept alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, Good, Open),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_http_1_gets_a_bare_answer_and_a_close() {
    let app = app_with_alice().await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let put = |headers: &str| put_with(headers, DATE);
    check(
        &app,
        vec![
            row("HTTP/0.9", "GET /\r\n", 400, Bare, Closed),
            row("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, Bare, Closed),
            row("HTTP/3", "GET / HTTP/3\r\nHost: a\r\n\r\n", 400, Bare, Closed),
            row("HTTP/2's preface", preface, 0, Bare, Closed),
            row("junk", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400, Bare, Closed),
            row("zeros", [0; 64], 400, Bare, Closed),
            row("text", "hello?\r\n\r\n", 400, Bare, Closed),
            row("space before the colon", get_with("Host : a\r\n"), 400, Bare, Closed),
            row("folded line", get_with("Host: a\r\nX: y\r\n z\r\n"), 400, Bare, Closed),
            row("NUL in a header", get_with("Host: a\r\nX: y\0z\r\n"), 400, Bare, Closed),
            row("bare CR in a header", get_with("Host: a\r\nX: y\rz\r\n"), 400, Bare, Closed),
            row("no header name", get_with("Host: a\r\n: y\r\n"), 400, Bare, Closed),
            row("no colon", get_with("Host: a\r\nX\r\n"), 400, Bare, Closed),
            row("two targets", "GET / / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Bare, Closed),
            row("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, Bare, Closed),
            row("control character in the target", get("/\x01"), 400, Bare, Closed),
            row("two lengths", put("Content-Length: 29\r\nContent-Length: 28\r\n"), 400, Bare, Closed),
            row("a list of lengths", put("Content-Length: 29, 29\r\n"), 400, Bare, Closed),
            row("+29", put("Content-Length: +29\r\n"), 400, Bare, Closed),
            row("-1", put("Content-Length: -1\r\n"), 400, Bare, Closed),
            row("an empty length", put("Content-Length: \r\n"), 400, Bare, Closed),
            row("a hexadecimal length", put("Content-Length: 0x1d\r\n"), 400, Bare, Closed),
            row("a length of 2^64", put("Content-Length: 18446744073709551616\r\n"), 400, Bare, Closed),
            row("an unknown coding", put("Transfer-Encoding: xchunked\r\n"), 400, Bare, Closed),
            row("chunked is not last", put("Transfer-Encoding: chunked, identity\r\n"), 400, Bare, Closed),
            row(
                "chunked in HTTP/1.0",
                "PUT /hello/Alice HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400,
                Bare,
                Closed,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_http_1_leaves_to_be_tolerated_is_tolerated() {
    let app = app_with_alice().await;
    check(
        &app,
        vec![
            row("bare LF", "GET /hello/Alice HTTP/1.1\nHost: a\n\n", 200, Good, Open),
            row("empty lines before", ["\r\n\r\n".into(), get("/hello/Alice")].concat(), 200, Good, Open),
            row("bytes in a header", get_with(b"Host: a\r\nX: \xff\r\n"), 200, Good, Open),
            row("the same length twice", put_with("Content-Length: 29\r\ncontent-length: 29\r\n", DATE), 204, Good, Open),
            row("h2c is not taken up", get_with("Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), 200, Good, Open),
            row("a WebSocket is not opened", get_with("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 200, Good, Open),
            row("a GET with a body", get_with("Host: a\r\nContent-Length: 5\r\n\r\nhello"), 200, Good, Open),
            row("a method in a header is not obeyed", get_with("Host: a\r\nX-HTTP-Method-Override: DELETE\r\n"), 200, Good, Open),
            row("a range is not asked for", get_with("Host: a\r\nRange: bytes=9-1\r\n"), 200, Good, Open),
            row("a condition is not asked for", get_with("Host: a\r\nIf-Match: \"x\"\r\nIf-None-Match: *\r\n"), 200, Good, Open),
            row("header names with _", get_with("Host: a\r\nContent_Length: 7\r\nTransfer_Encoding: chunked\r\n"), 200, Good, Open),
            row("a fragment", get("/hello/Alice#there"), 200, Good, Open),
            row("close", get_with("Host: a\r\nConnection: close\r\n"), 200, Good, Closed),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_is_framed_in_one_way() {
    let app = app_with_alice().await;
    let chunked = |chunks: &str| put_with("Transfer-Encoding: chunked\r\n", chunks);
    let smuggled = "0\r\n\r\nGET /hello/Smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    check(
        &app,
        vec![
            row("chunked", chunked(&format!("1d\r\n{DATE}\r\n0\r\n\r\n")), 204, Good, Open),
            row(
                "chunked with an extension",
                chunked(&format!("1d;a=b\r\n{DATE}\r\n0\r\n\r\n")),
                204,
                Good,
                Open,
            ),
            row(
                "chunked with a trailer",
                chunked(&format!("1d\r\n{DATE}\r\n0\r\nX: y\r\n\r\n")),
                204,
                Good,
                Open,
            ),
            row(
                "chunked twice",
                put_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                400,
                Problem,
                Closed,
            ),
            row(
                "chunked twice in one",
                put_with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
                400,
                Problem,
                Closed,
            ),
            row(
                "gzip, then chunked",
                put_with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
                400,
                Problem,
                Closed,
            ),
            row(
                "a length and chunked",
                put_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", smuggled),
                400,
                Problem,
                Closed,
            ),
            row(
                "chunked and a length",
                put_with("Transfer-Encoding: chunked\r\nContent-Length: 60\r\n", smuggled),
                400,
                Problem,
                Closed,
            ),
            row("a chunk of 2^64", chunked("10000000000000000\r\n"), 400, Problem, Closed),
            row("a chunk of -1", chunked("-1\r\n"), 400, Problem, Closed),
            row("a chunk without a size", chunked("\r\n"), 400, Problem, Closed),
            row(
                "a chunk that is longer than it says",
                chunked(&format!("1c\r\n{DATE}\r\n0\r\n\r\n")),
                400,
                Problem,
                Closed,
            ),
            row("a chunk's line ends bare", chunked(&format!("1d\n{DATE}\n0\n\n")), 400, Problem, Closed),
            row(
                "an extension of 20 KB",
                chunked(&format!("1d;{}\r\n", "x".repeat(20_000))),
                400,
                Problem,
                Closed,
            ),
            row(
                "a trailer of 20 KB",
                chunked(&format!("1d\r\n{DATE}\r\n0\r\nX: {}\r\n\r\n", "x".repeat(20_000))),
                400,
                Problem,
                Closed,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_the_part_that_is() {
    let app = app_with_alice().await;
    let name = |bytes: usize| get(format!("/hello/{}", "a".repeat(bytes - "/hello/".len())));
    let query = |bytes: usize| get(format!("/hello/Alice?{}", "q".repeat(bytes)));
    let host_and = |more: String| get_with(format!("Host: a\r\n{more}"));
    let header = |bytes: usize| host_and(format!("X: {}\r\n", "x".repeat(bytes)));
    let long = |bytes: usize| put_with(format!("Content-Length: {bytes}\r\n"), "");
    let chunks = |bytes: usize| {
        let chunk = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(bytes));
        put_with("Transfer-Encoding: chunked\r\n", chunk)
    };
    check(
        &app,
        vec![
            row("a path of 2 KiB", name(2048), 400, Problem, Open),
            row("a path of more", name(2049), 414, Problem, Open),
            row("a path of 9 KiB", name(9 << 10), 414, Problem, Open),
            row("a path of 70 KB", name(70_000), 431, Bare, Closed),
            row("a query of 2 KiB", query(2048), 200, Good, Open),
            row("a query of more", query(2049), 414, Problem, Open),
            row("a long path without a route", get(format!("/{}", "x".repeat(2048))), 414, Problem, Open),
            row("64 headers", host_and(fields(63)), 200, Good, Open),
            row("65 headers", host_and(fields(64)), 431, Bare, Closed),
            row("a header of 8,000 bytes", header(8_000), 200, Good, Open),
            row("a header of 8 KiB", header(8 << 10), 431, Problem, Open),
            row(
                "headers of more than 8 KiB",
                host_and(fields(60).replace('y', &"y".repeat(140))),
                431,
                Problem,
                Open,
            ),
            row("a header of 500 KB", header(500_000), 431, Bare, Closed),
            row(
                "path, query and headers, each within its bound",
                [&get(format!("/hello/{}?{}", "a".repeat(2000), "q".repeat(2000)))[..]].concat(),
                400,
                Problem,
                Open,
            ),
            row("a body of 1 KiB", put(format!("{DATE}{}", " ".repeat(1024 - DATE.len()))), 204, Good, Open),
            row("a body that says it has one byte more", long(1025), 413, Problem, Closed),
            row("a body that says it has 2^63 - 1", long(i64::MAX as usize), 413, Problem, Closed),
            row("chunks of one byte more", chunks(1025), 413, Problem, Closed),
            row(
                "a POST of 4 KiB",
                "POST /user HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n",
                413,
                Problem,
                Closed,
            ),
            row(
                "a long name with a long body",
                put_with("Content-Length: 1025\r\n", "").repeat(2),
                413,
                Problem,
                Closed,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_expectation_is_met_or_refused() {
    let app = app_with_alice().await;
    let expect = |value: &str| put_with(format!("Expect: {value}\r\nContent-Length: 29\r\n"), "");
    check(
        &app,
        vec![
            row("junk", expect("junk"), 417, Problem, Closed),
            row("an empty one", expect(""), 417, Problem, Closed),
            row("two in one", expect("100-continue, junk"), 417, Problem, Closed),
            row("two", expect("100-continue\r\nExpect: junk"), 417, Problem, Closed),
            row("two, the other way", expect("junk\r\nExpect: 100-continue"), 417, Problem, Closed),
            row("junk without a body", get_with("Host: a\r\nExpect: junk\r\n"), 417, Problem, Open),
            row(
                "100-continue without a body",
                get_with("Host: a\r\nExpect: 100-continue\r\n"),
                200,
                Good,
                Open,
            ),
            row(
                "a body that is too long",
                put_with("Expect: 100-continue\r\nContent-Length: 1025\r\n", ""),
                413,
                Problem,
                Closed,
            ),
            row("a wrong type", expect("100-continue\r\nContent-Type: text/plain"), 415, Problem, Closed),
            row(
                "a wrong name",
                "PUT /hello/4 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n",
                400,
                Problem,
                Closed,
            ),
            row(
                "no route",
                "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n",
                404,
                Problem,
                Closed,
            ),
        ],
    )
    .await;
    for value in ["100-continue", "100-Continue"] {
        let mut wire = app.client.wire().await;
        wire.send(expect(value)).await;
        assert_eq!(wire.answer().await.unwrap().status, 100);
        wire.send(DATE).await;
        assert_eq!(wire.answer().await.unwrap().status, 204);
        assert!(wire.is_open().await);
    }
    // RFC 9110, section 10.1.1: HTTP/1.0 knows no 100.
    let mut wire = app.client.wire().await;
    wire.send(format!(
        "PUT /hello/Alice HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n{DATE}"
    ))
    .await;
    assert_eq!(wire.answer().await.unwrap().status, 204);
}

#[tokio::test]
async fn a_body_comes_as_json_and_uncoded() {
    let app = app_with_alice().await;
    let with = |header: &str| put_with(format!("{header}\r\nContent-Length: 29\r\n"), DATE);
    check(
        &app,
        vec![
            row("no type", put(DATE), 204, Good, Open),
            row("JSON", with("Content-Type: application/json"), 204, Good, Open),
            row("JSON in UTF-8", with("Content-Type: application/json; charset=UTF-8"), 204, Good, Open),
            row("a form", with("Content-Type: application/x-www-form-urlencoded"), 415, Problem, Open),
            row("text", with("Content-Type: text/plain"), 415, Problem, Open),
            row(
                "two types",
                with("Content-Type: application/json\r\nContent-Type: text/plain"),
                415,
                Problem,
                Open,
            ),
            row("UTF-16", with("Content-Type: application/json; charset=utf-16"), 415, Problem, Open),
            row("no words", with("Content-Type: "), 415, Problem, Open),
            row("bytes", put_with(b"Content-Type: \xff\r\nContent-Length: 29\r\n", DATE), 415, Problem, Open),
            row("gzip", with("Content-Encoding: gzip"), 415, Problem, Open),
            row("identity", with("Content-Encoding: identity"), 415, Problem, Open),
        ],
    )
    .await;
    let mut wire = app.client.wire().await;
    wire.send(with("Content-Encoding: br")).await;
    assert_eq!(wire.answer().await.unwrap().header("accept-encoding"), Some("identity"));
    wire.send(with("Content-Type: text/plain")).await;
    assert_eq!(wire.answer().await.unwrap().header("accept"), Some("application/json"));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_which_it_knows() {
    let app = app_with_alice().await;
    let ask = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
    check(
        &app,
        vec![
            row("no path, no method", ask("BREW /x"), 404, Problem, Open),
            row("a GET of *", ask("GET *"), 404, Problem, Open),
            row("a GET of a host", ask("GET a"), 404, Problem, Open),
            row("options of nothing", ask("OPTIONS /x"), 404, Problem, Open),
            row("a method with a sign", ask("G\"T /"), 400, Bare, Closed),
            row("no method", ask(" /"), 400, Bare, Closed),
        ],
    )
    .await;
    for (line, status, allow) in [
        ("TRACE /hello/Alice", 405, "GET, HEAD, PUT, OPTIONS"),
        ("get /hello/Alice", 405, "GET, HEAD, PUT, OPTIONS"),
        ("BREW /user", 405, "GET, HEAD, POST, OPTIONS"),
        ("PATCH /user/Alice", 405, "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("PUT /", 405, "GET, HEAD, POST, OPTIONS"),
        ("CONNECT a", 405, "GET, HEAD, PUT, POST, DELETE, OPTIONS"),
        ("OPTIONS *", 204, "GET, HEAD, PUT, POST, DELETE, OPTIONS"),
        ("OPTIONS /user", 204, "GET, HEAD, POST, OPTIONS"),
        ("OPTIONS /hello/4", 204, "GET, HEAD, PUT, OPTIONS"),
    ] {
        let mut wire = app.client.wire().await;
        wire.send(ask(line)).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, Some(allow)), "{line}");
        assert_eq!(is_problem(&answer), status == 405, "{line}");
        assert!(wire.is_open().await, "{line}");
    }
    let mut wire = app.client.wire().await;
    let long = "M".repeat(2000);
    wire.send(ask(&format!("{long} /"))).await;
    assert_eq!(wire.answer().await.unwrap().status, 405);
}

#[tokio::test]
async fn a_path_is_one_of_the_known_ones_and_a_name_is_letters() {
    let app = app_with_alice().await;
    let mut rows = vec![
        row("an encoded letter", get("/hello/%41lice"), 200, Good, Open),
        row("bytes that are no text", get(b"/hello/\xff"), 400, Bare, Closed),
        row("what can't stand in a target", get("/hello/<script>"), 400, Bare, Closed),
        row("a null date of a null name", get("/hello/null"), 404, Problem, Open),
        row("letters as they are", get("/hello/Jos\u{e9}"), 404, Problem, Open),
        row("fullwidth letters", get("/hello/%EF%BC%A1"), 404, Problem, Open),
    ];
    for path in [
        "//hello/Alice",
        "/hello//Alice",
        "/hello/../Alice",
        "/hello/./Alice",
        "/hello/Alice/",
        "/hello/",
        "/hello",
        "/user/",
        "/user//",
        "/HELLO/Alice",
        "/hello/Alice/x",
        "/%68ello/Alice",
        "/hello%2FAlice",
        "/-/",
        "/.env",
        "/;/",
        "/hello;x/Alice",
        "/\\hello\\Alice",
        "/{username}",
        "/hello/{username}/x",
    ] {
        rows.push(row(path, get(path), 404, Problem, Open));
    }
    for name in [
        "%2F",
        "..",
        ".",
        "%2e%2e",
        "%2E%2E%2Fuser",
        "%00",
        "Alice%00",
        "%zz",
        "%",
        "%4",
        "%u0041",
        "%FF",
        "%C3",
        "%C0%80",
        "%ED%A0%80",
        "%F5%80%80%80",
        "%E2%80%AEAlice",
        "Al%E2%80%8Dice",
        "%CC%81a",
        "a%0D%0AX:y",
        "a+b",
        "a%20b",
        "a;b",
        "a=b",
        "'--",
        "{username}",
        "%F0%9F%98%80",
        "%D9%A3",
        "%E2%85%A7",
        "%EF%BB%BFAlice",
        "\u{202e}Alice",
        "*",
        "4",
        "bob1",
        "bob-x",
        "o'neil",
    ] {
        rows.push(row(name, get(format!("/hello/{name}")), 400, Problem, Open));
        rows.push(row(
            name,
            format!("PUT /hello/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n{DATE}"),
            400,
            Problem,
            Open,
        ));
    }
    for query in [
        "tz=",
        "tz=%FF",
        "tz=%00",
        "tz=UTC&tz=UTC",
        "tz=../UTC",
        "tz=/etc/passwd",
        "tz=UTC%00",
        "tz=utc%2Fx",
        "t%7a=x",
    ] {
        rows.push(row(query, get(format!("/hello/Alice?{query}")), 400, Problem, Open));
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=+1",
        "limit=1e2",
        "limit=",
        "limit=%D9%A3",
        "limit=18446744073709551617",
        "limit=1&limit=1",
        "after=",
        "after=%00",
        "after=_",
        "after=%FF",
        "after=a&after=a",
        "limit[]=1&limit=0",
    ] {
        rows.push(row(query, get(format!("/user?{query}")), 400, Problem, Open));
    }
    for query in ["", "?", "&", "&&=&", "=x", "tz[]=x", "%FF=%FF", "%", "x=%zz", "TZ=x"] {
        rows.push(row(query, get(format!("/hello/Alice?{query}")), 200, Good, Open));
    }
    check(&app, rows).await;
}

#[tokio::test]
async fn a_body_is_one_json_object_with_one_date() {
    let app = app_with_alice().await;
    let nested = |open: &str, levels: usize| open.repeat(levels);
    let mut rows = vec![
        row("an unknown key", put(r#"{"x": [{}], "dateOfBirth": "2000-01-01", "y": null}"#), 204, Good, Open),
        row("an escaped key", put(r#"{"date\u004ffBirth": "2000-01-01"}"#), 204, Good, Open),
        row("space around", put(format!(" \t\r\n{DATE} \t\r\n")), 204, Good, Open),
        row("no body", put_with("", ""), 400, Problem, Open),
        row("a BOM", put(format!("\u{feff}{DATE}")), 400, Problem, Open),
        row("bad UTF-8", put(b"{\"dateOfBirth\": \"2000-01-0\xff\"}"), 400, Problem, Open),
        row(
            "bad UTF-8 elsewhere",
            put(b"{\"x\": \"\xff\", \"dateOfBirth\": \"2000-01-01\"}"),
            400,
            Problem,
            Open,
        ),
        row(
            "bad UTF-8 in another key",
            put(b"{\"\xc0\x80\": 1, \"dateOfBirth\": \"2000-01-01\"}"),
            400,
            Problem,
            Open,
        ),
        row(
            "UTF-16",
            put(DATE.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            400,
            Problem,
            Open,
        ),
        row("1,000 levels", put(nested("[", 1000)), 400, Problem, Open),
        row(
            "1,000 levels of a date",
            put(format!(r#"{{"dateOfBirth":{}"#, nested("[", 1000))),
            400,
            Problem,
            Open,
        ),
        row("150 levels elsewhere", put(nested(r#"{"x":"#, 150)), 400, Problem, Open),
        row("10,000 levels", put(nested("[", 10_000)), 413, Problem, Closed),
    ];
    for body in [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"2000-01-01\"",
        "[]",
        "[\"2000-01-01\"]",
        "{}",
        "{",
        "}",
        "nul",
        r#"[{"dateOfBirth": "2000-01-01"}]"#,
        r#"{"dateofbirth": "2000-01-01"}"#,
        r#"{"dateOfBirth": null}"#,
        r#"{"dateOfBirth": 20000101}"#,
        r#"{"dateOfBirth": 1e400}"#,
        r#"{"dateOfBirth": ["2000-01-01"]}"#,
        r#"{"dateOfBirth": {"$ne": null}}"#,
        r#"{"dateOfBirth": "2000-01-01", "dateOfBirth": "2000-01-01"}"#,
        r#"{"dateOfBirth": "2000-01-01", "date\u004ffBirth": "2000-01-01"}"#,
        r#"{"dateOfBirth": "2000-01-01"} x"#,
        r#"{"dateOfBirth": "2000-01-01"}{}"#,
        r#"{"dateOfBirth": "2000-01-01",}"#,
        r#"{'dateOfBirth': '2000-01-01'}"#,
        r#"{dateOfBirth: "2000-01-01"}"#,
        r#"{"dateOfBirth": "2000-01-01"} // yes"#,
        r#"{"dateOfBirth": "2000-01-01" "x": 1}"#,
        r#"{"dateOfBirth": "2000-01-01", "x": NaN}"#,
        r#"{"dateOfBirth": "2000-01-01", "x": 01}"#,
        r#"{"dateOfBirth": "2000-01-01\u0000"}"#,
        r#"{"dateOfBirth": "\ud800"}"#,
        r#"{"dateOfBirth": "2000-01-01\n"}"#,
        r#"{"dateOfBirth": " 2000-01-01"}"#,
        r#"{"dateOfBirth": "2000-1-1"}"#,
        r#"{"dateOfBirth": "20000101"}"#,
        r#"{"dateOfBirth": "+2000-01-1"}"#,
        r#"{"dateOfBirth": "-001-01-01"}"#,
        r#"{"dateOfBirth": "0000-01-01"}"#,
        r#"{"dateOfBirth": "1900-02-29"}"#,
        r#"{"dateOfBirth": "2000-13-01"}"#,
        r#"{"dateOfBirth": "2000-04-31"}"#,
        r#"{"dateOfBirth": "2000-00-10"}"#,
        r#"{"dateOfBirth": "9999-12-31"}"#,
        r#"{"dateOfBirth": "2000-W01-1"}"#,
        r#"{"dateOfBirth": "2000-123"}"#,
        r#"{"dateOfBirth": "2000-01-01T00:00:00Z"}"#,
        "{\"dateOfBirth\": \"2000\u{2010}01\u{2010}01\"}",
        "{\"dateOfBirth\": \"\u{662}\u{660}\u{660}\u{660}-\u{660}\u{661}-\u{660}\u{661}\"}",
        "{\"dateOfBirth\": \"2000-01-01\n\"}",
        "{\"dateOfBirth\": \u{201c}2000-01-01\u{201d}}",
        "\u{0c}{\"dateOfBirth\": \"2000-01-01\"}",
    ] {
        rows.push(row(body, put(body), 400, Problem, Open));
    }
    check(&app, rows).await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = app_with_alice().await;
    for (path, status) in
        [("/hello/Alice", 200), ("/hello/Nobody", 404), ("/hello/4", 400), ("/user", 200), ("/x", 404)]
    {
        let mut wire = app.client.wire().await;
        wire.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(wire.head().await.unwrap().status, status, "{path}");
        // The next bytes are the next answer's.
        assert!(wire.is_open().await, "{path}");
    }
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_answered_in_order() {
    let app = app_with_alice().await;
    let mut wire = app.client.wire().await;
    let requests: String =
        (0..1000).map(|n| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {n}\r\n\r\n")).collect();
    wire.send(requests).await;
    for number in 0..1000 {
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, world!"));
        assert_eq!(answer.header("x-request-id"), Some(&*number.to_string()));
    }
    assert!(wire.is_open().await);
}

#[tokio::test]
async fn a_request_that_is_smuggled_in_a_body_is_not_answered() {
    let app = app_with_alice().await;
    let put = "PUT /hello/Smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n";
    for (headers, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", format!("0\r\n\r\n{put}{DATE}")),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", format!("0\r\n\r\n{put}{DATE}")),
        ("Content-Length: 2000\r\n", format!("{put}{DATE}")),
        ("Expect: junk\r\nContent-Length: 200\r\n", format!("{put}{DATE}")),
        ("Content-Type: text/plain\r\nContent-Length: 9000\r\n", format!("{put}{DATE}")),
    ] {
        let mut wire = app.client.wire().await;
        wire.send(put_with(headers, body)).await;
        assert!(wire.answer().await.unwrap().status.is_client_error(), "{headers}");
        wire.assert_closed().await;
        app.client.get("/hello/Smuggled").await.assert_refused(404);
    }
}

#[tokio::test]
async fn a_client_that_goes_on_sending_still_reads_why_it_was_refused() {
    let app = app_with_alice().await;
    let mut wire = app.client.wire().await;
    wire.send(put_with("Content-Length: 1000000\r\n", "")).await;
    for _ in 0..1000 {
        wire.send([b' '; 1000]).await;
    }
    wire.answer().await.unwrap().assert_refused(413);
    wire.assert_closed().await;
}

/// Requests to begin with, pieces to put in, and what a seed makes of them.
fn mutated(seed: u64) -> Vec<u8> {
    const PIECES: [&str; 24] = [
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        ":",
        "/",
        "//",
        "?",
        "%",
        "%00",
        "\u{202e}",
        "é",
        "{",
        "}",
        "[",
        "\"",
        "Content-Length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "HTTP/1.0",
        "99999999999999999999",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let requests = [
        put_with("Content-Type: application/json\r\nContent-Length: 29\r\n", DATE),
        put_with("Transfer-Encoding: chunked\r\n", format!("1d\r\n{DATE}\r\n0\r\n\r\n")),
        get("/hello/Alice?tz=Europe/Lisbon"),
        get("/user?limit=2&after=Bob"),
        get("http://a/-/ready"),
        [get("/"), get("/metrics")].concat(),
        b"POST /user HTTP/1.1\r\nHost: a\r\nContent-Length: 48\r\n\r\n{\"username\": \"bob\", \"email\": \"bob@example.org\"}  ".to_vec(),
        b"DELETE /user/bob HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ];
    let mut bytes = random.choice(requests).unwrap_or_default();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        let until = bytes.len().min(at + random.usize(..12));
        match random.u8(..5) {
            0 => bytes[at] = random.u8(..),
            1 => bytes[at] ^= 1 << random.u8(..8),
            2 => drop(bytes.drain(at..until)),
            3 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap_or_default().bytes())),
            _ => {
                let again = bytes[at..until].repeat(random.usize(1..100));
                drop(bytes.splice(at..at, again));
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[tokio::test]
async fn no_slip_of_a_byte_is_a_fault_of_the_service() {
    allow_many_files();
    let short = Duration::from_millis(500);
    let limits = Limits { first_byte: short, head: short, idle: short, ..Limits::default() };
    let app = App::start_with(Choice { limits, ..Choice::default() }).await;
    let ask = async |seed: u64| {
        let mut wire = app.client.wire().await;
        // The service may have closed before it was sent everything.
        let _ = wire.try_send(mutated(seed)).await;
        let mut answers = 0;
        while let Some(answer) = wire.answer().await {
            let status = answer.status;
            assert!(!status.is_server_error(), "seed {seed}: {answer:?}");
            assert!(
                !status.is_client_error() || is_problem(&answer) || answer.body.is_empty(),
                "seed {seed}: {answer:?}"
            );
            answers += 1;
        }
        answers
    };
    let answers = futures_util::future::join_all((0..1000).map(ask)).await;
    assert!(500 < answers.iter().sum::<u32>());
    let metrics = app.client.get("/metrics").await;
    assert!(metrics.text().contains("\nhello_birthday_connections_panics_total 0\n"), "{}", metrics.text());
}
