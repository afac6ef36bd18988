//! A record a line: the same object that `GET /user/<username>` answers with.

use birthday::{Birthday, Date, Email, InvalidBirthday, InvalidEmail, InvalidName, Name, User};
use serde::{Deserialize, Serialize};

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

/// Why a line is no record. The words repeat nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// Not an object with these keys.
    #[error(
        r#"not a JSON object such as {{"username": "Anna", "email": null, "dateOfBirth": "1990-06-15"}}"#
    )]
    Form,
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Its address is none.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// Its date is none.
    #[error(transparent)]
    Birthday(#[from] InvalidBirthday),
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
pub fn write_line(user: &User, text: &mut Vec<u8>) {
    // Texts always have a JSON form, and writing to memory can't fail.
    let _ = serde_json::to_writer(&mut *text, &WholeUser::from(user));
    text.push(b'\n');
}

/// Reads one line, with or without its line feed.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_line(line: &[u8], today: Date) -> Result<User, InvalidRecord> {
    // A JSON array would be taken for an object with its values in order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(InvalidRecord::Form);
    }
    let record: WholeUser = serde_json::from_slice(line).map_err(|_| InvalidRecord::Form)?;
    Ok(User {
        name: Name::parse(&record.username)?,
        email: record.email.as_deref().map(Email::parse).transpose()?,
        birthday: record.date_of_birth.map(|text| Birthday::parse(&text, today)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<User, String> {
        read_line(line.as_bytes(), "2026-11-23".parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for line in [
            r#"{"username":"José","email":"a@b.org","dateOfBirth":"1990-06-15"}"#,
            r#"{"username":"my_username","email":null,"dateOfBirth":"--02-29"}"#,
            r#"{"username":"Anna","email":null,"dateOfBirth":null}"#,
        ] {
            let mut text = Vec::new();
            write_line(&read(line).unwrap(), &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("{line}\n"));
        }
        assert_eq!(read(r#"{"username":"Anna"}"#), read(r#" {"x": 1, "email": null, "username": "Anna"} "#));
    }

    #[test]
    fn a_line_that_is_no_record_is_told_why_without_repeating_it() {
        for (line, reason) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"["Anna", null, null]"#, "not a JSON object"),
            (r#"{"username": 5}"#, "not a JSON object"),
            (r#"{"email": "secret@b.org"}"#, "not a JSON object"),
            (r#"{"username": "Anna"} x"#, "not a JSON object"),
            (r#"{"username": "Secret Name"}"#, "the username must start with"),
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
