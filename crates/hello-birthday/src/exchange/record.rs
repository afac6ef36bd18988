//! What does a record from elsewhere say of somebody, and is that so? The rules that all formats share.

use std::borrow::Cow;
use std::fmt;

use birthday::{Birthday, Date, Email, InvalidBirthday, InvalidEmail, InvalidName, Name, User};

use super::lines::RECORD_BYTES;
use super::{csv, vcard};

/// A record, or why it is none.
pub struct Record {
    /// Where it stands.
    pub lines: Lines,
    /// Whom it is about.
    pub user: Result<User, InvalidRecord>,
}

/// The first and the last line of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What decides whether a record is taken, besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Dates of birth are before it.
    pub today: Date,
    /// What is done about names of more than one word.
    pub spaces: Spaces,
}

/// What is done about a name with spaces, such as `Anna Müller`: a username has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spaces {
    /// Refuse the record
    Refuse,
    /// Leave them out: AnnaMüller, who can be greeted
    Drop,
    /// Write one underscore for them: Anna_Müller, who can be registered
    Underscore,
}

/// What a record says, in its own words.
pub(super) struct Said<'a> {
    pub(super) name: &'a str,
    pub(super) email: Option<&'a str>,
    /// `YYYY-MM-DD`, or `--MM-DD` where the year is not known.
    pub(super) date_of_birth: Option<&'a str>,
}

/// Why a record is none. The words repeat nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// Longer than what is kept of one.
    #[error("the record is longer than {RECORD_BYTES} bytes")]
    Length,
    /// Another encoding.
    #[error("the record is not in UTF-8; save the file in that encoding")]
    Encoding,
    /// Not an object with these keys.
    #[error(
        r#"not a JSON object such as {{"username": "Anna", "email": null, "dateOfBirth": "1990-06-15"}}"#
    )]
    Object,
    /// Not a row of the table.
    #[error(transparent)]
    Row(#[from] csv::InvalidRow),
    /// Not a card with what is needed.
    #[error(transparent)]
    Card(#[from] vcard::InvalidCard),
    /// Its name has more than one word.
    #[error("the name has spaces, and a username has none; --spaces says how to write it as one word")]
    Spaces,
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Its address is none.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// Its date is none.
    #[error(transparent)]
    Birthday(#[from] InvalidBirthday),
    /// Nothing but a name, which is nobody.
    #[error("the record has neither an e-mail address nor a date of birth")]
    Empty,
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "line {first}"),
            Self { first, last } => write!(f, "lines {first} to {last}"),
        }
    }
}

impl Rules {
    /// The user that a record tells of.
    pub(super) fn read(self, said: &Said<'_>) -> Result<User, InvalidRecord> {
        let user = User {
            name: Name::parse(&self.one_word(said.name)?)?,
            email: said.email.map(Email::parse).transpose()?,
            birthday: said.date_of_birth.map(|text| Birthday::parse(text, self.today)).transpose()?,
        };
        if user.email.is_none() && user.birthday.is_none() { Err(InvalidRecord::Empty) } else { Ok(user) }
    }

    fn one_word(self, name: &str) -> Result<Cow<'_, str>, InvalidRecord> {
        if !name.contains(char::is_whitespace) {
            return Ok(Cow::Borrowed(name));
        }
        let words: Vec<_> = name.split_whitespace().collect();
        match self.spaces {
            Spaces::Refuse => Err(InvalidRecord::Spaces),
            Spaces::Drop => Ok(Cow::Owned(words.concat())),
            Spaces::Underscore => Ok(Cow::Owned(words.join("_"))),
        }
    }
}

/// The text of those bytes.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, InvalidRecord> {
    str::from_utf8(bytes).map_err(|_| InvalidRecord::Encoding)
}
