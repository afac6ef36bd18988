//! Whatever text is taken for a name, an address, a date or a zone: no panic, and what was taken once is
//! taken again and unchanged.
#![no_main]

use birthday::{Birthday, Date, Email, LeapDay, Name, find_zone};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = Name::parse(text) {
        assert_eq!(Name::parse(name.as_str()), Ok(name));
    }
    if let Ok(name) = Name::parse_letters(text) {
        assert_eq!(Name::parse(text), Ok(name));
    }
    if let Ok(email) = Email::parse(text) {
        assert_eq!(email.as_str(), text);
    }
    let today = Date::new(2026, 11, 23).unwrap();
    if let Ok(born) = Birthday::parse_full(text, today) {
        assert_eq!(born.to_text(), text);
        for rule in [LeapDay::Feb28, LeapDay::Mar1] {
            assert!((0..=365).contains(&born.days_until(today, rule)));
        }
    }
    let _ = find_zone(text);
    let _ = text.parse::<store::Location>();
});
