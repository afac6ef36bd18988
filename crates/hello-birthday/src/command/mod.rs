//! What can the program be told to do?

mod settings;
mod postgres_settings;
mod redis_settings;
mod serve;
mod service_manager;
mod migrate;
mod export;
mod birthdays;
mod import;
mod backup;
mod token;
mod progress;
mod healthcheck;

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use prometheus_client::registry::Registry;
use store::Store;

pub use settings::Cli;
use settings::{Command, StoreSettings, UsageError};

use crate::http::OPENAPI;
use crate::log;

/// Why a command ended badly.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A setting is wrong; its name is in the words.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// One sentence.
    #[error("{0}")]
    Failed(String),
    /// The store can't go on.
    #[error("{0}")]
    StoreBroken(String),
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// 1: failed. 2: used wrongly. 74: an I/O error of the store, or an embedded one that is damaged (EX_IOERR of BSD's
    /// sysexits.h).
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::StoreBroken(_) => 74,
        }
    }
}

/// Opens the store to read it alone, does that with it, and closes it.
fn with_store_to_read<T>(
    settings: &StoreSettings,
    read: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (location, options) = (settings.location()?, settings.options()?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let store = Store::open_to_read(&location, options, &mut Registry::default()).await;
        let store = store.map_err(Failure::failed)?;
        let result = read(&store).await;
        store.close().await;
        result
    })
}

/// Runs what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    hide_what_panics_say();
    let cli = match settings::parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let command = cli.into_command();
    if !matches!(command, Command::Serve(_)) {
        log::warn_on_stderr();
    }
    let result = match command {
        Command::Serve(settings) => serve::run(&settings),
        Command::Migrate(settings) => migrate::run(&settings),
        Command::Export(settings) => export::run(&settings),
        Command::Birthdays(settings) => birthdays::run(&settings),
        Command::Import(settings) => import::run(&settings),
        Command::Backup(settings) => backup::run(&settings),
        Command::Token(settings) => token::run(&settings),
        Command::Healthcheck(settings) => healthcheck::run(&settings),
        Command::Openapi => std::io::stdout().write_all(OPENAPI.as_bytes()).map_err(Failure::failed),
        Command::Completions { shell } => {
            // Into memory first: the generator ends the program where it can't write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hello-birthday", &mut script);
            std::io::stdout().write_all(&with_its_own_names(script)).map_err(Failure::failed)
        }
        Command::Manual { folder } => clap_mangen::generate_to(Cli::command(), &folder).map_err(|error| {
            Failure::Failed(format!("the manual can't be written to {}: {error}", folder.display()))
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where nobody can read it, the exit code says enough.
            let _ = writeln!(std::io::stderr(), "hello-birthday: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The script for bash asks for its commands by names that it doesn't give them, where a program's name has a hyphen
/// (clap_complete 4.6).
fn with_its_own_names(script: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(script) {
        Ok(script) => script.replace("hello__subcmd__birthday", "hello__birthday").into(),
        Err(other) => other.into_bytes(),
    }
}

/// The words of a panic may hold somebody's data; where it happened can't.
fn hide_what_panics_say() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if tracing::dispatcher::has_been_set() {
            tracing::error!(place, "a fault of the program: please report it");
        } else {
            let _ = writeln!(
                std::io::stderr(),
                "hello-birthday: a fault of the program at {place}: please report it"
            );
        }
    }));
}
