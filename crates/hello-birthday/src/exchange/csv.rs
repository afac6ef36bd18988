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

#[cfg(test)]
mod tests {
    use super::super::Spaces;
    use super::super::lines::RECORD_BYTES;
    use super::*;

    const RULES: Rules = Rules { today: birthday::Date::constant(2026, 11, 23), spaces: Spaces::Refuse };

    /// Where each row stands, and the user as it is written, or why it is none.
    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let rows = Rows::new(Lines::new(text.as_bytes()), RULES).map_err(|error| error.to_string())?;
        let told = rows.map(|record| {
            let Record { lines, user } = record.unwrap();
            let mut text = Vec::new();
            let told = user.map(|user| write(&user, &mut text)).map_err(|error| error.to_string());
            (lines.to_string(), told.err().unwrap_or_else(|| String::from_utf8(text).unwrap()))
        });
        Ok(told.collect())
    }

    #[test]
    fn columns_go_by_their_names_in_any_order_with_any_ends_of_lines() {
        let anna = [("line 2".to_owned(), "Anna,a@b.org,1990-06-15\n".to_owned())];
        for text in [
            "username,email,dateOfBirth\nAnna,a@b.org,1990-06-15\n",
            "Birthday,Notes,NAME,EMail\r\n1990-06-15,,Anna,a@b.org\r\n",
            "\u{feff}name,date_of_birth,email\nAnna,1990-06-15,a@b.org",
            "\"username\",\"email\",\"DATEOFBIRTH\"\r\n\"Anna\",\"a@b.org\",\"1990-06-15\"\n\n",
            "x, email ,y,username,birthday\n\"a \"\"b\"\", c\",a@b.org,,Anna,1990-06-15",
        ] {
            assert_eq!(read(text).unwrap(), anna, "{text}");
        }
    }

    #[test]
    fn a_field_may_have_line_ends_and_what_follows_keeps_its_number() {
        let rows =
            read("name,notes,birthday\nAnna,\"one\ntwo, \"\"three\"\"\r\n\",--02-29\n\nBob,,1990-06-15")
                .unwrap();
        assert_eq!(rows[0], ("lines 2 to 4".into(), "Anna,,--02-29\n".into()));
        assert_eq!(rows[1], ("line 6".into(), "Bob,,1990-06-15\n".into()));
    }

    #[test]
    fn a_table_that_does_not_say_what_is_what_is_refused() {
        for text in [
            "",
            "\n\n",
            "Anna,a@b.org",
            "email,birthday\n",
            "name\nAnna",
            "username;email;birthday\n",
            "\"name,email",
        ] {
            assert!(read(text).unwrap_err().contains("must name the columns"), "{text}");
        }
        for (text, twice) in [
            ("username,Name,email", "username"),
            ("name,birthday,dateOfBirth", "date of birth"),
            ("name,email,EMAIL", "e-mail address"),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("two columns are the {twice}; keep one"));
        }
    }

    #[test]
    fn a_bad_row_costs_itself_alone() {
        let long = "x".repeat(RECORD_BYTES);
        let long_quoted = format!("\"{}\"", "x\n".repeat(RECORD_BYTES));
        for (row, reason) in [
            ("Anna,a@b.org", "the row has 2 fields where the first line has 3"),
            ("Anna,,1990-06-15,", "the row has 4 fields"),
            ("Anna,,15.06.1990", "written as YYYY-MM-DD"),
            ("Anna,,06/15/1990", "written as YYYY-MM-DD"),
            ("Anna,,1990-06-15 ", "written as YYYY-MM-DD"),
            ("Anna,,1990-02-30", "must be a real date"),
            ("Anna,,2026-11-23", "must be before today"),
            ("Anna,secret,", "the e-mail address must be"),
            ("Anna,,", "neither an e-mail address nor"),
            (",a@b.org,", "1 to 64 characters"),
            ("Anna Secret,a@b.org,", "--spaces"),
            ("a\"b\",a@b.org,", "a quote must surround"),
            ("\"Anna\"x,a@b.org,", "a quote must surround"),
            ("\"Anna\nsecret\"x,a@b.org,", "a quote must surround"),
            (&format!("Anna,{long},"), "longer than"),
            (&format!("Anna,{long_quoted},"), "longer than"),
        ] {
            let rows = read(&format!("name,email,birthday\nBob,b@b.org,\n{row}\nBob,b@b.org,")).unwrap();
            assert_eq!(rows.len(), 3, "{reason}");
            assert!(rows[0].1.starts_with("Bob") && rows[2].1.starts_with("Bob"), "{reason}");
            let (lines, told) = &rows[1];
            assert!(lines == "line 3" || lines.starts_with("lines 3 to "), "{lines}");
            assert!(told.contains(reason) && !told.to_lowercase().contains("secret"), "{told}");
        }
    }

    #[test]
    fn an_open_quote_names_every_line_that_it_took() {
        let rows = read("name,email\nAnna,a@b\nBob,\"b@b\nCarl,c@b\nDora,d@b\n").unwrap();
        assert_eq!(rows[1], ("lines 3 to 5".into(), InvalidRow::OpenQuote.to_string()));
        let rows = read("name,email\n\"Bob,b@b\nCarl,\"c@b\nDora,d@b\n").unwrap();
        assert_eq!(rows[0], ("lines 2 to 3".into(), InvalidRow::Quote.to_string()));
        assert_eq!(rows[1], ("line 4".into(), "Dora,d@b,\n".into()));
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_no_memory() {
        let endless = format!("name,email\n\"{}", "\n".repeat(20 * RECORD_BYTES));
        let mut rows = Rows::new(Lines::new(endless.as_bytes()), RULES).unwrap();
        assert!(rows.next().unwrap().unwrap().user.is_err() && rows.next().is_none());
        assert!(rows.source.row.capacity() <= 4 * RECORD_BYTES, "{}", rows.source.row.capacity());
    }

    #[test]
    fn nothing_that_is_written_needs_quotes() {
        for special in [",", "\"", "\n", "\r"] {
            assert!(birthday::Name::parse(&format!("a{special}b")).is_err());
            assert!(Email::parse(&format!("a{special}b@c")).is_err());
        }
    }
}
