//! The statements: how users are read from the table and written into it.

use tokio_postgres::types::Type;

/// A statement that is prepared once a session, or sent with the types of its parameters where there is
/// none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Statement {
    Load,
    LoadMany,
    Page,
    Days,
    Touch,
    Save,
    SaveMany,
    Register,
    ChangeEmail,
    Erase,
    Put,
}

impl Statement {
    pub(super) const COUNT: usize = Self::Put as usize + 1;

    /// Its text and the types of its parameters.
    pub(super) const fn sql(self) -> (&'static str, &'static [Type]) {
        match self {
            Self::Load => ("SELECT month_day, year, email, name FROM users WHERE name = $1", &[Type::TEXT]),
            Self::LoadMany => {
                ("SELECT month_day, year, email, name FROM users WHERE name = ANY($1)", &[Type::TEXT_ARRAY])
            }
            Self::Page => (
                "SELECT month_day, year, email, name FROM users WHERE name > $1 ORDER BY name LIMIT $2",
                &[Type::TEXT, Type::INT8],
            ),
            Self::Days => (
                "SELECT month_day, year, email, name FROM users
                WHERE (month_day, name) > ($1, $2) AND month_day <= $3 ORDER BY month_day, name LIMIT $4",
                &[Type::INT2, Type::TEXT, Type::INT2, Type::INT8],
            ),
            Self::Touch => ("SELECT 1 FROM users LIMIT 1", &[]),
            Self::Save => (SAVE, &[Type::TEXT, Type::INT2, Type::INT2]),
            Self::SaveMany => (SAVE_MANY, &[Type::TEXT_ARRAY, Type::INT2_ARRAY, Type::INT2_ARRAY]),
            Self::Register => (REGISTER, &[Type::TEXT_ARRAY, Type::TEXT_ARRAY]),
            Self::ChangeEmail => (CHANGE_EMAIL, &[Type::TEXT_ARRAY, Type::TEXT_ARRAY]),
            Self::Erase => (ERASE, &[Type::TEXT_ARRAY]),
            Self::Put => (PUT, &[Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::INT2_ARRAY, Type::INT2_ARRAY]),
        }
    }
}

// Where all is so already no row is written. The row is locked all the same, and the log has that: so even this commit
// waits for the disk and for a standby, behind the change that it found, which may not be safe yet.
const SAVE: &str = "INSERT INTO users (name, month_day, year) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET month_day = excluded.month_day, year = excluded.year
WHERE users.month_day IS DISTINCT FROM excluded.month_day OR users.year IS DISTINCT FROM excluded.year
RETURNING name";

const SAVE_MANY: &str = "INSERT INTO users (name, month_day, year)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::smallint[])
ON CONFLICT (name) DO UPDATE SET month_day = excluded.month_day, year = excluded.year
WHERE users.month_day IS DISTINCT FROM excluded.month_day OR users.year IS DISTINCT FROM excluded.year
RETURNING name";

// For each name: was it written, and which address was seen before, if any? Where neither tells the
// outcome, another instance changed the same user at the same moment.
const REGISTER: &str =
    "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[]) AS wanted (name, email)),
seen AS (SELECT name, email FROM users WHERE name = ANY($1)),
written AS (
    INSERT INTO users (name, email) SELECT name, email FROM wanted
    ON CONFLICT (name) DO UPDATE SET email = excluded.email WHERE users.email IS NULL
    RETURNING name
)
SELECT wanted.name, written.name IS NOT NULL, seen.email = wanted.email
FROM wanted LEFT JOIN written ON written.name = wanted.name LEFT JOIN seen ON seen.name = wanted.name";

// Where nothing is to be changed and no row is locked, a note in the log makes the commit wait like any other.
const CHANGE_EMAIL: &str = "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[]) AS wanted (name, email)),
seen AS (SELECT name, email FROM users WHERE name = ANY($1)),
written AS (
    UPDATE users SET email = wanted.email FROM wanted
    WHERE users.name = wanted.name AND users.email IS DISTINCT FROM wanted.email
    RETURNING users.name
),
noted AS (SELECT pg_logical_emit_message(true, 'hello-birthday', '') WHERE NOT EXISTS (SELECT FROM written))
SELECT wanted.name, written.name IS NOT NULL, coalesce(seen.email = wanted.email, false), seen.name IS NOT NULL
FROM wanted LEFT JOIN written ON written.name = wanted.name LEFT JOIN seen ON seen.name = wanted.name
LEFT JOIN noted ON true";

// The one without a name is the note.
const ERASE: &str = "WITH written AS (DELETE FROM users WHERE name = ANY($1) RETURNING name),
noted AS (SELECT pg_logical_emit_message(true, 'hello-birthday', '') WHERE NOT EXISTS (SELECT FROM written))
SELECT name FROM written UNION ALL SELECT '' FROM noted";

// A birthday is kept as a whole: one without a year takes the year of the one before with it.
const PUT: &str = "INSERT INTO users (name, email, month_day, year)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::smallint[])
ON CONFLICT (name) DO UPDATE SET
    email = coalesce(excluded.email, users.email),
    year = CASE WHEN excluded.month_day IS NULL THEN users.year ELSE excluded.year END,
    month_day = coalesce(excluded.month_day, users.month_day)
WHERE users.email IS DISTINCT FROM coalesce(excluded.email, users.email)
   OR users.month_day IS DISTINCT FROM coalesce(excluded.month_day, users.month_day)
   OR users.year IS DISTINCT FROM CASE WHEN excluded.month_day IS NULL THEN users.year ELSE excluded.year END
RETURNING name";
