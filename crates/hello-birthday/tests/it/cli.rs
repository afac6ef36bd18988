//! The command line: what each command answers, and how wrong settings are told.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::process::{Ended, Program, program, run, serve};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    (folder, path)
}

fn ended(arguments: &[&str]) -> Ended {
    run(&mut program(arguments))
}

#[test]
fn help_and_version_are_printed_and_are_no_failure() {
    let help = ended(&["--help"]);
    assert_eq!(help.code, Some(0), "{help:?}");
    for word in ["serve", "migrate", "healthcheck", "completions", "--listen", "--store", "HELLO_TIME_ZONE"] {
        assert!(help.stdout.contains(word), "{word} is missing in {}", help.stdout);
    }
    let version = ended(&["--version"]);
    assert_eq!(version.code, Some(0), "{version:?}");
    assert_eq!(version.stdout, concat!("hello-birthday ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_are_a_script_of_that_shell() {
    let bash = ended(&["completions", "bash"]);
    assert_eq!(bash.code, Some(0), "{bash:?}");
    assert!(bash.stdout.contains("complete -F _hello__birthday"), "{bash:?}");
    assert_eq!(ended(&["completions", "tea"]).code, Some(2));
}

#[test]
fn output_that_nobody_takes_is_a_failure_with_one_sentence() {
    let (_folder, path) = folder();
    let store = format!("sqlite:{}", path.display());
    for arguments in [&["completions", "bash"][..], &["migrate", "--store", &store]] {
        // The shell sends what is printed to a device that is always full.
        let mut full = std::process::Command::new("sh");
        full.args(["-c", r#"exec "$0" "$@" > /dev/full"#, env!("CARGO_BIN_EXE_hello-birthday")]);
        let ended = run(full.args(arguments));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence().contains("No space left on device"), "{ended:?}");
    }
}

#[test]
fn a_wrong_flag_is_named_and_ends_with_code_2() {
    for (flag, value) in [
        ("--listen", "everywhere"),
        ("--time-zone", "Mars/Base"),
        ("--leap-day", "feb30"),
        ("--drain-delay", "5"),
        ("--store", "mysql://localhost/users"),
        ("--no-such-flag", "1"),
    ] {
        for arguments in [&[flag, value][..], &["serve", flag, value]] {
            let ended = ended(arguments);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(ended.stderr.contains(flag), "{flag} is not named in {}", ended.stderr);
        }
    }
}

#[test]
fn a_wrong_variable_is_named_and_ends_with_code_2() {
    for (variable, value) in [
        ("HELLO_LISTEN", "everywhere"),
        ("HELLO_TIME_ZONE", "Mars/Base"),
        ("HELLO_LEAP_DAY", "feb30"),
        ("HELLO_DRAIN_DELAY", "5"),
        ("HELLO_DRAIN_TIMEOUT", "soon"),
        ("HELLO_MAX_CONNECTIONS", "many"),
        ("PORT", "tcp://10.0.0.1:80"),
        ("PORT", "65536"),
        ("DATABASE_URL", "mysql://localhost/users"),
        ("DATABASE_URL_FILE", "/no/such/file"),
        ("RUST_LOG", "info,request=loud"),
    ] {
        for arguments in [&[][..], &["serve"]] {
            let ended = run(program(arguments).env(variable, value));
            assert_eq!(ended.code, Some(2), "{variable}: {ended:?}");
            assert!(ended.stderr.contains(variable), "{variable} is not named in {}", ended.stderr);
        }
    }
}

#[test]
fn the_store_is_set_once() {
    let (folder, path) = folder();
    let file = folder.path().join("url");
    fs::write(&file, format!("sqlite:{}\n", path.display())).unwrap();
    let both = run(program(&["migrate"])
        .env("DATABASE_URL", format!("sqlite:{}", path.display()))
        .env("DATABASE_URL_FILE", &file));
    assert_eq!(both.code, Some(2), "{both:?}");
    assert_eq!(both.sentence(), "DATABASE_URL and DATABASE_URL_FILE are both set; set one of them");
    assert!(!path.exists());

    let one = run(program(&["migrate"]).env("DATABASE_URL_FILE", &file));
    assert_eq!(one.code, Some(0), "{one:?}");
    assert!(path.exists());
}

#[test]
fn a_secret_in_a_wrong_store_url_is_not_repeated() {
    for ended in [
        ended(&["migrate", "--store", "mysql://me:s3cret@localhost/users"]),
        run(program(&["migrate"]).env("DATABASE_URL", "mysql://me:s3cret@localhost/users")),
    ] {
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    }
}

#[test]
fn migrate_brings_the_schema_up_to_date_once() {
    let (_folder, path) = folder();
    let store = format!("sqlite:{}", path.display());
    let migrate = || {
        let ended = ended(&["migrate", "--store", &store]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let (first, second) = (migrate(), migrate());
    assert_ne!(first, second);
    assert_eq!(second, migrate());
}

#[test]
fn a_second_service_on_the_same_file_is_refused_with_one_sentence() {
    let (_folder, path) = folder();
    let mut first = Program::start(&mut serve(&path));
    first.client();
    let second = run(&mut serve(&path));
    assert_eq!(second.code, Some(1), "{second:?}");
    let sentence = second.sentence();
    assert!(sentence.contains("is in use: another hello-birthday"), "{sentence}");
    assert!(sentence.contains(path.to_str().unwrap()), "{sentence}");
    let migrate = ended(&["migrate", "--store", &format!("sqlite:{}", path.display())]);
    assert_eq!((migrate.code, migrate.sentence()), (Some(1), sentence));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (_folder, path) = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let store = format!("sqlite:{}", path.display());
    let ended = ended(&["serve", "--listen", &address, "--store", &store]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.sentence().starts_with(&format!("{address} can't be listened on: ")), "{ended:?}");
}

#[test]
fn healthcheck_asks_the_service_that_runs_here() {
    let (_folder, path) = folder();
    let mut service = Program::start(&mut serve(&path));
    let address = service.client().address.to_string();
    for arguments in
        [&["healthcheck", "--listen", &address][..], &["healthcheck", "--ready", "--listen", &address]]
    {
        let healthy = ended(arguments);
        assert_eq!(healthy.code, Some(0), "{healthy:?}");
        assert_eq!((&*healthy.stdout, &*healthy.stderr), ("", ""));
    }
    let by_variable = run(program(&["healthcheck"]).env("HELLO_LISTEN", &address));
    assert_eq!(by_variable.code, Some(0), "{by_variable:?}");

    service.kill();
    for arguments in
        [&["healthcheck", "--listen", &address][..], &["healthcheck", "--ready", "--listen", &address]]
    {
        let gone = ended(arguments);
        assert_eq!(gone.code, Some(1), "{gone:?}");
        assert!(gone.sentence().contains("does not answer"), "{gone:?}");
    }
}

#[test]
fn port_and_every_address_are_what_a_platform_asks_for() {
    let (_folder, path) = folder();
    let mut command = program(&["serve", "--store", &format!("sqlite:{}", path.display())]);
    let mut service = Program::start(command.env("PORT", "0"));
    let address = service.client().address;
    assert!(address.ip().is_unspecified(), "{address}");
    let healthy = run(program(&["healthcheck"]).env("PORT", address.port().to_string()));
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
}
