//! Whose birthdays come? A page of them from the store, and the words in which one is told.

use std::fmt;
use std::str::FromStr;

use birthday::{Almanac, Coming, Date, Name};
use jiff::ToSpan;
use serde::Serialize;
use store::{Store, StoreError};

use crate::access::parse_day;

/// The most days ahead that can be asked for. Everybody's next birthday is within them.
pub const DAYS_MAX: u16 = 366;
/// The days ahead where nobody says how many.
pub const DAYS: u16 = 30;

/// The dates that are asked about: today, and some days more.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    today: Date,
    last: Date,
}

/// How far a list was read: up to that name on that date. Dates stay what they are when it is another day, so
/// the next page begins where this one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    date: Date,
    name: Name,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date and a username with a dot between them, such as 2026-12-24.Anna")]
pub struct InvalidPlace;

/// A coming birthday as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComingRecord<'a> {
    username: &'a str,
    date: String,
    days_until: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    turns: Option<i16>,
}

/// At most `limit` birthdays after that place, soonest first. Where its date has passed, they begin with
/// today's.
///
/// # Errors
/// Where the store can't answer now.
pub async fn page(
    store: &Store,
    almanac: &Almanac,
    ahead: Ahead,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Coming>, StoreError> {
    let after = after.filter(|place| ahead.today <= place.date);
    let first = after.map_or(ahead.today, |place| place.date);
    let spans = almanac.spans(ahead.today, first..=ahead.last);
    let found = store.birthdays(&spans, after.map(|place| &place.name), limit).await?;
    Ok(found.into_iter().map(|(name, birthday)| almanac.coming(name, birthday, ahead.today)).collect())
}

/// One line for people, without its end: `2026-12-24, in 31 day(s): Anna turns 36`.
#[must_use]
pub fn sentence(coming: &Coming) -> String {
    let Coming { name, date, days_until, turns } = coming;
    let when = if *days_until == 0 { "today".to_owned() } else { format!("in {days_until} day(s)") };
    let turns = turns.map(|age| format!(" turns {age}")).unwrap_or_default();
    format!("{date}, {when}: {}{turns}", name.as_str())
}

impl Ahead {
    /// Today and as many days more.
    #[must_use]
    pub fn of(today: Date, days: u16) -> Self {
        Self { today, last: today.saturating_add(i64::from(days).days()) }
    }
}

impl From<&Coming> for Place {
    fn from(coming: &Coming) -> Self {
        Self { date: coming.date, name: coming.name.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.date, self.name.as_str())
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (date, name) = text.split_once('.').ok_or(InvalidPlace)?;
        let date = parse_day(date).map_err(|_| InvalidPlace)?;
        Ok(Self { date, name: Name::parse(name).map_err(|_| InvalidPlace)? })
    }
}

impl<'a> From<&'a Coming> for ComingRecord<'a> {
    fn from(coming: &'a Coming) -> Self {
        let Coming { name, date, days_until, turns } = coming;
        Self { username: name.as_str(), date: date.to_string(), days_until: *days_until, turns: *turns }
    }
}
