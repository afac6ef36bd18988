//! The page as a browser shows it: `tools/browser/drive.py` uses it as people do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use birthday::{Birthday, Name};
use store::Change;
use tokio::process::Command;
use tokio::time::timeout;

use crate::access::{file_of, serve_with};
use crate::app::{App, Choice};
use crate::process::Program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the browser is left out of this run; says so.
fn left_out() -> bool {
    let left_out = std::env::var_os("HELLO_TEST_ALL").is_none();
    if left_out {
        println!("left out: a browser that walks through the page (HELLO_TEST_ALL)");
    }
    left_out
}

/// A service on 23 November 2026 that keeps these birthdays.
async fn keeping(people: &[(&str, &str)]) -> App {
    let app = App::start_with(Choice { zone: "Europe/Lisbon", ..Choice::default() }).await;
    app.set_now("2026-11-23T12:00:00Z");
    for (name, birthday) in people {
        let name = Name::parse(name).unwrap();
        let birthday = Birthday::parse(birthday, "2026-11-23".parse().unwrap()).unwrap();
        app.store.commit(Change::SaveBirthday { name, birthday }).await.unwrap();
    }
    app
}

async fn drive(arguments: &[&str]) {
    let mut driver = Command::new(root().join("target/browser/python/bin/python"));
    let driving =
        driver.arg(root().join("tools/browser/drive.py")).args(arguments).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(600), driving).await.expect("the browser hangs").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_browser_greets_saves_is_refused_and_lists_whatever_its_size_its_colours_and_its_user() {
    if left_out() {
        return;
    }
    // Names that could break a layout: the longest, one that runs the other way, one of stacked marks.
    let (long, marks) = ("W".repeat(64), format!("Z{}", "\u{33f}".repeat(63)));
    let app = keeping(&[(&long, "1970-12-24"), ("שרה", "--12-31"), (&marks, "1999-11-23")]).await;
    let (_folder, file) = file_of(&[]);
    let mut locked = Program::start(&mut serve_with(&file));
    let shots = root().join("target/browser/shots");
    fs::create_dir_all(&shots).unwrap();
    let url = |address| format!("http://{address}");
    let (open, locked) = (url(app.client.address), url(locked.client().address));
    drive(&["check", &open, &locked, shots.to_str().unwrap()]).await;
}

#[tokio::test]
async fn the_picture_in_the_readme_is_taken_where_a_file_for_it_is_named() {
    let Some(file) = std::env::var_os("HELLO_SCREENSHOT") else { return };
    let people =
        [("Mei", "1988-11-23"), ("Tomás", "2015-11-24"), ("Anna", "1990-06-15"), ("José", "1992-02-29")];
    let app = keeping(&people).await;
    let url = format!("http://{}", app.client.address);
    drive(&["picture", &url, file.to_str().unwrap()]).await;
    assert!(fs::metadata(&file).unwrap().len() < 60 << 10, "a README's picture is small");
}
