//! Does a change come from a page of somebody else? A browser lets every page send forms, and bodies without a
//! type, to any host that it can reach, with nobody's consent.

use axum::extract::Request;
use axum::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;

use super::refusal::Refusal;

/// What a browser says of the page that sends a request: <https://www.w3.org/TR/fetch-metadata/>.
pub(super) const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what may change something and was sent by a page of another site. Whoever says nothing of where a
/// request comes from is no browser, and was asked for it by its own user.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    if request.method().is_safe() || is_ours(request) { Ok(()) } else { Err(Refusal::of_another_site()) }
}

fn is_ours(request: &Request) -> bool {
    let headers = request.headers();
    if headers.contains_key(SITE) {
        // "none" is what somebody did without a page, such as by a bookmark.
        return headers.get_all(SITE).iter().all(|site| site == "same-origin" || site == "none");
    }
    // On plain HTTP browsers say no more than the origin, unless the host is their own machine.
    let host = headers.get(HOST).and_then(authority);
    headers.get_all(ORIGIN).iter().all(|origin| host.is_some() && authority_of_origin(origin) == host)
}

/// `Origin: null`, which says that the page is nobody's or hides whose it is, has none.
fn authority_of_origin(origin: &HeaderValue) -> Option<Authority> {
    let (_scheme, authority) = origin.to_str().ok()?.split_once("://")?;
    authority.parse().ok()
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Method;

    use super::*;

    fn is_let_in(method: &Method, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        check(&request).is_ok()
    }

    /// A request to example.org:8080 that says this.
    fn post(headers: &[(&str, &str)]) -> bool {
        is_let_in(&Method::POST, &[&[("host", "example.org:8080")], headers].concat())
    }

    #[test]
    fn a_change_comes_from_our_own_page_or_from_none() {
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
            ("Same-Origin", false),
            ("same-origin, cross-site", false),
        ] {
            assert_eq!(post(&[("sec-fetch-site", site)]), expected, "{site}");
            // What both say is what the newer header says: a proxy may have changed the Host.
            assert_eq!(post(&[("sec-fetch-site", site), ("origin", "null")]), expected, "{site}");
        }
        assert!(!post(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
        assert!(post(&[]));
    }

    #[test]
    fn where_a_browser_says_only_the_origin_its_authority_is_the_hosts() {
        for (origin, expected) in [
            ("http://example.org:8080", true),
            // The scheme is the proxy's.
            ("https://example.org:8080", true),
            ("http://EXAMPLE.org:8080", true),
            ("http://example.org", false),
            ("http://example.org:80", false),
            ("http://example.org.evil.example:8080", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
            ("example.org:8080", false),
            ("http://", false),
            ("http://\u{e9}", false),
        ] {
            assert_eq!(post(&[("origin", origin)]), expected, "{origin}");
        }
        assert!(!post(&[("origin", "http://example.org:8080"), ("origin", "http://evil.example")]));
        assert!(!is_let_in(&Method::POST, &[("origin", "http://example.org")]), "HTTP/1.0 may name no host");
    }

    #[test]
    fn whatever_changes_nothing_is_let_in() {
        let elsewhere = [("host", "a"), ("origin", "http://b"), ("sec-fetch-site", "cross-site")];
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(is_let_in(&method, &elsewhere), "{method}");
        }
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            assert!(!is_let_in(&method, &elsewhere), "{method}");
        }
    }
}
