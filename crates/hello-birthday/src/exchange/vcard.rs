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

/// What one line led to.
enum Step {
    Record(Record),
    Nothing,
    End,
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
    /// Not the one in which birthdays are kept (RFC 6350, section 5.8).
    #[error("BDAY is of another calendar; write it in the Gregorian one")]
    Calendar,
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
            let unended = self.card.take().map(|card| card.refused(InvalidCard::Unended));
            return Ok(unended.map_or(Step::End, Step::Record));
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
    if property.parameter("CALSCALE").is_some_and(|calendar| !calendar.eq_ignore_ascii_case("gregorian")) {
        return Err(InvalidCard::Calendar);
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

#[cfg(test)]
mod tests {
    use super::super::Spaces;
    use super::super::lines::RECORD_BYTES;
    use super::*;

    /// Where each card begins, and what it says, or why it is no record.
    fn read_all(text: &[u8], spaces: Spaces) -> Vec<(String, String)> {
        let rules = Rules { today: "2026-11-23".parse().unwrap(), spaces };
        let cards = Cards::new(Lines::new(text), rules).map(|record| {
            let Record { lines, user } = record.unwrap();
            let told = user.map(|User { name, email, birthday }| {
                let email = email.map_or(String::new(), |email| email.as_str().to_owned());
                let birthday = birthday.map_or(String::new(), birthday::Birthday::to_text);
                format!("{} {email} {birthday}", name.as_str())
            });
            (lines.to_string(), told.unwrap_or_else(|error| error.to_string()))
        });
        cards.collect()
    }

    fn card(properties: &str) -> String {
        format!("BEGIN:VCARD\nVERSION:3.0\nFN:Anna\n{properties}\nEND:VCARD\n")
    }

    /// What one card with these properties says.
    fn read(properties: &str) -> String {
        let mut told = read_all(card(properties).as_bytes(), Spaces::Refuse);
        assert_eq!(told.len(), 1, "{properties}");
        told.remove(0).1
    }

    #[test]
    fn whole_dates_are_taken_however_they_are_written_and_an_unknown_year_stays_unknown() {
        for (property, date) in [
            ("BDAY:19900615", "1990-06-15"),
            ("BDAY:1990-06-15", "1990-06-15"),
            ("bday;value=date:1990-06-15", "1990-06-15"),
            ("item1.BDAY;VALUE=DATE:19900615", "1990-06-15"),
            ("BDAY;X-NOTE=\"a:b;c\":19900615", "1990-06-15"),
            ("BDAY:--0615", "--06-15"),
            ("BDAY:--06-15", "--06-15"),
            ("BDAY:--0229", "--02-29"),
            ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29", "--02-29"),
            ("BDAY;VALUE=date;X-APPLE-OMIT-YEAR=1604:16040229", "--02-29"),
            ("BDAY;X-APPLE-OMIT-YEAR=1604:1990-06-15", "1990-06-15"),
            ("BDAY;VALUE=date-time:1990-06-15T22:30:00", "1990-06-15"),
            ("BDAY:19900615T223000+0200", "1990-06-15"),
            ("BDAY:1990-06-15T00:00:00Z", "1990-06-15"),
            ("BDAY:1990-06-15T00:00:00.000Z", "1990-06-15"),
            ("BDAY:199\n 00\n\t615", "1990-06-15"),
            ("BDAY:19900615\nBDAY:1990-06-15", "1990-06-15"),
        ] {
            assert_eq!(read(property), format!("Anna  {date}"), "{property}");
        }
    }

    #[test]
    fn a_date_that_would_have_to_be_guessed_is_refused() {
        for (property, reason) in [
            ("BDAY;VALUE=text:circa 1990", "a text, not a date"),
            ("BDAY;CALSCALE=islamic:14101121", "another calendar"),
            ("BDAY:1990", "a whole date"),
            ("BDAY:1990-06", "a whole date"),
            ("BDAY:---15", "a whole date"),
            ("BDAY:--06", "a whole date"),
            ("BDAY:15.06.1990", "a whole date"),
            ("BDAY:06/15/1990", "a whole date"),
            ("BDAY:1990-6-15", "a whole date"),
            ("BDAY:199006-15", "a whole date"),
            ("BDAY:1990-0615", "a whole date"),
            ("BDAY:19é0615", "a whole date"),
            ("BDAY:19900615T", "a whole date"),
            ("BDAY:19900615Tnoon", "a whole date"),
            ("BDAY:1990-06-15T22:00:00Z", "a time in UTC"),
            ("BDAY:19900615T220000+00:00", "a time in UTC"),
            ("BDAY:19900230", "a real date"),
            ("BDAY:--0230", "a real date"),
            ("BDAY:20270101", "before today"),
            ("BDAY;ENCODING=QUOTED-PRINTABLE:1990=2D06=2D15", "ENCODING"),
            ("BDAY:19900615\nBDAY:19900616", "two different BDAY"),
        ] {
            let told = read(property);
            assert!(told.contains(reason), "{property}: {told}");
        }
    }

    #[test]
    fn the_preferred_address_counts_then_the_first() {
        for (properties, address) in [
            ("EMAIL:a@b\nEMAIL:c@d", "a@b"),
            ("EMAIL:\nEMAIL:c@d", "c@d"),
            ("EMAIL;TYPE=HOME:a@b\nitem2.EMAIL;type=INTERNET;type=pref:c@d", "c@d"),
            ("EMAIL:a@b\nEMAIL;TYPE=\"work,pref\":c@d", "c@d"),
            ("EMAIL;PREF=2:a@b\nEMAIL;PREF=1:c@d", "c@d"),
            ("EMAIL;HOME:a@b\nEMAIL;PREF:c@d", "c@d"),
        ] {
            assert_eq!(read(properties), format!("Anna {address} "), "{properties}");
        }
    }

    #[test]
    fn names_are_unescaped_unfolded_and_written_as_one_word_only_where_that_is_asked_for() {
        let named = |name: &str, spaces| {
            let text = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{name}\r\nBDAY:19900615\r\nEND:VCARD\r\n");
            read_all(text.as_bytes(), spaces).remove(0).1
        };
        assert_eq!(named("Jose\u{301}", Spaces::Refuse), "José  1990-06-15");
        assert_eq!(named("An\r\n na", Spaces::Refuse), "Anna  1990-06-15");
        assert!(named("Anna Müller", Spaces::Refuse).contains("--spaces"));
        assert_eq!(named("Anna  Müller ", Spaces::Drop), "AnnaMüller  1990-06-15");
        assert_eq!(named("Anna \\n Müller", Spaces::Underscore), "Anna_Müller  1990-06-15");
        assert!(named("Müller\\, Anna", Spaces::Drop).contains("must start with"));
        assert_eq!(unescape(r"a\,b\;c\\d\ne\x\"), "a,b;c\\d\ne\\x\\");
        // A fold may stand between the bytes of one character.
        let text = b"BEGIN:VCARD\nVERSION:4.0\nFN:Jos\xc3\n \xa9\nBDAY:19900615\nEND:VCARD";
        assert_eq!(read_all(text, Spaces::Refuse).remove(0).1, "José  1990-06-15");
    }

    #[test]
    fn a_bad_card_costs_itself_alone() {
        let good = card("BDAY:19900615");
        let long = "x".repeat(RECORD_BYTES);
        for (bad, reason) in [
            (
                "BEGIN:VCARD\nVERSION:2.1\nFN;ENCODING=QUOTED-PRINTABLE:=41=\n=42\nEND:VCARD\n",
                "VERSION:3.0 or",
            ),
            ("BEGIN:VCARD\nFN:Anna\nBDAY:19900615\nEND:VCARD\n", "VERSION:3.0 or"),
            ("BEGIN:VCARD\nVERSION:3.0\nBDAY:19900615\nEND:VCARD\n", "has no FN"),
            ("BEGIN:VCARD\nVERSION:3.0\nFN:Anna\nEMAIL:a@b\n", "no END:VCARD"),
            ("Secret\n", "not within a card"),
            (&card(""), "neither an e-mail address nor"),
            (&card("BDAY:19900615\nsecret"), "not NAME:value"),
            (&card("EMAIL:secret"), "the e-mail address must be"),
            (&card("FN:\u{7f}\nBDAY:19900615").replacen("FN:Anna\n", "", 1), "must start with"),
            (&card(&format!("EMAIL:{long}")), "longer than"),
        ] {
            let told = read_all(format!("{good}{bad}{good}").as_bytes(), Spaces::Refuse);
            let lines: Vec<_> = told.iter().map(|(line, _)| line.as_str()).collect();
            assert_eq!(lines[..2], ["line 1", "line 6"], "{reason}");
            assert_eq!((told.len(), &*told[0].1, &*told[2].1), (3, "Anna  1990-06-15", "Anna  1990-06-15"));
            assert!(told[1].1.contains(reason) && !told[1].1.contains("ecret"), "{}", told[1].1);
        }
    }

    #[test]
    fn pictures_are_passed_over_however_they_are_folded() {
        let lines = " x\n".repeat(RECORD_BYTES);
        let long = "x".repeat(3 * RECORD_BYTES);
        assert_eq!(read(&format!("PHOTO:y\n{lines}LOGO:{long}\nBDAY:19900615")), "Anna  1990-06-15");
    }
}
