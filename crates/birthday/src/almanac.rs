//! What day is it today, and by which rule are birthdays counted?

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::{Birthday, Coming, LeapDay, Name, Span};

/// Tells the time. The service is given [`Timestamp::now`]; a test gives a time of its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A time zone by its IANA name.
pub type Zone = TimeZone;

/// The service's calendar: its time zone, its rule for 29 February, and its clock.
#[derive(Clone)]
pub struct Almanac {
    zone: Zone,
    leap_day: LeapDay,
    clock: Clock,
}

/// A text that names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time zone must be an IANA name, such as Europe/Lisbon or UTC")]
pub struct UnknownTimeZone;

/// The zone of that IANA name, from the tables built into the program; no file is read.
///
/// # Errors
/// Where no zone has that name.
pub fn find_zone(name: &str) -> Result<Zone, UnknownTimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    ZONES.get(name).map_err(|_| UnknownTimeZone)
}

impl Almanac {
    /// An almanac for that zone and that rule.
    #[must_use]
    pub fn new(zone: Zone, leap_day: LeapDay, clock: Clock) -> Self {
        Self { zone, leap_day, clock }
    }

    /// Today in the given zone, or else in the service's own.
    ///
    /// This reads the clock. Ask once a request and hand the answer on, or one answer could be made
    /// of two days.
    #[must_use]
    pub fn today(&self, zone: Option<&Zone>) -> Date {
        zone.unwrap_or(&self.zone).to_datetime((self.clock)()).date()
    }

    /// The name of the service's own zone.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The service's rule for 29 February, for calendars that count by themselves.
    #[must_use]
    pub const fn leap_day(&self) -> LeapDay {
        self.leap_day
    }

    /// The calendar days from `today` to the next birthday, by the service's rule.
    #[must_use]
    pub fn days_until(&self, birthday: Birthday, today: Date) -> i32 {
        birthday.days_until(today, self.leap_day)
    }

    /// Somebody's next birthday, by the service's rule.
    #[must_use]
    pub fn coming(&self, name: Name, birthday: Birthday, today: Date) -> Coming {
        let date = birthday.next(today, self.leap_day);
        let days_until = birthday.days_until(today, self.leap_day);
        let turns = birthday.year().map(|year| date.year().saturating_sub(year));
        Coming { name, date, days_until, turns }
    }

    /// Where to find, soonest first, everybody whose next birthday from `today` on falls on one of those
    /// dates, by the service's rule. Everybody's is within 365 days.
    #[must_use]
    pub fn spans(&self, today: Date, dates: RangeInclusive<Date>) -> Vec<Span> {
        Span::all(today, dates, self.leap_day)
    }
}

impl fmt::Debug for Almanac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Almanac")
            .field("zone", &self.zone)
            .field("leap_day", &self.leap_day)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn today_at(zone: &str, time: &'static str) -> Date {
        let clock = move || time.parse().unwrap();
        Almanac::new(find_zone(zone).unwrap(), LeapDay::Feb28, Arc::new(clock)).today(None)
    }

    #[test]
    fn today_is_the_day_of_the_zone_that_is_asked_for() {
        let clock = || "2026-11-23T10:30:00Z".parse().unwrap();
        let almanac = Almanac::new(find_zone("UTC").unwrap(), LeapDay::Feb28, Arc::new(clock));
        assert_eq!(almanac.today(None), date(2026, 11, 23));
        assert_eq!(almanac.today(Some(&find_zone("Pacific/Kiritimati").unwrap())), date(2026, 11, 24));
        assert_eq!(almanac.today(Some(&find_zone("Pacific/Niue").unwrap())), date(2026, 11, 22));
    }

    #[test]
    fn today_changes_at_midnight_of_the_zone_on_the_days_that_clocks_change() {
        // Lisbon leaves summer time on 25 October 2026 and enters it on 28 March 2027.
        for (time, day) in [
            ("2026-10-24T22:59:59.999Z", date(2026, 10, 24)),
            ("2026-10-24T23:00:00Z", date(2026, 10, 25)),
            ("2026-10-25T23:59:59Z", date(2026, 10, 25)),
            ("2026-10-26T00:00:00Z", date(2026, 10, 26)),
            ("2027-03-28T22:59:59Z", date(2027, 3, 28)),
            ("2027-03-28T23:00:00Z", date(2027, 3, 29)),
        ] {
            assert_eq!(today_at("Europe/Lisbon", time), day, "{time}");
        }
    }

    #[test]
    fn only_iana_names_are_zones() {
        for name in ["UTC", "Europe/Lisbon", "America/Argentina/Buenos_Aires", "Etc/GMT+12"] {
            assert!(find_zone(name).is_ok(), "{name}");
        }
        for name in
            ["", " ", "Lisbon", "+01:00", "Europe/Lisbon ", "../../etc/passwd", "Europe/", "é", "UTC\0"]
        {
            assert!(find_zone(name).is_err(), "{name}");
        }
    }
}
