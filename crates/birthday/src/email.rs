//! What is an e-mail address?

use std::fmt;

/// The most bytes that an address may have (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES: usize = 254;

/// An e-mail address, by the rule of the HTML standard for one address
/// (section "E-mail state", "valid email address"). Kept as given; case matters.
///
/// `Debug` shows nothing: an address is personal data, and `Debug` ends in logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(Box<str>);

/// A text that is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address must be one address such as anna@example.org, of at most 254 bytes")]
pub struct InvalidEmail;

impl Email {
    /// Reads one address.
    ///
    /// # Errors
    /// Where the text is not exactly one address.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let valid = text.len() <= EMAIL_BYTES
            && !local.is_empty()
            && local.bytes().all(is_local)
            && domain.split('.').all(is_label);
        if valid { Ok(Self(text.into())) } else { Err(InvalidEmail) }
    }

    /// The address that a store kept: it was parsed when it was saved.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text.into_boxed_str())
    }

    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

/// A label of a domain name: 1 to 63 letters, digits and hyphens, no hyphen at either end.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_html_standard_are_taken() {
        let label = "d".repeat(63);
        for address in [
            "a@b",
            "anna@example.org",
            "a.b+c_d-e@x-y.example",
            "!#$%&'*+/=?^_`{|}~-@e.org",
            ".a..b.@e.org",
            "1@2.3",
            &format!("a@{label}.{label}"),
        ] {
            assert!(Email::parse(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long_label = "d".repeat(64);
        for address in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a@-b",
            "a@b-",
            "é@b.org",
            "a@é.org",
            "a@b\n",
            "a@b\r\nBcc: c@d",
            "a@[127.0.0.1]",
            "\"a b\"@c",
            "a@b,c@d",
            "<a@b>",
            "a@b\0",
            " a@b",
            &format!("a@{long_label}"),
        ] {
            assert_eq!(Email::parse(address), Err(InvalidEmail), "{address:?}");
        }
    }

    #[test]
    fn an_address_has_at_most_254_bytes() {
        let of_length = |length: usize| format!("{}@example.org", "a".repeat(length - "@example.org".len()));
        assert!(Email::parse(&of_length(254)).is_ok());
        assert_eq!(Email::parse(&of_length(255)), Err(InvalidEmail));
    }
}
