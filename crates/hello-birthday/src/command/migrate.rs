//! `migrate`: bring the schema up to date, and end.

use std::io::Write;

use store::Store;

use super::Failure;
use super::settings::StoreSettings;

pub(super) fn run(settings: &StoreSettings) -> Result<(), Failure> {
    let location = settings.migration()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let migrated =
        runtime.block_on(Store::migrate(&location, settings.options()?)).map_err(Failure::failed)?;
    writeln!(std::io::stdout(), "{location}: {migrated}").map_err(Failure::failed)
}
