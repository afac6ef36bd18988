//! By which id can a request be found again?

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most characters of a client's own id.
const ID_CHARACTERS: usize = 64;

/// A request's own id and, where the client sent one, its place in a trace. Both can be written into a
/// log line and a header as they are.
pub(super) struct Ids {
    request_id: HeaderValue,
    traceparent: Option<HeaderValue>,
}

impl Ids {
    /// The ids that the client sent, as far as they are well-formed; a request id is made up otherwise.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let request_id = headers.get(REQUEST_ID).filter(|id| is_id(id.as_bytes())).cloned();
        let traceparent = headers.get(TRACEPARENT).filter(|trace| is_traceparent(trace.as_bytes())).cloned();
        Self { request_id: request_id.unwrap_or_else(new_id), traceparent }
    }

    /// Tells the client the same ids.
    pub(super) fn echo(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request_id.clone());
        if let Some(traceparent) = &self.traceparent {
            headers.insert(TRACEPARENT, traceparent.clone());
        }
    }

    pub(super) fn request_id(&self) -> &str {
        // It is ASCII, or it would not be here.
        self.request_id.to_str().unwrap_or_default()
    }

    /// The second field of a traceparent.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref()?.to_str().ok()?.get(3..35)
    }
}

fn new_id() -> HeaderValue {
    let mut hex = [0; 16];
    let random = fastrand::u64(..);
    for (index, digit) in hex.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(random >> (4 * index) & 0xf) as usize];
    }
    HeaderValue::from_bytes(&hex).unwrap_or(HeaderValue::from_static("0"))
}

fn is_id(id: &[u8]) -> bool {
    (1..=ID_CHARACTERS).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// W3C Trace Context, section 3.2: version 00, `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeros.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |range| {
        value
            .get::<std::ops::Range<usize>>(range)
            .is_some_and(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
    };
    let zeros =
        |range| value.get::<std::ops::Range<usize>>(range).is_some_and(|d| d.iter().all(|d| *d == b'0'));
    value.len() == 55
        && value.starts_with(b"00-")
        && (value[35], value[52]) == (b'-', b'-')
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && !zeros(3..35)
        && !zeros(36..52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: HeaderName, value: &'static str) -> Ids {
        Ids::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn a_well_formed_id_is_kept_and_any_other_is_replaced() {
        let longest = "x".repeat(64);
        for id in ["1", "7b2e-4a_x.Y", longest.clone().leak()] {
            assert_eq!(ids(REQUEST_ID, id).request_id(), id);
        }
        for id in ["", "a b", "a\"b", "{}", "a=b", "x".repeat(65).leak()] {
            let made = ids(REQUEST_ID, id);
            assert_eq!(made.request_id().len(), 16);
            assert!(made.request_id().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_ne!(ids(REQUEST_ID, "").request_id(), ids(REQUEST_ID, "").request_id());
    }

    #[test]
    fn a_well_formed_traceparent_is_kept() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(ids(TRACEPARENT, trace).trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        for trace in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        ] {
            assert_eq!(ids(TRACEPARENT, trace).trace_id(), None, "{trace}");
        }
    }
}
