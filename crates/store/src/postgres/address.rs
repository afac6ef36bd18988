//! Which server does a `postgres://` URL name, and how is it spoken to?
//!
//! The syntax and the names of the parameters are libpq's. We read it ourselves: the driver refuses
//! some of them and takes others without doing what they say.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::parameters;

/// The port of a server whose URL names none.
pub(super) const DEFAULT_PORT: u16 = 5432;
/// How long connecting to one host may take, to the first statement's answer, if the URL doesn't say.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// A PostgreSQL server, or several of which one takes writes.
///
/// `Debug` and `Display` show hosts, ports and the database: never who connects, nor the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// In the order of the URL; at least one.
    pub(super) hosts: Vec<Host>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: Option<String>,
    /// As it was said; [`Self::tls`] is what is done.
    pub(super) tls: Option<Tls>,
    pub(super) target: Target,
    pub(super) application_name: String,
    pub(super) options: Option<String>,
    pub(super) connect_within: Duration,
    pub(super) pooling: Pooling,
}

/// The parts of an address that is not given as a URL, as they are: nothing in them is decoded.
#[derive(Clone, Default)]
pub struct AddressParts {
    /// A name, an IP address, or the folder of a Unix socket; several, separated by commas, as in a URL.
    pub host: String,
    /// The port, if not the usual one.
    pub port: Option<u16>,
    /// The role.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The database; the server takes the role's name if there is none.
    pub database: Option<String>,
    /// As `sslmode` in a URL.
    pub sslmode: Option<String>,
    /// As `sslrootcert` in a URL.
    pub sslrootcert: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) place: Place,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String),
    /// The folder of the socket.
    Unix(PathBuf),
}

/// What `sslmode` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// No encryption.
    Disable,
    /// Encryption, with whoever answers.
    Require,
    /// Encryption with the host that was named, vouched for by one of these authorities.
    VerifyFull(Authorities),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorities {
    File(PathBuf),
    /// Their certificates themselves, in PEM.
    Text(String),
    /// The operating system's.
    System,
}

/// What `target_session_attrs` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    Writable,
    Readable,
}

/// What a connection can be relied on to keep from one statement to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// A session of its own: statements can be prepared.
    Session,
    /// A pooler that may give each transaction another session.
    Transaction,
}

/// A `postgres://` URL that can't be used. It holds no part of the URL but the names of parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// `%` without two hexadecimal digits, or not UTF-8.
    #[error(
        "in the postgres:// URL, write '%' as %25 and other characters as they are or as %XX of their UTF-8"
    )]
    Escape,
    /// A port that is none.
    #[error("a port of the postgres:// URL is not a number from 1 to 65535")]
    Port,
    /// Not one port for each host, nor one for all.
    #[error("the postgres:// URL has {hosts} hosts and {ports} ports; give one port, or one for each host")]
    Ports {
        /// How many hosts.
        hosts: usize,
        /// How many ports.
        ports: usize,
    },
    /// No host, or an IPv6 address without its brackets.
    #[error("the postgres:// URL names no host; write postgres://user@host/database")]
    Host,
    /// A parameter that is not known here.
    #[error("the postgres:// URL has the parameter '{0}', which is not known here")]
    Parameter(String),
    /// A parameter whose value can't be used.
    #[error("{name} of the postgres:// URL {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What is wanted of it, to follow its name.
        wanted: &'static str,
    },
}

impl Address {
    /// Reads what follows `postgres://` or `postgresql://`.
    pub(crate) fn parse(rest: &str) -> Result<Self, InvalidAddress> {
        parameters::read(rest)?.into_address()
    }

    /// An address of parts.
    ///
    /// # Errors
    /// As for a URL.
    pub fn from_parts(parts: AddressParts) -> Result<Self, InvalidAddress> {
        parameters::Settings::from(parts).into_address()
    }

    /// What is in force where nothing else was said.
    pub(super) fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            user: None,
            password: None,
            database: None,
            tls: None,
            target: Target::Any,
            application_name: "hello-birthday".into(),
            options: None,
            connect_within: CONNECT_WITHIN,
            pooling: Pooling::Session,
        }
    }

    /// The address of a replica of that server: it has the same roles and databases, so what its URL leaves out
    /// is as it is there.
    pub(super) fn of_replica(mut self, primary: &Self) -> Self {
        if self.user.is_none() || self.user == primary.user {
            self.password = self.password.or_else(|| primary.password.clone());
        }
        self.user = self.user.or_else(|| primary.user.clone());
        self.database = self.database.or_else(|| primary.database.clone());
        self.tls = self.tls.or_else(|| primary.tls.clone());
        self
    }

    /// On its way to another machine a birthday is encrypted, unless somebody says otherwise.
    pub(super) fn tls(&self) -> Tls {
        match &self.tls {
            Some(tls) => tls.clone(),
            None if self.hosts.iter().all(Host::is_local) => Tls::Disable,
            None => Tls::Require,
        }
    }
}

impl Host {
    /// Whether what is sent there stays on this machine.
    fn is_local(&self) -> bool {
        match &self.place {
            Place::Unix(_) => true,
            Place::Tcp(name) => {
                name == "localhost"
                    || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Tcp(name) => write!(f, "{name}:{}", self.port),
            Place::Unix(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        match &self.database {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Debug for AddressParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressParts(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, InvalidAddress> {
        Address::parse(url.strip_prefix("postgres://").unwrap())
    }

    fn tcp(name: &str, port: u16) -> Host {
        Host { place: Place::Tcp(name.into()), port }
    }

    #[test]
    fn hosts_and_ports_are_read_as_libpq_does() {
        for (url, hosts) in [
            ("postgres://db", vec![tcp("db", 5432)]),
            ("postgres://db:6432/x", vec![tcp("db", 6432)]),
            (
                "postgres://a,b:2,[::1]:3,[fe80::1]/x",
                vec![tcp("a", 5432), tcp("b", 2), tcp("::1", 3), tcp("fe80::1", 5432)],
            ),
            ("postgres:///x?host=a,b&port=1,2", vec![tcp("a", 1), tcp("b", 2)]),
            ("postgres:///x?host=a,b&port=7", vec![tcp("a", 7), tcp("b", 7)]),
            ("postgres:///x", vec![tcp("localhost", 5432)]),
            ("postgres://u@/x?host=/run/pg", vec![Host { place: Place::Unix("/run/pg".into()), port: 5432 }]),
            ("postgres://%2Frun%2Fpg:7/x", vec![Host { place: Place::Unix("/run/pg".into()), port: 7 }]),
        ] {
            assert_eq!(parse(url).unwrap().hosts, hosts, "{url}");
        }
    }

    #[test]
    fn user_password_and_database_are_decoded_and_never_shown() {
        let address = parse("postgres://us%40er:p%3A%2F%25@db:1/my%20data?application_name=a%26b").unwrap();
        assert_eq!(address.user.as_deref(), Some("us@er"));
        assert_eq!(address.password.as_deref(), Some("p:/%"));
        assert_eq!(address.database.as_deref(), Some("my data"));
        assert_eq!(address.application_name, "a&b");
        assert_eq!(address.to_string(), "db:1/my data");
        assert_eq!(format!("{address:?}"), "Address(db:1/my data)");
        // A '+' is a plus sign, and a password may hold '@' and ':' as they are.
        let address = parse("postgres://u:p+@:q@db/x").unwrap();
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("u"), Some("p+@:q")));
    }

    #[test]
    fn what_stays_on_this_machine_is_not_encrypted_and_all_else_is() {
        for (url, tls) in [
            ("postgres://localhost/x", Tls::Disable),
            ("postgres://127.0.0.2,[::1]/x", Tls::Disable),
            ("postgres:///x?host=/run", Tls::Disable),
            ("postgres://db/x", Tls::Require),
            ("postgres://localhost,db/x", Tls::Require),
            ("postgres://db/x?sslmode=disable", Tls::Disable),
            ("postgres://localhost/x?sslmode=require", Tls::Require),
            (
                "postgres://db/x?sslmode=verify-full&sslrootcert=/ca.pem",
                Tls::VerifyFull(Authorities::File("/ca.pem".into())),
            ),
            (
                "postgres://db/x?sslmode=verify-full&sslrootcert=-----BEGIN%20CERTIFICATE-----%0AMA==",
                Tls::VerifyFull(Authorities::Text("-----BEGIN CERTIFICATE-----\nMA==".into())),
            ),
            ("postgres://db/x?sslmode=verify-full", Tls::VerifyFull(Authorities::System)),
            ("postgres://db/x?sslmode=verify-full&sslrootcert=system", Tls::VerifyFull(Authorities::System)),
        ] {
            assert_eq!(parse(url).unwrap().tls(), tls, "{url}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_name_and_nothing_secret_is_repeated() {
        for (url, word) in [
            ("postgres://u:secret@db/x?keepalives=1", "'keepalives'"),
            ("postgres://u:1234?2secret@db/x", "'…'"),
            ("postgres://u:1234?secret=2@db/x", "'…'"),
            ("postgres://u:secret@db/x?sslmode=prefer", "sslmode"),
            ("postgres://u:secret@db/x?sslmode=allow", "sslmode"),
            ("postgres://u:secret@db/x?sslmode=verify-ca", "sslmode"),
            ("postgres://u:secret@db/x?sslmode=secret", "sslmode"),
            ("postgres://u:secret@db/x?sslmode=verify-full&sslrootcert=", "sslrootcert"),
            ("postgres://u:secret@db/x?sslmode=require&sslrootcert=/ca", "sslrootcert"),
            ("postgres://u:secret@db/x?target_session_attrs=secret", "target_session_attrs"),
            ("postgres://u:secret@db/x?connect_timeout=secret", "connect_timeout"),
            ("postgres://u:secret@db/x?connect_timeout=0", "connect_timeout"),
            ("postgres://u:secret@db/x?pool_mode=secret", "pool_mode"),
            ("postgres://u:secret@db:0/x", "port"),
            ("postgres://u:secret@db:x/x", "port"),
            ("postgres://u:secret%zz@db/x", "%25"),
            ("postgres://u:secret@db%ff/x", "%25"),
            ("postgres://u:secret@a,b,c/x?port=1,2", "3 hosts and 2 ports"),
            ("postgres://u:secret@a,,b/x", "host"),
            ("postgres://u:secret@::1/x", "host"),
        ] {
            let refusal = parse(url).unwrap_err().to_string();
            assert!(refusal.contains(word), "{url}: {refusal}");
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn parts_are_taken_as_they_are() {
        let parts = AddressParts {
            host: "db".into(),
            port: Some(1),
            user: Some("u%40".into()),
            password: Some("p@/%:".into()),
            database: Some("d".into()),
            sslmode: Some("disable".into()),
            ..AddressParts::default()
        };
        let address = Address::from_parts(parts).unwrap();
        assert_eq!(address.user.as_deref(), Some("u%40"));
        assert_eq!(address.password.as_deref(), Some("p@/%:"));
        assert_eq!(address.tls(), Tls::Disable);
        let parts = AddressParts { host: "/run/postgresql".into(), ..AddressParts::default() };
        assert_eq!(Address::from_parts(parts).unwrap().hosts[0].place, Place::Unix("/run/postgresql".into()));
    }

    #[test]
    fn parts_name_several_hosts_as_a_url_does() {
        let parts = AddressParts { host: "a,b".into(), port: Some(6543), ..AddressParts::default() };
        assert_eq!(
            Address::from_parts(parts).unwrap().hosts,
            parse("postgres://a:6543,b:6543/").unwrap().hosts
        );
        let parts = AddressParts { host: "a,,b".into(), ..AddressParts::default() };
        assert!(Address::from_parts(parts).is_err());
    }

    #[test]
    fn a_replica_is_as_its_primary_where_its_url_says_nothing() {
        let primary =
            parse("postgres://anna:secret@db/birthdays?sslmode=verify-full&sslrootcert=/ca.pem").unwrap();
        let bare = parse("postgres://replica").unwrap().of_replica(&primary);
        assert_eq!((bare.user, bare.password), (primary.user.clone(), primary.password.clone()));
        assert_eq!((bare.database, bare.tls), (primary.database.clone(), primary.tls.clone()));
        assert_eq!(bare.hosts, [tcp("replica", 5432)]);

        let full = parse("postgres://reader:own@replica/other?sslmode=disable").unwrap();
        assert_eq!(full.clone().of_replica(&primary), full);
        // A password goes with its role.
        assert_eq!(parse("postgres://reader@replica").unwrap().of_replica(&primary).password, None);
        let same = parse("postgres://anna@replica").unwrap().of_replica(&primary);
        assert_eq!(same.password.as_deref(), Some("secret"));
    }
}
