//! The arithmetic against an oracle of its own: a calendar that is walked day by day and shares no
//! code with what it checks.

use std::sync::Arc;

use birthday::{Almanac, Birthday, InvalidBirthday, LeapDay, Span, Timestamp, find_zone};
use jiff::civil::{Date, date};

/// A day as the walker knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Day {
    year: i16,
    month: i8,
    day: i8,
}

fn is_leap(year: i16) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

impl Day {
    fn tomorrow(self) -> Self {
        let last = match self.month {
            2 if is_leap(self.year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        match self {
            Self { year, month: 12, day: 31 } => Self { year: year + 1, month: 1, day: 1 },
            Self { year, month, day } if day == last => Self { year, month: month + 1, day: 1 },
            Self { year, month, day } => Self { year, month, day: day + 1 },
        }
    }

    /// Every day from 1 January of `from` to 31 December of `to`.
    fn all(from: i16, to: i16) -> impl Iterator<Item = Self> {
        let first = Self { year: from, month: 1, day: 1 };
        std::iter::successors(Some(first), |day| Some(day.tomorrow())).take_while(move |day| day.year <= to)
    }

    /// Whether somebody born on `self` has a birthday on `on`.
    fn is_celebrated(self, on: Self, rule: LeapDay) -> bool {
        let (month, day) = match (self.month, self.day, rule) {
            (2, 29, LeapDay::Feb28) if !is_leap(on.year) => (2, 28),
            (2, 29, LeapDay::Mar1) if !is_leap(on.year) => (3, 1),
            (month, day, _) => (month, day),
        };
        (on.month, on.day) == (month, day)
    }

    fn date(self) -> Date {
        date(self.year, self.month, self.day)
    }

    /// As a birthday's `MonthDay` has it.
    fn number(self) -> i16 {
        i16::from(self.month) * 100 + i16::from(self.day)
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[test]
fn the_walked_calendar_says_the_same_for_every_birth_date_of_eight_years_on_every_day_of_three_windows() {
    let births: Vec<(Day, Birthday)> = Day::all(1887, 1894)
        .map(|day| (day, Birthday::parse_full(&day.text(), date(1896, 1, 1)).unwrap()))
        .collect();
    assert_eq!(births.len(), 8 * 365 + 2);
    for (from, to) in [(1896, 1904), (1996, 2004), (2096, 2104)] {
        for rule in [LeapDay::Feb28, LeapDay::Mar1] {
            agree(&births, from, to, rule);
        }
    }
}

/// Walks backwards from the end of the window, so that the next celebration is always known.
fn agree(births: &[(Day, Birthday)], from: i16, to: i16, rule: LeapDay) {
    // Nine years more: across 1896 to 1904 and 2096 to 2104 there are eight years without a 29 February.
    let days: Vec<Day> = Day::all(from, to + 9).collect();
    let asked = Day::all(from, to).count();
    for &(born, birthday) in births {
        let mut next = None;
        for (index, &today) in days.iter().enumerate().rev() {
            if born.is_celebrated(today, rule) {
                next = Some(index);
            }
            if index < asked {
                let Some(next) = next else { unreachable!("the window ends nine years later") };
                assert!(next - index <= 365, "{born:?} {today:?} {rule:?}");
                assert_eq!(
                    birthday.days_until(today.date(), rule) as usize,
                    next - index,
                    "{born:?} {today:?} {rule:?}"
                );
                assert_eq!(
                    birthday.next(today.date(), rule),
                    days[next].date(),
                    "{born:?} {today:?} {rule:?}"
                );
            }
        }
    }
}

/// The days of birth of everybody who celebrates on each date: what spans say.
fn dates_of(spans: &[Span], days_of_birth: &[Day]) -> Vec<Vec<i16>> {
    let mut dates = Vec::new();
    for span in spans {
        match span {
            Span::OneDate(days) => dates.push(days.iter().map(|day| day.number()).collect()),
            Span::Days { first, last } => {
                let range = first.number()..=last.number();
                let days = days_of_birth.iter().map(|day| day.number()).filter(|day| range.contains(day));
                dates.extend(days.map(|day| vec![day]));
            }
        }
    }
    dates
}

#[test]
fn spans_name_every_day_of_birth_once_on_the_date_at_which_the_walker_first_comes_by_it() {
    let days_of_birth: Vec<_> = Day::all(2000, 2000).collect();
    for (rule, year) in
        [(LeapDay::Feb28, 1999), (LeapDay::Feb28, 2096), (LeapDay::Mar1, 1999), (LeapDay::Mar1, 2096)]
    {
        let almanac = Almanac::new(find_zone("UTC").unwrap(), rule, Arc::new(Timestamp::now));
        // 2100 has no 29 February. The days ahead of the last ones lie in the two years after.
        let dates: Vec<_> = Day::all(year, year + 6).collect();
        let celebrate = |on: &Day| -> Vec<i16> {
            let born = days_of_birth.iter().filter(|born| born.is_celebrated(*on, rule));
            born.map(|born| born.number()).collect()
        };
        let celebrated: Vec<_> = dates.iter().map(celebrate).collect();
        for (index, today) in dates.iter().enumerate().take(Day::all(year, year + 4).count()) {
            let mut come = celebrated[index..=index + 366].to_vec();
            let mut seen = std::collections::HashSet::new();
            come.iter_mut().for_each(|days| days.retain(|day| seen.insert(*day)));
            for (first, last) in [(0, 0), (0, 30), (0, 366), (17, 200)] {
                let range = dates[index + first].date()..=dates[index + last].date();
                let expected: Vec<_> =
                    come[first..=last].iter().filter(|days| !days.is_empty()).cloned().collect();
                let spans = almanac.spans(today.date(), range);
                assert_eq!(
                    dates_of(&spans, &days_of_birth),
                    expected,
                    "{rule:?} {today:?}, {first} to {last} days ahead"
                );
                assert!(spans.len() <= 4, "{spans:?}");
            }
        }
    }
}

#[test]
fn spans_at_the_end_of_the_calendar_are_no_panic() {
    for rule in [LeapDay::Feb28, LeapDay::Mar1] {
        let almanac = Almanac::new(find_zone("UTC").unwrap(), rule, Arc::new(Timestamp::now));
        let spans = almanac.spans(date(9999, 6, 1), date(9999, 6, 1)..=Date::MAX);
        let named: usize = spans.iter().map(|span| span.ranges().len()).sum();
        assert!(named > 1, "{spans:?}");
    }
}

#[test]
fn a_leapling_is_greeted_by_the_rule() {
    let born = Birthday::parse_full("1992-02-29", date(2000, 1, 1)).unwrap();
    let days = |rule| {
        [
            date(2027, 2, 27),
            date(2027, 2, 28),
            date(2027, 3, 1),
            date(2028, 2, 27),
            date(2028, 2, 28),
            date(2028, 2, 29),
            date(2028, 3, 1),
        ]
        .map(|today| born.days_until(today, rule))
    };
    assert_eq!(days(LeapDay::Feb28), [1, 0, 365, 2, 1, 0, 364]);
    assert_eq!(days(LeapDay::Mar1), [2, 1, 0, 2, 1, 0, 365]);
}

#[test]
fn the_end_of_the_calendar_is_no_panic() {
    let born = Birthday::parse_full("2000-02-29", date(2001, 1, 1)).unwrap();
    for rule in [LeapDay::Feb28, LeapDay::Mar1] {
        assert_eq!(born.next(date(9999, 12, 31), rule), Date::MAX);
        assert_eq!(born.days_until(date(9999, 12, 30), rule), 1);
    }
}

#[test]
fn a_date_of_birth_is_ten_characters_of_a_real_date_before_today() {
    let today = date(2026, 11, 23);
    for text in ["0001-01-01", "1900-02-28", "2000-02-29", "2024-02-29", "2026-11-22", "1582-10-10"] {
        assert_eq!(Birthday::parse_full(text, today).unwrap().to_text(), text);
    }
    for text in [
        "",
        "2000-1-1",
        "20000101",
        "2000-01-1",
        " 2000-01-01",
        "2000-01-01 ",
        "2000-01-01\n",
        "2000/01/01",
        "01-01-2000",
        "2000-01-01T00:00:00Z",
        "+200-01-01",
        "-001-01-01",
        "2000-W01-1",
        "2000-123",
        "٢٠٠٠-٠١-٠١",
        "2000‐01‐01",
        "２000-01-01",
        "2000-01-0\u{661}",
        "2000-01-01\0",
        "0x00-01-01",
        "2000-+1-01",
        "2000- 1-01",
        "--02-29",
    ] {
        assert_eq!(Birthday::parse_full(text, today), Err(InvalidBirthday::Form), "{text:?}");
    }
    for text in [
        "0000-01-01",
        "1900-02-29",
        "2023-02-29",
        "2000-00-10",
        "2000-13-01",
        "2000-04-31",
        "2000-01-00",
        "2000-01-32",
    ] {
        assert_eq!(Birthday::parse_full(text, today), Err(InvalidBirthday::NoSuchDay), "{text}");
    }
    for text in ["2026-11-23", "2026-11-24", "2027-01-01", "9999-12-31"] {
        assert_eq!(Birthday::parse_full(text, today), Err(InvalidBirthday::NotBeforeToday), "{text}");
    }
}

#[test]
fn every_date_of_eight_years_is_read_back_as_it_was_written() {
    for day in Day::all(1996, 2003) {
        let born = Birthday::parse_full(&day.text(), date(2026, 1, 1)).unwrap();
        assert_eq!(born.to_text(), day.text());
        let year = born.year().map(i64::from);
        assert_eq!(Birthday::from_stored(born.month().into(), born.day().into(), year), Some(born));
    }
}

#[test]
fn what_was_stored_without_a_year_stays_without_one() {
    let leapling = Birthday::from_stored(2, 29, None).unwrap();
    assert_eq!((leapling.year(), leapling.to_text().as_str()), (None, "--02-29"));
    assert_eq!(leapling.days_until(date(2027, 2, 28), LeapDay::Feb28), 0);
    for (month, day, year) in [
        (2, 30, None),
        (0, 1, None),
        (13, 1, None),
        (2, 29, Some(2023)),
        (1, 1, Some(0)),
        (1, 300, None),
        (i64::MAX, 1, None),
    ] {
        assert_eq!(Birthday::from_stored(month, day, year), None);
    }
}

#[test]
fn a_birthday_tells_nothing_in_debug() {
    assert_eq!(format!("{:?}", Birthday::from_stored(2, 29, Some(2000))), "Some(Birthday(…))");
}
