//! The statements: how users are read from the table and written into it.

use birthday::{Birthday, Email, MonthDay, Name, Span, User};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::{Change, Outcome};

const COLUMNS: &str = "month_day, year, email, name";

pub(super) fn birthday(connection: &Connection, name: &Name) -> rusqlite::Result<Option<Birthday>> {
    let mut statement = connection.prepare_cached("SELECT month_day, year FROM users WHERE name = ?1")?;
    Ok(statement.query_row([name.as_str()], read_birthday).optional()?.flatten())
}

pub(super) fn user(connection: &Connection, name: &Name) -> rusqlite::Result<Option<User>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"))?;
    statement.query_row([name.as_str()], read_user).optional()
}

pub(super) fn users(
    connection: &Connection,
    after: Option<&Name>,
    limit: usize,
) -> rusqlite::Result<Vec<User>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
    // Every name is greater than the empty text.
    let after = after.map_or("", Name::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map((after, limit), read_user)?.collect()
}

/// The birthdays of those spans; of the first day those whose names follow `after`.
pub(super) fn birthdays(
    connection: &Connection,
    spans: &[Span],
    mut after: Option<&Name>,
    limit: usize,
) -> rusqlite::Result<Vec<(Name, Birthday)>> {
    let mut found = Vec::new();
    for span in spans {
        let (after, left) = (after.take(), limit - found.len());
        let mut of_span = Vec::new();
        for range in span.ranges() {
            of_span.extend(birthdays_from(connection, range, after, left)?);
        }
        span.arrange(&mut of_span);
        found.extend(of_span.into_iter().take(left));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

fn birthdays_from(
    connection: &Connection,
    (first, last): (MonthDay, MonthDay),
    after: Option<&Name>,
    limit: usize,
) -> rusqlite::Result<Vec<(Name, Birthday)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM users WHERE (month_day, name) > (?1, ?2) AND month_day <= ?3
         ORDER BY month_day, name LIMIT ?4"
    ))?;
    // Every name is greater than the empty text.
    let after = after.map_or("", Name::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let users = statement.query_map((first.number(), after, last.number(), limit), read_user)?;
    let born = |user: User| user.birthday.map(|birthday| (user.name, birthday));
    users.filter_map(|user| user.map(born).transpose()).collect()
}

/// Reads as little as can be read.
pub(super) fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("SELECT 1 FROM users LIMIT 1")?.query_row((), |_| Ok(())).optional().map(drop)
}

/// Makes one change within the transaction that is open.
pub(super) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<Outcome> {
    match change {
        Change::SaveBirthday { name, birthday } => save_birthday(connection, name, *birthday),
        Change::Register { name, email } => register(connection, name, email),
        Change::ChangeEmail { name, email } => change_email(connection, name, email),
        Change::Erase { name } => {
            let erased = execute(connection, "DELETE FROM users WHERE name = ?1", [name.as_str()])?;
            Ok(if erased { Outcome::Done } else { Outcome::Absent })
        }
        Change::Put(user) => put(connection, user),
    }
}

fn save_birthday(connection: &Connection, name: &Name, birthday: Birthday) -> rusqlite::Result<Outcome> {
    // Where all is so already nothing is written, and a commit that wrote nothing costs no disk.
    let written = execute(
        connection,
        "INSERT INTO users (name, month_day, year) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET month_day = excluded.month_day, year = excluded.year
         WHERE month_day IS NOT excluded.month_day OR year IS NOT excluded.year",
        (name.as_str(), month_day(birthday), birthday.year()),
    )?;
    Ok(if written { Outcome::Done } else { Outcome::Unchanged })
}

fn register(connection: &Connection, name: &Name, email: &Email) -> rusqlite::Result<Outcome> {
    let written = execute(
        connection,
        "INSERT INTO users (name, email) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET email = excluded.email WHERE email IS NULL",
        (name.as_str(), email.as_str()),
    )?;
    if written {
        return Ok(Outcome::Done);
    }
    let same = user(connection, name)?.and_then(|user| user.email).as_ref() == Some(email);
    Ok(if same { Outcome::Unchanged } else { Outcome::Conflict })
}

fn change_email(connection: &Connection, name: &Name, email: &Email) -> rusqlite::Result<Outcome> {
    let written = execute(
        connection,
        "UPDATE users SET email = ?2 WHERE name = ?1 AND email IS NOT ?2",
        (name.as_str(), email.as_str()),
    )?;
    if written {
        return Ok(Outcome::Done);
    }
    Ok(if user(connection, name)?.is_some() { Outcome::Unchanged } else { Outcome::Absent })
}

pub(super) fn put(
    connection: &Connection,
    User { name, email, birthday }: &User,
) -> rusqlite::Result<Outcome> {
    let email = email.as_ref().map(Email::as_str);
    // A birthday is kept as a whole: one without a year takes the year of the one before with it.
    let written = execute(
        connection,
        "INSERT INTO users (name, email, month_day, year) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             email = coalesce(excluded.email, email),
             year = iif(excluded.month_day IS NULL, year, excluded.year),
             month_day = coalesce(excluded.month_day, month_day)
         WHERE email IS NOT coalesce(excluded.email, email)
            OR month_day IS NOT coalesce(excluded.month_day, month_day)
            OR year IS NOT iif(excluded.month_day IS NULL, year, excluded.year)",
        (name.as_str(), email, birthday.map(month_day), birthday.and_then(Birthday::year)),
    )?;
    Ok(if written { Outcome::Done } else { Outcome::Unchanged })
}

/// Whether the statement wrote a row.
fn execute(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached(sql)?.execute(parameters)? > 0)
}

fn month_day(birthday: Birthday) -> i64 {
    birthday.month_day().number().into()
}

fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: Name::from_stored(row.get(3)?),
        email: row.get::<_, Option<String>>(2)?.map(Email::from_stored),
        birthday: read_birthday(row)?,
    })
}

fn read_birthday(row: &Row<'_>) -> rusqlite::Result<Option<Birthday>> {
    let Some(month_day) = row.get::<_, Option<i64>>(0)? else { return Ok(None) };
    let year = row.get(1)?;
    Birthday::from_stored(month_day / 100, month_day % 100, year)
        .map(Some)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, month_day))
}
