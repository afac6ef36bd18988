//! By which names the service may be asked.

use std::net::TcpListener;
use std::process::Command;

use crate::access::{file_of, make, serve_with};
use crate::client::Client;
use crate::process::{Program, program, serve_store};
use crate::service_manager;

/// The status of a change that a page sends which the browser takes for the service's own.
async fn saved_by(client: &Client, host: &str) -> String {
    let body = r#"{"dateOfBirth": "1990-06-15"}"#;
    let answer = client
        .raw(format!(
            "PUT /hello/Anna HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    answer.split(' ').nth(1).unwrap().to_owned()
}

fn serve_at(address: &str) -> Command {
    program(&["--listen", address, "--store", "sqlite::memory:"])
}

fn service(command: &mut Command) -> (Program, Client) {
    let mut service = Program::start(command);
    let client = service.client();
    (service, client)
}

#[tokio::test]
async fn a_name_that_somebody_else_leads_here_is_nobody_to_a_service_for_this_machine() {
    let (_service, client) = service(&mut serve_store("sqlite::memory:"));
    let port = client.address.port();
    for path in ["/", "/hello/Anna", "/user", "/birthdays.ics", "/metrics", "/-/healthy", "/nothing"] {
        for method in ["GET", "PUT", "OPTIONS"] {
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: evil.tld:{port}\r\nConnection: close\r\n\r\n");
            let answer = client.raw(head).await;
            assert!(answer.starts_with("HTTP/1.1 421 "), "{method} {path}: {answer}");
            assert!(answer.contains("HELLO_HOSTS"), "{answer}");
        }
    }
    assert_eq!(saved_by(&client, &format!("evil.tld:{port}")).await, "421");
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}"), "x".into()]
    {
        assert_eq!(saved_by(&client, &host).await, "204", "{host}");
    }
    // Who names no host is no browser.
    assert!(client.raw("GET / HTTP/1.0\r\n\r\n").await.contains(" 200 "));
}

#[tokio::test]
async fn the_names_of_a_proxy_are_a_setting_wherever_the_service_listens() {
    let names = "birthdays.home.tld,Other.home.tld";
    let listens = ["127.0.0.1:0", "0.0.0.0:0"];
    for listen in listens {
        let (_service, mut client) = service(serve_at(listen).args(["--host", names]));
        client.address.set_ip([127, 0, 0, 1].into());
        for host in ["birthdays.home.tld", "other.home.tld:443", "localhost"] {
            assert_eq!(saved_by(&client, host).await, "204", "{host}");
        }
        assert_eq!(saved_by(&client, "evil.tld").await, "421", "{listen}");
    }
    let (_service, client) = service(serve_store("sqlite::memory:").env("HELLO_HOSTS", names));
    assert_eq!(saved_by(&client, "birthdays.home.tld").await, "204");
}

#[tokio::test]
async fn any_name_will_do_where_tokens_are_asked_for_or_a_network_is_listened_to() {
    let made = make("hello:read", &[]);
    let (_folder, file) = file_of(&[&made]);
    let (_service, client) = service(&mut serve_with(&file));
    assert_eq!(saved_by(&client, "birthdays.home.tld").await, "401");
    let (_service, mut client) = service(&mut serve_at("0.0.0.0:0"));
    client.address.set_ip([127, 0, 0, 1].into());
    assert_eq!(saved_by(&client, "birthdays.home.tld").await, "204");
}

#[tokio::test]
async fn a_listener_that_is_handed_over_counts_by_its_own_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let arguments = ["--store", "sqlite::memory:", "--listen", "0.0.0.0:0"];
    let _service = service_manager::start(&mut service_manager::handed(&arguments), &listener);
    let client = Client { address: listener.local_addr().unwrap() };
    assert_eq!(saved_by(&client, "evil.tld").await, "421");
}
