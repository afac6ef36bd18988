//! `migrate`: bring the schema up to date, and end.

use std::io::Write;

use store::{Options, Store};

use super::Failure;
use super::settings::StoreSettings;

pub(super) fn run(settings: &StoreSettings) -> Result<(), Failure> {
    let location = settings.location()?;
    let options = Options { any_file_system: settings.any_file_system, ..Options::default() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let migrated = runtime.block_on(Store::migrate(&location, options)).map_err(Failure::failed)?;
    writeln!(std::io::stdout(), "{migrated}").map_err(Failure::failed)
}
