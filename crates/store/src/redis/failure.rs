//! What does a failure mean: is the change certainly not made, may it have been, or is another server to
//! be asked?

use ::redis::{ErrorKind, RedisError, ServerError, Value};

use super::url::Address;
use crate::{Reason, StoreError};

/// Why there is no reply.
#[derive(Clone, Debug)]
pub(super) enum Silence {
    /// Nothing was sent: it is certain that nothing was done.
    NotSent(Reason),
    /// It was sent, or may have been.
    Unanswered(Reason),
}

impl Silence {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NotSent(reason) | Self::Unanswered(reason) => reason,
        }
    }

    pub(super) fn of_write(self) -> StoreError {
        match self {
            Self::NotSent(reason) => StoreError::NotApplied(reason),
            Self::Unanswered(reason) => StoreError::Unknown(reason),
        }
    }

    pub(super) fn of_read(self) -> StoreError {
        StoreError::NotApplied(self.reason())
    }
}

/// What a server's error reply asks for.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Another server has that slot.
    Moved(Address),
    /// The slot is being moved to another server, and this key may be there already.
    Ask(Address),
    /// The slot is being moved, and its keys are on two servers now.
    TryAgain,
    /// The script is not known there.
    NoScript,
    /// The server is a replica, and has done nothing.
    Replica(Reason),
    /// The server can't do it now, and has done nothing.
    NotApplied(Reason),
    /// Something that should not be; a script may have been stopped in its middle.
    Unsure(Reason),
}

impl Refusal {
    /// Sorts Redis' error codes. Each of the codes that are named is given before a command or a script
    /// has written anything.
    ///
    /// What follows the code is not repeated: it may be part of what was asked, such as a name.
    pub(super) fn of(error: &ServerError, asked: &Address) -> Self {
        let details = error.details().unwrap_or_default();
        let code = error.code();
        let unavailable = || Reason::Unavailable(format!("{asked} answered {code}").into());
        match code {
            "MOVED" | "ASK" => match redirected(details, asked) {
                None => Self::NotApplied(unavailable()),
                Some(address) if code == "MOVED" => Self::Moved(address),
                Some(address) => Self::Ask(address),
            },
            "TRYAGAIN" => Self::TryAgain,
            "NOSCRIPT" => Self::NoScript,
            "OOM" => Self::NotApplied(Reason::Full),
            "MISCONF" if details.contains("No space left") => Self::NotApplied(Reason::Full),
            "NOAUTH" | "WRONGPASS" => Self::NotApplied(Reason::Refused(format!("{asked}: {REFUSED}").into())),
            // A script may have got as far as to the first command that is not allowed.
            "NOPERM" => Self::Unsure(Reason::Refused(format!("{asked} answered {code}").into())),
            "READONLY" => Self::Replica(replica(asked)),
            // Redis' answer to WAIT, which has no code of its own.
            "ERR" if details.starts_with("WAIT cannot be used with") => Self::Replica(replica(asked)),
            "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "MISCONF" | "BUSY" | "CROSSSLOT" => {
                Self::NotApplied(unavailable())
            }
            _ => Self::Unsure(unavailable()),
        }
    }

    pub(super) fn of_write(self) -> StoreError {
        if let Self::Unsure(reason) = self {
            return StoreError::Unknown(reason);
        }
        StoreError::NotApplied(self.reason())
    }

    pub(super) fn of_read(self) -> StoreError {
        StoreError::NotApplied(self.reason())
    }

    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Replica(reason) | Self::NotApplied(reason) | Self::Unsure(reason) => reason,
            Self::NoScript => Reason::Unavailable("the server forgets scripts".into()),
            Self::TryAgain => Reason::Unavailable("the data is being moved to another server".into()),
            Self::Moved(address) | Self::Ask(address) => {
                Reason::Unavailable(format!("the data is said to be at {address}, again and again").into())
            }
        }
    }
}

fn replica(asked: &Address) -> Reason {
    Reason::Unavailable(format!("{asked} says that it is a replica").into())
}

/// `<slot> <host>:<port>`; without a host, it is that of the server that was asked.
fn redirected(details: &str, asked: &Address) -> Option<Address> {
    let (_, place) = details.split_once(' ')?;
    let (host, port) = place.trim().rsplit_once(':')?;
    let host = if host.is_empty() { &asked.host } else { host };
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

/// Why there is no connection to that server.
pub(super) fn unconnected(error: &RedisError, asked: &Address) -> Reason {
    let why = format!("{asked}: {}", words(error)).into();
    match error.code() {
        _ if error.kind() == ErrorKind::AuthenticationFailed => Reason::Refused(why),
        Some("WRONGPASS" | "NOAUTH" | "NOPERM") => Reason::Refused(why),
        Some(_) | None => Reason::Unavailable(why),
    }
}

/// What went wrong on the way to a server. An error that the server sent may repeat what was asked, so
/// of such only the code is told.
pub(super) fn words(error: &RedisError) -> String {
    if error.is_io_error() {
        return error.to_string();
    }
    match error.code() {
        _ if error.kind() == ErrorKind::AuthenticationFailed => REFUSED.to_owned(),
        Some("WRONGPASS" | "NOAUTH") => REFUSED.to_owned(),
        Some(code) => format!("it answered {code}"),
        None => error.category().to_owned(),
    }
}

const REFUSED: &str = "the user name or the password is refused";

/// The reply, unless it is an error or missing.
pub(super) fn accepted(reply: Option<Value>, asked: &Address) -> Result<Value, Refusal> {
    let reply = reply.unwrap_or_default();
    if let Value::ServerError(error) = &reply { Err(Refusal::of(error, asked)) } else { Ok(reply) }
}
