//! What did the tests send, and what was logged meanwhile? Where `HELLO_TEST_LOGS` names a folder, both are
//! kept there, for `search-logs` to search the one for the other. Elsewhere nothing of this does anything.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use tracing::level_filters::LevelFilter;

/// Values of more bytes than this are no names, and are not searched for.
const LONGEST: usize = 300;

static FOLDER: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("HELLO_TEST_LOGS").map(PathBuf::from));
static SENT: LazyLock<Mutex<Sent>> = LazyLock::new(Mutex::default);

/// What this process has sent, and the file that lists it.
#[derive(Default)]
struct Sent {
    known: HashSet<String>,
    file: Option<File>,
}

/// Whether logs are kept, and so shall be written at their finest.
#[must_use]
pub fn are_kept() -> bool {
    FOLDER.is_some()
}

/// A new file for a log or for metrics, where they are kept.
///
/// # Panics
/// Where it can't be made.
#[expect(clippy::expect_used, reason = "a log that can't be kept can't be searched")]
pub fn file(what: &str) -> Option<File> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder: &Path = FOLDER.as_deref()?;
    fs::create_dir_all(folder).expect("no folder for logs");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{}-{number}.{what}", std::process::id()));
    Some(File::create_new(path).expect("no place for a log"))
}

/// Keeps the events of this process from now on, down to the finest.
pub fn keep_events() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some(file) = file("events.log") {
            let lines = tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::TRACE);
            // Where the process has a log of its own, events are in that one.
            let _ = lines.with_writer(Mutex::new(file)).try_init();
        }
    });
}

/// Logs an error of a store in the words with which the service does.
pub fn log(error: &impl Display) {
    tracing::warn!(%error, "a request failed");
}

/// Somebody's data is in that text: every word of it may be.
pub fn sent(text: &str) {
    if are_kept() {
        let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
        for word in text.split(|letter: char| letter.is_control() || "\"{}[](),:;<>=/?& \\".contains(letter))
        {
            sent.add(word);
        }
    }
}

/// A path and query was sent, as it is written and as it is meant.
pub fn sent_target(target: &str) {
    if are_kept() {
        sent(target);
        sent(&decoded(target));
    }
}

/// A request or a piece of one was sent: what is personal in it stands in its target and its body.
pub fn sent_request(bytes: &[u8]) {
    if are_kept() {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        sent_target(head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default());
        sent(body);
    }
}

impl Sent {
    fn add(&mut self, word: &str) {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        for value in forms(word) {
            if value.len() <= LONGEST && !self.known.contains(&value) {
                self.write(&value);
                self.known.insert(value);
            }
        }
    }

    #[expect(clippy::expect_used, reason = "what was sent and is not listed would not be searched for")]
    fn write(&mut self, value: &str) {
        if self.file.is_none() {
            self.file = file("sent");
        }
        if let Some(file) = &mut self.file {
            file.write_all(format!("{value}\n").as_bytes()).expect("no place for what was sent");
        }
    }
}

/// A value as it was sent and, of a date, as it could be written as well. What has neither a letter nor the
/// form of a date tells nothing of anybody.
fn forms(word: &str) -> Vec<String> {
    let parts: Vec<_> = word.split('-').collect();
    let number = |part: &str| part.parse::<u16>().ok();
    let (year, month, day) = match parts[..] {
        [year, month, day] if word.len() == 10 => (number(year), number(month), number(day)),
        [month, day] if word.len() == 5 => (None, number(month), number(day)),
        _ => (None, None, None),
    };
    match (year, month, day) {
        (_, Some(month), Some(day)) => vec![
            word.to_owned(),
            word.replace('-', ""),
            format!("{month:02}-{day:02}"),
            format!("month: {month}, day: {day}"),
        ]
        .into_iter()
        // Four digits alone may be anything.
        .filter(|form| form.len() > 4)
        .collect(),
        // Of a token, the secret alone is enough.
        _ if word.starts_with("hb_") => word.rsplit('_').take(1).chain([word]).map(str::to_owned).collect(),
        _ if word.contains(char::is_alphabetic) => vec![word.to_owned()],
        _ => Vec::new(),
    }
}

fn decoded(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
