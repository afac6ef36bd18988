//! A table: a row a record, and a first one that names the columns (RFC 4180).
//!
//! Read by hand, because a row that is wrong must be named, and nothing beside it lost: the crates that read
//! tables take a stray quote for text, and with it the rows up to the next quote.

use std::borrow::Cow;
use std::io::BufRead;

use birthday::{Birthday, Email, User};

use super::lines::Lines;
use super::record::{Said, utf8};
use super::{InvalidRecord, Record, Rules, Unreadable, record};

/// The first line of what is written.
pub(super) const HEADER: &str = "username,email,dateOfBirth\n";

/// The rows of a table.
pub(super) struct Rows<R> {
    source: Source<R>,
    columns: Columns,
    rules: Rules,
}

/// The text of one row after the other.
struct Source<R> {
    lines: Lines<R>,
    row: Vec<u8>,
}

/// What is said of a row besides its text.
struct Extent {
    lines: record::Lines,
    fits: Result<(), InvalidRecord>,
}

/// Which column is what, the first being 0.
struct Columns {
    count: usize,
    name: usize,
    email: Option<usize>,
    date_of_birth: Option<usize>,
}

/// Why a table can't be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHeader {
    /// There is no such line.
    #[error(
        "the first line must name the columns, separated by commas: username (or name), and email, dateOfBirth \
         (or date_of_birth, birthday) or both"
    )]
    Missing,
    /// It names one thing twice.
    #[error("two columns are the {0}; keep one")]
    Twice(&'static str),
}

/// Why a row is none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRow {
    /// A quote where none may be.
    #[error("a quote must surround a whole field, and be doubled within one")]
    Quote,
    /// Nothing after it could be read.
    #[error("a quote is never closed, so that no row was found after it")]
    OpenQuote,
    /// More or fewer fields than columns.
    #[error("the row has {fields} fields where the first line has {columns}")]
    Fields {
        /// How many it has.
        fields: usize,
        /// How many it should have.
        columns: usize,
    },
}

/// Appends a row. Nothing in it needs quotes: no name, address or date has a comma, a quote or a line's end.
pub(super) fn write(user: &User, text: &mut Vec<u8>) {
    text.extend(user.name.as_str().as_bytes());
    text.push(b',');
    text.extend(user.email.as_ref().map_or("", Email::as_str).as_bytes());
    text.push(b',');
    text.extend(user.birthday.map(Birthday::to_text).unwrap_or_default().as_bytes());
    text.push(b'\n');
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(lines: Lines<R>, rules: Rules) -> Result<Self, Unreadable> {
        let mut source = Source { lines, row: Vec::new() };
        let extent = source.next_row()?.ok_or(InvalidHeader::Missing)?;
        let fields = extent.fits.and_then(|()| split(&source.row)).map_err(|_| InvalidHeader::Missing)?;
        let columns = Columns::named_by(&fields)?;
        Ok(Self { source, columns, rules })
    }

    fn user(&self) -> Result<User, InvalidRecord> {
        let fields = split(&self.source.row)?;
        let Columns { count, name, email, date_of_birth } = self.columns;
        if fields.len() != count {
            return Err(InvalidRow::Fields { fields: fields.len(), columns: count }.into());
        }
        let given = |column: usize| Some(&*fields[column]).filter(|field| !field.is_empty());
        self.rules.read(&Said {
            name: &fields[name],
            email: email.and_then(given),
            date_of_birth: date_of_birth.and_then(given),
        })
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Record, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let extent = match self.source.next_row() {
            Ok(extent) => extent?,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Record { lines: extent.lines, user: extent.fits.and_then(|()| self.user()) }))
    }
}

impl<R: BufRead> Source<R> {
    /// The next row that is not blank. It ends with the line that makes its quotes even.
    fn next_row(&mut self) -> Result<Option<Extent>, Unreadable> {
        loop {
            self.row.clear();
            let Some(line) = self.lines.append_next(&mut self.row)? else { return Ok(None) };
            let mut lines = record::Lines { first: line.number, last: line.number };
            let (mut whole, mut quotes) = (line.whole, line.quotes);
            while quotes % 2 == 1 {
                if whole {
                    self.row.push(b'\n');
                }
                let Some(line) = self.lines.append_next(&mut self.row)? else {
                    return Ok(Some(Extent { lines, fits: Err(InvalidRow::OpenQuote.into()) }));
                };
                lines.last = line.number;
                whole &= line.whole;
                quotes += line.quotes;
            }
            if !self.row.is_empty() || !whole {
                let fits = if whole { Ok(()) } else { Err(InvalidRecord::Length) };
                return Ok(Some(Extent { lines, fits }));
            }
        }
    }
}

impl Columns {
    fn named_by(titles: &[Cow<'_, str>]) -> Result<Self, InvalidHeader> {
        let (mut name, mut email, mut date_of_birth) = (None, None, None);
        for (index, title) in titles.iter().enumerate() {
            let (column, what) = match &*title.trim().to_ascii_lowercase() {
                "username" | "name" => (&mut name, "username"),
                "email" => (&mut email, "e-mail address"),
                "dateofbirth" | "date_of_birth" | "birthday" => (&mut date_of_birth, "date of birth"),
                _ => continue,
            };
            if column.replace(index).is_some() {
                return Err(InvalidHeader::Twice(what));
            }
        }
        match name {
            Some(name) if email.or(date_of_birth).is_some() => {
                Ok(Self { count: titles.len(), name, email, date_of_birth })
            }
            Some(_) | None => Err(InvalidHeader::Missing),
        }
    }
}

/// The fields of a row.
fn split(row: &[u8]) -> Result<Vec<Cow<'_, str>>, InvalidRecord> {
    let mut fields = Vec::with_capacity(8);
    let mut rest = Some(utf8(row)?);
    while let Some(text) = rest {
        let (field, after) = match text.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => split_bare(text)?,
        };
        fields.push(field);
        rest = after;
    }
    Ok(fields)
}

/// A field up to its comma, and what comes after that, if there is one.
fn split_bare(text: &str) -> Result<(Cow<'_, str>, Option<&str>), InvalidRow> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') { Err(InvalidRow::Quote) } else { Ok((Cow::Borrowed(field), after)) }
}

/// A field up to its closing quote, and what comes after the comma, if there is one.
fn split_quoted(text: &str) -> Result<(Cow<'_, str>, Option<&str>), InvalidRow> {
    let mut end = 0;
    loop {
        end += text[end..].find('"').ok_or(InvalidRow::Quote)?;
        let after = &text[end + 1..];
        if !after.starts_with('"') {
            let field = Cow::Owned(text[..end].replace("\"\"", "\""));
            return match after.strip_prefix(',') {
                None if after.is_empty() => Ok((field, None)),
                Some(after) => Ok((field, Some(after))),
                None => Err(InvalidRow::Quote),
            };
        }
        end += 2;
    }
}
