//! A record a line: the same object that `GET /user/<username>` answers with.

use std::io::BufRead;

use birthday::{Birthday, User};
use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::record::Said;
use super::{InvalidRecord, Record, Rules, Unreadable, record};

/// All that is kept of a user, in the words of the interface.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeUser {
    username: String,
    #[serde(default)]
    email: Option<String>,
    /// `YYYY-MM-DD`, or `--MM-DD` where the year is not known.
    #[serde(default)]
    date_of_birth: Option<String>,
}

impl From<&User> for WholeUser {
    fn from(user: &User) -> Self {
        Self {
            username: user.name.as_str().to_owned(),
            email: user.email.as_ref().map(|email| email.as_str().to_owned()),
            date_of_birth: user.birthday.map(Birthday::to_text),
        }
    }
}

/// Appends the record and a line feed.
pub(super) fn write(user: &User, text: &mut Vec<u8>) {
    // Texts always have a JSON form, and writing to memory can't fail.
    let _ = serde_json::to_writer(&mut *text, &WholeUser::from(user));
    text.push(b'\n');
}

/// The objects of a text, a line each.
pub(super) struct Objects<R> {
    lines: Lines<R>,
    rules: Rules,
    line: Vec<u8>,
}

impl<R: BufRead> Objects<R> {
    pub(super) const fn new(lines: Lines<R>, rules: Rules) -> Self {
        Self { lines, rules, line: Vec::new() }
    }

    fn user(&self) -> Result<User, InvalidRecord> {
        // A JSON array would be taken for an object with its values in order.
        if self.line.trim_ascii_start().first() != Some(&b'{') {
            return Err(InvalidRecord::Object);
        }
        let said: WholeUser = serde_json::from_slice(&self.line).map_err(|_| InvalidRecord::Object)?;
        self.rules.read(&Said {
            name: &said.username,
            email: said.email.as_deref(),
            date_of_birth: said.date_of_birth.as_deref(),
        })
    }
}

impl<R: BufRead> Iterator for Objects<R> {
    type Item = Result<Record, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line.clear();
            let line = match self.lines.append_next(&mut self.line) {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let lines = record::Lines { first: line.number, last: line.number };
            if !line.whole {
                return Some(Ok(Record { lines, user: Err(InvalidRecord::Length) }));
            }
            if !self.line.trim_ascii().is_empty() {
                return Some(Ok(Record { lines, user: self.user() }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Spaces;
    use super::*;

    fn read(line: &'static str) -> Result<User, String> {
        let rules = Rules { today: "2026-11-23".parse().unwrap(), spaces: Spaces::Refuse };
        let mut objects = Objects::new(Lines::new(line.as_bytes()), rules);
        objects.next().unwrap().unwrap().user.map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for line in [
            r#"{"username":"José","email":"a@b.org","dateOfBirth":"1990-06-15"}"#,
            r#"{"username":"my_username","email":null,"dateOfBirth":"--02-29"}"#,
            r#"{"username":"Anna","email":"a@b.org","dateOfBirth":null}"#,
        ] {
            let mut text = Vec::new();
            write(&read(line).unwrap(), &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("{line}\n"));
        }
        let (short, long) =
            (r#"{"username":"Anna","email":"a@b"}"#, r#" {"x": 1, "email": "a@b", "username": "Anna"} "#);
        assert_eq!(read(short), read(long));
    }

    #[test]
    fn a_line_that_is_no_record_is_told_why_without_repeating_it() {
        for (line, reason) in [
            ("[]", "not a JSON object"),
            (r#"["Anna", null, null]"#, "not a JSON object"),
            (r#"{"username": 5}"#, "not a JSON object"),
            (r#"{"email": "secret@b.org"}"#, "not a JSON object"),
            (r#"{"username": "Anna"}"#, "neither an e-mail address nor"),
            (r#"{"username": "Anna"} x"#, "not a JSON object"),
            (r#"{"username": "Secret Name"}"#, "the name has spaces"),
            (r#"{"username": "Anna", "email": "secret"}"#, "the e-mail address must be"),
            (r#"{"username": "Anna", "dateOfBirth": "15.06.1990"}"#, "written as YYYY-MM-DD"),
            (r#"{"username": "Anna", "dateOfBirth": "2023-02-29"}"#, "must be a real date"),
            (r#"{"username": "Anna", "dateOfBirth": "--02-30"}"#, "must be a real date"),
            (r#"{"username": "Anna", "dateOfBirth": "2026-11-23"}"#, "must be before today"),
        ] {
            let refusal = read(line).unwrap_err();
            assert!(refusal.contains(reason), "{line}: {refusal}");
            assert!(!refusal.to_lowercase().contains("secret"), "{refusal}");
        }
    }
}
