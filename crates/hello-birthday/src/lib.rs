//! The program: the birthday problem over HTTP, and the commands around it.
//!
//! Modules stand in the order in which they may use each other: `log < process < exchange < access < coming < http <
//! command`.

pub mod log;
pub mod process;
pub mod exchange;
pub mod access;
pub mod coming;
pub mod http;
pub mod command;
