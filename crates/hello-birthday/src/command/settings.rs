//! What can be set, by which flag and which variable? The one file that knows the command line and the
//! environment.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use birthday::{LeapDay, Zone, find_zone};
use clap::builder::{BoolishValueParser, RangedI64ValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use server::{Drain, Limits, Rate};
use store::{Location, Options, RedisUrl};

use crate::log::{Filter, Format};

/// A self-hosted birthday service: keep a date by name, count the days until the next birthday.
#[derive(Debug, Parser)]
#[command(name = "hello-birthday", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Without a command, the service is started: `hello-birthday` is `hello-birthday serve`."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeSettings,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve over HTTP until SIGTERM or SIGINT
    Serve(ServeSettings),
    /// Bring the store's schema up to date, and end
    Migrate(StoreSettings),
    /// Write every record, a JSON object a line, while the store may be served
    Export(ExportSettings),
    /// Take in records, a JSON object a line; what is there already stays, unless a record says otherwise
    Import(ImportSettings),
    /// Copy the embedded store into a new file, while it may be served
    Backup(BackupSettings),
    /// Ask the service that runs here whether it is healthy, for images without a shell
    Healthcheck(HealthcheckSettings),
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Args, Clone, Debug)]
pub(super) struct ServeSettings {
    #[command(flatten)]
    listen: ListenSettings,
    #[command(flatten)]
    pub(super) store: StoreSettings,
    #[command(flatten)]
    calendar: CalendarSettings,
    #[command(flatten)]
    pub(super) log: LogSettings,
    /// Address and port of a listener for /metrics alone; without it they are on the main one
    #[arg(long, env = "HELLO_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<SocketAddr>,
    /// How long to go on accepting after SIGTERM, for load balancers to notice
    #[arg(long, env = "HELLO_DRAIN_DELAY", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    drain_delay: Duration,
    /// How long requests in flight may take after that
    #[arg(long, env = "HELLO_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "20s", value_parser = duration)]
    drain_timeout: Duration,
    /// Connections that may be open at once
    #[arg(long, env = "HELLO_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 10_000, value_parser = from_one())]
    max_connections: u32,
    /// Connections that one client address may have open at once, for a service without a proxy
    /// before it; no limit if not set
    #[arg(long, env = "HELLO_MAX_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER", value_parser = from_one())]
    max_connections_per_address: Option<u32>,
    /// Requests a second that one client address may make, with a burst of twice as many, for a
    /// service without a proxy before it; no limit if not set
    #[arg(long, env = "HELLO_RATE_LIMIT", value_name = "NUMBER")]
    rate_limit: Option<NonZeroU32>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ListenSettings {
    /// Address and port to listen on [default: 127.0.0.1:8080, or [::]:$PORT where PORT is set]
    #[arg(long, env = "HELLO_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Not a flag: PORT is what platforms that run a container set.
    #[arg(skip = port_of_environment())]
    port: Option<OsString>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct StoreSettings {
    /// Where the data is: sqlite:FILE, sqlite::memory:, redis://HOST, rediss://HOST or
    /// redis-cluster://HOST,HOST [default: sqlite:hello-birthday.db]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
    /// A file that holds the store's URL, for secrets that are mounted
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    store_file: Option<PathBuf>,
    /// Keep the data even on a network file system, where it can be lost
    #[arg(long, env = "HELLO_ANY_FILE_SYSTEM", value_parser = BoolishValueParser::new())]
    any_file_system: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

#[derive(Args, Clone, Debug)]
struct RedisSettings {
    /// Replicas that must have a change before it is answered as done
    #[arg(long, env = "HELLO_REDIS_WAIT", value_name = "NUMBER", default_value_t = 0)]
    redis_wait: u32,
    /// Not flags: the variables that programs on Redis are usually given.
    #[arg(skip = RedisVariables::of_environment())]
    variables: RedisVariables,
}

/// What the environment says of Redis; secrets among it, which `Debug` doesn't show.
#[derive(Clone, Default)]
struct RedisVariables {
    url: Option<OsString>,
    password: Option<OsString>,
    password_file: Option<OsString>,
}

#[derive(Args, Clone, Debug)]
struct ZoneSettings {
    /// The IANA name of the zone whose today it is
    #[arg(long, env = "HELLO_TIME_ZONE", value_name = "ZONE", default_value = "UTC", value_parser = find_zone)]
    time_zone: Zone,
}

#[derive(Args, Clone, Debug)]
struct CalendarSettings {
    #[command(flatten)]
    zone: ZoneSettings,
    /// When somebody born on 29 February has a birthday in a common year
    #[arg(long, env = "HELLO_LEAP_DAY", value_name = "RULE", default_value = "feb28")]
    leap_day: Rule,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    /// On 28 February
    Feb28,
    /// On 1 March
    Mar1,
}

#[derive(Args, Clone, Debug)]
pub(super) struct LogSettings {
    /// How log lines look
    #[arg(long, env = "HELLO_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Format,
    /// Which log lines are written: a level, or pairs such as info,request=off
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub(super) log: Filter,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ExportSettings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    /// The file to write, which must not be there yet; without it, standard output
    pub(super) file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ImportSettings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    /// The file to read; without it, standard input
    pub(super) file: Option<PathBuf>,
    /// Say which lines are bad, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    zone: ZoneSettings,
}

#[derive(Args, Clone, Debug)]
pub(super) struct BackupSettings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    /// The file to write, which must not be there yet
    pub(super) file: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(super) struct HealthcheckSettings {
    #[command(flatten)]
    pub(super) listen: ListenSettings,
    /// Ask whether it is ready for requests, too
    #[arg(long)]
    pub(super) ready: bool,
}

/// A setting that can't be used; the words begin with its name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(String);

/// Reads the command line and the environment.
pub(super) fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches().map_err(name_the_variable)?;
    Cli::from_arg_matches(&matches)
}

impl Cli {
    pub(super) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl ServeSettings {
    pub(super) fn listen(&self) -> Result<SocketAddr, UsageError> {
        self.listen.address()
    }

    pub(super) fn leap_day(&self) -> LeapDay {
        match self.calendar.leap_day {
            Rule::Feb28 => LeapDay::Feb28,
            Rule::Mar1 => LeapDay::Mar1,
        }
    }

    pub(super) fn time_zone(&self) -> Zone {
        self.calendar.zone.time_zone.clone()
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections as usize,
            connections_per_address: self.max_connections_per_address.map(|most| most as usize),
            ..Limits::default()
        }
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate_limit.map(Rate::per_second)
    }

    pub(super) const fn drain(&self) -> Drain {
        Drain { delay: self.drain_delay, timeout: self.drain_timeout }
    }
}

impl ListenSettings {
    pub(super) fn address(&self) -> Result<SocketAddr, UsageError> {
        match (self.listen, &self.port) {
            (Some(address), _) => Ok(address),
            (None, None) => Ok((Ipv4Addr::LOCALHOST, 8080).into()),
            (None, Some(port)) => {
                let port = port.to_str().and_then(|port| port.parse().ok());
                let port: u16 =
                    port.ok_or_else(|| UsageError("PORT must be a number from 0 to 65535".into()))?;
                Ok((Ipv6Addr::UNSPECIFIED, port).into())
            }
        }
    }
}

impl ImportSettings {
    pub(super) fn time_zone(&self) -> Zone {
        self.zone.time_zone.clone()
    }
}

impl StoreSettings {
    pub(super) const fn options(&self) -> Options {
        Options { any_file_system: self.any_file_system, redis_wait: self.redis.redis_wait }
    }

    /// The store's place, by the first of: the flag, the variable, `REDIS_URL`, the default.
    pub(super) fn location(&self) -> Result<Location, UsageError> {
        let (url, named) = match (&self.store, &self.store_file) {
            (Some(_), Some(_)) => {
                return Err(UsageError(
                    "DATABASE_URL and DATABASE_URL_FILE are both set; set one of them".into(),
                ));
            }
            (Some(url), None) => (url.clone(), "DATABASE_URL or --store"),
            (None, Some(file)) => (read_secret("DATABASE_URL_FILE", file)?, "DATABASE_URL_FILE"),
            (None, None) => match &self.redis.variables.url {
                Some(url) => (url.to_string_lossy().into_owned(), "REDIS_URL"),
                None => ("sqlite:hello-birthday.db".to_owned(), "the default"),
            },
        };
        let location = url.parse().map_err(|error| UsageError(format!("{named}: {error}")))?;
        match location {
            Location::Redis(redis) => Ok(Location::Redis(self.redis.variables.complete(redis)?)),
            Location::SqliteFile(_) | Location::SqliteMemory if named == "REDIS_URL" => {
                Err(UsageError("REDIS_URL must be the URL of a Redis server or cluster".into()))
            }
            location @ (Location::SqliteFile(_) | Location::SqliteMemory) => Ok(location),
        }
    }
}

impl fmt::Debug for RedisVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisVariables(…)")
    }
}

impl RedisVariables {
    fn of_environment() -> Self {
        Self {
            url: env::var_os("REDIS_URL"),
            password: env::var_os("REDIS_PASSWORD"),
            password_file: env::var_os("REDIS_PASSWORD_FILE"),
        }
    }

    /// The place with the password that is set beside it. One in the URL is more specific, and wins.
    fn complete(&self, url: RedisUrl) -> Result<RedisUrl, UsageError> {
        let password = match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => {
                return Err(UsageError(
                    "REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set; set one of them".into(),
                ));
            }
            (Some(password), None) => password.to_string_lossy().into_owned(),
            (None, Some(file)) => read_secret("REDIS_PASSWORD_FILE", Path::new(file))?,
            (None, None) => return Ok(url),
        };
        Ok(if url.has_password() { url } else { url.with_password(password) })
    }
}

/// What a file with a secret holds, without the end of its last line.
fn read_secret(variable: &str, file: &Path) -> Result<String, UsageError> {
    let refuse = |error| UsageError(format!("{variable} {} can't be read: {error}", file.display()));
    Ok(fs::read_to_string(file).map_err(refuse)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn port_of_environment() -> Option<OsString> {
    env::var_os("PORT")
}

fn from_one() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
    duration.ok_or_else(|| "write a duration such as 5s, 500ms or 1m".into())
}

/// Clap names the flag; whoever set a variable looks for that.
fn name_the_variable(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let name = flag.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default().to_owned();
    let on_command_line =
        env::args().any(|given| given.trim_start_matches("--").split('=').next() == Some(&name));
    let command = Cli::command();
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&name));
    if let Some(variable) = argument.and_then(clap::Arg::get_env)
        && !on_command_line
    {
        let named = format!("{flag} (from the variable {})", variable.display());
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn store_at(url: Option<&str>, variables: RedisVariables) -> Result<Location, String> {
        let settings = StoreSettings {
            store: url.map(str::to_owned),
            store_file: None,
            any_file_system: false,
            redis: RedisSettings { redis_wait: 0, variables },
        };
        settings.location().map_err(|error| error.to_string())
    }

    #[test]
    fn redis_is_named_by_its_variable_where_nothing_else_names_a_store() {
        let variables = |url: &str| RedisVariables { url: Some(url.into()), ..RedisVariables::default() };
        let redis = store_at(None, variables("redis://a:1")).unwrap();
        assert_eq!(redis.to_string(), "Redis at a:1");
        let flag = store_at(Some("sqlite:x.db"), variables("redis://a:1")).unwrap();
        assert_eq!(flag, Location::SqliteFile("x.db".into()));
        let refused = store_at(None, variables("sqlite:x.db")).unwrap_err();
        assert!(refused.starts_with("REDIS_URL"), "{refused}");
        let refused = store_at(None, variables("redis://h?secret=x")).unwrap_err();
        assert!(refused.starts_with("REDIS_URL: ") && refused.contains("\"secret\""), "{refused}");
    }

    #[test]
    fn the_password_of_redis_comes_from_one_place_and_one_in_the_url_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "s3:cret\n").unwrap();
        let password = |password: Option<&str>, file: Option<&Path>| RedisVariables {
            url: None,
            password: password.map(Into::into),
            password_file: file.map(Into::into),
        };
        let with = |text| store_at(Some(text), RedisVariables::default());
        let url = Some("redis://h");
        assert_eq!(store_at(url, password(Some("s3:cret"), None)), with("redis://:s3%3Acret@h"));
        assert_eq!(store_at(url, password(None, Some(&file))), with("redis://:s3%3Acret@h"));
        assert_eq!(store_at(Some("redis://:mine@h"), password(Some("x"), None)), with("redis://:mine@h"));
        let refused = store_at(url, password(Some("x"), Some(&file))).unwrap_err();
        assert!(refused.contains("REDIS_PASSWORD and REDIS_PASSWORD_FILE"), "{refused}");
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in
            [("0s", 0), ("5s", 5000), ("500ms", 500), ("1m", 60_000), ("1m 30s", 90_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "-5s", "5 parsecs", "1e9s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
