//! The command line: what each command answers, and how wrong settings are told.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;
use test_servers::SmallDisk;

use crate::process::{Ended, Program, program, run, serve, wait_for, with_fault_anywhere};

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
fn the_manual_is_a_page_for_the_program_and_one_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(ended(&["manual", folder.path().to_str().unwrap()]).code, Some(0));
    for page in ["hello-birthday.1", "hello-birthday-serve.1", "hello-birthday-import.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        for part in [".SH SYNOPSIS", "DATABASE_URL"] {
            assert!(text.contains(part), "{page} lacks {part}: {text}");
        }
    }
    let nowhere = folder.path().join("nowhere");
    let refused = ended(&["manual", nowhere.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

/// What bash does where somebody asks it to complete the last of these words.
const COMPLETE: &str = r#"
COMP_WORDS=("$0" "$@")
COMP_CWORD=$#
_hello__birthday "$0" "${COMP_WORDS[$#]}" "${COMP_WORDS[$# - 1]}"
echo "${COMPREPLY[@]}""#;

#[test]
fn completions_are_a_script_of_that_shell() {
    let bash = ended(&["completions", "bash"]);
    assert_eq!(bash.code, Some(0), "{bash:?}");
    assert!(bash.stdout.contains("complete -F _hello__birthday"), "{bash:?}");
    for (words, completed) in [
        ("imp", "import"),
        ("import --dry", "--dry-run"),
        ("birthdays --format js", "json"),
        ("help imp", "import"),
    ] {
        let script = format!("{}\n{COMPLETE}", bash.stdout);
        let mut shell = Command::new("bash");
        let shell = shell.args(["-c", &script, "hello-birthday"]).args(words.split(' ')).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), completed, "{words}: {shell:?}");
    }
    assert_eq!(ended(&["completions", "tea"]).code, Some(2));
}

#[test]
fn output_that_nobody_takes_is_a_failure_with_one_sentence() {
    let (_folder, path) = folder();
    let store = format!("sqlite:{}", path.display());
    for arguments in [&["completions", "bash"][..], &["migrate", "--store", &store]] {
        // The shell sends what is printed to a device that is always full.
        let mut full = Command::new("sh");
        full.args(["-c", r#"exec "$0" "$@" > /dev/full"#, env!("CARGO_BIN_EXE_hello-birthday")]);
        let ended = run(full.args(arguments));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence().contains("No space left on device"), "{ended:?}");
    }
}

#[test]
fn a_fault_of_a_command_is_told_by_its_place_alone() {
    let (_folder, path) = folder();
    let store = format!("sqlite:{}", path.display());
    // No thread can have such a stack, and the runtime panics without threads.
    let mut without_threads = program(&["import", "--store", &store]);
    let ended = run(without_threads.env("RUST_MIN_STACK", (1_u64 << 60).to_string()));
    assert_eq!(ended.code, Some(101), "{ended:?}");
    assert!(ended.stderr.contains("a fault of the program") && ended.stderr.contains(".rs:"), "{ended:?}");
    assert!(!ended.stderr.contains("worker thread"), "{ended:?}");
}

#[test]
fn a_name_that_begins_like_a_uri_names_a_file_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = ["--store", "sqlite:file:x.db"];
    for arguments in [&["migrate"][..], &["export"], &["backup", "file:copy.db"]] {
        let ended = run(program(arguments).args(store).current_dir(&folder));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
    let held = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |facts| facts.len());
    assert!(held("file:x.db") > 0 && held("file:copy.db") > 0);
    assert_eq!(held("x.db") + held("copy.db"), 0, "another file than the one that is locked");
}

#[test]
fn what_a_command_warns_of_is_shown() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let ended = ended(&["migrate", "--store", &format!("sqlite:{}", disk.path().join("x.db").display())]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("WARN") && ended.stderr.contains("may not keep it"), "{ended:?}");
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
        ("RUST_LOG", "inof"),
        ("RUST_LOG", "info request=off"),
        ("RUST_LOG", "info,"),
    ] {
        for arguments in [&[][..], &["serve"]] {
            let ended = run(program(arguments).env(variable, value));
            assert_eq!(ended.code, Some(2), "{variable}: {ended:?}");
            assert!(ended.stderr.contains(variable), "{variable} is not named in {}", ended.stderr);
        }
    }
}

/// Which of these places the program took, said by the one file that was made.
fn taken(command: &mut Command, places: &[&Path]) -> Vec<bool> {
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    places.iter().map(|place| place.exists()).collect()
}

#[test]
fn a_flag_wins_over_the_variables_and_a_url_over_the_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite:{}", path(name).display());
    fs::write(path("url"), url("of-file")).unwrap();
    fs::write(path("other-url"), url("of-other-file")).unwrap();
    let (file, other_file) = (path("url"), path("other-url"));
    let migrate = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program(&["migrate"]);
        command.args(arguments).envs(variables.iter().copied());
        command
    };
    let (file, other_file) = (file.to_str().unwrap(), other_file.to_str().unwrap());
    let by_variable = url("of-variable");
    for (name, arguments, variables) in [
        ("a", &["--store", &url("a")][..], &[("DATABASE_URL_FILE", "/no/such/file")][..]),
        ("b", &["--store", &url("b")], &[("DATABASE_URL", &by_variable), ("DATABASE_URL_FILE", file)]),
        ("of-other-file", &["--store-file", other_file], &[("DATABASE_URL", &by_variable)]),
        ("c", &["--store", &url("c")], &[("POSTGRES_HOST", "127.0.0.1"), ("REDIS_URL", "redis://127.0.0.1")]),
        ("of-file", &[], &[("DATABASE_URL_FILE", file), ("POSTGRES_HOST", "127.0.0.1")]),
    ] {
        let (place, variable) = (path(name), path("of-variable"));
        assert_eq!(taken(&mut migrate(arguments, variables), &[&place, &variable]), [true, false], "{name}");
    }
    // Nobody listens on port 1.
    let host = [("POSTGRES_HOST", "127.0.0.1"), ("POSTGRES_PORT", "1"), ("REDIS_URL", "redis://127.0.0.1:1")];
    for (variables, named) in
        [(&host[..], "PostgreSQL database 127.0.0.1:1"), (&host[2..], "Redis at 127.0.0.1:1")]
    {
        let ended = run(&mut migrate(&[], variables));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence().contains(named), "{ended:?}");
    }
}

#[test]
fn two_stores_named_by_the_same_means_are_refused() {
    let (folder, path) = folder();
    let file = folder.path().join("url");
    let url = format!("sqlite:{}", path.display());
    fs::write(&file, &url).unwrap();
    let variables = run(program(&["migrate"]).env("DATABASE_URL", &url).env("DATABASE_URL_FILE", &file));
    let flags = ended(&["migrate", "--store", &url, "--store-file", file.to_str().unwrap()]);
    for (ended, sentence) in [
        (variables, "DATABASE_URL and DATABASE_URL_FILE are both set; set one of them"),
        (flags, "--store and --store-file are both set; set one of them"),
    ] {
        assert_eq!((ended.code, ended.sentence()), (Some(2), sentence), "{ended:?}");
    }
    assert!(!path.exists());
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(&["serve"]);
    command.current_dir(folder.path()).env("PORT", "0");
    for variable in [
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "DATABASE_REPLICA_URL",
        "MIGRATION_DATABASE_URL",
        "POSTGRES_HOST",
        "POSTGRES_DATABASE",
        "POSTGRES_PASSWORD",
        "POSTGRES_PASSWORD_FILE",
        "REDIS_URL",
        "REDIS_PASSWORD",
        "REDIS_PASSWORD_FILE",
        "HELLO_LISTEN",
        "HELLO_STALE_READS",
        "HELLO_REDIS_WAIT",
        "HELLO_TIME_ZONE",
        "HELLO_LEAP_DAY",
        "HELLO_DRAIN_DELAY",
        "HELLO_METRICS_LISTEN",
        "HELLO_RATE_LIMIT",
        "RUST_LOG",
    ] {
        command.env(variable, "");
    }
    let mut service = Program::start(&mut command);
    assert!(service.client().address.ip().is_unspecified());
    assert!(folder.path().join("hello-birthday.db").exists());
    let mut without_port = program(&["healthcheck"]);
    let asked = run(without_port.env("PORT", "").env("HELLO_LISTEN", service.client().address.to_string()));
    assert_eq!(asked.code, Some(0), "{asked:?}");
}

#[test]
fn half_a_database_server_is_not_taken_for_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = |variable: &str| {
        let mut command = program(&["migrate"]);
        command.current_dir(folder.path()).env(variable, "s3cret");
        command
    };
    let database = folder.path().join("hello-birthday.db");
    for (variable, missing) in [
        ("POSTGRES_DATABASE", "POSTGRES_HOST"),
        ("POSTGRES_USERNAME", "POSTGRES_HOST"),
        ("POSTGRES_PASSWORD", "POSTGRES_HOST"),
        ("POSTGRES_PASSWORD_FILE", "POSTGRES_HOST"),
        ("POSTGRES_SSLMODE", "POSTGRES_HOST"),
        ("POSTGRES_SSLROOTCERT", "POSTGRES_HOST"),
        ("REDIS_PASSWORD", "REDIS_URL"),
        ("REDIS_PASSWORD_FILE", "REDIS_URL"),
    ] {
        let refused = run(&mut migrate(variable));
        assert_eq!(refused.code, Some(2), "{variable}: {refused:?}");
        let sentence = refused.sentence();
        assert!(sentence.starts_with(&format!("{variable} is set and {missing} is not")), "{sentence}");
        assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
        assert!(!database.exists(), "{variable}");
        // Where a store is named, what else is set is nobody's concern.
        let named = run(migrate(variable).args(["--store", "sqlite::memory:"]));
        assert_eq!(named.code, Some(0), "{variable}: {named:?}");
    }
    // Kubernetes sets it for a Service named postgres.
    let accident =
        run(program(&["migrate"]).current_dir(folder.path()).env("POSTGRES_PORT", "tcp://10.0.0.1:5432"));
    assert_eq!(accident.code, Some(0), "{accident:?}");
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
    // Once the service is gone, nobody else may be there.
    let address = format!("127.0.0.1:{}", test_servers::free_port());
    let mut service = Program::start(&mut program(&["--listen", &address, "--store", "sqlite::memory:"]));
    service.client();
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

#[test]
fn every_address_is_those_of_ipv4_where_the_kernel_has_no_ipv6() {
    let (_folder, path) = folder();
    let store = format!("sqlite:{}", path.display());
    let no_ipv6 = "inject=socket:error=EAFNOSUPPORT:when=1";
    let on_every_address = program(&["serve", "--listen", "[::]:0", "--store", &store]);
    let Some(mut traced) = with_fault_anywhere(&on_every_address, no_ipv6) else { return };
    let address = Program::start(&mut traced).client().address;
    assert!(address.is_ipv4() && address.ip().is_unspecified(), "{address}");

    let on_one_address = program(&["serve", "--listen", "[::1]:0", "--store", &store]);
    let Some(mut traced) = with_fault_anywhere(&on_one_address, no_ipv6) else { return };
    let refused = run(&mut traced);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[test]
fn a_service_on_every_address_is_asked_where_there_is_only_ipv4() {
    let (_folder, path) = folder();
    let mut service = Program::start(&mut serve(&path));
    let address = service.client().address;
    assert!(address.is_ipv4(), "{address}");
    let healthy = run(program(&["healthcheck"]).env("PORT", address.port().to_string()));
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
}

#[test]
fn a_stop_is_delayed_once_whoever_listens_for_metrics() {
    let (_folder, path) = folder();
    let mut service =
        Program::start(serve(&path).args(["--metrics-listen", "127.0.0.1:0", "--drain-delay", "3s"]));
    let address = service.client().address;
    service.terminate();
    let told = Instant::now();
    wait_for("the listener to be closed", || TcpStream::connect(address).is_err().then_some(()));
    let delay = told.elapsed();
    assert_eq!(service.ended().code, Some(0));
    // Seconds are nobody's promise here: whoever delays twice takes twice as long.
    assert!(told.elapsed() < delay * 3 / 2, "{:?} after a delay of {delay:?}", told.elapsed());
}
