//! Records as text: for moving them from one store to another, and for calendars.

mod calendar;
mod json_lines;

pub use calendar::{Calendar, InvalidReminders, Reminders};
pub use json_lines::{InvalidRecord, WholeUser, read_line, write_line};
