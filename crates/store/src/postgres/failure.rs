//! What does an error of the server or of the connection mean for a statement?

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::{Reason, StoreError};

/// What a server says to a session that it ends, though it may take another one at once.
const CUT: [&str; 3] = ["57P01", "57P02", "57P05"];

/// An error, sorted by what can be done about it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) meaning: Meaning,
    pub(super) reason: Reason,
}

/// What is known of the statement that failed, and of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The session is gone, and with it the answer.
    Lost,
    /// The statement's fate can't be told; the session goes on.
    InDoubt,
    /// Nothing was done, and nothing can be in this session: another server, or another schema, is needed.
    Elsewhere,
    /// Nothing was done; the same statement may well succeed now.
    Again,
    /// Nothing was done, perhaps for the sake of one value alone.
    Refused,
    /// Nothing was done, and the same holds for every other statement.
    Exhausted,
}

impl Failure {
    pub(super) fn new(meaning: Meaning, why: impl Into<String>) -> Self {
        Self { meaning, reason: Reason::Unavailable(why.into().into()) }
    }

    /// Why a session did not come to be. It was lost only if the server had taken it.
    pub(super) fn while_connecting(error: Error) -> Self {
        let cut = error.code().is_some_and(|state| CUT.contains(&state.code()));
        let meaning = if cut { Meaning::Lost } else { Meaning::Elsewhere };
        Self { meaning, ..Self::from(error) }
    }

    /// The reason in its own words, for a sentence that says already what failed.
    pub(super) fn why(&self) -> String {
        words(&self.reason)
    }

    /// The fate of a change whose statement ended so.
    pub(super) fn fate(self) -> StoreError {
        match self.meaning {
            Meaning::Lost | Meaning::InDoubt => StoreError::Unknown(self.reason),
            Meaning::Elsewhere | Meaning::Again | Meaning::Refused | Meaning::Exhausted => {
                StoreError::NotApplied(self.reason)
            }
        }
    }

    /// Whether the session is of no more use.
    pub(super) const fn ends_session(&self) -> bool {
        match self.meaning {
            Meaning::Lost | Meaning::Elsewhere => true,
            Meaning::InDoubt | Meaning::Again | Meaning::Refused | Meaning::Exhausted => false,
        }
    }
}

impl From<Error> for Failure {
    /// Sorts by SQLSTATE (PostgreSQL's manual, appendix A).
    fn from(error: Error) -> Self {
        let why = Reason::Unavailable(describe(&error).into());
        let Some(state) = error.code() else { return Self { meaning: Meaning::Lost, reason: why } };
        let (meaning, reason) = match state.code() {
            // A server that became read-only, or is starting up or shutting down.
            "25006" | "57P03" => (Meaning::Elsewhere, why),
            code if CUT.contains(&code) => (Meaning::Lost, why),
            "57014" => (Meaning::InDoubt, Reason::TooSlow),
            "40001" | "40P01" => (Meaning::Again, why),
            "53100" => (Meaning::Exhausted, Reason::Full),
            // The role or its password, or the database: what another session would be told as well.
            "28000" | "28P01" | "3D000" => (Meaning::Elsewhere, Reason::Refused(describe(&error).into())),
            // No such table or column, or no right to it: the schema is looked at anew.
            "42P01" | "42703" | "3F000" | "42501" => (Meaning::Elsewhere, why),
            // A prepared statement that another session has, or nobody any more.
            "26000" | "42P05" => (Meaning::Elsewhere, without_sessions()),
            // Somebody holds the row.
            "55P03" => (Meaning::Refused, Reason::TooSlow),
            code if code.starts_with("08") => (Meaning::Lost, why),
            code if code.starts_with("53") => (Meaning::Exhausted, why),
            _ => (Meaning::Refused, why),
        };
        Self { meaning, reason }
    }
}

fn without_sessions() -> Reason {
    Reason::Unavailable(
        "a prepared statement was not found again; if a pooler gives every transaction another session, write pool_mode=transaction in the URL"
            .into(),
    )
}

/// A reason without what is said of it in general.
fn words(reason: &Reason) -> String {
    match reason {
        Reason::Unavailable(why) | Reason::Refused(why) => why.to_string(),
        Reason::Overloaded | Reason::TooSlow | Reason::Full => reason.to_string(),
    }
}

/// Words for the operator's log.
pub(super) fn describe(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        let words = said(refusal).unwrap_or("the server refused a value");
        return format!("{words} (SQLSTATE {})", refusal.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What a server said, unless it may repeat a value: it spoke of one, or a trigger chose the words.
pub(super) fn said(message: &DbError) -> Option<&str> {
    let of_a_value = ["21", "22", "23"].iter().any(|class| message.code().code().starts_with(class));
    let by_a_trigger = message.where_().is_some();
    (!of_a_value && !by_a_trigger).then(|| message.message())
}
