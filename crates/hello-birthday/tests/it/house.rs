//! The order of the house: who may use whom, and where a technology's name may stand.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every source file below a folder, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The lines of code, without comments, of the files for which `holds` is true.
fn code_lines(folder: &Path, holds: impl Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    let mut lines = Vec::new();
    for (path, text) in sources(folder) {
        if holds(&path) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            lines.extend(code.map(|line| (path.clone(), line.to_owned())));
        }
    }
    assert!(!lines.is_empty());
    lines
}

#[test]
fn rooms_of_the_program_use_only_the_rooms_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = ["log", "process", "exchange", "access", "coming", "http", "command"];
    for (index, room) in order.iter().enumerate() {
        let in_room = |path: &Path| path.strip_prefix(&source).unwrap().to_str().unwrap().starts_with(room);
        for (path, line) in code_lines(&source, in_room) {
            for later in &order[index + 1..] {
                assert!(!line.contains(&format!("crate::{later}")), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn a_technology_is_named_in_one_room_only() {
    let crates = root().join("crates");
    for (technology, room) in [
        ("rusqlite", "store/src/sqlite"),
        ("tokio_postgres", "store/src/postgres"),
        ("use ::redis", "store/src/redis"),
        ("clap::", "hello-birthday/src/command"),
        ("axum::", "hello-birthday/src/http"),
        ("unicode_normalization", "birthday/src"),
        ("hyper::server", "server/src"),
    ] {
        let elsewhere = |path: &Path| {
            let path = path.strip_prefix(&crates).unwrap();
            !path.starts_with(room) && !path.components().any(|part| part.as_os_str() == "tests")
        };
        for (path, line) in code_lines(&crates, elsewhere) {
            // The log's formats are a flag's values.
            let is_excused = technology == "clap::" && line.contains("clap::ValueEnum");
            assert!(is_excused || !line.contains(technology), "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_problem_knows_no_clock_no_files_and_no_formats() {
    let problem = root().join("crates/birthday/src");
    for (path, line) in code_lines(&problem, |_| true) {
        for outside in ["::now()", "std::fs", "std::env", "std::net", "serde", "tokio"] {
            assert!(!line.contains(outside), "{}: {line}", path.display());
        }
    }
}
