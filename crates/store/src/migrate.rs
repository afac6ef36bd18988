//! Which steps bring a schema up to date, and may this program work with the schema that is there?
//!
//! The engines take their own lock and run the steps in one transaction; what is to be run is decided
//! here. Steps first expand, then contract: an older program goes on working until a step says that
//! it no longer can.

use std::fmt;

use crate::OpenError;

/// One step of a schema. One that was shipped is never edited.
pub(crate) struct Migration {
    /// 1 for the first, and one more for each.
    pub(crate) version: i64,
    /// What it does, in a few words.
    pub(crate) name: &'static str,
    /// How.
    pub(crate) sql: &'static str,
    /// The oldest schema version whose programs can work with the schema after this step.
    pub(crate) works_since: i64,
}

/// What a database says of its own schema: 0 and 0 where it is new.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) works_since: i64,
}

/// From which schema version to which a migration went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was found, 0 for none.
    pub from: i64,
    /// The version that is there now.
    pub to: i64,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { from, to } if from == to => write!(f, "the schema is up to date at version {to}"),
            Self { from, to } => write!(f, "the schema was brought from version {from} to version {to}"),
        }
    }
}

/// The steps that are still to be run; none if the schema is up to date, or newer but only expanded.
pub(crate) fn pending(applied: Applied, known: &[Migration]) -> Result<&[Migration], OpenError> {
    let newest = known.last().map_or(0, |migration| migration.version);
    if applied.works_since > newest {
        return Err(OpenError::TooNew { found: applied.version, known: newest });
    }
    let done = known.partition_point(|migration| migration.version <= applied.version);
    Ok(&known[done..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration { version: 1, name: "", sql: "", works_since: 1 },
        Migration { version: 2, name: "", sql: "", works_since: 1 },
    ];

    fn to_run(version: i64, works_since: i64) -> Result<Vec<i64>, OpenError> {
        let steps = pending(Applied { version, works_since }, KNOWN)?;
        Ok(steps.iter().map(|migration| migration.version).collect())
    }

    #[test]
    fn steps_are_run_from_where_the_schema_stands() {
        assert_eq!(to_run(0, 0).unwrap(), [1, 2]);
        assert_eq!(to_run(1, 1).unwrap(), [2]);
        assert_eq!(to_run(2, 1).unwrap(), []);
    }

    #[test]
    fn a_newer_schema_is_taken_only_if_it_only_expanded() {
        assert_eq!(to_run(3, 1).unwrap(), []);
        assert_eq!(to_run(9, 2).unwrap(), []);
        let refused = to_run(9, 3).unwrap_err();
        assert!(matches!(refused, OpenError::TooNew { found: 9, known: 2 }), "{refused}");
    }
}
