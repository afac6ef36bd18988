//! What is known of one person?

use crate::{Birthday, Email, Name};

/// One person's whole record: a name, and what else was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key: one record a name.
    pub name: Name,
    /// Where one was registered.
    pub email: Option<Email>,
    /// Where one was saved.
    pub birthday: Option<Birthday>,
}
