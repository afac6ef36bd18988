//! `backup`: copy the embedded store while it is served.

use store::Store;

use super::Failure;
use super::progress;
use super::settings::BackupSettings;

pub(super) fn run(settings: &BackupSettings) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let location = settings.store.location()?;
    let users = runtime.block_on(Store::backup(&location, &settings.file)).map_err(Failure::failed)?;
    progress::say(&format!("{} has {users} users, and was read through", settings.file.display()));
    Ok(())
}
