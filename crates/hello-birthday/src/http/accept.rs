//! Does a client want a page or a line of text? By the header `Accept`, as RFC 9110, section 12.5.1, weighs it.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// What a client would rather have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `text/plain`.
    Text,
    /// `text/html`.
    Page,
}

/// How closely a media range names a type: the closest one says how much that type is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    AnyText,
    Exactly,
}

/// How much a type is wanted: its quality, 0 to 1, and how closely it was named.
type Weight = Option<(Closeness, f32)>;

/// Text, unless a page is wanted more, or as much and by its name: `*/*` is no wish.
pub(super) fn wanted(headers: &HeaderMap) -> Wanted {
    let (page, text) = (weight(headers, "text/html"), weight(headers, "text/plain"));
    let quality = |weight: Weight| weight.map_or(0.0, |(_, quality)| quality);
    let is_named = page.is_some_and(|(closeness, _)| closeness == Closeness::Exactly);
    match quality(page).total_cmp(&quality(text)) {
        std::cmp::Ordering::Greater => Wanted::Page,
        std::cmp::Ordering::Equal if is_named && 0.0 < quality(page) => Wanted::Page,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Less => Wanted::Text,
    }
}

/// The weight that the closest of the ranges gives to that type.
fn weight(headers: &HeaderMap, media_type: &str) -> Weight {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(',')).filter_map(|range| weight_by(range, media_type));
    ranges.max_by(|(one, this), (other, that)| one.cmp(other).then(this.total_cmp(that)))
}

/// What one range says of that type: nothing, where it is of others or can't be read.
fn weight_by(range: &str, media_type: &str) -> Weight {
    let mut parts = range.split(';').map(str::trim);
    let closeness = match parts.next()? {
        "*/*" => Closeness::Anything,
        name if name.eq_ignore_ascii_case("text/*") => Closeness::AnyText,
        name if name.eq_ignore_ascii_case(media_type) => Closeness::Exactly,
        _ => return None,
    };
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let quality = parameters.find(|(name, _)| name.eq_ignore_ascii_case("q"));
    let quality: f32 = quality.map_or(Some(1.0), |(_, quality)| quality.parse().ok())?;
    (0.0..=1.0).contains(&quality).then_some((closeness, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_by(lines: &[&str]) -> Wanted {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        wanted(&headers)
    }

    #[test]
    fn a_page_is_for_who_names_it() {
        for page in [
            "text/html",
            "TEXT/HTML",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html, text/plain",
            "text/plain, text/html",
            "text/html;q=0.1",
            "text/html;charset=utf-8",
            "text/html, */*",
            "text/html;q=0.9, text/plain;q=0.8",
            "text/html ; q=0.9 , text/* ; q=0.8",
            "text/*, text/plain;q=0.5",
            "*/*, text/plain;q=0",
            "application/json, text/html;q=0.2, text/plain;q=nonsense",
        ] {
            assert_eq!(wanted_by(&[page]), Wanted::Page, "{page}");
        }
        assert_eq!(wanted_by(&["text/plain;q=0.5", "text/html"]), Wanted::Page);
    }

    #[test]
    fn everybody_else_gets_the_text() {
        for text in [
            "",
            "*/*",
            "text/*",
            "text/plain",
            "application/json",
            "text/html;q=0",
            "text/html;q=0, */*",
            "text/html;q=0.5, text/plain",
            "text/html;q=0.5, */*",
            "text/html;q=0.5, text/*;q=0.6, */*;q=0.1",
            "text/html;q=2",
            "text/html;q=-1",
            "text/html;q=NaN",
            "text/html;q=",
            "text/htmlx",
            "text/xhtml",
        ] {
            assert_eq!(wanted_by(&[text]), Wanted::Text, "{text}");
        }
        assert_eq!(wanted_by(&[]), Wanted::Text);
        assert_eq!(wanted_by(&["text/plain", "text/html;q=0.5"]), Wanted::Text);
    }
}
