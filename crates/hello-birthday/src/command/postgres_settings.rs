//! What can be set about a PostgreSQL server, besides its URL?

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;
use store::{Address, AddressParts, Location};

use super::settings::{Secret, UsageError, read_secret, refuse_without, variable};

#[derive(Args, Clone, Debug)]
pub(super) struct PostgresSettings {
    /// Replicas of the PostgreSQL server that reads may go to, as a postgres:// URL; what it leaves out
    /// is as for the store. Answers are at most a second old
    #[arg(long, env = "DATABASE_REPLICA_URL", hide_env_values = true, value_name = "URL")]
    replica: Option<Secret>,
    /// Let replicas answer, however old they are, when nobody else can
    #[arg(long, env = "HELLO_STALE_READS", value_parser = BoolishValueParser::new())]
    pub(super) stale_reads: bool,
    /// The same database for a role that may alter tables; without it, the store's own URL
    #[arg(long, env = "MIGRATION_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    migration_url: Option<Secret>,
    /// Bring the schema up to date before serving, rather than by a `migrate` of its own
    #[arg(long, env = "HELLO_MIGRATE_ON_START", value_parser = BoolishValueParser::new())]
    migrate_on_start: bool,
    /// Not flags: the variables by which many images are told of their database.
    #[arg(skip = Variables::read(variable))]
    variables: Variables,
}

/// What the environment says of the server in parts; secrets among it, which `Debug` doesn't show.
#[derive(Clone, Default)]
pub(super) struct Variables {
    host: Option<OsString>,
    port: Option<OsString>,
    username: Option<OsString>,
    password: Option<OsString>,
    password_file: Option<OsString>,
    database: Option<OsString>,
    sslmode: Option<OsString>,
    sslrootcert: Option<OsString>,
}

impl PostgresSettings {
    /// The place that `POSTGRES_HOST` names, with all that stands beside it.
    pub(super) fn location(&self) -> Result<Option<Location>, UsageError> {
        self.variables.location()
    }

    /// Refuses what is of no use without `POSTGRES_HOST`. The port is not such a thing: Kubernetes sets it
    /// wherever a Service is named postgres.
    pub(super) fn refuse_half(&self) -> Result<(), UsageError> {
        let Variables { username, password, password_file, database, sslmode, sslrootcert, .. } =
            &self.variables;
        let half = [
            ("POSTGRES_DATABASE", database),
            ("POSTGRES_USERNAME", username),
            ("POSTGRES_PASSWORD", password),
            ("POSTGRES_PASSWORD_FILE", password_file),
            ("POSTGRES_SSLMODE", sslmode),
            ("POSTGRES_SSLROOTCERT", sslrootcert),
        ];
        refuse_without("POSTGRES_HOST", &half)
    }

    /// Where reads may go instead.
    pub(super) fn replica(&self) -> Result<Option<Location>, UsageError> {
        self.replica.as_ref().map(|url| read("DATABASE_REPLICA_URL or --replica", url)).transpose()
    }

    /// Where the schema is changed: as told, or where the store is.
    pub(super) fn migration(&self, store: Location) -> Result<Location, UsageError> {
        match &self.migration_url {
            Some(url) => read("MIGRATION_DATABASE_URL or --migration-url", url),
            None => Ok(store),
        }
    }

    /// The same, if it is to be changed by who serves.
    pub(super) fn migration_on_start(&self, store: Location) -> Result<Option<Location>, UsageError> {
        if self.migrate_on_start { self.migration(store).map(Some) } else { Ok(None) }
    }
}

fn read(named: &str, url: &Secret) -> Result<Location, UsageError> {
    url.as_str().parse().map_err(|error| UsageError::new(format!("{named}: {error}")))
}

impl Variables {
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            host: variable("POSTGRES_HOST"),
            port: variable("POSTGRES_PORT"),
            username: variable("POSTGRES_USERNAME"),
            password: variable("POSTGRES_PASSWORD"),
            password_file: variable("POSTGRES_PASSWORD_FILE"),
            database: variable("POSTGRES_DATABASE"),
            sslmode: variable("POSTGRES_SSLMODE"),
            sslrootcert: variable("POSTGRES_SSLROOTCERT"),
        }
    }

    fn location(&self) -> Result<Option<Location>, UsageError> {
        let Some(host) = text("POSTGRES_HOST", self.host.as_ref())? else { return Ok(None) };
        let parts = AddressParts {
            host,
            port: text("POSTGRES_PORT", self.port.as_ref())?.map(|port| read_port(&port)).transpose()?,
            user: text("POSTGRES_USERNAME", self.username.as_ref())?,
            password: self.password()?,
            database: text("POSTGRES_DATABASE", self.database.as_ref())?,
            sslmode: text("POSTGRES_SSLMODE", self.sslmode.as_ref())?,
            sslrootcert: text("POSTGRES_SSLROOTCERT", self.sslrootcert.as_ref())?,
        };
        let address = Address::from_parts(parts).map_err(|error| {
            UsageError::new(format!("POSTGRES_HOST and the variables beside it: {error}"))
        })?;
        Ok(Some(Location::Postgres(Box::new(address))))
    }

    fn password(&self) -> Result<Option<String>, UsageError> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => Err(UsageError::new(
                "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set; set one of them",
            )),
            (password, None) => text("POSTGRES_PASSWORD", password.as_ref()),
            (None, Some(file)) => read_secret("POSTGRES_PASSWORD_FILE", Path::new(file)).map(Some),
        }
    }
}

fn text(name: &str, value: Option<&OsString>) -> Result<Option<String>, UsageError> {
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| UsageError::new(format!("{name} is not UTF-8")))?;
    Ok(Some(text.to_owned()))
}

/// A number; or `tcp://10.0.0.1:5432`, which Kubernetes sets where a Service is named postgres.
fn read_port(text: &str) -> Result<u16, UsageError> {
    let number = match text.strip_prefix("tcp://") {
        Some(address) => address.rsplit(':').next().unwrap_or_default(),
        None => text,
    };
    number.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        UsageError::new(
            "POSTGRES_PORT must be a number from 1 to 65535, or tcp://ADDRESS:NUMBER as Kubernetes sets it for a Service named postgres",
        )
    })
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(…)")
    }
}

#[cfg(test)]
impl PostgresSettings {
    /// Of a command line and an environment that say nothing but this.
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let variables = Variables::read(|name| find(name).map(|(_, value)| value.into()));
        Self { replica: None, stale_reads: false, migration_url: None, migrate_on_start: false, variables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(variables: &[(&str, &str)]) -> Result<Option<Location>, String> {
        PostgresSettings::of(variables).location().map_err(|error| error.to_string())
    }

    #[test]
    fn variables_name_the_same_place_as_a_url_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "p@/%:\n").unwrap();
        let url = |url: &str| Ok(Some(url.parse().unwrap()));
        assert_eq!(located(&[]), Ok(None));
        assert_eq!(located(&[("POSTGRES_PORT", "tcp://10.0.0.1:5432")]), Ok(None));
        assert_eq!(located(&[("POSTGRES_HOST", "db")]), url("postgres://db"));
        let all = [
            ("POSTGRES_HOST", "db"),
            ("POSTGRES_PORT", "6432"),
            ("POSTGRES_USERNAME", "us@er"),
            ("POSTGRES_DATABASE", "data"),
        ];
        let secret = [&all[..], &[("POSTGRES_PASSWORD", "p@/%:")]].concat();
        assert_eq!(located(&secret), url("postgres://us%40er:p%40%2F%25%3A@db:6432/data"));
        let secret = [&all[..], &[("POSTGRES_PASSWORD_FILE", file.to_str().unwrap())]].concat();
        assert_eq!(located(&secret), url("postgres://us%40er:p%40%2F%25%3A@db:6432/data"));
        assert_eq!(
            located(&[("POSTGRES_HOST", "db"), ("POSTGRES_SSLMODE", "disable")]),
            url("postgres://db?sslmode=disable")
        );
    }

    #[test]
    fn the_port_that_kubernetes_sets_is_understood() {
        for (port, number) in [("5432", 5432), ("tcp://10.0.0.1:6432", 6432), ("tcp://[fd00::1]:1", 1)] {
            assert_eq!(read_port(port).unwrap(), number, "{port}");
        }
        for port in ["0", "x", "65536", "tcp://", "tcp://10.0.0.1", "udp://10.0.0.1:1"] {
            let refused = located(&[("POSTGRES_HOST", "db"), ("POSTGRES_PORT", port)]).unwrap_err();
            assert!(refused.contains("Kubernetes"), "{port}: {refused}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name_without_repeating_a_secret() {
        for (variables, word) in [
            (
                &[("POSTGRES_PASSWORD", "secret"), ("POSTGRES_PASSWORD_FILE", "/x")],
                "POSTGRES_PASSWORD_FILE are both set",
            ),
            (&[("POSTGRES_PASSWORD", "secret"), ("POSTGRES_SSLMODE", "prefer")], "sslmode"),
            (&[("POSTGRES_PASSWORD", "secret"), ("POSTGRES_PORT", "secret")], "POSTGRES_PORT"),
        ] {
            let refused = located(&[&[("POSTGRES_HOST", "db")], &variables[..]].concat()).unwrap_err();
            assert!(refused.contains(word) && !refused.contains("secret"), "{refused}");
        }
        let shown = format!(
            "{:?}",
            PostgresSettings::of(&[("POSTGRES_HOST", "db"), ("POSTGRES_PASSWORD", "secret")])
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
