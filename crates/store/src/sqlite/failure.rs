//! What does an error of the engine mean, and what can be done about it?

use rusqlite::ErrorCode;

use crate::Reason;

/// What an error of the engine means.
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// What the writer does about it.
    pub(super) then: Then,
    /// Whether it concerns one statement alone.
    pub(super) alone: bool,
}

/// What the writer does after an error.
pub(super) enum Then {
    GoOn,
    Restart,
}

/// Sorts SQLite's result codes (sqlite.org/rescode.html) by what can be done.
pub(super) fn classify(error: &rusqlite::Error) -> Failure {
    let unavailable = || Reason::Unavailable(error.to_string().into());
    let (reason, then, alone) = match error.sqlite_error_code() {
        // No room for the pages of the transaction: the frame that would commit it is written last, so
        // it was not written.
        Some(ErrorCode::DiskFull) => (Reason::Full, Then::GoOn, false),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Reason::TooSlow, Then::GoOn, false),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) | None => {
            (unavailable(), Then::GoOn, true)
        }
        // Memory is asked for once more when the commit is on the disk, for the index of the log.
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::OutOfMemory,
        ) => (unavailable(), Then::Restart, false),
        Some(_) => (unavailable(), Then::GoOn, false),
    };
    Failure { reason, then, alone }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn may_have_committed(code: i32) -> bool {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        match classify(&error).then {
            Then::Restart => true,
            Then::GoOn => false,
        }
    }

    #[test]
    fn what_a_commit_can_meet_after_it_was_written_leaves_its_fate_open() {
        // The log has the commit, and is synced, before its index gets memory.
        for code in [ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_NOMEM, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT]
        {
            assert!(may_have_committed(code), "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_CONSTRAINT] {
            assert!(!may_have_committed(code), "{code}");
        }
    }
}
