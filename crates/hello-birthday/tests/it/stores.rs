//! The program on a database server that is away, refuses us, or keeps less than is asked for.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use test_servers::{Postgres, RedisServer};
use tokio::time::sleep;

use crate::client::{Answer, Client};
use crate::process::{Program, program, run, serve_store};

/// Asks until that is the answer.
async fn until_it_answers(client: Client, path: &str, status: StatusCode) -> Answer {
    let start = Instant::now();
    loop {
        let answer = client.get(path).await;
        if answer.status == status {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {status} of {path}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn save(client: Client) -> Answer {
    client.put("/hello/Anna", r#"{"dateOfBirth": "1990-06-15"}"#).await
}

/// A server with a role that has a password, and a database with the schema; the database's name.
fn with_passwords() -> (Postgres, String) {
    let server = Postgres::start();
    let database = server.database();
    server.sql(&database, "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'right'");
    let migrated = run(&mut program(&["migrate", "--store", &server.url(&database)]));
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    server.ask_for_passwords();
    (server, database)
}

/// Checks that every command which opens the store ends with that word of the server, and keeps the password to
/// itself.
#[track_caller]
fn assert_refused_at_the_start(url: &str, why: &str) {
    let (import, export) = (program(&["import", "--store", url]), program(&["export", "--store", url]));
    for mut command in [serve_store(url), import, export] {
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence().contains(why), "{ended:?}");
        assert!(!ended.stderr.contains("s3cret") && !ended.stderr.contains("listening"), "{ended:?}");
    }
}

#[test]
fn who_is_refused_by_postgresql_at_the_start_is_told_and_ends() {
    let (server, database) = with_passwords();
    let port = server.port();
    for (who, database, why) in [
        ("keeper:s3cret", &*database, "password authentication failed"),
        ("keeper", &database, "it asks for a password, and none is set"),
        ("stranger:s3cret", &database, "password authentication failed"),
        ("keeper:right", "elsewhere", "database \"elsewhere\" does not exist"),
    ] {
        assert_refused_at_the_start(&format!("postgres://{who}@127.0.0.1:{port}/{database}"), why);
    }
}

#[tokio::test]
async fn a_refusal_is_not_the_last_word_while_another_server_is_away() {
    let (server, database) = with_passwords();
    let (away, port) = (test_servers::free_port(), server.port());
    let url = format!("postgres://keeper:s3cret@127.0.0.1:{away},127.0.0.1:{port}/{database}");
    let mut service = Program::start(&mut serve_store(&url));
    service.client().get("/-/ready").await.assert_refused(503);
    let said = service.stderr();
    assert!(said.contains("password authentication failed") && !said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_password_that_postgresql_refuses_later_is_an_outage_that_ends() {
    let (mut server, database) = with_passwords();
    let url = format!("postgres://keeper:right@127.0.0.1:{}/{database}", server.port());
    let mut service = Program::start(&mut serve_store(&url));
    let client = service.client();
    assert_eq!(save(client).await.status, 204);

    server.sql("postgres", "ALTER ROLE keeper PASSWORD 'other'");
    server.kill();
    server.restart();
    until_it_answers(client, "/-/ready", StatusCode::SERVICE_UNAVAILABLE).await.assert_refused(503);
    test_servers::wait_until("the log says why", || {
        service.stderr().contains("password authentication failed")
    });

    server.sql("postgres", "ALTER ROLE keeper PASSWORD 'right'");
    until_it_answers(client, "/-/ready", StatusCode::OK).await;
    until_it_answers(client, "/hello/Anna", StatusCode::OK).await;
}

#[tokio::test]
async fn a_postgresql_server_that_is_away_at_the_start_is_waited_for() {
    let (mut server, database) = with_passwords();
    server.kill();
    let mut service = Program::start(&mut serve_store(&server.url(&database)));
    let client = service.client();
    client.get("/-/ready").await.assert_refused(503);
    server.restart();
    until_it_answers(client, "/-/ready", StatusCode::OK).await;
}

#[test]
fn who_is_refused_by_redis_at_the_start_is_told_and_ends() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let port = server.port;
    let asked = ["-a", "right", "ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "+@read", "+@connection"];
    server.cli(&asked);
    for (who, why) in [
        ("", "refused"),
        (":s3cret@", "refused"),
        ("reader:s3cret@", "NOPERM"),
        (":right@", "maxmemory-policy allkeys-lru"),
    ] {
        if who.contains("right") {
            server.cli(&["-a", "right", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        }
        assert_refused_at_the_start(&format!("redis://{who}127.0.0.1:{port}"), why);
    }
}

#[tokio::test]
async fn a_redis_server_that_is_away_at_the_start_is_waited_for_and_looked_at_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let mut service = Program::start(&mut serve_store(&server.url()));
    let client = service.client();
    client.get("/-/ready").await.assert_refused(503);
    client.get("/hello/Anna").await.assert_refused(503);
    assert_eq!(save(client).await.json()["outcome"], "not_applied");

    server.restart_with(&["--maxmemory-policy", "allkeys-lru"]);
    test_servers::wait_until("the log says why", || {
        service.stderr().contains("maxmemory-policy allkeys-lru")
    });
    client.get("/-/ready").await.assert_refused(503);
    assert_eq!(save(client).await.json()["outcome"], "not_applied");

    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until_it_answers(client, "/-/ready", StatusCode::OK).await;
    assert_eq!(save(client).await.status, 204);
    assert!(server.cli(&["HGET", "{hb:00}:schema", "version"]).contains('1'), "it is not marked");
    service.terminate();
    assert_eq!(service.ended().code, Some(0));
}

#[test]
fn a_server_that_is_away_is_told_by_every_command_but_serve() {
    let (redis, postgres) = (test_servers::free_port(), test_servers::free_port());
    for url in [format!("redis://127.0.0.1:{redis}"), format!("postgres://keeper@127.0.0.1:{postgres}/x")] {
        for name in ["migrate", "import", "export"] {
            let ended = run(&mut program(&[name, "--store", &url]));
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.sentence().contains("refused"), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn a_change_that_too_few_replicas_of_redis_have_is_unknown_and_reads_go_on() {
    let server = RedisServer::start();
    let mut service = Program::start(serve_store(&server.url()).env("HELLO_REDIS_WAIT", "1"));
    let client = service.client();
    let refused = save(client).await;
    refused.assert_refused(503);
    assert_eq!(refused.json()["outcome"], "unknown");
    assert_eq!(client.get("/hello/Anna").await.status, 200);
    assert_eq!(client.get("/-/ready").await.status, 200);
}
