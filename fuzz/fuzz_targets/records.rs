//! Whatever text is imported, in whatever format: no panic, and a good record is written and read again
//! unchanged.
#![no_main]

use birthday::{Date, User};
use hello_birthday::exchange::{Format, Output, Rules, Spaces, read};
use libfuzzer_sys::fuzz_target;

fn users(format: Format, text: Vec<u8>, spaces: Spaces) -> Vec<User> {
    let rules = Rules { today: Date::constant(2026, 11, 23), spaces };
    let Ok(records) = read(format, std::io::Cursor::new(text), rules) else { return Vec::new() };
    records.filter_map(|record| record.unwrap().user.ok()).collect()
}

fuzz_target!(|text: &[u8]| {
    for format in [Format::Jsonl, Format::Csv, Format::Vcard] {
        for spaces in [Spaces::Refuse, Spaces::Drop, Spaces::Underscore] {
            let read = users(format, text.to_vec(), spaces);
            for (output, back) in [(Output::Jsonl, Format::Jsonl), (Output::Csv, Format::Csv)] {
                let mut written = output.head().as_bytes().to_vec();
                read.iter().for_each(|user| output.write(user, &mut written));
                assert!(users(back, written, Spaces::Refuse) == read);
            }
        }
    }
});
