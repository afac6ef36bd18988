//! The schema in PostgreSQL, step by step.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::failure::{Failure, Meaning};
use super::session::{Role, Server, Session};
use crate::migrate::{Applied, Migration, pending};
use crate::{Migrated, OpenError};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users",
    sql: include_str!("migrations/0001_users.sql"),
    works_since: 1,
}];

/// Any number will do that other programs in the database don't take: "HBdy" in ASCII.
const LOCK: i64 = 0x4842_6479;
/// How long a migration may wait for others, and how long all of it may take. It shares the database with
/// running services, so it doesn't hold them up for longer than this.
const STEP_WITHIN: &str = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '10min'";
const MIGRATE_WITHIN: Duration = Duration::from_secs(900);

/// Runs the steps that are missing, all or none. Others that do the same meanwhile wait, and find
/// nothing to do.
pub(super) async fn migrate(server: &Arc<Server>) -> Result<Migrated, OpenError> {
    let refuse = |failure: Failure| OpenError::Engine {
        place: format!("the schema in the PostgreSQL database {}", server.address),
        reason: failure.why(),
    };
    let work = async {
        let session = server.open(Role::Primary, None).await.map_err(refuse)?;
        // Where this fails the session is dropped, and the server takes everything back.
        session.run("BEGIN").await.map_err(refuse)?;
        session.run(STEP_WITHIN).await.map_err(refuse)?;
        // Held until the transaction ends: a lock of the session would stay behind in a pooler.
        session
            .typed("SELECT pg_advisory_xact_lock($1)::text", &[(&LOCK, Type::INT8)])
            .await
            .map_err(refuse)?;
        let applied = lay_foundation(&session, server).await?;
        let steps = pending(applied, MIGRATIONS)?;
        for step in steps {
            run(&session, step).await.map_err(refuse)?;
        }
        session.run("COMMIT").await.map_err(refuse)?;
        Ok(Migrated { from: applied.version, to: steps.last().map_or(applied.version, |step| step.version) })
    };
    let too_slow = || Err(refuse(Failure::new(Meaning::Lost, "it took longer than 15 minutes")));
    timeout(MIGRATE_WITHIN, work).await.unwrap_or_else(|_| too_slow())
}

/// What was applied so far; makes the table that tells it, if there is none.
async fn lay_foundation(session: &Session, server: &Server) -> Result<Applied, OpenError> {
    let place = || format!("the PostgreSQL database {}", server.address);
    let refuse = |failure: Failure| OpenError::Engine { place: place(), reason: failure.why() };
    if is_there(session, "schema_migrations").await.map_err(refuse)? {
        return applied(session).await.map_err(refuse);
    }
    if is_there(session, "users").await.map_err(refuse)? {
        return Err(OpenError::NotOurs { place: place() });
    }
    session
        .run(
            "CREATE TABLE schema_migrations (
                 version bigint PRIMARY KEY,
                 name text NOT NULL,
                 works_since bigint NOT NULL
             )",
        )
        .await
        .map_err(refuse)?;
    Ok(Applied::default())
}

async fn is_there(session: &Session, table: &str) -> Result<bool, Failure> {
    let rows = session.typed("SELECT to_regclass($1) IS NOT NULL", &[(&table, Type::TEXT)]).await?;
    Ok(rows.first().map_or(Ok(false), |row| row.try_get(0))?)
}

async fn applied(session: &Session) -> Result<Applied, Failure> {
    let newest = "SELECT max(version), max(works_since) FROM schema_migrations HAVING count(*) > 0";
    let rows = session.typed(newest, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Applied::default()) };
    Ok(Applied { version: row.try_get(0)?, works_since: row.try_get(1)? })
}

async fn run(session: &Session, step: &Migration) -> Result<(), Failure> {
    session.run(step.sql).await?;
    session
        .typed(
            "INSERT INTO schema_migrations (version, name, works_since) VALUES ($1, $2, $3)",
            &[(&step.version, Type::INT8), (&step.name, Type::TEXT), (&step.works_since, Type::INT8)],
        )
        .await?;
    Ok(())
}

/// Whether a server answers that has a schema which this program can work with.
pub(super) async fn look(server: &Arc<Server>) -> Result<(), OpenError> {
    let looked = async { check(&server.open(Role::Primary, None).await?).await };
    looked.await.map_err(|failure| OpenError::Engine {
        place: format!("the PostgreSQL database {}", server.address),
        reason: failure.why(),
    })
}

/// Whether this program can work with the schema that is there.
pub(super) async fn check(session: &Session) -> Result<(), Failure> {
    let refuse = |why: String| Failure::new(Meaning::Elsewhere, why);
    let applied = if is_there(session, "schema_migrations").await? {
        applied(session).await?
    } else {
        Applied::default()
    };
    match pending(applied, MIGRATIONS) {
        Ok([]) => Ok(()),
        Ok(missing) => {
            let needed = missing.last().map_or(0, |step| step.version);
            Err(refuse(format!(
                "the schema has version {}, and version {needed} is needed: run `hello-birthday migrate`",
                applied.version
            )))
        }
        Err(error) => Err(refuse(error.to_string())),
    }
}
