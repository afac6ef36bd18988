//! By which names may the service be asked? A page of somebody else can have its own name lead to this machine
//! (DNS rebinding): to the browser the service is then that page's own, and nothing but the `Host` tells.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::http::uri::Authority;

use super::refusal::Refusal;

/// Under these nobody can have a name: RFC 6761, section 6, and `internal`, which ICANN keeps for private use.
const NOBODYS: [&str; 5] = ["localhost", "test", "example", "invalid", "internal"];

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

    /// An address, which no name service was asked for; what nobody can register, such as `localhost`; and these
    /// names.
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
        if is_address || is_nobodys(name) || names.iter().any(is_known) {
            return Ok(());
        }
        Err(Refusal::misdirected())
    }
}

/// Whether nobody on the internet can have that name lead anywhere: one word, what is kept for private use or for
/// tests, and the domains of examples (RFC 2606, section 3).
fn is_nobodys(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    let last = labels.next().unwrap_or_default();
    let Some(before) = labels.next() else { return true };
    let is = |label: &str, known: &[&str]| known.iter().any(|known| label.eq_ignore_ascii_case(known));
    is(last, &NOBODYS) || (is(before, &["example"]) && is(last, &["com", "net", "org"]))
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
        let named = || vec![HostName::parse("Birthdays.home.tld").unwrap()];
        for (host, local, with_name) in [
            ("127.0.0.1:8080", true, true),
            ("192.168.1.2", true, true),
            ("[::1]:8080", true, true),
            ("localhost", true, true),
            ("LOCALHOST.:8080", true, true),
            ("birthdays.localhost:8080", true, true),
            ("birthdays", true, true),
            ("birthdays.home.internal", true, true),
            ("www.example.com", true, true),
            ("birthdays.home.tld", false, true),
            ("BIRTHDAYS.home.tld.:443", false, true),
            ("evil.tld:8080", false, false),
            ("127.0.0.1.evil.tld", false, false),
            ("localhost.evil.tld", false, false),
            ("evil.notlocalhost", false, false),
            ("notexample.com", false, false),
            ("example.tld", false, false),
            ("birthdays.home.tld.evil.tld", false, false),
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
