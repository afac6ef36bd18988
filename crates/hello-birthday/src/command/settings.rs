//! What can be set, by which flag and which variable? The one file that knows the command line and the
//! environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use birthday::{Almanac, Date, LeapDay, Timestamp, Zone, find_zone};
use clap::builder::{BoolishValueParser, RangedI64ValueParser, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use server::{Drain, Limits, Rate};
use store::{Location, Options};

use super::postgres_settings::PostgresSettings;
use super::redis_settings::RedisSettings;
use crate::access::{Label, Scopes, Source, TokensFile, parse_day};
use crate::coming::{DAYS, DAYS_MAX};
use crate::exchange::{self, Spaces};
use crate::http::{HostName, Hosts};
use crate::log::{Filter, Format};

/// Where the data is if nobody says.
const DEFAULT_FILE: &str = "hello-birthday.db";

/// A self-hosted birthday service: keep a date by name, count the days until the next birthday.
#[derive(Debug, Parser)]
#[command(name = "hello-birthday", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Without a command, the service is started: `hello-birthday` is `hello-birthday serve`.

Exit codes: 0 done, 1 failed, 2 wrong setting, 74 the disk failed or the embedded store is damaged"
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
    Serve(Box<ServeSettings>),
    /// Tell whose birthdays come, soonest first, while the store may be served
    Birthdays(BirthdaysSettings),
    /// Bring the store's schema up to date, and end
    Migrate(StoreSettings),
    /// Write every record, as JSON lines or CSV, while the store may be served
    Export(ExportSettings),
    /// Take in records of JSON lines, CSV or vCards; what is there already stays, unless a record says
    /// otherwise
    Import(ImportSettings),
    /// Copy the embedded store into a new file, while it may be served
    Backup(BackupSettings),
    /// Make an access token: it is printed on standard error, its line for the file of tokens on standard
    /// output
    Token(TokenSettings),
    /// Ask the service that runs here whether it is healthy, for images without a shell
    Healthcheck(HealthcheckSettings),
    /// Print the description of the interface that GET /openapi.json shows
    Openapi,
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages, for `man`
    Manual {
        /// The folder to write them to, which must be there
        folder: PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(super) struct ServeSettings {
    #[command(flatten)]
    listen: ListenSettings,
    #[command(flatten)]
    pub(super) store: StoreSettings,
    #[command(flatten)]
    pub(super) calendar: CalendarSettings,
    /// A name by which the service may be asked, such as that of a proxy; more than one with commas between them.
    /// Addresses and localhost need none. If not set: any name with tokens or on an address of a network, else
    /// none
    #[arg(long = "host", env = "HELLO_HOSTS", value_name = "NAMES", value_delimiter = ',', value_parser = HostName::parse)]
    hosts: Vec<HostName>,
    #[command(flatten)]
    access: AccessSettings,
    #[command(flatten)]
    pub(super) log: LogSettings,
    /// Address and port of a listener for /metrics alone; without it they are on the main one
    #[arg(long, env = "HELLO_METRICS_LISTEN", value_name = "ADDRESS", value_parser = address)]
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
    /// service without a proxy before it; probes and the listener for metrics don't count; no limit if not set
    #[arg(long, env = "HELLO_RATE_LIMIT", value_name = "NUMBER")]
    rate_limit: Option<NonZeroU32>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ListenSettings {
    /// Address and port to listen on; where only PORT is set, that port of every address [default:
    /// 127.0.0.1:8080]
    #[arg(long, env = "HELLO_LISTEN", value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Not a flag: PORT is what platforms that run a container set.
    #[arg(skip = variable("PORT"))]
    port: Option<OsString>,
}

#[derive(Args, Clone, Debug)]
struct UrlSettings {
    /// Where the data is: sqlite:FILE, sqlite::memory:, postgres://USER@HOST/DATABASE, redis://HOST,
    /// rediss://HOST or redis-cluster://HOST,HOST [default: sqlite:hello-birthday.db]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    store: Option<Secret>,
    /// A file that holds the store's URL, for secrets that are mounted
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    store_file: Option<PathBuf>,
}

/// The same without the variables where there is a flag.
#[derive(Clone, Debug)]
struct StoreUrl {
    settings: UrlSettings,
    set_by: SetBy,
}

#[derive(Clone, Copy, Debug)]
enum SetBy {
    Flag,
    Variable,
}

#[derive(Args, Clone, Debug)]
pub(super) struct StoreSettings {
    #[command(flatten)]
    url: StoreUrl,
    /// Keep the data even on a network file system, where it can be lost
    #[arg(long, env = "HELLO_ANY_FILE_SYSTEM", value_parser = BoolishValueParser::new())]
    any_file_system: bool,
    #[command(flatten)]
    postgres: PostgresSettings,
    #[command(flatten)]
    redis: RedisSettings,
}

#[derive(Args, Clone, Debug)]
struct ZoneSettings {
    /// The IANA name of the zone whose today it is
    #[arg(long, env = "HELLO_TIME_ZONE", value_name = "ZONE", default_value = "UTC", value_parser = find_zone)]
    time_zone: Zone,
}

#[derive(Args, Clone, Debug)]
pub(super) struct CalendarSettings {
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
struct TokensSettings {
    /// A file that lists who may do what, one token a line; without it, anybody may do anything
    #[arg(long, env = "HELLO_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// The lines of such a file themselves, for where nothing can mount one; they change by a restart
    #[arg(long, env = "HELLO_TOKENS", hide_env_values = true, value_name = "LINES")]
    tokens: Option<Secret>,
}

/// The same without the variables where there is a flag.
#[derive(Clone, Debug)]
struct TokensListed {
    settings: TokensSettings,
    set_by: SetBy,
}

#[derive(Args, Clone, Debug)]
struct AccessSettings {
    #[command(flatten)]
    listed: TokensListed,
    /// Don't start without tokens
    #[arg(long, env = "HELLO_REQUIRE_AUTH", value_parser = BoolishValueParser::new())]
    require_auth: bool,
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
    /// How records are written [default: as the file's name ends, in .jsonl or .csv; jsonl for standard output]
    #[arg(long)]
    format: Option<exchange::Output>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct BirthdaysSettings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    /// How many days ahead, today not counted: 0 to 366
    #[arg(long, value_name = "NUMBER", default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(..=i64::from(DAYS_MAX)))]
    pub(super) days: u16,
    /// A line for people each, or one JSON list
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: BirthdaysFormat,
    #[command(flatten)]
    pub(super) calendar: CalendarSettings,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum BirthdaysFormat {
    Text,
    Json,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ImportSettings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    /// The file to read; without it, standard input
    pub(super) file: Option<PathBuf>,
    /// How records are written [default: as the file's name ends, in .jsonl, .csv or .vcf; jsonl for
    /// standard input]
    #[arg(long)]
    format: Option<exchange::Format>,
    /// What is done about a name with spaces, such as Anna Müller: a username has none
    #[arg(long, value_name = "WAY", default_value = "refuse")]
    pub(super) spaces: Spaces,
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
pub(super) struct TokenSettings {
    /// What the token allows: hello:read, hello:write, user:read, user:write, calendar, metrics; more than
    /// one with commas between them
    #[arg(long, value_name = "SCOPES")]
    pub(super) scope: Scopes,
    /// The last day, in UTC, on which it is valid; without it, it is valid until its line is deleted
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    pub(super) expires: Option<Date>,
    /// A few words on whose token it is, for whoever reads the file
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) label: Label,
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
    let command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches().map_err(name_the_variable)?;
    Cli::from_arg_matches(&matches)
}

/// A variable that is set to nothing is not set: so do templates leave out what they have no value for.
pub(super) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The same for the variables that clap reads.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
    let read = |argument: Arg| match argument.get_env() {
        Some(name) if is_empty(name) => argument.env(Resettable::Reset),
        Some(_) | None => argument,
    };
    command.mut_args(read).mut_subcommands(without_empty_variables)
}

impl Cli {
    pub(super) fn into_command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Serve(Box::new(self.serve)))
    }
}

impl ServeSettings {
    pub(super) fn listen(&self) -> Result<SocketAddr, UsageError> {
        self.listen.address()
    }

    /// What says who may do what; `None` where anybody may do anything.
    pub(super) fn tokens(&self) -> Result<Option<Source>, UsageError> {
        let AccessSettings { listed: TokensListed { settings, set_by }, require_auth } = &self.access;
        match (&settings.tokens_file, &settings.tokens) {
            (Some(_), Some(_)) => {
                let both = match set_by {
                    SetBy::Flag => "--tokens-file and --tokens",
                    SetBy::Variable => "HELLO_TOKENS_FILE and HELLO_TOKENS",
                };
                Err(UsageError(format!("{both} are both set; set one of them")))
            }
            (Some(path), None) => {
                TokensFile::open(path).map(|file| Some(Source::File(file))).map_err(|error| {
                    UsageError(format!("HELLO_TOKENS_FILE or --tokens-file: {} {error}", path.display()))
                })
            }
            (None, Some(lines)) => Source::read(lines.as_str())
                .map(Some)
                .map_err(|error| UsageError(format!("HELLO_TOKENS or --tokens: {error}"))),
            (None, None) if *require_auth => Err(UsageError::new(
                "HELLO_REQUIRE_AUTH or --require-auth: set HELLO_TOKENS_FILE or --tokens-file, too",
            )),
            (None, None) => Ok(None),
        }
    }

    /// By which names it may be asked: where anybody on this machine may do anything, a browser must not be led
    /// here by a name of somebody else.
    pub(super) fn hosts(&self, listens_on: SocketAddr, tokens: Option<&Source>) -> Hosts {
        let is_local = tokens.is_none() && listens_on.ip().to_canonical().is_loopback();
        if self.hosts.is_empty() && !is_local { Hosts::any() } else { Hosts::local_and(self.hosts.clone()) }
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

impl CalendarSettings {
    pub(super) fn almanac(&self) -> Almanac {
        let leap_day = match self.leap_day {
            Rule::Feb28 => LeapDay::Feb28,
            Rule::Mar1 => LeapDay::Mar1,
        };
        Almanac::new(self.zone.time_zone.clone(), leap_day, Arc::new(Timestamp::now))
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

    pub(super) fn format(&self) -> Result<exchange::Format, UsageError> {
        let told = self.format.or_else(|| match &self.file {
            Some(file) => exchange::Format::of(file),
            None => Some(exchange::Format::Jsonl),
        });
        told.ok_or_else(|| UsageError::new("--format: the file's name doesn't end in .jsonl, .csv or .vcf"))
    }
}

impl ExportSettings {
    pub(super) fn format(&self) -> Result<exchange::Output, UsageError> {
        let told = self.format.or_else(|| match &self.file {
            Some(file) => exchange::Output::of(file),
            None => Some(exchange::Output::Jsonl),
        });
        told.ok_or_else(|| UsageError::new("--format: the file's name doesn't end in .jsonl or .csv"))
    }
}

impl StoreSettings {
    pub(super) fn options(&self) -> Result<Options, UsageError> {
        let location = self.location()?;
        let replica = self.postgres.replica()?;
        let migrate_on_start = self.postgres.migration_on_start(location.clone())?;
        match location {
            Location::Postgres(_) => {}
            Location::SqliteFile(_) | Location::SqliteMemory | Location::Redis(_) if replica.is_some() => {
                return Err(UsageError::new("DATABASE_REPLICA_URL or --replica: the store has no replicas"));
            }
            // The schema of these is brought up to date whenever they are opened.
            Location::SqliteFile(_) | Location::SqliteMemory | Location::Redis(_) => {}
        }
        let stale_reads = self.postgres.stale_reads;
        let (any_file_system, redis_wait) = (self.any_file_system, self.redis.wait());
        Ok(Options { any_file_system, replica, stale_reads, migrate_on_start, redis_wait })
    }

    /// The store's place, by the first of: a flag, `DATABASE_URL` or its file, `POSTGRES_HOST`, `REDIS_URL`,
    /// the default.
    pub(super) fn location(&self) -> Result<Location, UsageError> {
        if let Some(location) = self.url.location()? {
            return self.redis.with_password(location);
        }
        if let Some(location) = self.postgres.location()? {
            return Ok(location);
        }
        if let Some(location) = self.redis.location()? {
            return Ok(location);
        }
        // Whoever sets half of a server doesn't mean the embedded store, which would be empty.
        self.postgres.refuse_half()?;
        self.redis.refuse_half()?;
        Ok(Location::SqliteFile(DEFAULT_FILE.into()))
    }

    /// Where the schema is changed.
    pub(super) fn migration(&self) -> Result<Location, UsageError> {
        self.postgres.migration(self.location()?)
    }
}

impl FromArgMatches for StoreUrl {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let UrlSettings { mut store, mut store_file } = UrlSettings::from_arg_matches(matches)?;
        let set_by = flag_wins(matches, ("store", &mut store), ("store_file", &mut store_file));
        Ok(Self { settings: UrlSettings { store, store_file }, set_by })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl FromArgMatches for TokensListed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let TokensSettings { mut tokens_file, mut tokens } = TokensSettings::from_arg_matches(matches)?;
        let set_by = flag_wins(matches, ("tokens_file", &mut tokens_file), ("tokens", &mut tokens));
        Ok(Self { settings: TokensSettings { tokens_file, tokens }, set_by })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for TokensListed {
    fn augment_args(command: clap::Command) -> clap::Command {
        TokensSettings::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        TokensSettings::augment_args_for_update(command)
    }
}

/// Of two settings that say the same, takes away what a variable says where one has a flag.
fn flag_wins<A, B>(matches: &ArgMatches, a: (&str, &mut Option<A>), b: (&str, &mut Option<B>)) -> SetBy {
    let is_flag = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    match (is_flag(a.0), is_flag(b.0)) {
        (false, false) => return SetBy::Variable,
        (true, false) => *b.1 = None,
        (false, true) => *a.1 = None,
        (true, true) => {}
    }
    SetBy::Flag
}

impl Args for StoreUrl {
    fn augment_args(command: clap::Command) -> clap::Command {
        UrlSettings::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        UrlSettings::augment_args_for_update(command)
    }
}

impl StoreUrl {
    fn location(&self) -> Result<Option<Location>, UsageError> {
        let (url, file) = match self.set_by {
            SetBy::Flag => ("--store", "--store-file"),
            SetBy::Variable => ("DATABASE_URL", "DATABASE_URL_FILE"),
        };
        let (text, named) = match (&self.settings.store, &self.settings.store_file) {
            (None, None) => return Ok(None),
            (Some(text), None) => (text.as_str().to_owned(), url),
            (None, Some(path)) => (read_secret(file, path)?, file),
            (Some(_), Some(_)) => {
                return Err(UsageError(format!("{url} and {file} are both set; set one of them")));
            }
        };
        text.parse().map(Some).map_err(|error| UsageError(format!("{named}: {error}")))
    }
}

impl UsageError {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// A setting that may hold a password: `Debug` shows nothing.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a file with a secret holds, without the end of its last line.
pub(super) fn read_secret(variable: &str, file: &Path) -> Result<String, UsageError> {
    let refuse = |error| UsageError(format!("{variable} {} can't be read: {error}", file.display()));
    Ok(fs::read_to_string(file).map_err(refuse)?.trim_end_matches(['\r', '\n']).to_owned())
}

/// Refuses the first of these variables that is set, for want of another.
pub(super) fn refuse_without(missing: &str, half: &[(&str, &Option<OsString>)]) -> Result<(), UsageError> {
    let Some((name, _)) = half.iter().find(|(_, value)| value.is_some()) else { return Ok(()) };
    Err(UsageError(format!(
        "{name} is set and {missing} is not; set that too, or name the store in DATABASE_URL"
    )))
}

fn from_one() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8080 or [::]:8080")
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
    if let Some(variable) = argument.and_then(Arg::get_env)
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

    #[test]
    fn a_url_wins_over_parts_and_parts_over_the_default() {
        let located = |url: Option<&str>, variables: &[(&str, &str)]| {
            let settings = UrlSettings { store: url.map(|url| Secret(url.to_owned())), store_file: None };
            let url = StoreUrl { settings, set_by: SetBy::Variable };
            let (postgres, redis) = (PostgresSettings::of(variables), RedisSettings::of(variables));
            StoreSettings { url, any_file_system: false, postgres, redis }.location()
        };
        let place = |url: &str| url.parse::<Location>().unwrap();
        assert_eq!(located(Some("sqlite:x.db"), &[("POSTGRES_HOST", "db")]).unwrap(), place("sqlite:x.db"));
        assert_eq!(located(None, &[("POSTGRES_HOST", "db")]).unwrap(), place("postgres://db"));
        assert_eq!(
            located(None, &[("POSTGRES_HOST", "db"), ("REDIS_URL", "redis://r")]).unwrap(),
            place("postgres://db")
        );
        assert_eq!(located(None, &[("REDIS_URL", "redis://r")]).unwrap(), place("redis://r"));
        assert_eq!(
            located(Some("sqlite:x.db"), &[("REDIS_URL", "redis://r")]).unwrap(),
            place("sqlite:x.db")
        );
        assert_eq!(located(None, &[]).unwrap(), place("sqlite:hello-birthday.db"));
        let refused = located(Some("postgres://u:secret@h?x=secret"), &[]).unwrap_err().to_string();
        assert!(refused.contains("'x'") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn what_is_no_address_is_told_how_to_be_one() {
        for text in ["8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:65536"] {
            assert!(address(text).unwrap_err().contains("such as 127.0.0.1:8080"), "{text}");
        }
        for text in ["127.0.0.1:0", "[::]:8080"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
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
