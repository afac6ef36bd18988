//! When is somebody's next birthday, and how many days is that from today?

use std::fmt;

use jiff::civil::{Date, date};

use crate::MonthDay;

/// The day somebody was born: a month, a day, and the year where it is known.
///
/// Its `Debug` shows nothing: a date of birth is personal data, and `Debug` ends in logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Birthday {
    month: i8,
    day: i8,
    year: Option<i16>,
}

/// On which day of a common year somebody born on 29 February has a birthday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeapDay {
    /// 28 February: the day stays in the month of birth.
    #[default]
    Feb28,
    /// 1 March: the day after 28 February, as 29 February is.
    Mar1,
}

/// Why a text is not a date of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBirthday {
    /// Not ten ASCII characters of the form `YYYY-MM-DD`.
    #[error("the date of birth must be written as YYYY-MM-DD, such as 1990-06-15")]
    Form,
    /// The form is right, but no calendar has that day.
    #[error("the date of birth must be a real date of the calendar, from year 0001 on")]
    NoSuchDay,
    /// Today, or later.
    #[error("the date of birth must be before today")]
    NotBeforeToday,
}

impl Birthday {
    /// Reads exactly `YYYY-MM-DD` (RFC 3339, section 5.6, `full-date`), strictly before `today`.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of [`InvalidBirthday`].
    pub fn parse_full(text: &str, today: Date) -> Result<Self, InvalidBirthday> {
        // The form is checked by hand because date libraries are generous: they take times, missing
        // zeros and missing dashes for a date, too.
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else {
            return Err(InvalidBirthday::Form);
        };
        let year = number(&[y1, y2, y3, y4])?;
        let month = number(&[m1, m2])?;
        let day = number(&[d1, d2])?;
        let born = real_date(year, month, day).ok_or(InvalidBirthday::NoSuchDay)?;
        if born < today { Ok(Self::of(born)) } else { Err(InvalidBirthday::NotBeforeToday) }
    }

    /// Reads `YYYY-MM-DD` as [`Birthday::parse_full`] does, or `--MM-DD` where the year is not known, as
    /// [`Birthday::to_text`] writes it.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of [`InvalidBirthday`].
    pub fn parse(text: &str, today: Date) -> Result<Self, InvalidBirthday> {
        let &[b'-', b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else {
            return Self::parse_full(text, today);
        };
        let (month, day) = (number(&[m1, m2])?, number(&[d1, d2])?);
        Self::from_stored(month.into(), day.into(), None).ok_or(InvalidBirthday::NoSuchDay)
    }

    /// The birthday that a store kept as its parts, or `None` if no calendar has that day.
    ///
    /// Without a year, 29 February is a day like any other. Whether it was before today is not asked
    /// again: that was settled when it was saved.
    #[must_use]
    pub fn from_stored(month: i64, day: i64, year: Option<i64>) -> Option<Self> {
        /// Stands in for a year that is not known: it must have a 29 February.
        const ANY_LEAP_YEAR: i64 = 2000;
        let narrow = |part: i64| i16::try_from(part).ok();
        let known = year.unwrap_or(ANY_LEAP_YEAR);
        let whole = Self::of(real_date(narrow(known)?, narrow(month)?, narrow(day)?)?);
        Some(Self { year: year.and(whole.year), ..whole })
    }

    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> i8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    #[must_use]
    pub const fn day(self) -> i8 {
        self.day
    }

    /// The day of the year that it is on.
    #[must_use]
    pub fn month_day(self) -> MonthDay {
        MonthDay::of(self)
    }

    /// The year of birth, 1 to 9999, where it is known.
    #[must_use]
    pub const fn year(self) -> Option<i16> {
        self.year
    }

    /// The first birthday on or after `today`.
    ///
    /// After the last birthday that this calendar can name (its years end with 9999), that is its
    /// last day.
    #[must_use]
    pub fn next(self, today: Date, rule: LeapDay) -> Date {
        let this_year = self.in_year(today.year(), rule);
        if this_year < today { self.in_year(today.year().saturating_add(1), rule) } else { this_year }
    }

    /// The calendar days from `today` to the next birthday: 0 on the day itself, at most 365.
    #[must_use]
    pub fn days_until(self, today: Date, rule: LeapDay) -> i32 {
        (self.next(today, rule) - today).get_days()
    }

    /// `YYYY-MM-DD`, or `--MM-DD` where the year is not known (ISO 8601:2000's truncated form, as
    /// vCards have it).
    #[must_use]
    pub fn to_text(self) -> String {
        let Self { month, day, year } = self;
        match year {
            Some(year) => format!("{year:04}-{month:02}-{day:02}"),
            None => format!("--{month:02}-{day:02}"),
        }
    }

    fn of(born: Date) -> Self {
        Self { month: born.month(), day: born.day(), year: Some(born.year()) }
    }

    fn in_year(self, year: i16, rule: LeapDay) -> Date {
        // Only 29 February can be missing from a year, and only year 10000 from the calendar.
        Date::new(year, self.month, self.day).unwrap_or_else(|_| match rule {
            _ if Date::new(year, 1, 1).is_err() => Date::MAX,
            LeapDay::Feb28 => date(year, 2, 28),
            LeapDay::Mar1 => date(year, 3, 1),
        })
    }
}

impl fmt::Debug for Birthday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Birthday(…)")
    }
}

fn number(digits: &[u8]) -> Result<i16, InvalidBirthday> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Ok(number * 10 + i16::from(digit - b'0')),
        _ => Err(InvalidBirthday::Form),
    })
}

fn real_date(year: i16, month: i16, day: i16) -> Option<Date> {
    let part = |number: i16| i8::try_from(number).ok();
    Date::new(year, part(month)?, part(day)?).ok().filter(|date| date.year() >= 1)
}
