//! What the README says is what the program does.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use hello_birthday::command::Cli;
use hello_birthday::http::routes::{self, Endpoint};
use tokio::process::Command;

use crate::app::App;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap()
}

/// The rows of the table below a heading, cell by cell.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The commands of the README, and what it says that each prints.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands = Vec::<(String, String)>::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, printed))) => printed.push_str(line),
                (None, None) => panic!("what printed this? {line}"),
            }
        }
    }
    commands
}

/// A greeting's days depend on the day of the test.
fn without_days(text: &str) -> String {
    match (text.find("is in "), text.find(" day(s)")) {
        (Some(start), Some(end)) => format!("{}is in N{}", &text[..start], &text[end..]),
        _ if text.contains("Happy birthday!") => {
            text.replace("Happy birthday!", "Your birthday is in N day(s)")
        }
        _ => text.to_owned(),
    }
}

#[tokio::test]
async fn the_commands_of_the_readme_print_what_it_says() {
    let app = App::start().await;
    let mut tried = 0;
    for (command, printed) in commands(&readme()) {
        if !command.starts_with("curl ") {
            continue;
        }
        let address = app.client.address.to_string();
        let command = command.replace("127.0.0.1:8080", &address).replacen("curl ", "curl --silent ", 1);
        let output = Command::new("sh").arg("-c").arg(&command).output().await.unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(without_days(&output), without_days(&printed), "{command}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}

#[test]
fn the_settings_of_the_readme_are_those_of_the_program() {
    let mut told: Vec<_> = table(&readme(), "Settings").into_iter().map(|row| row[..3].to_vec()).collect();
    let command = Cli::command();
    let quoted = |text: &str| format!("`{text}`");
    let mut known = Vec::new();
    for argument in command.get_arguments() {
        let Some(variable) = argument.get_env() else { continue };
        let default = argument.get_default_values().first().map(|value| quoted(value.to_str().unwrap()));
        // Some defaults depend on other settings; clap knows them only in the help.
        let help = argument.get_help().unwrap().to_string();
        let in_help =
            help.split_once("[default: ").map(|(_, rest)| quoted(rest.split([',', ']']).next().unwrap()));
        let is_switch = !argument.get_action().takes_values();
        let default = default.or(in_help).or(is_switch.then(|| quoted("false"))).unwrap_or_default();
        let flag = format!("--{}", argument.get_long().unwrap());
        known.push(vec![quoted(&flag), quoted(variable.to_str().unwrap()), default]);
    }
    told.sort();
    known.sort();
    assert_eq!(told, known);
}

#[test]
fn the_routes_of_the_readme_are_those_of_the_program() {
    let mut told: Vec<_> = table(&readme(), "Routes")
        .iter()
        .map(|row| (row[0].split('`').nth(1).unwrap().replace('<', "{").replace('>', "}"), row[1].clone()))
        .collect();
    let mut known = Vec::new();
    for route in routes::all() {
        for Endpoint { method, access, .. } in route.endpoints() {
            known.push((format!("{method} {}", route.path()), access.to_string()));
        }
    }
    told.sort();
    known.sort();
    assert_eq!(told, known);
}
