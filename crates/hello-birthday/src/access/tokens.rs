//! Which tokens are there, and what does each allow? A text says it, one token a line:
//! `<id> <SHA-256 of the token> <scopes> <last day in UTC, or never> [label]`. Lines that are empty or
//! begin with `#` say nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use birthday::Date;

use super::scope::{Scopes, UnknownScope};
use super::token::{Fingerprint, Token, TokenId};

/// What stands in place of a last day where there is none.
const NEVER: &str = "never";

/// Tokens by their fingerprints.
#[derive(Clone, Debug, Default)]
pub struct Tokens(HashMap<Fingerprint, Arc<Grant>>);

/// What one token allows: a line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    id: TokenId,
    fingerprint: Fingerprint,
    scopes: Scopes,
    /// `None` for a token without an end.
    last_day: Option<Date>,
    label: Label,
}

/// A few words on whose token it is, for whoever reads the file. They may name somebody, so they are
/// never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Label(String);

/// A label that would not stay on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label is one line of text, without control characters")]
pub struct InvalidLabel;

/// A text that is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written YYYY-MM-DD")]
pub struct NotADay;

/// A line that says nothing that could be understood. Its words are not repeated: they may be a token that
/// was put where its fingerprint belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is wrong in line {line}: {wrong}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The first word.
    #[error("the first word must be the token's id, eight hexadecimal digits in lower case")]
    Id,
    /// The second word.
    #[error("the second word must be the token's SHA-256, 64 hexadecimal digits")]
    Fingerprint,
    /// The third word.
    #[error("the third word must be its scopes: {0}")]
    Scopes(#[from] UnknownScope),
    /// The fourth word.
    #[error("the fourth word must be its last day, YYYY-MM-DD, or {NEVER}")]
    LastDay,
    /// The rest.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// One of two lines may have been meant to be deleted.
    #[error("the same token, or another of the same id, has a line before it")]
    Twice,
}

impl Tokens {
    /// What that token allows, if it is known.
    ///
    /// The look-up takes no constant time, and need not: what is compared are fingerprints, and its time
    /// could at most tell how one begins. To use that, a caller would have to send tokens whose SHA-256
    /// begins as it likes, and at the end one whose SHA-256 is a given one, which nobody can find.
    #[must_use]
    pub fn find(&self, token: &[u8]) -> Option<Arc<Grant>> {
        self.0.get(&Fingerprint::of(token)).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for Tokens {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let (mut tokens, mut ids) = (HashMap::new(), HashSet::new());
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |wrong| BadLine { line: index + 1, wrong };
            let grant: Grant = line.parse().map_err(bad)?;
            let is_new_id = ids.insert(grant.id.clone());
            if tokens.insert(grant.fingerprint, Arc::new(grant)).is_some() || !is_new_id {
                return Err(bad(Wrong::Twice));
            }
        }
        Ok(Self(tokens))
    }
}

impl Grant {
    /// Lets whoever has that token do so much, until the end of that day in UTC.
    #[must_use]
    pub fn to(token: &Token, scopes: Scopes, last_day: Option<Date>, label: Label) -> Self {
        Self { id: token.id(), fingerprint: token.fingerprint(), scopes, last_day, label }
    }

    /// The token's name.
    #[must_use]
    pub const fn id(&self) -> &TokenId {
        &self.id
    }

    /// What it allows.
    #[must_use]
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Whether it allows anything on that day of UTC.
    #[must_use]
    pub fn is_valid_on(&self, today: Date) -> bool {
        self.last_day.is_none_or(|last_day| today <= last_day)
    }
}

/// The line.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, fingerprint, scopes, last_day, label } = self;
        write!(f, "{} {fingerprint} {scopes} ", id.as_str())?;
        match last_day {
            Some(day) => write!(f, "{day}")?,
            None => f.write_str(NEVER)?,
        }
        if label.0.is_empty() { Ok(()) } else { write!(f, " {}", label.0) }
    }
}

impl FromStr for Grant {
    type Err = Wrong;

    fn from_str(line: &str) -> Result<Self, Wrong> {
        let mut rest = line.trim();
        let mut word = || {
            let (word, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            rest = after.trim_start();
            word
        };
        let id = word().parse().map_err(|_| Wrong::Id)?;
        let fingerprint = word().parse().map_err(|_| Wrong::Fingerprint)?;
        let scopes = word().parse()?;
        let last_day = match word() {
            NEVER => None,
            day => Some(parse_day(day).map_err(|NotADay| Wrong::LastDay)?),
        };
        Ok(Self { id, fingerprint, scopes, last_day, label: rest.parse()? })
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        if text.contains(char::is_control) { Err(InvalidLabel) } else { Ok(Self(text.trim().to_owned())) }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(…)")
    }
}

/// A day, written in the one way in which days are written here.
///
/// # Errors
/// Where the text is anything else.
pub fn parse_day(text: &str) -> Result<Date, NotADay> {
    let day: Date = text.parse().map_err(|_| NotADay)?;
    // A date with a time, or without its hyphens, is parsed as well.
    if day.to_string() == text { Ok(day) } else { Err(NotADay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(scopes: &str, last_day: Option<&str>, label: &str) -> (Token, Grant) {
        let token = Token::make().unwrap();
        let last_day = last_day.map(|day| parse_day(day).unwrap());
        let grant = Grant::to(&token, scopes.parse().unwrap(), last_day, label.parse().unwrap());
        (token, grant)
    }

    #[test]
    fn a_line_says_what_was_granted() {
        for (scopes, last_day, label) in [
            ("hello:read", None, ""),
            ("hello:read,metrics", Some("2026-12-31"), ""),
            ("calendar", None, "# the  kitchen, José's"),
        ] {
            let (_, grant) = grant(scopes, last_day, label);
            assert_eq!(grant.to_string().parse(), Ok(grant.clone()), "{grant}");
            let spread = grant.to_string().replacen(' ', " \t ", 4);
            assert_eq!(spread.parse(), Ok(grant));
        }
    }

    #[test]
    fn tokens_are_found_by_the_whole_of_their_text() {
        let ((one, its), (other, others)) = (grant("hello:read", None, ""), grant("metrics", None, "x"));
        let tokens: Tokens = format!("# tokens\n\n{its}\r\n \t\n{others}").parse().unwrap();
        assert_eq!(tokens.count(), 2);
        assert_eq!(tokens.find(one.reveal().as_bytes()).as_deref(), Some(&its));
        assert_eq!(tokens.find(other.reveal().as_bytes()).as_deref(), Some(&others));
        let unknown = Token::make().unwrap();
        let fingerprint = one.fingerprint().to_string();
        for text in ["", &one.reveal()[1..], &one.reveal().to_uppercase(), &fingerprint, unknown.reveal()] {
            assert_eq!(tokens.find(text.as_bytes()), None, "{text}");
        }
        assert_eq!("".parse::<Tokens>().unwrap().count(), 0);
    }

    #[test]
    fn a_token_is_valid_to_the_end_of_its_last_day() {
        let (_, grant) = grant("hello:read", Some("2026-11-23"), "");
        for (today, valid) in [("2026-11-22", true), ("2026-11-23", true), ("2026-11-24", false)] {
            assert_eq!(grant.is_valid_on(parse_day(today).unwrap()), valid, "{today}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_repeated() {
        let (token, good) = grant("hello:read", Some("2026-11-23"), "mine");
        let line = good.to_string();
        let words: Vec<_> = line.split(' ').collect();
        let with = |index: usize, word: &str| {
            let mut words = words.clone();
            words[index] = word;
            words.join(" ")
        };
        let in_line_3 = |text: &str| format!("# x\n\n{text}").parse::<Tokens>().unwrap_err();
        for (text, wrong) in [
            (token.reveal().to_owned(), Wrong::Id),
            (with(1, token.reveal()), Wrong::Fingerprint),
            (with(2, token.reveal()), Wrong::Scopes(UnknownScope)),
            (with(3, token.reveal()), Wrong::LastDay),
            (with(3, "2026-11-31"), Wrong::LastDay),
            (with(3, "20261123"), Wrong::LastDay),
            (with(3, "2026-11-23T10:00"), Wrong::LastDay),
            (words[..3].join(" "), Wrong::LastDay),
            (with(4, "a\u{7}b"), Wrong::Label(InvalidLabel)),
        ] {
            let bad = in_line_3(&text);
            assert_eq!(bad, BadLine { line: 3, wrong }, "{text}");
            assert!(!bad.to_string().contains(token.reveal()));
        }
        let same_id = with(1, &"0".repeat(64));
        let same_token = with(0, "00000000");
        for second in [&line, &same_id, &same_token] {
            let bad = format!("{line}\n{second}").parse::<Tokens>().unwrap_err();
            assert_eq!(bad, BadLine { line: 2, wrong: Wrong::Twice });
        }
        assert_eq!("a\nb".parse::<Label>(), Err(InvalidLabel));
    }
}
