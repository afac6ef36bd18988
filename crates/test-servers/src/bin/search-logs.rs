//! Is anything that the tests sent in a log or a metric? Searches the folder that `HELLO_TEST_LOGS` named while
//! they ran, and fails where it finds something, or has nothing to search.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what is found must be told")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Values of fewer bytes than this are in every log by accident.
const SHORTEST: usize = 3;
/// Words that tests send and logs hold without telling anything of anybody. No name of a person is among them.
const ORDINARY: &[&[&str]] = &[
    // Of requests.
    &["GET", "PUT", "HTTP", "http", "application", "json", "text"],
    // Of the routes, and of their keys.
    &[
        "hello",
        "user",
        "birthdays",
        "birthdays.ics",
        "ics",
        "metrics",
        "healthy",
        "ready",
        "calendar",
        "docs",
    ],
    &["openapi.json"],
    &["username", "email", "dateOfBirth", "date", "null", "token", "days"],
    // Of tokens, their scopes, and zones.
    &["Bearer", "read", "write", "UTC"],
    // Names of nobody that tests made of words which the program's own sentences have as well.
    &["HELLO", "more", "name", "nobody", "nothing", "unknown", "use", "yes"],
    // This machine, which the refusal of other names tells, and logs as the place of a server.
    &["localhost"],
    // Of address books.
    &["BEGIN", "END", "VCARD", "VERSION", "EMAIL", "BDAY", "ENCODING"],
];

/// The examples in what the program says of a bad record. Only in these words may a log hold their values.
const EXAMPLES: &[&str] = &[
    r#"such as {"username": "Anna", "email": null, "dateOfBirth": "1990-06-15"}"#,
    "such as 1990-06-15",
    "such as anna@example.org",
    "such as Europe/Lisbon or UTC",
    "such as 19900615 or 1990-06-15, or without the year --0615 or --06-15",
];

/// The values that are searched for, by the word that each begins with.
#[derive(Default)]
struct Sent(HashMap<String, Vec<String>>);

/// How much was searched, and which values were found.
#[derive(Default)]
struct Searched<'a> {
    lines: usize,
    found: HashSet<&'a str>,
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("name the folder with the logs");
        return ExitCode::from(2);
    };
    match search(Path::new(&folder)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the logs can't be searched: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether there was something to search, and nothing to find.
fn search(folder: &Path) -> io::Result<bool> {
    let sent = Sent::read(&files(folder, &["sent"])?)?;
    let logs = files(folder, &["log", "metrics"])?;
    let mut searched = Searched::default();
    for log in &logs {
        searched.search(log, &sent)?;
    }
    let (values, lines, found) = (sent.count(), searched.lines, searched.found.len());
    println!("{found} of {values} values that were sent are in the {lines} lines of {} logs", logs.len());
    Ok(found == 0 && values > 0 && lines > 0)
}

fn files(folder: &Path, kinds: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files
        .retain(|path| kinds.iter().any(|kind| path.extension().is_some_and(|extension| extension == *kind)));
    Ok(files)
}

impl Sent {
    fn read(files: &[PathBuf]) -> io::Result<Self> {
        let mut values = HashSet::new();
        for file in files {
            values.extend(fs::read_to_string(file)?.lines().map(str::to_owned));
        }
        let mut sent = Self::default();
        let ordinary = ORDINARY.concat();
        values.retain(|value| SHORTEST <= value.len() && !ordinary.contains(&value.as_str()));
        for value in values {
            sent.0.entry(first_word(&value).to_owned()).or_default().push(value);
        }
        Ok(sent)
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The values that stand in that line by themselves, not as a part of a word.
    fn all_in(&self, line: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut in_word = false;
        for (place, letter) in line.char_indices() {
            let begins = !in_word && letter.is_alphanumeric();
            in_word = letter.is_alphanumeric();
            let rest = &line[place..];
            if begins && let Some(values) = self.0.get(first_word(rest)) {
                found.extend(values.iter().map(String::as_str).filter(|value| begins_with(rest, value)));
            }
        }
        found
    }
}

fn begins_with(text: &str, value: &str) -> bool {
    text.strip_prefix(value).is_some_and(|after| !after.starts_with(char::is_alphanumeric))
}

impl<'a> Searched<'a> {
    /// Tells of each value once, with the first line that has it.
    fn search(&mut self, log: &Path, sent: &'a Sent) -> io::Result<()> {
        let mut log_lines = BufReader::new(fs::File::open(log)?);
        let mut line = Vec::new();
        let of_metrics = log.extension().is_some_and(|extension| extension == "metrics");
        while log_lines.read_until(b'\n', &mut line)? > 0 {
            self.lines += 1;
            let text = without_examples(&String::from_utf8_lossy(&line));
            let told = if of_metrics { labels(&text) } else { &text };
            for value in sent.all_in(told) {
                if self.found.insert(value) {
                    println!("{value:?} is in {}: {}", log.display(), text.trim_end());
                }
            }
            line.clear();
        }
        Ok(())
    }
}

fn without_examples(line: &str) -> String {
    EXAMPLES.iter().fold(line.to_owned(), |line, example| line.replace(example, "such as"))
}

/// What a line of metrics may tell of anybody. Its name and help are of the program's own source, and its number
/// was counted or timed: after 0.00020103 seconds nobody's birthday was told.
fn labels(line: &str) -> &str {
    match (line.find('{'), line.rfind('}')) {
        (Some(begin), Some(end)) if !line.starts_with('#') => &line[begin..=end],
        _ => "",
    }
}

fn first_word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_searched_for_its_labels() {
        for (line, searched) in [
            ("# HELP connections_limit Connections that may be open at once.", ""),
            ("connections_limit 1000", ""),
            (r#"requests_total{route="/hello/{username}"} 3"#, r#"{route="/hello/{username}"}"#),
            (r#"duration_seconds_sum{status="409"} 0.00020103"#, r#"{status="409"}"#),
            (r#"requests_total{name="Anna}"} 3"#, r#"{name="Anna}"}"#),
        ] {
            assert_eq!(labels(line), searched, "{line}");
        }
    }

    #[test]
    fn a_value_is_found_by_itself_and_not_in_a_word() {
        let mut sent = Sent::default();
        for value in ["Anna", "1990-06-15", "a.b@example.org", "month: 6, day: 15", "José"] {
            sent.0.entry(first_word(value).to_owned()).or_default().push(value.to_owned());
        }
        for (line, found) in [
            ("path=/hello/Anna status=200", Some("Anna")),
            ("Key (name)=(Anna) exists", Some("Anna")),
            ("{hb:00}:user:Anna_1", Some("Anna")),
            ("\"dateOfBirth\":\"1990-06-15\"", Some("1990-06-15")),
            ("<a.b@example.org>", Some("a.b@example.org")),
            ("Birthday { month: 6, day: 15, year: None }", Some("month: 6, day: 15")),
            ("user=José", Some("José")),
            ("Annabel, 1990-06-15T10:00, month: 6, day: 151, a.b@example.organic", None),
        ] {
            assert_eq!(sent.all_in(line), Vec::from_iter(found), "{line}");
        }
    }
}
