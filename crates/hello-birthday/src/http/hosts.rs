//! By which names may the service be asked? A page of somebody else can have its own name lead to this machine
//! (DNS rebinding): to the browser the service is then that page's own, and nothing but the `Host` tells.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::http::uri::Authority;

use super::refusal::Refusal;

/// A name that leads here, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// The names that are answered for.
#[derive(Clone, Debug)]
pub struct Hosts(Names);

#[derive(Clone, Debug)]
enum Names {
    Any,
    /// Those that nobody else can give to this machine, and these.
    Local(Arc<[HostName]>),
}

impl HostName {
    /// Reads one.
    ///
    /// # Errors
    /// Says how one is written.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let name = text.parse::<Authority>().ok().filter(|authority| authority.host() == text);
        let name = name.ok_or("write a name such as birthdays.example.org, without a port")?;
        Ok(Self(without_dot(name.host()).to_ascii_lowercase()))
    }
}

impl Hosts {
    /// Every name, where who may do what doesn't depend on who can reach the service.
    #[must_use]
    pub const fn any() -> Self {
        Self(Names::Any)
    }

    /// An address, which no name service was asked for; `localhost`, which browsers don't ask one for either;
    /// and these names.
    #[must_use]
    pub fn local_and(names: Vec<HostName>) -> Self {
        Self(Names::Local(names.into()))
    }

    /// RFC 9110, section 15.5.20: 421 is for a host that the service was not set up for.
    pub(super) fn check(&self, host: &Authority) -> Result<(), Refusal> {
        let names = match &self.0 {
            Names::Any => return Ok(()),
            Names::Local(names) => names,
        };
        let host = host.host();
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<Ipv4Addr>().is_ok(),
        };
        let name = without_dot(host);
        let is_known = |known: &HostName| known.0.eq_ignore_ascii_case(name);
        if is_address || is_localhost(name) || names.iter().any(is_known) {
            return Ok(());
        }
        Err(Refusal::misdirected())
    }
}

/// RFC 6761, section 6.3: what ends in it is this machine, too.
fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// A name may end in the dot of the root.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_else_can_lead_here_is_refused_unless_it_was_given() {
        let named = || vec![HostName::parse("Birthdays.example.org").unwrap()];
        for (host, local, with_name) in [
            ("127.0.0.1:8080", true, true),
            ("192.168.1.2", true, true),
            ("[::1]:8080", true, true),
            ("localhost", true, true),
            ("LOCALHOST.:8080", true, true),
            ("birthdays.localhost:8080", true, true),
            ("birthdays.example.org", false, true),
            ("BIRTHDAYS.example.org.:443", false, true),
            ("evil.example:8080", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("evillocalhost", false, false),
            ("birthdays.example.org.evil.example", false, false),
            ("[v1.x]", false, false),
        ] {
            let host: Authority = host.parse().unwrap();
            assert!(Hosts::any().check(&host).is_ok(), "{host}");
            assert_eq!(Hosts::local_and(Vec::new()).check(&host).is_ok(), local, "{host}");
            assert_eq!(Hosts::local_and(named()).check(&host).is_ok(), with_name, "{host}");
        }
    }

    #[test]
    fn a_name_has_no_port_and_no_user() {
        for text in ["a", "a.example", "a.example."] {
            assert!(HostName::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a:80", "u@a", "http://a", "a/b", "a b"] {
            assert!(HostName::parse(text).is_err(), "{text}");
        }
    }
}
