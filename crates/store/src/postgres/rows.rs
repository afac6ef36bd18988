//! How does a row look as a user, and a birthday as columns?

use birthday::{Birthday, Email, Name, User};
use tokio_postgres::Row;

use super::failure::{Failure, Meaning};

/// What is kept of one name.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) email: Option<Email>,
    pub(super) birthday: Option<Birthday>,
}

/// month * 100 + day.
pub(super) fn month_day_of(birthday: Birthday) -> i16 {
    birthday.month_day().number()
}

/// Reads the columns month_day, year and email.
pub(super) fn record(row: &Row) -> Result<Record, Failure> {
    let email = row.try_get::<_, Option<String>>(2)?.map(Email::from_stored);
    let birthday = match row.try_get::<_, Option<i16>>(0)? {
        None => None,
        Some(month_day) => {
            let year = row.try_get::<_, Option<i16>>(1)?.map(i64::from);
            let (month, day) = (i64::from(month_day / 100), i64::from(month_day % 100));
            let impossible = || Failure::new(Meaning::Refused, "a row holds a date that doesn't exist");
            Some(Birthday::from_stored(month, day, year).ok_or_else(impossible)?)
        }
    };
    Ok(Record { email, birthday })
}

/// The same, and the column name.
pub(super) fn user(row: &Row) -> Result<User, Failure> {
    let Record { email, birthday } = record(row)?;
    Ok(User { name: Name::from_stored(row.try_get(3)?), email, birthday })
}
