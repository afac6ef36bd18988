//! Access tokens through the real program: who is let in where, and from when until when.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hello_birthday::access::Scope;
use hello_birthday::http::routes::{self, Access, Endpoint};
use hyper::Method;
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::process::{Program, program, run, wait_for};

/// A token, and the line that lets it in.
pub(crate) struct Made {
    pub(crate) token: String,
    pub(crate) line: String,
}

/// What the command makes.
pub(crate) fn make(scopes: &str, more: &[&str]) -> Made {
    let ended = run(program(&["token", "--scope", scopes]).args(more));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let token = ended.stderr.lines().last().unwrap().to_owned();
    Made { token, line: ended.stdout.trim_end().to_owned() }
}

impl Made {
    fn id(&self) -> &str {
        self.token.split('_').nth(1).unwrap()
    }

    /// The same token, which was valid until that day.
    pub(crate) fn until(mut self, day: &str) -> Self {
        self.line = self.line.replace(" never", &format!(" {day}"));
        assert!(self.line.contains(day));
        self
    }
}

/// A file of these tokens.
pub(crate) fn file_of(tokens: &[&Made]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    write(&path, tokens);
    (folder, path)
}

fn write(path: &Path, tokens: &[&Made]) {
    fs::write(path, tokens.iter().map(|made| format!("{}\n", made.line)).collect::<String>()).unwrap();
}

/// A service that asks for one of the tokens in that file.
pub(crate) fn serve_with(tokens: &Path) -> Command {
    let mut command = program(&["--listen", "127.0.0.1:0", "--store", "sqlite::memory:", "--tokens-file"]);
    command.arg(tokens);
    command
}

async fn ask(client: &Client, method: &Method, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    client.send(method.clone(), path, &[("authorization", &bearer)], "").await
}

/// Waits until whoever shows that token gets that status.
async fn answered(client: &Client, token: &str, status: u16) {
    let start = Instant::now();
    while ask(client, &Method::GET, "/user", token).await.status != status {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {status}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every method of every route, with `HEAD` and `OPTIONS` under the rules of `GET`.
fn everything_that_can_be_asked() -> Vec<(Method, String, Access)> {
    let mut all = Vec::new();
    for route in routes::all() {
        let path = route.path().replace("{username}", "Anna");
        for Endpoint { method, access, .. } in route.endpoints() {
            all.push((method.clone(), path.clone(), *access));
            if method == Method::GET {
                all.push((Method::HEAD, path.clone(), *access));
                all.push((Method::OPTIONS, path.clone(), *access));
            }
        }
    }
    all
}

#[tokio::test]
async fn exactly_who_has_the_scope_passes_whatever_the_route_the_method_and_the_token() {
    let one_each = Scope::ALL.map(|scope| (scope, make(&scope.to_string(), &[])));
    let every_scope = Scope::ALL.map(|scope| scope.to_string()).join(",");
    let (every, revoked) = (make(&every_scope, &[]), make(&every_scope, &[]));
    let expired = make(&every_scope, &[]).until("2026-11-22");
    let mut lines: Vec<_> = one_each.iter().map(|(_, made)| made).collect();
    lines.extend([&every, &expired, &revoked]);
    let (_folder, file) = file_of(&lines);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    answered(&client, &revoked.token, 200).await;
    lines.pop();
    write(&file, &lines);
    answered(&client, &revoked.token, 401).await;

    let unknown = make(&every_scope, &[]).token;
    let cut = &every.token[..every.token.len() - 1];
    let bearer = |token: &str| format!("Bearer {token}");
    let refused = [bearer(&unknown), bearer(&revoked.token), bearer(&expired.token), bearer(cut), bearer("")];
    let refused = refused.iter().chain([&every.token, &every_scope]);
    let refused: Vec<_> = refused.cloned().chain([format!("Basic {}", every.token)]).collect();
    for (method, path, access) in &everything_that_can_be_asked() {
        let status = async |headers: &[(&str, &str)], query: &str| {
            let path = format!("{path}{query}");
            client.send(method.clone(), &path, headers, "").await.status.as_u16()
        };
        let expected = |allows: bool, otherwise: u16| {
            move |status: u16| match (access, allows) {
                (Access::Public, _) | (Access::Scoped(_), true) => !matches!(status, 401 | 403),
                (Access::Scoped(_), false) => status == otherwise,
            }
        };
        let found = status(&[], "").await;
        assert!(expected(false, 401)(found), "{method} {path} without a token: {found}");
        for value in &refused {
            let found = status(&[("authorization", value)], "").await;
            assert!(expected(false, 401)(found), "{method} {path} with {value}: {found}");
        }
        for (scope, made) in &one_each {
            let has_scope = *access == Access::Scoped(*scope);
            let found = status(&[("authorization", &bearer(&made.token))], "").await;
            assert!(expected(has_scope, 403)(found), "{method} {path} with {scope}: {found}");
            let in_url = has_scope && *scope == Scope::Calendar;
            let found = status(&[], &format!("?token={}", made.token)).await;
            assert!(expected(in_url, 401)(found), "{method} {path} with {scope} in the URL: {found}");
        }
        let found = status(&[("authorization", &bearer(&every.token))], "").await;
        assert!(expected(true, 401)(found), "{method} {path} with every scope: {found}");
        let found = status(&[], &format!("?token={}", every.token)).await;
        assert!(expected(false, 401)(found), "{method} {path} with every scope in the URL: {found}");
        if let Access::Scoped(_) = access {
            let twice = [("authorization", &*bearer(&every.token)), ("authorization", &bearer(&every.token))];
            assert_eq!(status(&twice, "").await, 400, "{method} {path}");
        }
    }
    client.get("/nothing").await.assert_refused(404);
    client.send(Method::PATCH, "/user", &[], "").await.assert_refused(405);
}

#[tokio::test]
async fn a_refusal_says_what_is_missing() {
    let made = make("hello:read", &[]);
    let (_folder, file) = file_of(&[&made]);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    for (answer, status, challenge) in [
        (client.get("/hello/Anna").await, 401, r#"Bearer realm="hello-birthday""#),
        (
            ask(&client, &Method::GET, "/hello/Anna", "x").await,
            401,
            r#"Bearer realm="hello-birthday", error="invalid_token""#,
        ),
        (
            ask(&client, &Method::PUT, "/hello/Anna", &made.token).await,
            403,
            r#"Bearer realm="hello-birthday", error="insufficient_scope", scope="hello:write""#,
        ),
    ] {
        answer.assert_refused(status);
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
    // Refusals are counted and logged as every answer is; a token that is known by its id.
    service.terminate();
    let ended = service.ended();
    let line = |wanted: &str| {
        let mut lines = ended.stderr.lines().filter(|line| line.contains(wanted));
        lines.next().unwrap_or_else(|| panic!("no {wanted} in {}", ended.stderr)).to_owned()
    };
    assert!(!line("status=401").contains("token_id"));
    assert!(line("status=403").ends_with(&format!(" token_id={}", made.id())));
}

#[tokio::test]
async fn a_body_is_not_read_before_its_sender_may_send_it() {
    let made = make("hello:read", &[]);
    let (_folder, file) = file_of(&[&made]);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    let head = |more: &str| format!("PUT /hello/Anna HTTP/1.1\r\nHost: a\r\n{more}");
    let shown = format!("Authorization: Bearer {}\r\n", made.token);
    for (more, status) in [
        ("Content-Length: 29\r\n\r\n".to_owned(), 401),
        ("Content-Length: 29\r\nExpect: 100-continue\r\n\r\n".to_owned(), 401),
        ("Transfer-Encoding: chunked\r\n\r\n".to_owned(), 401),
        ("Content-Length: 100000\r\n\r\n".to_owned(), 401),
        (format!("{shown}Content-Length: 29\r\n\r\n"), 403),
        (format!("{shown}Content-Length: 29\r\nExpect: 100-continue\r\n\r\n"), 403),
    ] {
        let mut wire = client.wire().await;
        wire.send(head(&more)).await;
        // The body never comes; whoever waited for it would say 408, or go on with 100.
        wire.answer().await.unwrap().assert_refused(status);
        wire.assert_closed().await;
    }
}

#[tokio::test]
async fn a_line_lets_in_when_it_is_there_and_a_broken_file_changes_nothing() {
    let (first, second) = (make("user:read", &[]), make("user:read", &["--expires", "9999-12-31"]));
    let (folder, file) = file_of(&[&first]);
    let mut service = Program::start(&mut serve_with(&file));
    let client = service.client();
    let said = |wanted: &str| service.stderr().matches(wanted).count();
    answered(&client, &first.token, 200).await;
    answered(&client, &second.token, 401).await;

    write(&file, &[&first, &second]);
    answered(&client, &second.token, 200).await;

    fs::write(&file, format!("{}\n{}\n", second.line, first.token)).unwrap();
    wait_for("the broken line in the log", || {
        (said("is wrong in line 2: the first word") == 1).then_some(())
    });
    answered(&client, &first.token, 200).await;
    answered(&client, &second.token, 200).await;

    fs::remove_file(&file).unwrap();
    wait_for("the missing file in the log", || (said("can't be read: No such file") == 1).then_some(()));
    answered(&client, &first.token, 200).await;

    // As mounted secrets are changed: another file takes the name.
    let new = folder.path().join("new");
    write(&new, &[&second]);
    fs::rename(&new, &file).unwrap();
    answered(&client, &first.token, 401).await;
    answered(&client, &second.token, 200).await;

    fs::write(&file, "").unwrap();
    answered(&client, &second.token, 401).await;
    let stderr = service.stderr();
    assert_eq!(stderr.matches(" WARN ").count(), 2, "each change is told once: {stderr}");
    assert!(!stderr.contains(&first.token), "{stderr}");
}

#[tokio::test]
async fn the_listener_for_metrics_alone_asks_for_no_token_and_counts_no_requests() {
    let (_folder, file) = file_of(&[]);
    let settings = ["--metrics-listen", "127.0.0.1:0", "--rate-limit", "1"];
    let mut service = Program::start(serve_with(&file).args(settings));
    let client = service.client();
    client.get("/user").await.assert_refused(401);
    let address = wait_for("the metrics' own listener", || {
        let stderr = service.stderr();
        let line = stderr.lines().find_map(|line| line.split_once("metrics on http://"))?;
        Some(line.1.parse().unwrap())
    });
    let mut metrics = Client { address }.get("/metrics").await;
    // More than a burst.
    for _ in 0..10 {
        assert_eq!(metrics.status, 200);
        metrics = Client { address }.get("/metrics").await;
    }
    assert!(metrics.text().contains(r#"http_response_status_code="401""#), "{}", metrics.text());
}

#[test]
fn a_token_and_its_line_are_told_apart() {
    let made = make("user:read,hello:read", &["--expires", "9999-12-31", "--label", "José's phone"]);
    let secret = made.token.rsplit('_').next().unwrap();
    assert_eq!((secret.len(), made.token.as_str()), (64, &*format!("hb_{}_{secret}", made.id())));
    let words: Vec<_> = made.line.splitn(5, ' ').collect();
    let [id, sha256, rest @ ..] = &words[..] else { panic!("{words:?}") };
    assert_eq!(
        (*id, sha256.len(), rest),
        (made.id(), 64, &["hello:read,user:read", "9999-12-31", "José's phone"][..])
    );
    assert!(!made.line.contains(secret));
    assert!(make("metrics", &[]).line.ends_with(" metrics never"));
    for (flag, value) in [
        ("--scope", "hello"),
        ("--scope", ""),
        ("--scope", "public"),
        ("--expires", "2026-11-22"),
        ("--expires", "tomorrow"),
        ("--expires", "20991231"),
        ("--label", "a\nb"),
    ] {
        let scope: &[&str] = if flag == "--scope" { &[] } else { &["--scope", "hello:read"] };
        let ended = run(program(&["token", flag, value]).args(scope));
        assert_eq!(ended.code, Some(2), "{flag} {value}: {ended:?}");
        assert!(ended.stderr.contains(flag) && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_service_that_must_ask_for_tokens_starts_with_a_good_file_or_not_at_all() {
    let made = make("user:read", &[]);
    let (folder, file) = file_of(&[&made]);
    for required in [
        run(&mut program(&["--listen", "127.0.0.1:0", "--store", "sqlite::memory:", "--require-auth"])),
        run(program(&["serve", "--store", "sqlite::memory:"]).env("HELLO_REQUIRE_AUTH", "true")),
    ] {
        assert_eq!(required.code, Some(2), "{required:?}");
        assert!(required.sentence().contains("HELLO_REQUIRE_AUTH"), "{required:?}");
    }
    fs::write(&file, format!("# mine\n{}\n{}\n", made.line, made.token)).unwrap();
    let broken = run(&mut serve_with(&file));
    assert_eq!(broken.code, Some(2), "{broken:?}");
    let sentence = broken.sentence();
    let told = format!("HELLO_TOKENS_FILE or --tokens-file: {} is wrong in line 3: ", file.display());
    assert!(sentence.starts_with(&told) && !sentence.contains(&made.token), "{sentence}");
    let missing = run(&mut serve_with(&folder.path().join("nothing")));
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.sentence().contains("can't be read: "), "{missing:?}");

    write(&file, &[&made]);
    let mut service = Program::start(serve_with(&file).arg("--require-auth"));
    service.client();
}

#[tokio::test]
async fn the_lines_of_the_file_can_be_a_setting_where_nothing_can_mount_one() {
    let (reader, other) = (make("user:read", &[]), make("user:read", &[]));
    let serve = ["--listen", "127.0.0.1:0", "--store", "sqlite::memory:", "--require-auth"];
    let mut service =
        Program::start(program(&serve).env("HELLO_TOKENS", format!("# mine\n{}\n", reader.line)));
    let client = service.client();
    assert_eq!(ask(&client, &Method::GET, "/user", &reader.token).await.status, 200);
    assert_eq!(ask(&client, &Method::GET, "/user", &other.token).await.status, 401);

    let broken = run(program(&serve).env("HELLO_TOKENS", format!("{}\n{}", reader.line, other.token)));
    assert_eq!(broken.code, Some(2), "{broken:?}");
    let sentence = broken.sentence();
    assert!(sentence.starts_with("HELLO_TOKENS or --tokens: is wrong in line 2: "), "{sentence}");
    assert!(!sentence.contains(&other.token), "{sentence}");
    let (_folder, file) = file_of(&[&reader]);
    let both = run(program(&serve).env("HELLO_TOKENS", &reader.line).env("HELLO_TOKENS_FILE", &file));
    assert_eq!(both.sentence(), "HELLO_TOKENS_FILE and HELLO_TOKENS are both set; set one of them");
    let both = run(program(&serve).args(["--tokens", &reader.line, "--tokens-file"]).arg(&file));
    assert_eq!(both.sentence(), "--tokens-file and --tokens are both set; set one of them");
    // A flag wins, over either variable.
    let mut by_flag = program(&serve);
    by_flag.args(["--tokens", &other.line]).env("HELLO_TOKENS_FILE", &file);
    let mut service = Program::start(&mut by_flag);
    assert_eq!(ask(&service.client(), &Method::GET, "/user", &other.token).await.status, 200);
    let mut by_flag = program(&serve);
    by_flag.arg("--tokens-file").arg(&file).env("HELLO_TOKENS", &other.line);
    let mut service = Program::start(&mut by_flag);
    assert_eq!(ask(&service.client(), &Method::GET, "/user", &reader.token).await.status, 200);
}

#[test]
fn who_listens_to_a_network_without_tokens_is_warned_once() {
    let warnings = |listen: &str, more: &[&str]| {
        let mut service =
            Program::start(program(&["--listen", listen, "--store", "sqlite::memory:"]).args(more));
        service.client();
        service
            .stderr()
            .lines()
            .filter(|line| line.contains(" WARN ") && line.contains("HELLO_TOKENS_FILE"))
            .count()
    };
    let (_folder, file) = file_of(&[]);
    let tokens = ["--tokens-file", file.to_str().unwrap()];
    assert_eq!(warnings("0.0.0.0:0", &[]), 1);
    assert_eq!(warnings("127.0.0.1:0", &[]), 0);
    assert_eq!(warnings("0.0.0.0:0", &tokens), 0);
}
