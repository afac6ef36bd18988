//! Parse the command, run it, print what went wrong, end with its exit code.

use std::process::ExitCode;

/// A connection has two buffers of 8 KiB and at rest uses next to nothing of them. This allocator puts
/// them on pages of their own and writes nothing beside them, so that what isn't used isn't there; the
/// system's one puts a header before each (docs/benchmarks.md has the figures).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hello_birthday::command::run()
}
