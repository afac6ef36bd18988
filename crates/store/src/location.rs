//! Which store does a URL name?

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::redis::{InvalidRedisUrl, RedisUrl};
use crate::{Address, InvalidAddress};

/// Where a store is, read from a URL: `sqlite:FILE`, `sqlite::memory:`, `postgres://…` or one of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The embedded store in a file.
    SqliteFile(PathBuf),
    /// The embedded store in memory: gone when the program ends.
    SqliteMemory,
    /// A PostgreSQL server.
    Postgres(Box<Address>),
    /// Redis, one server or a cluster.
    Redis(RedisUrl),
}

impl Location {
    /// Whether the store is in this process, and its reads are made by the threads that ask.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        match self {
            Self::SqliteFile(_) | Self::SqliteMemory => true,
            Self::Postgres(_) | Self::Redis(_) => false,
        }
    }
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// No scheme that is known. The URL itself is not repeated: it may hold a password.
    #[error(
        "a store is named by a URL such as sqlite:hello-birthday.db, postgres://user@host/database or redis://host"
    )]
    Scheme,
    /// `sqlite:` and nothing, or a folder.
    #[error("sqlite: must be followed by the name of a file, or by :memory:")]
    File,
    /// `?` in the URL.
    #[error("a sqlite: URL takes no parameters after '?'")]
    Parameters,
    /// What follows `postgres://`.
    #[error(transparent)]
    Postgres(#[from] InvalidAddress),
    /// A URL of Redis with something wrong in it.
    #[error(transparent)]
    Redis(#[from] InvalidRedisUrl),
}

impl FromStr for Location {
    type Err = InvalidLocation;

    /// `postgres://` and `postgresql://` are read as libpq does. After `sqlite:`, or `sqlite://`, everything is the path, as written.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) {
            return Ok(Self::Postgres(Box::new(Address::parse(rest)?)));
        }
        if let Some(redis) = RedisUrl::parse(url) {
            return Ok(Self::Redis(redis?));
        }
        let path = url.strip_prefix("sqlite:").ok_or(InvalidLocation::Scheme)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        match path {
            ":memory:" => Ok(Self::SqliteMemory),
            _ if path.contains('?') => Err(InvalidLocation::Parameters),
            _ if path.is_empty() || path.ends_with('/') || path.starts_with(':') || path.contains('\0') => {
                Err(InvalidLocation::File)
            }
            _ => Ok(Self::SqliteFile(path.into())),
        }
    }
}

/// Where the data is, in words for the operator.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SqliteFile(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                write!(f, "the SQLite file {}", path.display())
            }
            Self::SqliteMemory => f.write_str("memory, which is gone when the program ends"),
            Self::Postgres(address) => write!(f, "the PostgreSQL database {address}"),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_or_memory() {
        for (url, path) in [
            ("sqlite:hello-birthday.db", "hello-birthday.db"),
            ("sqlite:./a b/é.db", "./a b/é.db"),
            ("sqlite://data/x.db", "data/x.db"),
            ("sqlite:/data/x.db", "/data/x.db"),
            ("sqlite:///data/x.db", "/data/x.db"),
        ] {
            assert_eq!(url.parse(), Ok(Location::SqliteFile(path.into())), "{url}");
        }
        assert_eq!("sqlite::memory:".parse(), Ok(Location::SqliteMemory));
        assert_eq!("sqlite://:memory:".parse(), Ok(Location::SqliteMemory));
    }

    #[test]
    fn what_names_no_store_is_refused_without_repeating_it() {
        for (url, refusal) in [
            ("", InvalidLocation::Scheme),
            ("hello-birthday.db", InvalidLocation::Scheme),
            ("mysql://root:secret@host/db", InvalidLocation::Scheme),
            ("SQLITE:x", InvalidLocation::Scheme),
            ("sqlite:", InvalidLocation::File),
            ("sqlite:///", InvalidLocation::File),
            ("sqlite:folder/", InvalidLocation::File),
            ("sqlite::memory", InvalidLocation::File),
            ("sqlite:a\0b", InvalidLocation::File),
            ("sqlite:x.db?mode=ro", InvalidLocation::Parameters),
        ] {
            assert_eq!(url.parse::<Location>(), Err(refusal.clone()), "{url}");
            assert!(!refusal.to_string().contains("secret"));
        }
    }
}
