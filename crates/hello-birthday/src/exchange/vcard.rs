//! An address book: a card a record, vCard 3.0 (RFC 2426) or 4.0 (RFC 6350).
//!
//! Read by hand, line by line: four properties are needed of a card, and the crates that know all of them hold a
//! whole card in memory, pictures included, and are generous about dates where this must not guess.

use std::borrow::Cow;
use std::io::BufRead;

use birthday::User;

use super::lines::Lines;
use super::record::{Said, utf8};
use super::{InvalidRecord, Record, Rules, Unreadable, record};

/// The cards of a text.
pub(super) struct Cards<R> {
    lines: Lines<R>,
    rules: Rules,
    /// One property, unfolded.
    text: Vec<u8>,
    card: Option<Card>,
}

/// What was read of a card so far.
struct Card {
    /// The line of its `BEGIN:VCARD`.
    line: u64,
    version: Option<String>,
    name: Option<Preferred>,
    email: Option<Preferred>,
    /// As [`Said`] has it.
    birthday: Option<String>,
    /// The first thing that is wrong with it.
    wrong: Option<InvalidRecord>,
}

/// A value that may be given more than once.
struct Preferred {
    /// 1 to 100, and more where nothing is said: the least counts, and of equals the first.
    rank: u8,
    value: String,
}

/// One line of a card: `group.NAME;PARAMETER=…:value`.
struct Property<'a> {
    name: &'a str,
    parameters: &'a str,
    value: &'a [u8],
}

/// Why a card is no record.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCard {
    /// Text between cards, or instead of them.
    #[error("not within a card, which goes from BEGIN:VCARD to END:VCARD")]
    Outside,
    /// The next card, or nothing more, before its end.
    #[error("the card has no END:VCARD")]
    Unended,
    /// A line that is none.
    #[error("a line of the card is not NAME:value")]
    Property,
    /// Another version, or none.
    #[error("only cards with VERSION:3.0 or VERSION:4.0 are read; save the address book as one of these")]
    Version,
    /// Quoted-printable or base64.
    #[error("FN, EMAIL and BDAY must not have an ENCODING; save the address book as vCard 3.0 or 4.0")]
    Encoded,
    /// Nobody.
    #[error("the card has no FN, which is taken for the username")]
    NoName,
    /// A birthday in words.
    #[error("BDAY is a text, not a date")]
    Words,
    /// Two that differ.
    #[error("the card has two different BDAY")]
    TwoBirthdays,
    /// A part of a date, or another order.
    #[error(
        "BDAY must be a whole date such as 19900615 or 1990-06-15, or without the year --0615 or --06-15"
    )]
    Form,
    /// An instant whose day depends on where one was.
    #[error("BDAY is a time in UTC, which is not the same day everywhere; write the date alone")]
    Instant,
}

impl<R: BufRead> Cards<R> {
    pub(super) const fn new(lines: Lines<R>, rules: Rules) -> Self {
        Self { lines, rules, text: Vec::new(), card: None }
    }

    /// Reads one property; the record, where that ends one.
    fn step(&mut self) -> Result<Step, Unreadable> {
        self.text.clear();
        let Some(line) = self.lines.append_next(&mut self.text)? else {
            return Ok(self
                .card
                .take()
                .map_or(Step::End, |card| Step::Record(card.refused(InvalidCard::Unended))));
        };
        let mut whole = line.whole;
        while self.lines.is_folded()? {
            let seam = self.text.len();
            whole &= self.lines.append_next(&mut self.text)?.is_some_and(|line| line.whole);
            // The blank that folds is no part of the value.
            if seam < self.text.len() {
                self.text.remove(seam);
            }
        }
        Ok(self.take(line.number, whole))
    }

    fn take(&mut self, line: u64, whole: bool) -> Step {
        let text = self.text.trim_ascii();
        if text.is_empty() {
            Step::Nothing
        } else if text.eq_ignore_ascii_case(b"BEGIN:VCARD") {
            let before = self.card.replace(Card::begun(line));
            before.map_or(Step::Nothing, |card| Step::Record(card.refused(InvalidCard::Unended)))
        } else if text.eq_ignore_ascii_case(b"END:VCARD")
            && let Some(card) = self.card.take()
        {
            Step::Record(Record { lines: at(card.line), user: card.user(self.rules) })
        } else if let Some(card) = &mut self.card {
            let taken = card.take(&self.text, whole);
            card.wrong = card.wrong.take().or(taken.err());
            Step::Nothing
        } else {
            Step::Record(Record { lines: at(line), user: Err(InvalidCard::Outside.into()) })
        }
    }
}

/// What one line led to.
enum Step {
    Record(Record),
    Nothing,
    End,
}

impl<R: BufRead> Iterator for Cards<R> {
    type Item = Result<Record, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Ok(Step::Record(record)) => return Some(Ok(record)),
                Ok(Step::Nothing) => {}
                Ok(Step::End) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Card {
    const fn begun(line: u64) -> Self {
        Self { line, version: None, name: None, email: None, birthday: None, wrong: None }
    }

    fn refused(self, why: InvalidCard) -> Record {
        Record { lines: at(self.line), user: Err(why.into()) }
    }

    /// Takes from one line what is needed of it. A picture, however long, is not.
    fn take(&mut self, text: &[u8], whole: bool) -> Result<(), InvalidRecord> {
        let property = Property::read(text).ok_or(InvalidCard::Property)?;
        let is = |name: &str| property.name.eq_ignore_ascii_case(name);
        if is("VERSION") {
            self.version = Some(property.text(whole)?.into_owned());
        } else if is("FN") {
            prefer(&mut self.name, &property, whole)?;
        } else if is("EMAIL") {
            prefer(&mut self.email, &property, whole)?;
        } else if is("BDAY") {
            self.take_birthday(&property, whole)?;
        }
        Ok(())
    }

    fn take_birthday(&mut self, property: &Property<'_>, whole: bool) -> Result<(), InvalidRecord> {
        let text = property.text(whole)?;
        if text.is_empty() {
            return Ok(());
        }
        let birthday = Some(date_of_birth(&text, property)?);
        if self.birthday.is_some() && self.birthday != birthday {
            return Err(InvalidCard::TwoBirthdays.into());
        }
        self.birthday = birthday;
        Ok(())
    }

    fn user(self, rules: Rules) -> Result<User, InvalidRecord> {
        match self.version.as_deref() {
            Some("3.0" | "4.0") => {}
            Some(_) | None => return Err(InvalidCard::Version.into()),
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        rules.read(&Said {
            name: &self.name.ok_or(InvalidCard::NoName)?.value,
            email: self.email.as_ref().map(|email| &*email.value),
            date_of_birth: self.birthday.as_deref(),
        })
    }
}

impl<'a> Property<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        let colon = place_outside_quotes(text, b':')?;
        let head = str::from_utf8(&text[..colon]).ok()?;
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let name = name.rsplit('.').next().unwrap_or(name);
        Some(Self { name, parameters, value: &text[colon + 1..] })
    }

    /// The value, without its escapes (RFC 6350, section 3.4).
    fn text(&self, whole: bool) -> Result<Cow<'a, str>, InvalidRecord> {
        if !whole {
            return Err(InvalidRecord::Length);
        }
        if self.parameters().any(|(name, value)| is_encoding(name) || (name.is_empty() && is_encoding(value)))
        {
            return Err(InvalidCard::Encoded.into());
        }
        utf8(self.value).map(unescape)
    }

    /// Names and values; the name is empty where there is a value alone, as version 2.1 had it.
    fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = Some(self.parameters).filter(|text| !text.is_empty());
        std::iter::from_fn(move || {
            let text = rest?;
            let end = place_outside_quotes(text.as_bytes(), b';').unwrap_or(text.len());
            rest = text.get(end + 1..);
            Some(text[..end].split_once('=').unwrap_or(("", &text[..end])))
        })
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// `PREF=1` to `100` in version 4.0; `TYPE=PREF`, among others, in 3.0.
    fn rank(&self) -> u8 {
        let is_preferred = |value: &str| value.split(',').any(|one| one.eq_ignore_ascii_case("pref"));
        let typed = self
            .parameters()
            .filter(|(name, _)| name.is_empty() || name.eq_ignore_ascii_case("TYPE"))
            .any(|(_, value)| is_preferred(value.trim_matches('"')));
        match self.parameter("PREF").and_then(|rank| rank.parse().ok()) {
            Some(rank) => rank,
            None if typed => 1,
            None => u8::MAX,
        }
    }
}

fn prefer(kept: &mut Option<Preferred>, property: &Property<'_>, whole: bool) -> Result<(), InvalidRecord> {
    let (rank, value) = (property.rank(), property.text(whole)?);
    if !value.is_empty() && kept.as_ref().is_none_or(|kept| rank < kept.rank) {
        *kept = Some(Preferred { rank, value: value.into_owned() });
    }
    Ok(())
}

/// The date as [`Said`] has it, of any whole date that a card may have (RFC 6350, section 4.3).
fn date_of_birth(text: &str, property: &Property<'_>) -> Result<String, InvalidCard> {
    if property.parameter("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("text")) {
        return Err(InvalidCard::Words);
    }
    let (day, time) = text.split_once(['T', 't']).map_or((text, None), |(day, time)| (day, Some(time)));
    time.map_or(Ok(()), check_time)?;
    let (year, month, day) = parts(day).ok_or(InvalidCard::Form)?;
    // Apple's cards always have a year; the parameter tells which one means that it is not known.
    let unknown = year.is_none() || year == property.parameter("X-APPLE-OMIT-YEAR");
    Ok(format!("{}-{month}-{day}", year.filter(|_| !unknown).unwrap_or("-")))
}

/// Year, month and day of `YYYYMMDD`, `YYYY-MM-DD`, `--MMDD` or `--MM-DD`.
fn parts(text: &str) -> Option<(Option<&str>, &str, &str)> {
    let (year, rest) = match text.strip_prefix("--") {
        Some(rest) => (None, rest),
        None => text.split_at_checked(4).map(|(year, rest)| (Some(year), rest))?,
    };
    let (month, day) = match (rest.len(), year) {
        (4, _) => rest.split_at_checked(2)?,
        (5, None) => rest.split_once('-')?,
        (6, Some(_)) => rest.strip_prefix('-')?.split_once('-')?,
        _ => return None,
    };
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let all = year.is_none_or(|year| digits(year, 4)) && digits(month, 2) && digits(day, 2);
    all.then_some((year, month, day))
}

/// A time of day is left out where it can't change the day: it is local, or it is the midnight that programs
/// write for want of a time.
fn check_time(time: &str) -> Result<(), InvalidCard> {
    let end = time.find(|character: char| !"0123456789:.".contains(character)).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let is_zone = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b":+-".contains(&byte));
    let midnight = !clock.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    match zone {
        _ if clock.is_empty() => Err(InvalidCard::Form),
        "Z" | "z" | "+00:00" | "+0000" | "+00" if !midnight => Err(InvalidCard::Instant),
        "Z" | "z" => Ok(()),
        _ if is_zone(zone) => Ok(()),
        _ => Err(InvalidCard::Form),
    }
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(escaped @ ('\\' | ',' | ';' | ':')) => text.push(escaped),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

fn is_encoding(word: &str) -> bool {
    word.eq_ignore_ascii_case("ENCODING") || word.eq_ignore_ascii_case("QUOTED-PRINTABLE")
}

fn place_outside_quotes(text: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == wanted && !quoted
    })
}

const fn at(line: u64) -> record::Lines {
    record::Lines { first: line, last: line }
}
