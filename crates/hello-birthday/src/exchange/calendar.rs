//! Birthdays as a calendar to subscribe to (iCalendar: RFC 5545, and RFC 7986 for what is said of the whole).
//!
//! The same users make the same bytes, whenever and wherever they are written. There is no `METHOD`: the text
//! is a snapshot that replaces the one before (RFC 5545, section 3.7.2), not a message about each event.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use birthday::{Birthday, Date, LeapDay, Name, User};
use jiff::civil::date;
use sha2::{Digest, Sha256};

/// The most reminders of one birthday.
const REMINDERS_MAX: usize = 5;
/// The most days before a birthday on which a reminder may be.
const REMINDER_DAYS: u16 = 366;

/// How birthdays are told.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    leap_day: LeapDay,
    reminders: Reminders,
}

/// How long before each birthday a calendar reminds of it; the latest reminder comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reminders(BTreeSet<Hours>);

/// A text that names no reminders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "reminders are 1 to {REMINDERS_MAX} durations with commas between them, each at most {REMINDER_DAYS} days, \
     such as P1W, P1D, PT6H or P1DT12H"
)]
pub struct InvalidReminders;

/// Whole hours before the day begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hours(u16);

/// The most octets of a line, without the end of it (RFC 5545, section 3.1).
const LINE_OCTETS: usize = 75;

const HEAD: [&str; 8] = [
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//hello-birthday//hello-birthday//EN",
    "CALSCALE:GREGORIAN",
    "NAME:Birthdays",
    "X-WR-CALNAME:Birthdays",
    "REFRESH-INTERVAL;VALUE=DURATION:P1D",
    "X-PUBLISHED-TTL:P1D",
];

/// What each event says. Nobody is busy because of a birthday, which takes two words: Outlook has its own.
/// When a record was changed is not kept, and the time of the answer would make each one different: the
/// stamp, which every event must have, is always the same.
const OF_EACH_EVENT: [&str; 4] = [
    "DTSTAMP:19700101T000000Z",
    "CATEGORIES:Birthday",
    "TRANSP:TRANSPARENT",
    "X-MICROSOFT-CDO-BUSYSTATUS:FREE",
];

impl Calendar {
    /// A calendar by that rule, with these reminders.
    #[must_use]
    pub const fn new(leap_day: LeapDay, reminders: Reminders) -> Self {
        Self { leap_day, reminders }
    }

    /// Appends what comes before the first birthday.
    pub fn write_head(&self, text: &mut Vec<u8>) {
        for line in HEAD {
            write_line(line, text);
        }
    }

    /// Appends somebody's birthday, if it is known.
    pub fn write_user(&self, user: &User, text: &mut Vec<u8>) {
        let Some(birthday) = user.birthday else { return };
        let title = format!("{}'s birthday", user.name.as_str());
        let title = escaped(&title);
        write_line("BEGIN:VEVENT", text);
        write_line(&format!("UID:{}", uid(&user.name)), text);
        write_line(&format!("SUMMARY:{title}"), text);
        self.write_days(birthday, text);
        for line in OF_EACH_EVENT {
            write_line(line, text);
        }
        for reminder in &self.reminders.0 {
            write_alarm(*reminder, &title, text);
        }
        write_line("END:VEVENT", text);
    }

    /// Appends what comes after the last birthday.
    pub fn write_end(&self, text: &mut Vec<u8>) {
        write_line("END:VCALENDAR", text);
    }

    /// The first day, and by which rule the others follow. The title is the same every year, so the age
    /// can't be in it; what is true every year is when somebody was born.
    fn write_days(&self, birthday: Birthday, text: &mut Vec<u8>) {
        let start = first_day(birthday);
        write_line(&format!("DTSTART;VALUE=DATE:{}", compact(start)), text);
        write_line(&format!("DTEND;VALUE=DATE:{}", compact(start.tomorrow().unwrap_or(start))), text);
        write_line(&format!("RRULE:{}", recurrence(birthday, self.leap_day)), text);
        if let Some(year) = birthday.year() {
            write_line(&format!("DESCRIPTION:Born {year}"), text);
        }
    }
}

/// The day of birth, or one of 1972 where the year is not known or too long ago. That is a leap year, so it
/// has every day, and the first one after 1970, before which some calendars show nothing.
fn first_day(birthday: Birthday) -> Date {
    /// Windows counts time from 1601, and Outlook takes no event before it.
    const EARLIEST_YEAR: i16 = 1601;
    const ANY_YEAR: i16 = 1972;
    let year = birthday.year().filter(|year| EARLIEST_YEAR <= *year).unwrap_or(ANY_YEAR);
    // A birthday is a day of its own year, and 1972 has them all.
    Date::new(year, birthday.month(), birthday.day()).unwrap_or(date(ANY_YEAR, 1, 1))
}

/// A yearly event on 29 February falls out in common years (RFC 5545, section 3.3.10: days that don't exist
/// are ignored). So it is on the last day of February, or on the year's 60th: both are 29 February in leap
/// years.
fn recurrence(birthday: Birthday, leap_day: LeapDay) -> &'static str {
    match (birthday.month(), birthday.day(), leap_day) {
        (2, 29, LeapDay::Feb28) => "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1",
        (2, 29, LeapDay::Mar1) => "FREQ=YEARLY;BYYEARDAY=60",
        (_, _, LeapDay::Feb28 | LeapDay::Mar1) => "FREQ=YEARLY",
    }
}

fn write_alarm(reminder: Hours, title: &str, text: &mut Vec<u8>) {
    write_line("BEGIN:VALARM", text);
    write_line("ACTION:DISPLAY", text);
    write_line(&format!("DESCRIPTION:{title}"), text);
    write_line(&format!("TRIGGER:-{reminder}"), text);
    write_line("END:VALARM", text);
}

/// The same for a name wherever and whenever it is written, so that a calendar knows the event again. It is
/// a digest because calendars keep and show these in places where titles are not.
fn uid(name: &Name) -> String {
    let digest = Sha256::new_with_prefix("hello-birthday calendar 1 ").chain_update(name.as_str()).finalize();
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}@hello-birthday")
}

fn compact(day: Date) -> String {
    format!("{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

/// RFC 5545, section 3.3.11.
fn escaped(text: &str) -> String {
    let escape = |character: char| match character {
        '\\' | ',' | ';' => Cow::Owned(format!("\\{character}")),
        '\n' => Cow::Borrowed("\\n"),
        _ => Cow::Owned(character.to_string()),
    };
    text.replace("\r\n", "\n").chars().map(escape).collect()
}

/// Appends a line, which goes on in the next one after a space where it is too long; no character is cut
/// in two (RFC 5545, section 3.1).
fn write_line(line: &str, text: &mut Vec<u8>) {
    let (mut rest, mut room) = (line, LINE_OCTETS);
    while room < rest.len() {
        let (now, later) = rest.split_at(rest.floor_char_boundary(room));
        text.extend_from_slice(now.as_bytes());
        text.extend_from_slice(b"\r\n ");
        (rest, room) = (later, LINE_OCTETS - 1);
    }
    text.extend_from_slice(rest.as_bytes());
    text.extend_from_slice(b"\r\n");
}

impl FromStr for Reminders {
    type Err = InvalidReminders;

    fn from_str(text: &str) -> Result<Self, InvalidReminders> {
        let reminders: Option<BTreeSet<_>> = text.split(',').map(Hours::parse).collect();
        reminders.filter(|_| text.split(',').count() <= REMINDERS_MAX).map(Self).ok_or(InvalidReminders)
    }
}

impl Hours {
    /// Reads what RFC 5545, section 3.3.6, calls a duration, of weeks or of days and hours.
    fn parse(text: &str) -> Option<Self> {
        const DAY: u16 = 24;
        let of = |unit: char, text: &str| number(text.strip_suffix(unit)?);
        let text = text.strip_prefix('P')?;
        let hours = match text.split_once('T') {
            Some(("", hours)) => of('H', hours)?,
            Some((days, hours)) => of('D', days)?.checked_mul(DAY)?.checked_add(of('H', hours)?)?,
            None => match of('W', text) {
                Some(weeks) => weeks.checked_mul(7 * DAY)?,
                None => of('D', text)?.checked_mul(DAY)?,
            },
        };
        (hours <= REMINDER_DAYS * DAY).then_some(Self(hours))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 24, self.0 % 24) {
            (days, 0) => write!(f, "P{days}D"),
            (0, hours) => write!(f, "PT{hours}H"),
            (days, hours) => write!(f, "P{days}DT{hours}H"),
        }
    }
}

fn number(digits: &str) -> Option<u16> {
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, birthday: &str) -> User {
        let birthday = Birthday::parse(birthday, date(2026, 11, 23)).unwrap();
        User { name: Name::from_stored(name.into()), email: None, birthday: Some(birthday) }
    }

    fn event(calendar: &Calendar, user: &User) -> String {
        let mut text = Vec::new();
        calendar.write_user(user, &mut text);
        String::from_utf8(text).unwrap()
    }

    fn folded(line: &str) -> String {
        let mut text = Vec::new();
        write_line(line, &mut text);
        // The whole is text, and so is each line: no character was cut in two.
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_calendar_of_one_is_these_bytes_and_no_others() {
        let calendar = Calendar::new(LeapDay::Feb28, "P7D,P1D".parse().unwrap());
        let mut text = Vec::new();
        calendar.write_head(&mut text);
        calendar.write_user(&user("Anna", "1990-06-15"), &mut text);
        calendar.write_end(&mut text);
        let expected = "BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//hello-birthday//hello-birthday//EN
CALSCALE:GREGORIAN
NAME:Birthdays
X-WR-CALNAME:Birthdays
REFRESH-INTERVAL;VALUE=DURATION:P1D
X-PUBLISHED-TTL:P1D
BEGIN:VEVENT
UID:89673b7d1aab59aa2c77ef6d8887408a@hello-birthday
SUMMARY:Anna's birthday
DTSTART;VALUE=DATE:19900615
DTEND;VALUE=DATE:19900616
RRULE:FREQ=YEARLY
DESCRIPTION:Born 1990
DTSTAMP:19700101T000000Z
CATEGORIES:Birthday
TRANSP:TRANSPARENT
X-MICROSOFT-CDO-BUSYSTATUS:FREE
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:Anna's birthday
TRIGGER:-P1D
END:VALARM
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:Anna's birthday
TRIGGER:-P7D
END:VALARM
END:VEVENT
END:VCALENDAR
";
        assert_eq!(String::from_utf8(text).unwrap(), expected.replace('\n', "\r\n"));
    }

    #[test]
    fn an_event_keeps_its_id_when_the_date_is_corrected_and_shares_it_with_nobody() {
        let id = |name, birthday| {
            let event = event(&Calendar::default(), &user(name, birthday));
            event.lines().find(|line| line.starts_with("UID:")).unwrap().to_owned()
        };
        assert_eq!(id("Anna", "1990-06-15"), id("Anna", "--02-29"));
        assert_ne!(id("Anna", "1990-06-15"), id("anna", "1990-06-15"));
        assert!(!id("Anna", "1990-06-15").contains("Anna"));
    }

    #[test]
    fn whoever_has_no_birthday_is_in_no_calendar() {
        let user = User { birthday: None, ..user("Anna", "1990-06-15") };
        assert_eq!(event(&Calendar::default(), &user), "");
    }

    #[test]
    fn the_year_is_told_where_it_is_known_and_made_up_for_nobody() {
        for (birthday, start, end, born) in [
            ("1990-12-31", "19901231", "19910101", Some("DESCRIPTION:Born 1990")),
            ("1601-01-01", "16010101", "16010102", Some("DESCRIPTION:Born 1601")),
            ("1600-02-29", "19720229", "19720301", Some("DESCRIPTION:Born 1600")),
            ("0001-01-01", "19720101", "19720102", Some("DESCRIPTION:Born 1")),
            ("--02-29", "19720229", "19720301", None),
        ] {
            let event = event(&Calendar::default(), &user("Anna", birthday));
            let line = |wanted: &str| event.lines().find(|line| line.starts_with(wanted));
            assert_eq!(line("DTSTART"), Some(&*format!("DTSTART;VALUE=DATE:{start}")));
            assert_eq!(line("DTEND"), Some(&*format!("DTEND;VALUE=DATE:{end}")));
            assert_eq!(line("DESCRIPTION"), born);
        }
    }

    #[test]
    fn a_line_has_at_most_75_octets_and_is_found_again_when_it_is_unfolded() {
        for character in ["a", "é", "देवी", "𝒜", " "] {
            for before in 0..4 {
                for count in 0..200 {
                    let line = "x".repeat(before) + &character.repeat(count);
                    let folded = folded(&line);
                    let (lines, end) = folded.rsplit_once("\r\n").unwrap();
                    assert_eq!(end, "");
                    assert!(lines.split("\r\n").all(|line| line.len() <= 75), "{folded}");
                    assert_eq!(lines.replace("\r\n ", ""), line);
                    // Nor is a line cut where another character had room.
                    let (cut, _) = lines.rsplit_once("\r\n").unwrap_or_default();
                    assert!(cut.is_empty() || cut.split("\r\n").all(|line| 75 - 4 < line.len()), "{folded}");
                }
            }
        }
    }

    #[test]
    fn what_has_a_meaning_in_the_format_is_escaped() {
        let event = event(&Calendar::default(), &user("a,b;c\\d\r\ne\nf", "1990-06-15"));
        assert!(event.contains("SUMMARY:a\\,b\\;c\\\\d\\ne\\nf's birthday\r\n"), "{event}");
    }

    #[test]
    fn reminders_are_some_durations_of_weeks_days_and_hours() {
        let triggers = |text: &str| {
            let Reminders(hours) = text.parse().ok()?;
            Some(hours.iter().map(Hours::to_string).collect::<Vec<_>>().join(","))
        };
        for (text, expected) in [
            ("P1D", "P1D"),
            ("P7D,P1D", "P1D,P7D"),
            ("P1W,P7D,P1D,PT24H,PT0H", "P0D,P1D,P7D"),
            ("P0D", "P0D"),
            ("PT6H", "PT6H"),
            ("P1DT36H", "P2DT12H"),
            ("P366D", "P366D"),
        ] {
            assert_eq!(triggers(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ",",
            "P1D,",
            "P",
            "PT",
            "P1",
            "1D",
            "D",
            "PD",
            "P-1D",
            "P+1D",
            "-P1D",
            "+P1D",
            "p1d",
            "P1d",
            " P1D",
            "P1D P2D",
            "P1M",
            "P1Y",
            "PT1M",
            "PT1S",
            "P1DT",
            "P1WT1H",
            "P1W1D",
            "P1.5D",
            "P١D",
            "P367D",
            "P53W",
            "P366DT1H",
            "P99999999999D",
            "PT65535H",
            "P1D,P2D,P3D,P4D,P5D,P6D",
            "P1D;P2D",
            "P1D\r\nX:Y",
        ] {
            assert_eq!(triggers(text), None, "{text}");
        }
    }
}
