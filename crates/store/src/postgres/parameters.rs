//! How is a `postgres://` URL taken apart, and what may each parameter say?

use std::time::Duration;

use super::address::{
    Address, AddressParts, Authorities, DEFAULT_PORT, Host, InvalidAddress, Place, Pooling, Target, Tls,
};

/// What a URL says, each in its own words; what it doesn't say is `None`.
#[derive(Default)]
pub(super) struct Settings {
    hosts: Vec<String>,
    ports: Vec<Option<u16>>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    target_session_attrs: Option<String>,
    application_name: Option<String>,
    options: Option<String>,
    connect_timeout: Option<String>,
    pool_mode: Option<String>,
}

/// Takes apart what follows the scheme: `[user[:password]@][host[:port],…][/database][?name=value&…]`.
pub(super) fn read(rest: &str) -> Result<Settings, InvalidAddress> {
    let mut settings = Settings::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password may hold '/' and '@' that were not encoded; hosts and ports can't.
    let (who, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, password) = who.split_once(':').map_or((who, None), |(user, word)| (user, Some(word)));
    settings.user = non_empty(decode(user)?);
    settings.password = password.map(decode).transpose()?;
    settings.database = non_empty(decode(database)?);
    if !hosts.is_empty() {
        for host in hosts.split(',') {
            let (name, port) = split_port(host)?;
            settings.hosts.push(decode(name)?);
            settings.ports.push(port.map(read_port).transpose()?);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let set = settings.set(&decode(name)?, decode(value)?);
        // What stands before an '@' may be the end of a password that has a '?'.
        if query.contains('@') && matches!(set, Err(InvalidAddress::Parameter(_))) {
            return Err(InvalidAddress::Parameter("…".into()));
        }
        set?;
    }
    Ok(settings)
}

impl Settings {
    fn set(&mut self, name: &str, value: String) -> Result<(), InvalidAddress> {
        match name {
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => {
                let ports = value.split(',').map(|port| read_port(port).map(Some));
                self.ports = ports.collect::<Result<_, _>>()?;
            }
            "user" => self.user = non_empty(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = non_empty(value),
            "sslmode" => self.sslmode = Some(value),
            "sslrootcert" => self.sslrootcert = Some(value),
            "target_session_attrs" => self.target_session_attrs = Some(value),
            "application_name" => self.application_name = Some(value),
            "options" => self.options = non_empty(value),
            "connect_timeout" => self.connect_timeout = Some(value),
            "pool_mode" => self.pool_mode = Some(value),
            unknown => {
                // What is not a plain word is not a parameter's name, and could be a part of a secret.
                let plain = unknown.len() <= 32
                    && unknown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                return Err(InvalidAddress::Parameter(if plain { unknown.into() } else { "…".into() }));
            }
        }
        Ok(())
    }

    pub(super) fn into_address(self) -> Result<Address, InvalidAddress> {
        let mut address = Address::new(hosts(&self.hosts, &self.ports)?);
        address.tls = read_tls(self.sslmode.as_deref(), self.sslrootcert.as_deref())?;
        if let Some(target) = self.target_session_attrs {
            address.target = read_target(&target)?;
        }
        if let Some(name) = self.application_name {
            address.application_name = name;
        }
        if let Some(seconds) = self.connect_timeout {
            address.connect_within = read_connect_timeout(&seconds)?;
        }
        if let Some(mode) = self.pool_mode {
            address.pooling = read_pool_mode(&mode)?;
        }
        if address.pooling == Pooling::Transaction && self.options.is_some() {
            let wanted = "can't be used with pool_mode=transaction; set them for the role, with ALTER ROLE";
            return Err(InvalidAddress::Value { name: "options", wanted });
        }
        Ok(Address {
            user: self.user,
            password: self.password,
            database: self.database,
            options: self.options,
            ..address
        })
    }
}

impl From<AddressParts> for Settings {
    fn from(parts: AddressParts) -> Self {
        Self {
            hosts: parts.host.split(',').map(str::to_owned).collect(),
            ports: vec![parts.port],
            user: parts.user,
            password: parts.password,
            database: parts.database,
            sslmode: parts.sslmode,
            sslrootcert: parts.sslrootcert,
            ..Self::default()
        }
    }
}

/// One port for all, or one for each.
fn hosts(names: &[String], ports: &[Option<u16>]) -> Result<Vec<Host>, InvalidAddress> {
    let localhost = ["localhost".to_owned()];
    let names = if names.is_empty() { &localhost } else { names };
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(InvalidAddress::Ports { hosts: names.len(), ports: ports.len() });
    }
    let port_of =
        |index: usize| ports.get(index).or(ports.first()).copied().flatten().unwrap_or(DEFAULT_PORT);
    let host = |(index, name): (usize, &String)| {
        if name.is_empty() {
            return Err(InvalidAddress::Host);
        }
        let place = if name.starts_with('/') { Place::Unix(name.into()) } else { Place::Tcp(name.clone()) };
        Ok(Host { place, port: port_of(index) })
    };
    names.iter().enumerate().map(host).collect()
}

/// `name`, `name:port`, `[IPv6]` or `[IPv6]:port`.
fn split_port(host: &str) -> Result<(&str, Option<&str>), InvalidAddress> {
    if let Some(rest) = host.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or(InvalidAddress::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(InvalidAddress::Host),
        };
    }
    match host.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(InvalidAddress::Host),
        Some((name, port)) => Ok((name, Some(port))),
        None => Ok((host, None)),
    }
}

fn read_port(port: &str) -> Result<u16, InvalidAddress> {
    port.parse().ok().filter(|port| *port != 0).ok_or(InvalidAddress::Port)
}

fn read_tls(mode: Option<&str>, root: Option<&str>) -> Result<Option<Tls>, InvalidAddress> {
    let wrong_mode = |wanted| Err(InvalidAddress::Value { name: "sslmode", wanted });
    let needless = || {
        let wanted = "is only looked at with sslmode=verify-full: say that, or leave it out";
        InvalidAddress::Value { name: "sslrootcert", wanted }
    };
    let tls = match mode {
        Some("verify-full") => return Ok(Some(Tls::VerifyFull(read_authorities(root)?))),
        Some("disable") => Some(Tls::Disable),
        Some("require") => Some(Tls::Require),
        None => None,
        Some("prefer" | "allow") => {
            return wrong_mode(
                "must not be prefer or allow: they give up encryption as soon as somebody in between asks for it; say disable, require or verify-full",
            );
        }
        Some("verify-ca") => {
            return wrong_mode(
                "must not be verify-ca: it takes any certificate of the authority, whoever's it is; say verify-full",
            );
        }
        Some(_) => return wrong_mode("must be disable, require or verify-full"),
    };
    if root.is_some() { Err(needless()) } else { Ok(tls) }
}

fn read_authorities(root: Option<&str>) -> Result<Authorities, InvalidAddress> {
    match root {
        Some("") => {
            let wanted = "must be the file of the authorities' certificates, their text, or system";
            Err(InvalidAddress::Value { name: "sslrootcert", wanted })
        }
        Some("system") | None => Ok(Authorities::System),
        // Where nothing can mount a file, the variable is all there is.
        Some(text) if text.starts_with("-----BEGIN ") => Ok(Authorities::Text(text.into())),
        Some(file) => Ok(Authorities::File(file.into())),
    }
}

fn read_target(target: &str) -> Result<Target, InvalidAddress> {
    match target {
        "any" => Ok(Target::Any),
        "read-write" | "primary" => Ok(Target::Writable),
        "read-only" | "standby" | "prefer-standby" => Ok(Target::Readable),
        _ => {
            let wanted = "must be any, read-write, primary, read-only, standby or prefer-standby";
            Err(InvalidAddress::Value { name: "target_session_attrs", wanted })
        }
    }
}

fn read_connect_timeout(seconds: &str) -> Result<Duration, InvalidAddress> {
    match seconds.parse() {
        Ok(seconds @ 1..=60) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => {
            let wanted = "must be a number of seconds from 1 to 60: nothing here waits for ever";
            Err(InvalidAddress::Value { name: "connect_timeout", wanted })
        }
    }
}

fn read_pool_mode(mode: &str) -> Result<Pooling, InvalidAddress> {
    match mode {
        "session" => Ok(Pooling::Session),
        "transaction" => Ok(Pooling::Transaction),
        _ => Err(InvalidAddress::Value { name: "pool_mode", wanted: "must be session or transaction" }),
    }
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// `%XX` to bytes; anything else, `+` included, is itself.
fn decode(text: &str) -> Result<String, InvalidAddress> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            (_, _) => return Err(InvalidAddress::Escape),
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or(InvalidAddress::Escape)
}
