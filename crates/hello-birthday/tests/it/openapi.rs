//! What the OpenAPI document says is what the program does, and what it does is in the document.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_birthday::access::Scope;
use hello_birthday::http::OPENAPI;
use hello_birthday::http::routes::{self, Access, Endpoint};
use hyper::Method;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::access::{file_of, make, serve_with};
use crate::app::{App, Choice};
use crate::client::{Answer, Client};
use crate::process::{Program, program, run, serve_store};

/// What is documented and not walked through here, and why.
const NOT_WALKED: [(&str, &str); 1] =
    [("408", "takes five seconds; tests/it/limits.rs and raw.rs wait for it")];

/// Headers that every answer may have; the document says so once.
const EVERYWHERE: [&str; 9] = [
    "cache-control",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "referrer-policy",
    "transfer-encoding",
    "x-content-type-options",
];

/// What the form of the page at the root sends.
const FORM: &str = "application/x-www-form-urlencoded";

/// What a browser says when it sends that form, and asks for the page.
const IN_A_BROWSER: [(&str, &str); 2] = [("accept", "text/html,*/*;q=0.8"), ("content-type", FORM)];
const SAVED: &str = "username=Anna&dateOfBirth=1990-06-15";

/// Components that no operation refers to: they are answers to what is no operation.
const OF_NO_OPERATION: [&str; 3] = ["MethodNotAllowed", "Options", "UnknownPath"];

/// The document, and how often each answer that it describes was seen.
struct Document {
    value: Value,
    seen: BTreeMap<Answered, u32>,
}

/// An operation, such as `GET /user`, and a status.
type Answered = (String, String);

impl Document {
    fn read() -> Self {
        Self { value: serde_json::from_str(OPENAPI).unwrap(), seen: BTreeMap::new() }
    }

    fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
    }

    /// What a value stands for, if it is a reference.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["$ref"].as_str().map_or(value, |reference| self.at(reference.strip_prefix('#').unwrap()))
    }

    /// Every method of every path, with what is said of it.
    fn operations(&self) -> Vec<(Method, &str, &Value)> {
        let mut operations = Vec::new();
        for (path, item) in self.at("/paths").as_object().unwrap() {
            for (key, operation) in item.as_object().unwrap() {
                if key != "parameters" {
                    operations.push((key.to_uppercase().parse().unwrap(), path.as_str(), operation));
                }
            }
        }
        operations
    }

    /// The rule of a schema that stands somewhere in the document. Objects that are described by name have no
    /// other keys than those, where `closed` is wanted.
    fn validator(&self, schema: &Value, keys: Keys) -> Validator {
        let mut components = self.at("/components").clone();
        for (_, schema) in components["schemas"].as_object_mut().unwrap() {
            if keys == Keys::Known && schema["type"] == "object" {
                schema["unevaluatedProperties"] = json!(false);
            }
        }
        let whole = json!({ "allOf": [schema], "components": components });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
    }

    /// Checks that an answer is as the document says, and remembers that it was seen.
    fn saw(&mut self, operation: &str, answer: &Answer) {
        let (method, path) = operation.split_once(' ').unwrap();
        let pointer = format!("/paths/{}/{}", path.replace('/', "~1"), method.to_lowercase());
        let status = answer.status.as_str();
        let said = &self.at(&pointer)["responses"][status];
        assert!(!said.is_null(), "{operation} answers {status}, which is not documented: {answer:?}");
        self.check(said, answer);
        *self.seen.entry((operation.to_owned(), status.to_owned())).or_default() += 1;
    }

    /// Checks the head and the body of an answer.
    fn check(&self, said: &Value, answer: &Answer) {
        let said = self.resolved(said);
        self.check_headers(said, answer);
        let Some(content) = said["content"].as_object() else {
            assert_eq!((answer.body.len(), answer.header("content-type")), (0, None), "{answer:?}");
            return;
        };
        let media_type = answer.header("content-type").unwrap().split(';').next().unwrap();
        let body = match media_type {
            "application/json" | "application/problem+json" => answer.json(),
            _ => answer.text().into(),
        };
        let schema = &content.get(media_type).unwrap_or_else(|| panic!("{media_type}: {answer:?}"))["schema"];
        let valid = self.validator(schema, Keys::Known).validate(&body).map_err(|error| error.to_string());
        assert_eq!(valid, Ok(()), "{answer:?}");
        if media_type == "application/problem+json" {
            answer.assert_refused(answer.status.as_u16());
        }
    }

    fn check_headers(&self, said: &Value, answer: &Answer) {
        let headers = said["headers"].as_object().unwrap();
        for (name, header) in headers {
            let header = self.resolved(header);
            let Some(value) = answer.header(name) else {
                assert!(header["required"] != true, "no {name}: {answer:?}");
                continue;
            };
            let schema = &header["schema"];
            let value = if schema["type"] == "integer" { value.parse().unwrap() } else { json!(value) };
            assert!(self.validator(schema, Keys::Any).is_valid(&value), "{name} of {answer:?}");
        }
        for name in answer.headers.keys() {
            let told = headers.keys().any(|header| header.eq_ignore_ascii_case(name.as_str()));
            assert!(told || EVERYWHERE.contains(&name.as_str()), "{name} of {answer:?}");
        }
    }

    /// Every value below one that is an object.
    fn objects(&self) -> Vec<&Value> {
        let mut objects = vec![&self.value];
        let mut next = 0;
        while let Some(value) = objects.get(next) {
            let inside: Vec<&Value> = match value {
                Value::Object(map) => map.values().collect(),
                Value::Array(list) => list.iter().collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
            };
            objects.extend(inside);
            next += 1;
        }
        objects.retain(|value| value.is_object());
        objects
    }
}

/// Which keys an object may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Those that its schema names, and others.
    Any,
    /// Those that its schema names.
    Known,
}

#[test]
fn the_document_has_the_routes_of_the_program_and_nothing_else() {
    let document = Document::read();
    let mut told = BTreeSet::new();
    for (method, path, operation) in document.operations() {
        let alternatives = operation["security"].as_array().unwrap();
        let access: Vec<_> = alternatives.iter().map(ToString::to_string).collect();
        let body = operation["requestBody"].as_object().map(|body| {
            let media_types: Vec<_> = body["content"].as_object().unwrap().keys().cloned().collect();
            (body["description"].as_str().unwrap().to_owned(), media_types)
        });
        assert!(told.insert((path.to_owned(), method.to_string(), access, body)));
    }
    let mut known = BTreeSet::new();
    for route in routes::all() {
        for Endpoint { method, access, body_limit } in route.endpoints() {
            let access = match access {
                Access::Public => Vec::new(),
                Access::Scoped(scope) => {
                    let mut alternatives = vec![json!({ "bearer": [scope.to_string()] }).to_string()];
                    if scope.allows_token_in_url() {
                        alternatives.push(json!({ "calendarToken": [scope.to_string()] }).to_string());
                    }
                    alternatives
                }
            };
            let media_type = if route.path() == "/" { FORM } else { "application/json" };
            let body = body_limit.map(|limit| (format!("At most {limit} bytes."), vec![media_type.into()]));
            known.insert((route.path().to_owned(), method.to_string(), access, body));
        }
    }
    assert_eq!(told, known);
}

#[test]
fn the_document_is_of_this_version_and_hangs_together() {
    let document = Document::read();
    assert_eq!(document.at("/info/version"), env!("CARGO_PKG_VERSION"));
    let names: BTreeSet<_> =
        document.operations().iter().map(|(_, _, operation)| operation["operationId"].to_string()).collect();
    assert_eq!(names.len(), document.operations().len(), "each operation has a name of its own");
    let mut referred = BTreeSet::new();
    for object in document.objects() {
        if let Some(reference) = object.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            document.at(pointer);
            referred.insert(pointer.to_owned());
        }
    }
    for link in document.objects().iter().filter_map(|object| object["links"].as_object()) {
        assert!(link.values().all(|link| names.contains(&link["operationId"].to_string())), "{link:?}");
    }
    for (kind, components) in document.at("/components").as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            let used = referred.contains(&format!("/components/{kind}/{name}"));
            let stands_alone = kind == "securitySchemes" || OF_NO_OPERATION.contains(&name.as_str());
            assert_ne!(used, stands_alone, "{kind}/{name}");
        }
    }
}

#[test]
fn every_example_is_what_its_schema_describes() {
    let document = Document::read();
    let mut examples = 0;
    for object in document.objects() {
        let Some(schema) = object.get("schema") else { continue };
        let one = object.get("example");
        let more = object.get("examples").and_then(Value::as_object);
        let values =
            one.into_iter().chain(more.into_iter().flat_map(|more| more.values().map(|e| &e["value"])));
        let validator = document.validator(schema, Keys::Known);
        let before = examples;
        for value in values {
            let valid = validator.validate(value).map_err(|error| error.to_string());
            assert_eq!(valid, Ok(()), "{value}");
            examples += 1;
        }
        assert!(before < examples, "no example: {object}");
    }
}

#[test]
fn the_command_prints_the_document() {
    let ended = run(&mut program(&["openapi"]));
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), OPENAPI, ""));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Says so if what takes minutes is left out.
fn is_left_out(what: &str) -> bool {
    let left_out = std::env::var_os("HELLO_TEST_ALL").is_none();
    if left_out {
        println!("left out: {what} (HELLO_TEST_ALL)");
    }
    left_out
}

#[test]
fn the_document_is_one_by_the_schema_of_openapi() {
    if is_left_out("the schema of OpenAPI 3.1") {
        return;
    }
    let mut validator = Command::new(root().join("target/schemathesis/python/bin/python"));
    validator.arg(root().join("tools/schemathesis/validate.py")).stdin(Stdio::piped());
    let mut running = validator.spawn().unwrap();
    running.stdin.take().unwrap().write_all(OPENAPI.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success());
}

#[test]
fn schemathesis_finds_no_answer_that_is_not_as_the_document_says() {
    if is_left_out("Schemathesis") {
        return;
    }
    let every = make(&Scope::ALL.map(|scope| scope.to_string()).join(","), &[]);
    let (_folder, file) = file_of(&[&every]);
    // So many requests of each kind: 50 are 2,000 in all.
    let cases = std::env::var("HELLO_CASES").unwrap_or_else(|_| "50".to_owned());
    for (mut command, token) in [(serve_store("sqlite::memory:"), ""), (serve_with(&file), &*every.token)] {
        let mut service = Program::start(&mut command);
        let url = format!("http://{}", service.client().address);
        let mut asking = Command::new(root().join("tools/schemathesis/run"));
        asking.args([&url, "--max-examples", &cases]).env("TOKEN", token);
        // Other requests than those of every run.
        if let Ok(seed) = std::env::var("HELLO_SEED") {
            asking.args(["--seed", &seed]);
        }
        let status = asking.status().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Asks for each thing that can go well or wrong with the store's data, with one of the tokens.
async fn walk_through_the_data(document: &mut Document, client: &Client, bearer: &str) {
    let anna = r#"{"username": "Anna", "email": "anna@example.org"}"#;
    let other = r#"{"username": "Anna", "email": "other@example.org"}"#;
    let email = r#"{"email": "me@example.org"}"#;
    for (operation, path, body, status) in [
        ("GET /", "/", "", 200),
        ("GET /hello/{username}", "/hello/Anna", "", 404),
        ("GET /user/{username}", "/user/Anna", "", 404),
        ("PUT /user/{username}", "/user/Anna", email, 404),
        ("DELETE /user/{username}", "/user/Anna", "", 404),
        ("GET /user", "/user", "", 200),
        ("PUT /hello/{username}", "/hello/Anna", r#"{"dateOfBirth": "1990-06-15"}"#, 204),
        ("PUT /hello/{username}", "/hello/Jos%C3%A9", r#"{"dateOfBirth": "1992-02-29"}"#, 204),
        ("GET /hello/{username}", "/hello/Anna?tz=Europe/Lisbon", "", 200),
        ("GET /user/{username}", "/user/Anna", "", 200),
        ("POST /user", "/user", anna, 201),
        ("POST /user", "/user", anna, 200),
        ("POST /user", "/user", other, 409),
        ("PUT /user/{username}", "/user/Anna", email, 204),
        ("GET /user/{username}", "/user/Anna", "", 200),
        ("GET /user", "/user?limit=1", "", 200),
        ("GET /user", "/user?limit=10&after=Anna", "", 200),
        ("GET /birthdays", "/birthdays?days=366", "", 200),
        ("GET /birthdays", "/birthdays?days=366&limit=1", "", 200),
        ("GET /birthdays.ics", "/birthdays.ics?remind=P1D,P1W", "", 200),
        ("GET /-/healthy", "/-/healthy", "", 200),
        ("GET /-/ready", "/-/ready", "", 200),
        ("GET /metrics", "/metrics", "", 200),
        ("GET /openapi.json", "/openapi.json", "", 200),
        ("GET /docs", "/docs", "", 200),
        ("DELETE /user/{username}", "/user/Jos%C3%A9", "", 204),
    ] {
        let method: Method = operation.split(' ').next().unwrap().parse().unwrap();
        let headers = [("authorization", bearer)];
        let answer = client.send(method.clone(), path, &headers, body).await;
        assert_eq!(answer.status, status, "{operation}: {answer:?}");
        document.saw(operation, &answer);
        if method == Method::GET && status == 200 {
            let head = client.send(Method::HEAD, path, &headers, "").await;
            assert_eq!((head.status, head.body.len()), (answer.status, 0), "{operation}");
            // How a body would be framed needs no telling where there is none (RFC 9112, section 6.1).
            let names =
                |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
            let mut told = names(&answer);
            told.remove("transfer-encoding");
            assert_eq!(names(&head), told, "{operation}");
        }
    }
    let known = [("authorization", bearer), ("if-none-match", "*")];
    document.saw("GET /birthdays.ics", &client.send(Method::GET, "/birthdays.ics", &known, "").await);
}

/// Greets and saves as people do.
async fn walk_through_the_page(document: &mut Document, client: &Client) {
    for (operation, path, body, status) in [
        ("GET /", "/", "", 200),
        ("GET /", "/?name=Anna", "", 404),
        ("GET /", "/?name=R2D2", "", 400),
        ("POST /", "/", "username=R2D2&dateOfBirth=1990-06-15", 400),
        ("POST /", "/", SAVED, 303),
        ("GET /", "/?name=Anna", "", 200),
    ] {
        let method: Method = operation.split(' ').next().unwrap().parse().unwrap();
        let answer = client.send(method, path, &IN_A_BROWSER, body).await;
        assert_eq!(answer.status, status, "{operation}: {answer:?}");
        document.saw(operation, &answer);
    }
}

/// Asks in each way that is refused before the store is asked.
async fn walk_through_what_is_refused(
    document: &mut Document,
    client: &Client,
    every: &str,
    none: [&str; 2],
) {
    let long = format!("?{}", "x".repeat(2049));
    let large = "x".repeat(8192);
    for route in routes::all() {
        let path = route.path().replace("{username}", "Anna");
        for Endpoint { method, access, body_limit } in route.endpoints() {
            let operation = format!("{method} {}", route.path());
            let authorized = ("authorization", every);
            let mut requests = vec![
                (path.clone(), vec![authorized, ("host", "another")], String::new(), 400),
                (format!("{path}{long}"), vec![authorized], String::new(), 414),
                (path.clone(), vec![authorized, ("expect", "nothing")], String::new(), 417),
                (path.clone(), vec![authorized, ("x-large", &*large)], String::new(), 431),
            ];
            if let Access::Scoped(scope) = access {
                let other = if *scope == Scope::Metrics { none[1] } else { none[0] };
                requests.push((path.clone(), Vec::new(), String::new(), 401));
                requests.push((path.clone(), vec![("authorization", other)], String::new(), 403));
            }
            if let Some(limit) = body_limit {
                let too_long = "x".repeat(usize::try_from(*limit).unwrap() + 1);
                requests.push((path.clone(), vec![authorized], too_long, 413));
                requests.push((
                    path.clone(),
                    vec![authorized, ("content-type", "text/plain")],
                    "x".into(),
                    415,
                ));
                requests.push((path.clone(), vec![authorized, ("content-encoding", "br")], "x".into(), 415));
                let media_type = if route.path() == "/" { FORM } else { "application/json" };
                requests.push((
                    path.clone(),
                    vec![authorized, ("content-type", media_type)],
                    "x".into(),
                    400,
                ));
            }
            if [Method::PUT, Method::POST, Method::DELETE].contains(method) {
                let elsewhere = ("sec-fetch-site", "cross-site");
                requests.push((path.clone(), vec![authorized, elsewhere], String::new(), 403));
            }
            for (path, headers, body, status) in requests {
                let answer = client.send(method.clone(), &path, &headers, body).await;
                assert_eq!(answer.status, status, "{operation}: {answer:?}");
                document.saw(&operation, &answer);
            }
        }
    }
}

/// Asks by a name that the service wasn't given.
async fn walk_through_a_name_of_somebody_else(document: &mut Document, client: &Client) {
    for route in routes::all() {
        let path = route.path().replace("{username}", "Anna");
        for Endpoint { method, .. } in route.endpoints() {
            let mut connection = client.connect().await.asking_for("evil.tld");
            let answer = connection.send(method.clone(), &path, &[], "").await;
            assert_eq!(answer.status, 421, "{method} {path}: {answer:?}");
            document.saw(&format!("{method} {}", route.path()), &answer);
        }
    }
}

/// Asks every path for its methods, and with a method that it hasn't.
async fn walk_through_what_is_no_operation(document: &Document, client: &Client, bearer: &str) {
    let component = |name: &str| document.at(&format!("/components/responses/{name}"));
    for (path, item) in document.at("/paths").as_object().unwrap() {
        let asked = path.replace("{username}", "Anna");
        let headers = [("authorization", bearer)];
        let options = client.send(Method::OPTIONS, &asked, &headers, "").await;
        assert_eq!(options.status, 204);
        document.check(component("Options"), &options);
        let refused = client.send(Method::PATCH, &asked, &headers, "").await;
        assert_eq!(refused.status, 405);
        document.check(component("MethodNotAllowed"), &refused);
        let methods: BTreeSet<_> = options.header("allow").unwrap().split(", ").collect();
        let documented = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        let documented: BTreeSet<_> = documented.map(|method| method.to_uppercase()).collect();
        let with_every_path =
            if documented.contains("GET") { vec!["HEAD", "OPTIONS"] } else { vec!["OPTIONS"] };
        let expected: BTreeSet<_> = documented.iter().map(String::as_str).chain(with_every_path).collect();
        assert_eq!(methods, expected, "{path}");
        assert_eq!(refused.header("allow"), options.header("allow"), "{path}");
    }
    let unknown = client.get("/nothing").await;
    assert_eq!(unknown.status, 404);
    document.check(component("UnknownPath"), &unknown);
}

/// Asks for everything until each operation has that status, if it is documented.
async fn walk_until(document: &mut Document, client: &Client, status: &str) {
    let operations: Vec<_> = document
        .operations()
        .iter()
        .filter(|(_, _, operation)| !operation["responses"][status].is_null())
        .map(|(method, path, operation)| {
            let content = &operation["requestBody"]["content"];
            let json = content["application/json"].get("example").map(ToString::to_string);
            let form = content.get(FORM).map(|_| SAVED.to_owned());
            (method.clone(), (*path).to_owned(), json.or(form).unwrap_or_default())
        })
        .collect();
    for (method, path, body) in operations {
        let mut statuses = Vec::new();
        while statuses.last().map(String::as_str) != Some(status) {
            let asked = path.replace("{username}", "Anna");
            let headers = if path == "/" { &IN_A_BROWSER[..] } else { &[] };
            let answer = client.send(method.clone(), &asked, headers, body.clone()).await;
            document.saw(&format!("{method} {path}"), &answer);
            statuses.push(answer.status.as_str().to_owned());
            assert!(statuses.len() < 20, "{method} {path}: {statuses:?}");
        }
    }
}

#[tokio::test]
async fn every_answer_is_documented_and_every_documented_answer_is_given() {
    let mut document = Document::read();
    let every = make(&Scope::ALL.map(|scope| scope.to_string()).join(","), &[]);
    let (metrics, user) = (make("metrics", &[]), make("user:read", &[]));
    let (_folder, file) = file_of(&[&every, &metrics, &user]);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    let [every, metrics, user] = [every, metrics, user].map(|made| format!("Bearer {}", made.token));
    walk_through_the_data(&mut document, &client, &every).await;
    walk_through_what_is_refused(&mut document, &client, &every, [&metrics, &user]).await;
    walk_through_what_is_no_operation(&document, &client, &every).await;

    walk_through_the_page(&mut document, &App::start().await.client).await;

    let limited = App::start_with(Choice { requests_a_second: 1.try_into().ok(), ..Choice::default() }).await;
    walk_until(&mut document, &limited.client, "429").await;
    let mut of_this_machine = Program::start(&mut serve_store("sqlite::memory:"));
    walk_through_a_name_of_somebody_else(&mut document, &of_this_machine.client()).await;
    let away = format!("postgres://anna@127.0.0.1:{}/birthdays", test_servers::free_port());
    let mut without_store = Program::start(&mut serve_store(&away));
    walk_until(&mut document, &without_store.client(), "503").await;

    for (method, path, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let seen = document.seen.contains_key(&(format!("{method} {path}"), status.clone()));
            let left_out = NOT_WALKED.iter().any(|(left_out, _)| left_out == status);
            assert_ne!(seen, left_out, "{method} {path} {status}: documented, and seen or left out");
        }
    }
}
