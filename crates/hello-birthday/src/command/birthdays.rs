//! `birthdays`: tell whose birthdays come, for a timer that sends mail.

use std::io::{self, BufWriter, Write};

use birthday::{Almanac, Coming};
use store::Store;

use super::settings::{BirthdaysFormat, BirthdaysSettings};
use super::{Failure, with_store_to_read};
use crate::coming::{Ahead, ComingRecord, Place, page, sentence};

/// Birthdays read at once.
const PAGE: usize = 1000;

pub(super) fn run(settings: &BirthdaysSettings) -> Result<(), Failure> {
    with_store_to_read(&settings.store, async |store| {
        let out = BufWriter::new(io::stdout().lock());
        write_all(store, &settings.calendar.almanac(), settings, out).await
    })
}

async fn write_all(
    store: &Store,
    almanac: &Almanac,
    settings: &BirthdaysSettings,
    mut out: impl Write,
) -> Result<(), Failure> {
    let ahead = Ahead::of(almanac.today(None), settings.days);
    let (mut list, mut after) = (List { format: settings.format, told: 0 }, None::<Place>);
    loop {
        let coming = page(store, almanac, ahead, after.as_ref(), PAGE).await.map_err(Failure::failed)?;
        for one in &coming {
            list.tell(one, &mut out).map_err(Failure::failed)?;
        }
        match coming.last() {
            Some(last) if coming.len() == PAGE => after = Some(last.into()),
            _ => break,
        }
    }
    list.end(&mut out).and_then(|()| out.flush()).map_err(Failure::failed)
}

/// What is told, and how much of it was. Of nobody, the text is empty: then no mail is sent.
struct List {
    format: BirthdaysFormat,
    told: u64,
}

impl List {
    fn tell(&mut self, coming: &Coming, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            BirthdaysFormat::Text => writeln!(out, "{}", sentence(coming))?,
            BirthdaysFormat::Json => {
                out.write_all(if self.told == 0 { b"[" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &ComingRecord::from(coming))?;
            }
        }
        self.told += 1;
        Ok(())
    }

    fn end(self, out: &mut impl Write) -> io::Result<()> {
        match (self.format, self.told) {
            (BirthdaysFormat::Text, _) => Ok(()),
            (BirthdaysFormat::Json, 0) => writeln!(out, "[]"),
            (BirthdaysFormat::Json, _) => writeln!(out, "]"),
        }
    }
}
