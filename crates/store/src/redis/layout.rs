//! Under which keys is everything kept, and in which slot of a cluster?
//!
//! Users are spread over [`BUCKETS`] buckets by a hash of their names. All that a bucket has lies in one
//! slot of a cluster, since its keys share a hash tag: the users' hashes, the sorted set of their names
//! and that of their birthdays. So one script changes a user and what lists the user, all or nothing,
//! and there is no moment between the two at which a crash could leave one without the other.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{hb:3f}:u:Anna` | hash | `b`: `1990-06-15` or `--06-15`; `e`: the address |
//! | `{hb:3f}:names` | sorted set, all scores 0 | `Anna` |
//! | `{hb:3f}:days` | sorted set, all scores 0 | `0615:Anna` |
//! | `{hb:00}:schema` | hash | `version`, `works_since` |

use birthday::{Birthday, Email, Name, User};

/// So many buckets there are. More would spread over more servers, fewer make a page of the list cheaper,
/// which is gathered from all of them. Part of the schema: it can't be changed without moving everybody.
pub(super) const BUCKETS: usize = 256;
/// The key of what the schema says of itself.
pub(super) const SCHEMA_KEY: &str = "{hb:00}:schema";
/// Every user's key, in the words of SCAN.
pub(super) const USER_KEYS: &str = "{hb:??}:u:*";
/// The hash field of the birthday.
pub(super) const BIRTHDAY_FIELD: &str = "b";
/// The hash field of the e-mail address.
pub(super) const EMAIL_FIELD: &str = "e";
/// The slots of a Redis cluster (Redis cluster specification, "Key distribution model").
const SLOTS: u16 = 16384;

/// One of the parts into which users are spread: 0 to [`BUCKETS`] - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket(u8);

impl Bucket {
    pub(super) fn of(name: &Name) -> Self {
        let [_, low] = crc16(name.as_str().as_bytes()).to_be_bytes();
        Self(low)
    }

    /// The one that also has the schema's key.
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    pub(super) fn index(self) -> usize {
        self.0.into()
    }

    pub(super) fn user_key(self, name: &Name) -> String {
        format!("{{{}}}:u:{}", self.tag(), name.as_str())
    }

    pub(super) fn names_key(self) -> String {
        format!("{{{}}}:names", self.tag())
    }

    pub(super) fn days_key(self) -> String {
        format!("{{{}}}:days", self.tag())
    }

    pub(super) fn slot(self) -> u16 {
        slot_of_tag(&self.tag())
    }

    fn tag(self) -> String {
        format!("hb:{:02x}", self.0)
    }
}

/// Whose key that is: the other way round of [`Bucket::user_key`].
pub(super) fn name_of_key(key: &str) -> Option<Name> {
    let (_, name) = key.split_once("}:u:")?;
    Some(Name::from_stored(name.to_owned()))
}

/// The birthday that a hash keeps as its text, or `None` if no calendar has that day.
pub(super) fn birthday_of(text: &str) -> Option<Birthday> {
    let (year, rest) = match text.strip_prefix("--") {
        Some(rest) => (None, rest),
        None => {
            let (year, rest) = text.split_once('-')?;
            (Some(year.parse().ok()?), rest)
        }
    };
    let (month, day) = rest.split_once('-')?;
    Birthday::from_stored(month.parse().ok()?, day.parse().ok()?, year)
}

/// The record that a hash keeps: `None` for a key that is not there, and an error for a birthday that
/// no calendar has.
pub(super) fn user_of(
    name: Name,
    birthday: Option<String>,
    email: Option<String>,
) -> Result<Option<User>, NoSuchDay> {
    if birthday.is_none() && email.is_none() {
        return Ok(None);
    }
    let birthday = birthday.map(|text| birthday_of(&text).ok_or(NoSuchDay)).transpose()?;
    Ok(Some(User { name, email: email.map(Email::from_stored), birthday }))
}

/// A record holds a birthday that this program did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchDay;

fn slot_of_tag(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, which Redis spreads keys by.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let index = usize::from((crc >> 8) ^ u16::from(*byte));
        (crc << 8) ^ CRC16.get(index).copied().unwrap_or_default()
    })
}

/// What each byte does to the remainder.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn slots_are_those_of_redis() {
        // The check value of CRC-16/XMODEM, and what CLUSTER KEYSLOT says of the word.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of_tag("foo"), 12182);
    }

    #[test]
    fn all_of_a_user_has_one_tag_and_a_key_tells_whose_it_is() {
        for text in ["Anna", "देवी", "a.b-c_d", "0"] {
            let bucket = Bucket::of(&name(text));
            let tag = format!("{{{}}}", bucket.tag());
            for key in [bucket.user_key(&name(text)), bucket.names_key(), bucket.days_key()] {
                assert!(key.starts_with(&tag), "{key}");
            }
            assert_eq!(name_of_key(&bucket.user_key(&name(text))), Some(name(text)));
        }
        assert_eq!(Bucket::all().count(), BUCKETS);
    }

    #[test]
    fn names_are_spread_over_the_buckets_evenly() {
        let mut sizes = [0; BUCKETS];
        for number in 0..100_000 {
            sizes[Bucket::of(&name(&format!("user{number}"))).index()] += 1;
        }
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(*least > 250 && *most < 550, "{least} to {most}");
    }

    #[test]
    fn birthdays_are_read_back_from_their_text() {
        for (month, day, year) in [(6, 15, Some(1990)), (2, 29, None), (12, 31, Some(1))] {
            let birthday = Birthday::from_stored(month, day, year).unwrap();
            assert_eq!(birthday_of(&birthday.to_text()), Some(birthday));
        }
        for text in ["", "-", "--", "--2-30", "1990-02-29", "x-01-01", "1990-01", "--06-15-1"] {
            assert_eq!(birthday_of(text), None, "{text}");
        }
    }
}
