//! The problem itself: whose birthday it is, and how many days are left until the next one.
//!
//! Nothing here does I/O, and nothing but [`Almanac`] asks what day it is. A value of one of these
//! types is valid: whoever holds a [`Name`] need not check it again.

mod birthday;
mod almanac;
mod coming;
mod name;
mod email;
mod user;

pub use almanac::{Almanac, Clock, UnknownTimeZone, Zone, find_zone};
pub use birthday::{Birthday, InvalidBirthday, LeapDay};
pub use coming::{Coming, MonthDay, Span};
pub use email::{EMAIL_BYTES, Email, InvalidEmail};
pub use name::{InvalidName, NAME_CHARACTERS, Name};
pub use user::User;

/// An instant, as [`Clock`] tells it.
pub use jiff::Timestamp;
/// A day of the Gregorian calendar, without a time of day or a zone.
pub use jiff::civil::Date;
