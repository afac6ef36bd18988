//! Records as text, for moving them from one store to another.

mod json_lines;

pub use json_lines::{InvalidRecord, WholeUser, read_line, write_line};
