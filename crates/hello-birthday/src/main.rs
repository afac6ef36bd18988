//! Parse the command, run it, print what went wrong, end with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hello_birthday::command::run()
}
