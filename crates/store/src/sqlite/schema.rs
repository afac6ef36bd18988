//! The embedded store's schema, step by step.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::connection::Place;
use crate::migrate::{Applied, Migration, pending};
use crate::{Migrated, OpenError};

/// Marks the file as one of this program: "HBdy" in ASCII. `file` shows it, and so does SQLite.
const APPLICATION_ID: i64 = 0x4842_6479;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users",
    sql: include_str!("migrations/0001_users.sql"),
    works_since: 1,
}];

/// Runs the steps that are missing, all or none.
pub(super) fn migrate(connection: &mut Connection, place: &Place) -> Result<Migrated, OpenError> {
    let refuse = |error: rusqlite::Error| place.refuse(&error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refuse)?;
    if !is_ours(&transaction).map_err(refuse)? {
        return Err(OpenError::NotOurs { place: place.to_string() });
    }
    let applied = applied(&transaction).map_err(refuse)?;
    let steps = pending(applied, MIGRATIONS)?;
    for step in steps {
        run(&transaction, step).map_err(refuse)?;
    }
    transaction.commit().map_err(refuse)?;
    Ok(Migrated { from: applied.version, to: steps.last().map_or(applied.version, |step| step.version) })
}

/// Whether the schema can be read as it is; nothing is written.
pub(super) fn check(connection: &Connection, place: &Place) -> Result<(), OpenError> {
    let refuse = |error: rusqlite::Error| place.refuse(&error);
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(refuse)?;
    if id != APPLICATION_ID {
        return Err(OpenError::NotOurs { place: place.to_string() });
    }
    let applied = newest(connection).map_err(refuse)?;
    if pending(applied, MIGRATIONS)?.is_empty() {
        Ok(())
    } else {
        Err(OpenError::TooOld { place: place.to_string() })
    }
}

/// A new file is ours for the taking; a database of another program is not.
fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let id = application_id(connection)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

fn application_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn applied(connection: &Connection) -> rusqlite::Result<Applied> {
    // A start that finds everything in place writes nothing, and so needs no room on a full disk.
    if application_id(connection)? != APPLICATION_ID {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version INTEGER PRIMARY KEY,
             name TEXT NOT NULL,
             works_since INTEGER NOT NULL
         ) STRICT",
        (),
    )?;
    newest(connection)
}

fn newest(connection: &Connection) -> rusqlite::Result<Applied> {
    let sql = "SELECT max(version), max(works_since) FROM schema_migrations HAVING count(*) > 0";
    let read = |row: &rusqlite::Row<'_>| Ok(Applied { version: row.get(0)?, works_since: row.get(1)? });
    Ok(connection.query_row(sql, (), read).optional()?.unwrap_or_default())
}

fn run(connection: &Connection, step: &Migration) -> rusqlite::Result<()> {
    connection.execute_batch(step.sql)?;
    connection.execute(
        "INSERT INTO schema_migrations (version, name, works_since) VALUES (?1, ?2, ?3)",
        (step.version, step.name, step.works_since),
    )?;
    Ok(())
}
