//! What does somebody show to be let in, and what is kept of it?

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// Bytes of an id: enough that two tokens of one file don't share it by chance.
const ID_BYTES: usize = 4;
/// Bytes of a secret: 256 bits can't be guessed, however many guesses a second are answered.
const SECRET_BYTES: usize = 32;

/// A token, `hb_<id>_<secret>` in hexadecimal digits: those who search texts for secrets can know it by
/// that form. Whoever has it may do what its line in the file says, so `Debug` doesn't show it.
pub struct Token(String);

/// By which name a token is spoken of: eight hexadecimal digits, no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(Arc<str>);

/// The SHA-256 of a token. From it nobody finds the token: a secret with 256 random bits needs no slow
/// hash, as the passwords of people do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no [`TokenId`], or no [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHexadecimal;

impl Token {
    /// A token that nobody else has.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    pub fn make() -> Result<Self, getrandom::Error> {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        getrandom::fill(&mut random)?;
        let (id, secret) = random.split_at(ID_BYTES);
        Ok(Self(format!("hb_{}_{}", hexadecimal(id), hexadecimal(secret))))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId(self.0.split('_').nth(1).unwrap_or_default().into())
    }

    /// What is kept of it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }

    /// The whole of it, for its owner alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl TokenId {
    /// Its digits, which need no escapes anywhere.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenId {
    type Err = NotHexadecimal;

    fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == 2 * ID_BYTES && text.bytes().all(is_digit);
        if is_id { Ok(Self(text.into())) } else { Err(NotHexadecimal) }
    }
}

impl Fingerprint {
    /// The fingerprint of those bytes, a token's or any others.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

impl FromStr for Fingerprint {
    type Err = NotHexadecimal;

    fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotHexadecimal);
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotHexadecimal)?;
        }
        Ok(Self(bytes))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_form_and_no_two_are_the_same() {
        let (one, other) = (Token::make().unwrap(), Token::make().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        let parts: Vec<_> = one.reveal().split('_').collect();
        assert_eq!((parts[0], parts[1], parts[2].len()), ("hb", one.id().as_str(), 64));
        assert_eq!(one.id().as_str().parse(), Ok(one.id()));
        assert!(!format!("{one:?} {:?}", one.fingerprint()).contains(parts[2]));
    }

    #[test]
    fn a_fingerprint_is_a_sha_256_in_hexadecimal_digits() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Fingerprint::of(b"abc")));
        for text in ["", &abc[1..], &format!("{abc}0"), &format!("+{}", &abc[1..]), &"é".repeat(32)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NotHexadecimal), "{text}");
        }
        for text in ["", "0123456", "012345678", "0123456X", "0123456F"] {
            assert_eq!(text.parse::<TokenId>(), Err(NotHexadecimal), "{text}");
        }
    }
}
