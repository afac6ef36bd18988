//! What can be set about a Redis server or cluster, besides its URL?

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::Args;
use store::Location;

use super::settings::{UsageError, read_secret, refuse_without, variable};

#[derive(Args, Clone, Debug)]
pub(super) struct RedisSettings {
    /// Replicas of a Redis server that must have a change before it is answered as done
    #[arg(long, env = "HELLO_REDIS_WAIT", value_name = "NUMBER", default_value_t = 0)]
    redis_wait: u32,
    /// Not flags: the variables that programs on Redis are usually given.
    #[arg(skip = Variables::read(variable))]
    variables: Variables,
}

/// What the environment says of Redis; secrets among it, which `Debug` doesn't show.
#[derive(Clone, Default)]
struct Variables {
    url: Option<OsString>,
    password: Option<OsString>,
    password_file: Option<OsString>,
}

impl RedisSettings {
    /// So many replicas must have a change before it is done.
    pub(super) const fn wait(&self) -> u32 {
        self.redis_wait
    }

    /// The place that `REDIS_URL` names.
    pub(super) fn location(&self) -> Result<Option<Location>, UsageError> {
        let Some(url) = &self.variables.url else { return Ok(None) };
        let location = url.to_string_lossy().parse();
        match location.map_err(|error| UsageError::new(format!("REDIS_URL: {error}")))? {
            location @ Location::Redis(_) => self.with_password(location).map(Some),
            Location::SqliteFile(_) | Location::SqliteMemory | Location::Postgres(_) => {
                Err(UsageError::new("REDIS_URL must be the URL of a Redis server or cluster"))
            }
        }
    }

    /// Refuses what is of no use without `REDIS_URL`.
    pub(super) fn refuse_half(&self) -> Result<(), UsageError> {
        let Variables { url: _, password, password_file } = &self.variables;
        refuse_without("REDIS_URL", &[("REDIS_PASSWORD", password), ("REDIS_PASSWORD_FILE", password_file)])
    }

    /// The place with the password that is set beside it. One in the URL is more specific, and wins; other
    /// stores have none of this.
    pub(super) fn with_password(&self, location: Location) -> Result<Location, UsageError> {
        let Location::Redis(url) = location else { return Ok(location) };
        let Some(password) = self.variables.password()? else { return Ok(Location::Redis(url)) };
        Ok(Location::Redis(if url.has_password() { url } else { url.with_password(password) }))
    }
}

impl Variables {
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            url: variable("REDIS_URL"),
            password: variable("REDIS_PASSWORD"),
            password_file: variable("REDIS_PASSWORD_FILE"),
        }
    }

    fn password(&self) -> Result<Option<String>, UsageError> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => {
                Err(UsageError::new("REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set; set one of them"))
            }
            (Some(password), None) => Ok(Some(password.to_string_lossy().into_owned())),
            (None, Some(file)) => read_secret("REDIS_PASSWORD_FILE", Path::new(file)).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(…)")
    }
}

#[cfg(test)]
impl RedisSettings {
    /// Of a command line and an environment that say nothing but this.
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let variables = Variables::read(|name| find(name).map(|(_, value)| value.into()));
        Self { redis_wait: 0, variables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_is_named_by_its_variable() {
        let located = |url: &str| {
            RedisSettings::of(&[("REDIS_URL", url)]).location().map_err(|error| error.to_string())
        };
        assert_eq!(located("redis://a:1").unwrap().unwrap().to_string(), "Redis at a:1");
        let refused = located("sqlite:x.db").unwrap_err();
        assert!(refused.starts_with("REDIS_URL"), "{refused}");
        let refused = located("redis://h?secret=x").unwrap_err();
        assert!(refused.starts_with("REDIS_URL: ") && refused.contains("\"secret\""), "{refused}");
    }

    #[test]
    fn the_password_of_redis_comes_from_one_place_and_one_in_the_url_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "s3:cret\n").unwrap();
        let file = file.to_str().unwrap();
        let place = |url: &str| url.parse::<Location>().unwrap();
        let with =
            |url: &str, variables: &[(&str, &str)]| RedisSettings::of(variables).with_password(place(url));
        let whole = place("redis://:s3%3Acret@h");
        assert_eq!(with("redis://h", &[("REDIS_PASSWORD", "s3:cret")]).unwrap(), whole);
        assert_eq!(with("redis://h", &[("REDIS_PASSWORD_FILE", file)]).unwrap(), whole);
        assert_eq!(with("redis://:mine@h", &[("REDIS_PASSWORD", "x")]).unwrap(), place("redis://:mine@h"));
        assert_eq!(with("sqlite:x.db", &[("REDIS_PASSWORD", "x")]).unwrap(), place("sqlite:x.db"));
        let refused =
            with("redis://h", &[("REDIS_PASSWORD", "x"), ("REDIS_PASSWORD_FILE", file)]).unwrap_err();
        assert!(refused.to_string().contains("REDIS_PASSWORD and REDIS_PASSWORD_FILE"), "{refused}");
    }
}
