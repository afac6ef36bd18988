//! What does a `redis://` URL say? Which servers, one or a cluster, encrypted or not, who we are there.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 6379;
/// The one parameter that is known: a file of certificates to trust instead of the system's.
const ROOT_CERTIFICATE: &str = "sslrootcert";

/// Where a Redis store is: `redis://`, `rediss://` (TLS), `redis-cluster://` or `rediss-cluster://`,
/// then `[user][:password]@host[:port][,host[:port]…][/database][?sslrootcert=FILE]`.
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// At least one; more than one only for a cluster, of which any that answers will do.
    pub(super) hosts: Vec<Address>,
    pub(super) topology: Topology,
    pub(super) tls: Option<Tls>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: u32,
}

/// How many servers have the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Single,
    Cluster,
}

/// Whom to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// A PEM file; the system's certificates if there is none.
    pub(super) roots: Option<PathBuf>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

/// What is wrong with a URL. Nothing of it is repeated but the names of parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisUrl {
    /// No host, or something that can't be one.
    #[error("a redis URL names its servers as host or host:port, several of a cluster with commas between")]
    Host,
    /// Several hosts without a cluster.
    #[error("redis:// names one server; for a cluster write redis-cluster://host:port,host:port")]
    SeveralHosts,
    /// Not a number after the `/`.
    #[error("what follows the '/' of a redis URL is the number of a database, such as redis://host/0")]
    Database,
    /// A database of a cluster.
    #[error("a Redis cluster has database 0 only; leave the number out")]
    ClusterDatabase,
    /// Something that is percent-encoded, but not to UTF-8.
    #[error("user and password of a redis URL must be percent-encoded UTF-8")]
    Encoding,
    /// A parameter that is not known.
    #[error("the redis URL has the parameter {0:?}, which is not known; only sslrootcert is, for rediss://")]
    Parameter(String),
}

impl RedisUrl {
    /// Reads a URL; `None` if its scheme is not one of Redis.
    pub(crate) fn parse(url: &str) -> Option<Result<Self, InvalidRedisUrl>> {
        let (scheme, rest) = url.split_once("://")?;
        let (topology, tls) = match scheme {
            "redis" => (Topology::Single, None),
            "rediss" => (Topology::Single, Some(Tls::default())),
            "redis-cluster" => (Topology::Cluster, None),
            "rediss-cluster" => (Topology::Cluster, Some(Tls::default())),
            _ => return None,
        };
        Some(Self::parse_rest(topology, tls, rest))
    }

    /// The same place, with that password.
    #[must_use]
    pub fn with_password(self, password: String) -> Self {
        Self { password: Some(Secret(password)), ..self }
    }

    /// Whether the URL itself has a password.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    fn parse_rest(topology: Topology, tls: Option<Tls>, rest: &str) -> Result<Self, InvalidRedisUrl> {
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let tls = with_parameters(tls, parameters)?;
        // A password may hold any sign but '?' unencoded; people forget to encode the others.
        let (who, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = who.split_once(':').map_or((who, None), |(user, rest)| (user, Some(rest)));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = hosts.split(',').map(address).collect::<Option<Vec<_>>>().ok_or(InvalidRedisUrl::Host)?;
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| InvalidRedisUrl::Database)?,
        };
        match topology {
            Topology::Single if hosts.len() > 1 => return Err(InvalidRedisUrl::SeveralHosts),
            Topology::Cluster if database != 0 => return Err(InvalidRedisUrl::ClusterDatabase),
            Topology::Single | Topology::Cluster => {}
        }
        let user = decoded(user)?;
        let password = password.map(decoded).transpose()?.map(Secret);
        let user = Some(user).filter(|user| !user.is_empty());
        Ok(Self { hosts, topology, tls, user, password, database })
    }
}

fn with_parameters(mut tls: Option<Tls>, parameters: &str) -> Result<Option<Tls>, InvalidRedisUrl> {
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match &mut tls {
            Some(tls) if name == ROOT_CERTIFICATE => tls.roots = Some(decoded(value)?.into()),
            Some(_) | None => {
                // What is not a plain word is not a parameter's name, and could be a part of a password, as could
                // whatever stands before an '@'.
                let plain = name.len() <= 32
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                    && !parameters.contains('@');
                return Err(InvalidRedisUrl::Parameter(if plain { name.into() } else { "…".into() }));
            }
        }
    }
    Ok(tls)
}

fn decoded(text: &str) -> Result<String, InvalidRedisUrl> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| InvalidRedisUrl::Encoding)
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn address(text: &str) -> Option<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |sign: char| sign.is_ascii_alphanumeric() || ".-_:".contains(sign);
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
    Some(Address { host: host.to_owned(), port })
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The servers alone, in words for the operator.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.topology {
            Topology::Single => "Redis at ",
            Topology::Cluster => "the Redis cluster at ",
        })?;
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> RedisUrl {
        RedisUrl::parse(url).unwrap().unwrap()
    }

    #[test]
    fn a_url_names_servers_who_we_are_there_and_a_database() {
        let url = parsed("redis://anna:p%40s%2Fs:word@db.example.org:7000/3");
        assert_eq!(url.hosts, [Address { host: "db.example.org".into(), port: 7000 }]);
        assert_eq!((url.user.as_deref(), url.database), (Some("anna"), 3));
        assert_eq!(url.password, Some(Secret("p@s/s:word".into())));
        assert_eq!((url.topology, url.tls), (Topology::Single, None));
        let cluster = parsed("redis-cluster://:secret@[::1]:7000,10.0.0.2,c");
        assert_eq!(cluster.to_string(), "the Redis cluster at [::1]:7000,10.0.0.2:6379,c:6379");
        assert_eq!((cluster.topology, cluster.user), (Topology::Cluster, None));
        let secure = parsed("rediss://h?sslrootcert=/etc/ca%20x.pem");
        assert_eq!(secure.tls, Some(Tls { roots: Some("/etc/ca x.pem".into()) }));
        assert!(RedisUrl::parse("postgres://h").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name_and_the_password_is_never_shown() {
        for (url, refusal) in [
            ("redis://", InvalidRedisUrl::Host),
            ("redis://u:secret@", InvalidRedisUrl::Host),
            ("redis://u:secret@h:0", InvalidRedisUrl::Host),
            ("redis://u:sec/ret@h:6379/", InvalidRedisUrl::Host),
            ("redis://h,i", InvalidRedisUrl::SeveralHosts),
            ("redis://h/x", InvalidRedisUrl::Database),
            ("redis-cluster://h/1", InvalidRedisUrl::ClusterDatabase),
            ("redis://:%ff@h", InvalidRedisUrl::Encoding),
            ("redis://h?protocol=resp3", InvalidRedisUrl::Parameter("protocol".into())),
            ("redis://h?sslrootcert=x", InvalidRedisUrl::Parameter("sslrootcert".into())),
            ("redis://:hunter?2secret@h", InvalidRedisUrl::Parameter("…".into())),
            ("redis://:hunter?secret=2@h", InvalidRedisUrl::Parameter("…".into())),
        ] {
            match RedisUrl::parse(url).unwrap() {
                Err(found) => assert_eq!(found, refusal, "{url}"),
                // The last '@' ends the password, whatever is in it.
                Ok(found) => assert_eq!(found.password, Some(Secret("sec/ret".into())), "{url}"),
            }
            assert!(!refusal.to_string().contains("secret"));
        }
        let url = parsed("redis://anna:hidden@h").with_password("hidden too".into());
        assert!(!format!("{url:?} {url}").contains("hidden"));
    }
}
