//! Which birthdays come on the days ahead, and in which order?
//!
//! A store keeps birthdays in the order of the calendar; people want them from today on. [`Span`]s say which
//! pieces of the one, in which order, make the other.

use jiff::civil::Date;

use crate::{Birthday, LeapDay, Name};

/// A day of any year, 29 February included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay(i16);

/// Birthdays that stand together in a list of coming ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// One day after the other, both ends included; the people of a day by the bytes of their names.
    Days {
        /// The first day.
        first: MonthDay,
        /// The last day, not before the first: no span crosses the end of a year.
        last: MonthDay,
    },
    /// Days whose birthdays fall on one date, as 28 and 29 February may: by the bytes of the names alone.
    OneDate(Vec<MonthDay>),
}

/// A birthday that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Whose it is.
    pub name: Name,
    /// When it is.
    pub date: Date,
    /// How many days that is from today.
    pub days_until: i32,
    /// The age that it brings, where the year of birth is known.
    pub turns: Option<i16>,
}

impl MonthDay {
    /// month * 100 + day: 29 February is 229.
    #[must_use]
    pub const fn number(self) -> i16 {
        self.0
    }

    pub(crate) fn of(birthday: Birthday) -> Self {
        Self(i16::from(birthday.month()) * 100 + i16::from(birthday.day()))
    }
}

impl Span {
    /// What to read: each from the first to the last day, in the order of day and name.
    #[must_use]
    pub fn ranges(&self) -> Vec<(MonthDay, MonthDay)> {
        match self {
            Self::Days { first, last } => vec![(*first, *last)],
            Self::OneDate(days) => days.iter().map(|day| (*day, *day)).collect(),
        }
    }

    /// Puts what was read of the ranges, one after the other, into the span's order.
    pub fn arrange(&self, found: &mut [(Name, Birthday)]) {
        match self {
            Self::Days { .. } => {}
            Self::OneDate(_) => found.sort_by(|(one, _), (other, _)| one.cmp(other)),
        }
    }

    /// The spans of all birthdays whose next date from `today` on is in that range, soonest first.
    pub(crate) fn all(today: Date, range: std::ops::RangeInclusive<Date>, rule: LeapDay) -> Vec<Self> {
        let mut days: Vec<_> = every_day()
            .map(|birthday| (birthday.next(today, rule), MonthDay::of(birthday)))
            .filter(|(date, _)| range.contains(date))
            .collect();
        days.sort_unstable();
        let mut spans = Vec::new();
        for on_one_date in days.chunk_by(|(one, _), (next, _)| one == next) {
            let on_one_date = on_one_date.iter().map(|(_, day)| *day);
            append(&mut spans, on_one_date.collect());
        }
        spans
    }
}

/// Makes the last span longer where the next date continues it, or else begins another.
fn append(spans: &mut Vec<Span>, on_one_date: Vec<MonthDay>) {
    match (&on_one_date[..], spans.last_mut()) {
        ([day], Some(Span::Days { last, .. })) if *last < *day => *last = *day,
        ([day], _) => spans.push(Span::Days { first: *day, last: *day }),
        _ => spans.push(Span::OneDate(on_one_date)),
    }
}

/// Every day that a birthday can be on.
fn every_day() -> impl Iterator<Item = Birthday> {
    (1..=12).flat_map(|month| (1..=31).filter_map(move |day| Birthday::from_stored(month, day, None)))
}
