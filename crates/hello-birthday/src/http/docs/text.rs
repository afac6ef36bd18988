//! How are the document's words shown? As paragraphs, with code and links in them: as much of Markdown as it uses.

use serde::Deserialize;

/// A description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) struct Text(pub(super) Vec<Line>);

/// A paragraph, or what stands in a cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Words(String),
    Code(String),
    Link { words: String, to: String },
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.split("\n\n").filter(|paragraph| !paragraph.is_empty()).map(Line::from).collect())
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        let mut line = Self::default();
        // Every second part stands between two backticks.
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 0 { line.add_words(part) } else { line.0.push(Piece::Code(part.into())) }
        }
        line
    }
}

impl Line {
    /// Words, and the links among them: `[words](to)`.
    fn add_words(&mut self, mut text: &str) {
        while let Some((before, words, to, after)) = first_link(text) {
            self.0.push(Piece::Words(before.into()));
            self.0.push(Piece::Link { words: words.into(), to: to.into() });
            text = after;
        }
        self.0.push(Piece::Words(text.into()));
    }
}

fn first_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once('[')?;
    let (words, rest) = rest.split_once("](")?;
    let (to, after) = rest.split_once(')')?;
    Some((before, words, to, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_paragraphs_with_code_and_links() {
        let words = |text: &str| Piece::Words(text.into());
        let text = Text::from("As `<b>` has it.\n\nSee [RFC 9110](https://example.org/#a) & go.".to_owned());
        assert_eq!(
            text.0,
            [
                Line(vec![words("As "), Piece::Code("<b>".into()), words(" has it.")]),
                Line(vec![
                    words("See "),
                    Piece::Link { words: "RFC 9110".into(), to: "https://example.org/#a".into() },
                    words(" & go."),
                ]),
            ]
        );
        assert_eq!(Text::from(String::new()), Text::default());
    }
}
