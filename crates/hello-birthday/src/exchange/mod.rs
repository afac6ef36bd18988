//! Records as text: for moving them from one store to another and into the first one, and for calendars.

mod lines;
mod record;
mod json_lines;
mod csv;
mod vcard;
mod calendar;

use std::io::{self, BufRead};
use std::path::Path;

use birthday::User;

pub use calendar::{Calendar, InvalidReminders, Reminders};
pub use csv::{InvalidHeader, InvalidRow};
pub use json_lines::WholeUser;
pub use record::{InvalidRecord, Lines, Record, Rules, Spaces};
pub use vcard::InvalidCard;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A JSON object a line
    Jsonl,
    /// A table whose first line names its columns, separated by commas
    Csv,
    /// Cards of an address book, vCard 3.0 or 4.0
    Vcard,
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A JSON object a line
    Jsonl,
    /// A table with the columns username, email and dateOfBirth
    Csv,
}

/// Why a text can't be read on, or at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The operating system refused.
    #[error("line {line} can't be read: {source}")]
    Line {
        /// Where that was.
        line: u64,
        /// Its words.
        source: io::Error,
    },
    /// A table that doesn't say which column is what.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
}

/// The records of a text, one after the other; nothing comes after the first error.
pub type Records = Box<dyn Iterator<Item = Result<Record, Unreadable>> + Send>;

/// Reads records in constant memory, whatever the text.
///
/// # Errors
/// Where the text can't be read at all.
pub fn read(
    format: Format,
    input: impl BufRead + Send + 'static,
    rules: Rules,
) -> Result<Records, Unreadable> {
    let lines = lines::Lines::new(input);
    Ok(match format {
        Format::Jsonl => Box::new(json_lines::Objects::new(lines, rules)),
        Format::Csv => Box::new(csv::Rows::new(lines, rules)?),
        Format::Vcard => Box::new(vcard::Cards::new(lines, rules)),
    })
}

impl Format {
    /// The format that a file's name tells.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_ascii_lowercase().to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "vcf" => Some(Self::Vcard),
            _ => None,
        }
    }
}

impl Output {
    /// The format that a file's name tells.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        match Format::of(file)? {
            Format::Jsonl => Some(Self::Jsonl),
            Format::Csv => Some(Self::Csv),
            Format::Vcard => None,
        }
    }

    /// What stands before the first record.
    #[must_use]
    pub const fn head(self) -> &'static str {
        match self {
            Self::Jsonl => "",
            Self::Csv => csv::HEADER,
        }
    }

    /// Appends a record and a line feed.
    pub fn write(self, user: &User, text: &mut Vec<u8>) {
        match self {
            Self::Jsonl => json_lines::write(user, text),
            Self::Csv => csv::write(user, text),
        }
    }
}
