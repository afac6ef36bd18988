//! The page of the interface says what the document says, and what it tells to type works.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hello_birthday::access::Scope;
use hyper::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::access::{Made, file_of, make, serve_with};
use crate::app::App;
use crate::client::Client;
use crate::process::Program;

async fn page(client: &Client) -> String {
    let answer = client.get("/docs").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    answer.text().to_owned()
}

/// The part of a text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {rest}")).0
}

/// What a heading says, tags included.
fn heading<'a>(page: &'a str, id: &str) -> &'a str {
    between(page, &format!(" id=\"{id}\""), "</h").split_once('>').unwrap().1
}

/// Every value of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let before = format!(" {attribute}=\"");
    page.split(&before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The tags of a page without what they hold: `section`, `/section`.
fn tags(page: &str) -> Vec<&str> {
    let tags = page.split('<').skip(1).map(|rest| rest.split([' ', '>', '\n']).next().unwrap());
    tags.filter(|tag| !["!DOCTYPE", "meta", "link"].contains(tag)).collect()
}

/// As a browser reads what was escaped.
fn unescaped(text: &str) -> String {
    let [lt, gt, quote, apostrophe] = ["&#60;", "&#62;", "&#34;", "&#39;"];
    let text = text.replace(lt, "<").replace(gt, ">").replace(quote, "\"").replace(apostrophe, "'");
    text.replace("&#38;", "&")
}

/// An operation as the page has it.
struct Operation {
    method: String,
    path: String,
    curl: String,
}

fn operations(page: &str) -> Vec<Operation> {
    let sections = page.split("<section class=\"operation\"").skip(1);
    let operation = |section: &str| Operation {
        method: between(section, "<span class=\"method\">", "</span>").to_owned(),
        path: unescaped(between(section, "</span> <code>", "</code>")),
        curl: unescaped(between(section, "<pre class=\"try\"><code>", "</code>")),
    };
    sections.map(operation).collect()
}

impl Operation {
    fn in_document<'a>(&self, document: &'a Value) -> &'a Value {
        &document["paths"][&self.path][self.method.to_lowercase()]
    }

    /// What has to be there before others find it comes first, and is erased last.
    fn turn(&self) -> usize {
        ["POST", "PUT", "GET", "DELETE"].iter().position(|method| *method == self.method).unwrap()
    }

    /// What its line gets, typed with that token.
    async fn status(&self, client: &Client, token: &str) -> String {
        let line = self.curl.replace("127.0.0.1:8080", &client.address.to_string());
        let line = line.replacen("curl ", "curl --silent --output /dev/null --write-out '%{http_code}' ", 1);
        let output = Command::new("sh").arg("-c").arg(&line).env("TOKEN", token).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Types every line of the page, each with the token that is made of the scope which the document names.
async fn type_everything(client: &Client, token_of: impl Fn(&str) -> String) {
    let document = client.get("/openapi.json").await.json();
    let mut all = operations(&page(client).await);
    all.sort_by_key(Operation::turn);
    for operation in &all {
        let documented = operation.in_document(&document);
        let scope = documented["security"][0]["bearer"][0].as_str();
        let status = operation.status(client, &scope.map(&token_of).unwrap_or_default()).await;
        let answers = documented["responses"].as_object().unwrap();
        assert!(status.as_str() < "400" && answers.contains_key(&status), "{}: {status}", operation.curl);
    }
    assert!(all.len() >= 14, "{}", all.len());
}

#[tokio::test]
async fn every_line_to_try_works_where_no_token_is_asked_for() {
    let app = App::start().await;
    type_everything(&app.client, |_| String::new()).await;
}

#[tokio::test]
async fn every_line_to_try_works_with_a_token_of_the_scope_that_is_named() {
    let made = Scope::ALL.map(|scope| make(&scope.to_string(), &[]));
    let (_folder, file) = file_of(&made.iter().collect::<Vec<&Made>>());
    let mut service = Program::start(&mut serve_with(&file));
    let token_of = |scope: &str| {
        let index = Scope::ALL.iter().position(|known| known.to_string() == scope);
        made[index.unwrap_or_else(|| panic!("{scope}"))].token.clone()
    };
    type_everything(&service.client(), token_of).await;
}

#[tokio::test]
async fn every_operation_has_a_section_and_every_link_in_the_page_a_target() {
    let app = App::start().await;
    let page = page(&app.client).await;
    let document = app.client.get("/openapi.json").await.json();
    let mut told: Vec<_> = operations(&page).iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    let mut known = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        known.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    told.sort();
    known.sort();
    assert_eq!(told, known);

    let ids = values(&page, "id");
    let unique: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    let labels = values(&page, "aria-labelledby");
    assert!(labels.iter().all(|id| unique.contains(id)), "{labels:?}");
    let names: HashSet<_> = labels.iter().map(|id| heading(&page, id)).collect();
    assert_eq!(names.len(), labels.len(), "two landmarks have one name: {names:?}");
    for link in values(&page, "href") {
        match link.strip_prefix('#') {
            Some(id) => assert!(unique.contains(id), "{link}"),
            // Relative, so that it holds below a prefix as well; the picture is in the page.
            None => assert!(["openapi.json", "./"].contains(&link) || link.starts_with("data:"), "{link}"),
        }
    }
}

#[tokio::test]
async fn every_tag_is_closed_where_it_should_be_and_headings_skip_no_level() {
    let app = App::start().await;
    let page = page(&app.client).await;
    let (mut open, mut level) = (Vec::new(), 0);
    for tag in tags(&page) {
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
            continue;
        }
        open.push(tag);
        if let Some(next) = tag.strip_prefix('h').and_then(|digit| digit.parse().ok()) {
            assert!(next <= level + 1, "h{next} after h{level}");
            level = next;
        }
    }
    assert_eq!(open, [""; 0]);
}

#[tokio::test]
async fn the_policy_lets_the_style_in_and_nothing_else() {
    let app = App::start().await;
    let answer = app.client.get("/docs").await;
    let style = between(answer.text(), "<style>", "</style>");
    let digest = BASE64.encode(Sha256::digest(style));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains(&format!("style-src 'sha256-{digest}';")), "{policy}");
    for inline in ["<script", "<iframe", "<img", " style=", " onclick=", "@import", "url("] {
        assert!(!answer.text().contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn the_page_is_read_with_get_and_head_alone() {
    let client = App::start().await;
    let client = &client.client;
    let head = client.send(Method::HEAD, "/docs", &[], "").await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
    let length = page(client).await.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let options = client.send(Method::OPTIONS, "/docs", &[], "").await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    client.post("/docs", "{}").await.assert_refused(405);
}

#[tokio::test]
async fn what_strangers_send_as_host_stands_nowhere_in_the_page() {
    let app = App::start().await;
    let request = "GET /docs HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = app.client.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("evil.example"));
}
