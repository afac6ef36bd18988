//! What can a caller be allowed to do?

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Something that a token can allow. Its name is the same wherever it is written: in the file of tokens,
/// on the command line, in the README and in a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To be told a greeting, and so the day of a birthday.
    HelloRead,
    /// To save a birthday.
    HelloWrite,
    /// To read records.
    UserRead,
    /// To register, change and erase users.
    UserWrite,
    /// To subscribe to the calendar. Programs that do can't send headers, so a token with this scope
    /// alone may stand in a URL.
    Calendar,
    /// To read the metrics.
    Metrics,
}

/// One scope or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

/// A text that doesn't name scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scopes are written with commas between them, and are {}", Scope::ALL.map(Scope::name).join(", "))]
pub struct UnknownScope;

impl Scope {
    /// Every scope, in the order in which they are written.
    pub const ALL: [Self; 6] =
        [Self::HelloRead, Self::HelloWrite, Self::UserRead, Self::UserWrite, Self::Calendar, Self::Metrics];

    const fn name(self) -> &'static str {
        match self {
            Self::HelloRead => "hello:read",
            Self::HelloWrite => "hello:write",
            Self::UserRead => "user:read",
            Self::UserWrite => "user:write",
            Self::Calendar => "calendar",
            Self::Metrics => "metrics",
        }
    }

    /// Whether a token for it may stand in a URL, where histories and the logs of others keep it.
    #[must_use]
    pub const fn allows_token_in_url(self) -> bool {
        match self {
            Self::Calendar => true,
            Self::HelloRead | Self::HelloWrite | Self::UserRead | Self::UserWrite | Self::Metrics => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(UnknownScope)
    }
}

impl Scopes {
    /// Whether that scope is one of them.
    #[must_use]
    pub fn contain(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether that scope is all of them.
    #[must_use]
    pub fn are_only(&self, scope: Scope) -> bool {
        self.0.iter().all(|one| *one == scope)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        let scopes: Scopes = "user:read,hello:write,user:read".parse().unwrap();
        assert_eq!(scopes.to_string(), "hello:write,user:read");
        assert!(scopes.contain(Scope::UserRead) && !scopes.contain(Scope::HelloRead));
        assert!(!scopes.are_only(Scope::UserRead));
        assert!("calendar".parse::<Scopes>().unwrap().are_only(Scope::Calendar));
        for text in ["", ",", "hello", "hello:read,", "hello:read, user:read", "Hello:Read", "public"] {
            assert_eq!(text.parse::<Scopes>(), Err(UnknownScope), "{text}");
        }
    }
}
