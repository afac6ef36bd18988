//! What can be changed, and how a change can end well.

use birthday::{Birthday, Email, Name, User};

/// One change to one user.
#[derive(Clone, Debug)]
pub enum Change {
    /// Keeps the birthday of that name, known before or not.
    SaveBirthday {
        /// Whose.
        name: Name,
        /// The new one.
        birthday: Birthday,
    },
    /// Gives an address to a name that has none, known before or not.
    Register {
        /// Whose.
        name: Name,
        /// The address.
        email: Email,
    },
    /// Gives another address to a known name.
    ChangeEmail {
        /// Whose.
        name: Name,
        /// The new address.
        email: Email,
    },
    /// Forgets everything about a name.
    Erase {
        /// Whose.
        name: Name,
    },
    /// Keeps what a record from elsewhere says. What the record lacks is left as it is: taking records
    /// in erases nothing, and can be repeated. It has an address, a birthday, or both: who has neither is
    /// nobody.
    Put(User),
}

impl Change {
    /// Whom it is about.
    pub(crate) const fn name(&self) -> &Name {
        match self {
            Self::SaveBirthday { name, .. }
            | Self::Register { name, .. }
            | Self::ChangeEmail { name, .. }
            | Self::Erase { name }
            | Self::Put(User { name, .. }) => name,
        }
    }
}

/// How a change that was tried ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Done,
    /// All was so already; nothing was written.
    Unchanged,
    /// Not made, since the name has another address ([`Change::Register`]).
    Conflict,
    /// Not made, since nobody has that name ([`Change::ChangeEmail`], [`Change::Erase`]).
    Absent,
}
