//! Where does a line begin and end, and how much of it is kept?

use std::io::{BufRead, Read as _};

use super::Unreadable;

/// The most bytes of one record that are kept; a record with more is none. The longest that is one has less
/// than a tenth of it, but a spreadsheet may have a column of notes beside.
pub(super) const RECORD_BYTES: usize = 64 << 10;
/// Bytes read at once of a line.
const PIECE_BYTES: u64 = 8 << 10;

/// The lines of a text, which end with LF or CRLF; the last one needs no end.
pub(super) struct Lines<R> {
    input: R,
    /// Lines read so far.
    number: u64,
    piece: Vec<u8>,
}

/// What is said of a line besides its text.
pub(super) struct Line {
    /// The first is 1.
    pub(super) number: u64,
    /// Whether all of it was kept.
    pub(super) whole: bool,
    /// How many `"` it has, those that were not kept included.
    pub(super) quotes: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0, piece: Vec::new() }
    }

    /// Appends the next line without its end, as far as the text then has at most [`RECORD_BYTES`].
    pub(super) fn append_next(&mut self, text: &mut Vec<u8>) -> Result<Option<Line>, Unreadable> {
        let mut line = Line { number: self.number + 1, whole: true, quotes: 0 };
        let mut ended = false;
        while !ended && self.read_piece(line.number)? {
            self.number = line.number;
            ended = self.piece.ends_with(b"\n");
            line.quotes += self.piece.iter().filter(|byte| **byte == b'"').count();
            line.whole &= text.len() + self.piece.len() <= RECORD_BYTES;
            if line.whole {
                text.extend(&self.piece);
            }
        }
        if self.number < line.number {
            return Ok(None);
        }
        if ended && line.whole {
            let end = if text.ends_with(b"\r\n") { 2 } else { 1 };
            text.truncate(text.len() - end);
        }
        Ok(Some(line))
    }

    /// Whether the next line begins with a blank, and so goes on with this one (RFC 6350, section 3.2).
    pub(super) fn is_folded(&mut self) -> Result<bool, Unreadable> {
        let next =
            self.input.fill_buf().map_err(|source| Unreadable::Line { line: self.number + 1, source })?;
        Ok(matches!(next.first(), Some(b' ' | b'\t')))
    }

    fn read_piece(&mut self, line: u64) -> Result<bool, Unreadable> {
        self.piece.clear();
        let read = self.input.by_ref().take(PIECE_BYTES).read_until(b'\n', &mut self.piece);
        let read = read.map_err(|source| Unreadable::Line { line, source })?;
        // Spreadsheets begin a file in UTF-8 with a mark that is no part of its text.
        if self.number == 0 && self.piece.starts_with(b"\xef\xbb\xbf") {
            self.piece.drain(..3);
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_crlf_or_the_text_and_are_numbered() {
        let mut lines = Lines::new("\u{feff}a\n\r\nb\rc\r\n \u{feff}d\"\"".as_bytes());
        let mut read = Vec::new();
        loop {
            let (folded, mut text) = (lines.is_folded().unwrap(), Vec::new());
            let Some(line) = lines.append_next(&mut text).unwrap() else { break };
            read.push((line.number, line.quotes, folded, String::from_utf8(text).unwrap()));
        }
        let line = |number, quotes, folded, text: &str| (number, quotes, folded, text.to_owned());
        assert_eq!(
            read,
            [
                line(1, 0, false, "a"),
                line(2, 0, false, ""),
                line(3, 0, false, "b\rc"),
                line(4, 2, true, " \u{feff}d\"\"")
            ]
        );
    }

    #[test]
    fn no_more_is_kept_than_the_bound_of_one_line_or_of_many() {
        let long = format!("{}\"\nnext\n", "x".repeat(10 * RECORD_BYTES));
        let (mut lines, mut text) = (Lines::new(long.as_bytes()), Vec::new());
        let line = lines.append_next(&mut text).unwrap().unwrap();
        assert_eq!((line.whole, line.quotes), (false, 1));
        assert!(text.len() <= RECORD_BYTES);
        text.clear();
        assert!(lines.append_next(&mut text).unwrap().unwrap().whole);
        assert_eq!(text, b"next");

        let many = "12345678\n".repeat(RECORD_BYTES);
        let mut lines = Lines::new(many.as_bytes());
        let mut whole = 0;
        while let Some(line) = lines.append_next(&mut text).unwrap() {
            whole += usize::from(line.whole);
        }
        assert!(text.len() <= RECORD_BYTES && (1..RECORD_BYTES).contains(&whole), "{whole}");
    }
}
