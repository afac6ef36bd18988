//! Who may be greeted, and who may be registered? By which name are they kept?

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The most characters (Unicode scalar values, counted in NFC) that a name may have.
pub const NAME_CHARACTERS: usize = 64;

/// A username in NFC (Unicode Standard Annex 15); case is kept and matters.
///
/// Names compare by the bytes of their UTF-8, which is the order of their characters' code points.
/// `Debug` shows nothing: a name is personal data, and `Debug` ends in logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is not a username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, or longer than [`NAME_CHARACTERS`].
    #[error("the username must have 1 to 64 characters")]
    Length,
    /// A character that a name to greet may not have.
    #[error("the username must contain only letters (accents and vowel signs may follow a letter)")]
    NotLetters,
    /// A character that a name to register may not have, at least there.
    #[error(
        "the username must start with a letter or a digit and contain only letters, digits 0-9, '_', '-' and '.'"
    )]
    NotRegistrable,
}

impl Name {
    /// A name that can be greeted: letters only. A letter is a character of Unicode's general
    /// category L; marks (category M) may follow it, or many languages could not be written.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of [`InvalidName`].
    pub fn parse_letters(text: &str) -> Result<Self, InvalidName> {
        Self::parse_with(text, InvalidName::NotLetters, |_, _| false)
    }

    /// A name that can be registered: the same, plus the digits `0-9`, `_`, `-` and `.`; it starts
    /// with a letter or a digit. Every name that can be greeted can be registered.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of [`InvalidName`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Self::parse_with(text, InvalidName::NotRegistrable, |at_start, character| match character {
            '0'..='9' => true,
            '_' | '-' | '.' => !at_start,
            _ => false,
        })
    }

    /// The name that a store kept: it was parsed when it was saved.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text.into_boxed_str())
    }

    /// The name as it is kept and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse_with(
        text: &str,
        otherwise: InvalidName,
        also: impl Fn(bool, char) -> bool,
    ) -> Result<Self, InvalidName> {
        let text = nfc(text);
        if !(1..=NAME_CHARACTERS).contains(&text.chars().take(NAME_CHARACTERS + 1).count()) {
            return Err(InvalidName::Length);
        }
        let (mut at_start, mut after_letter) = (true, false);
        for character in text.chars() {
            after_letter = is_letter(character) || (after_letter && is_mark(character));
            if !after_letter && !also(at_start, character) {
                return Err(otherwise);
            }
            at_start = false;
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(…)")
    }
}

fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect()),
    }
}

fn is_letter(character: char) -> bool {
    // `char::is_alphabetic` is wider: it takes Ⅷ, circled letters and some marks for letters.
    character.is_ascii_alphabetic()
        || (!character.is_ascii() && character.general_category_group() == GeneralCategoryGroup::Letter)
}

fn is_mark(character: char) -> bool {
    !character.is_ascii() && character.general_category_group() == GeneralCategoryGroup::Mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_are_names() {
        for name in ["a", "Anna", "José", "Łukasz", "देवी", "李", "Ĝ", "ﬁ", "ß", "ı", "أحمد", "Ḁ\u{325}", "ªº"]
        {
            assert!(Name::parse_letters(name).is_ok(), "{name}");
            assert!(Name::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_letter_is_refused_by_both_rules() {
        for name in [
            " ",
            "a b",
            " a",
            "a ",
            "a\n",
            "\u{301}a",
            "Ⅷ",
            "ⓐ",
            "²",
            "٣",
            "😀",
            "a\0",
            "a\u{202e}b",
            "a\u{200d}b",
            "o'neil",
            "a/b",
            "a%",
            "<script>",
            "a,b",
            "_\u{301}",
            "1\u{301}",
            "a\u{feff}",
            "a\r",
            "‐",
            "a\u{a0}b",
        ] {
            assert_eq!(Name::parse_letters(name), Err(InvalidName::NotLetters), "{name:?}");
            assert_eq!(Name::parse(name), Err(InvalidName::NotRegistrable), "{name:?}");
        }
    }

    #[test]
    fn digits_and_three_signs_can_be_registered_but_not_greeted() {
        for name in ["my_username", "a.b-c", "4711", "0", "a1", "é_é", "a..", "a_\u{4e00}\u{301}"] {
            assert_eq!(Name::parse_letters(name), Err(InvalidName::NotLetters), "{name}");
            assert!(Name::parse(name).is_ok(), "{name}");
        }
        for name in ["_a", "-a", ".a", ".", "..", "_"] {
            assert_eq!(Name::parse(name), Err(InvalidName::NotRegistrable), "{name}");
        }
    }

    #[test]
    fn composed_and_decomposed_forms_are_one_name() {
        for (composed, decomposed) in [
            ("José", "Jose\u{301}"),
            ("Å", "\u{212b}"),
            ("ộ", "o\u{302}\u{323}"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
        ] {
            assert_eq!(Name::parse_letters(composed), Name::parse_letters(decomposed));
            assert_eq!(Name::parse_letters(decomposed).unwrap().as_str(), composed);
        }
        assert_ne!(Name::parse("anna"), Name::parse("Anna"));
    }

    #[test]
    fn length_is_counted_in_characters_of_the_kept_form() {
        assert_eq!(Name::parse(""), Err(InvalidName::Length));
        assert!(Name::parse_letters(&"é".repeat(64)).is_ok());
        assert!(Name::parse_letters(&"e\u{301}".repeat(64)).is_ok());
        assert!(Name::parse_letters(&"𠀀".repeat(64)).is_ok());
        assert_eq!(Name::parse_letters(&"é".repeat(65)), Err(InvalidName::Length));
        // U+0958 has no composed form: NFC makes two characters of it.
        assert!(Name::parse_letters(&"\u{958}".repeat(32)).is_ok());
        assert_eq!(Name::parse_letters(&"\u{958}".repeat(33)), Err(InvalidName::Length));
    }

    #[test]
    fn every_letter_of_unicode_is_a_name_and_keeping_it_again_changes_nothing() {
        let mut letters = 0;
        for character in ('\0'..=char::MAX).filter(|character| is_letter(*character)) {
            let name = Name::parse_letters(character.encode_utf8(&mut [0; 4])).unwrap();
            assert_eq!(Name::parse_letters(name.as_str()), Ok(name));
            letters += 1;
        }
        assert!(letters > 140_000, "{letters}");
    }

    #[test]
    fn both_unicode_tables_are_of_one_version() {
        let (major, minor, micro) = unicode_normalization::UNICODE_VERSION;
        assert_eq!((major.into(), minor.into(), micro.into()), unicode_properties::UNICODE_VERSION);
    }

    #[test]
    fn names_sort_by_their_bytes_and_tell_nothing_in_debug() {
        let mut names = ["é", "z", "A", "a", "\u{ffff}", "𠀀"].map(|text| Name::from_stored(text.into()));
        names.sort();
        assert_eq!(names.map(|name| name.0.into_string()), ["A", "a", "z", "é", "\u{ffff}", "𠀀"]);
        assert_eq!(format!("{:?}", Name::parse("anna").unwrap()), "Name(…)");
    }
}
