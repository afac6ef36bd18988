//! How is somebody at a terminal told how far it is, and a pipe not?

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts records on a terminal; does nothing where standard error is none.
pub(super) fn counter() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}");
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = style {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

/// One line for people.
pub(super) fn say(text: &str) {
    // Where nobody can read it, the exit code says enough.
    let _ = writeln!(io::stderr(), "{text}");
}
