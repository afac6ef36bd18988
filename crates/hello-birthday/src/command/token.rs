//! `token`: make an access token, and say which line lets it in.

use std::io::{self, Write};
use std::sync::Arc;

use birthday::{Almanac, LeapDay, Timestamp};
use jiff::tz::TimeZone;

use super::Failure;
use super::settings::{TokenSettings, UsageError};
use crate::access::{Grant, Token};

/// The token goes where people read and a redirection of the line doesn't: it is told once, and kept by
/// nobody but its owner.
pub(super) fn run(settings: &TokenSettings) -> Result<(), Failure> {
    let today = Almanac::new(TimeZone::UTC, LeapDay::Feb28, Arc::new(Timestamp::now)).today(None);
    if settings.expires.is_some_and(|last_day| last_day < today) {
        return Err(UsageError::new("--expires: that day has passed").into());
    }
    let token = Token::make().map_err(Failure::failed)?;
    let grant = Grant::to(&token, settings.scope.clone(), settings.expires, settings.label.clone());
    writeln!(io::stdout(), "{grant}").map_err(Failure::failed)?;
    writeln!(io::stderr(), "The token, which is shown this once:\n{}", token.reveal())
        .map_err(Failure::failed)
}
