//! W3C Trace Context: who asked for a request, as `traceparent` says it. Pure: parses and formats, draws and decides
//! nothing.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// <https://www.w3.org/TR/trace-context/#tracestate-header>
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// <https://www.w3.org/TR/baggage/>
pub(super) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Somebody records this trace.
const SAMPLED: u8 = 1;

/// The lower seven bytes of the trace's id are random (level 2 of the recommendation).
const RANDOM: u8 = 2;

/// What version 00 is written with: version, trace, span and flags, with `-` between.
const LENGTH: usize = 55;

/// The id of a trace; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The id of a span; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// A span as others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    flags: u8,
}

/// What a request says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing.
    Absent,
    /// Something that is to be replaced, with all that comes with it.
    Invalid,
    /// Who asked.
    Parent(SpanContext),
}

impl Incoming {
    /// Reads the header fields.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (None, _) if headers.contains_key(TRACESTATE) => Self::Invalid,
            (None, _) => Self::Absent,
            (Some(value), None) => SpanContext::parse(value.as_bytes()).map_or(Self::Invalid, Self::Parent),
            // Two parents are none.
            (Some(_), Some(_)) => Self::Invalid,
        }
    }
}

impl SpanContext {
    /// A span of a trace that begins with it, and is recorded.
    pub(super) fn root(trace: TraceId, span: SpanId) -> Self {
        Self { trace, span, flags: SAMPLED | RANDOM }
    }

    /// Another span of the same trace.
    pub(super) fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// Whether whoever asked records the trace.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags as they are exported and passed on.
    pub(super) fn flags(self) -> u8 {
        self.flags
    }

    /// `None` when the field is not one of version 00, nor the beginning of one of a later version (section 4.3: what
    /// follows the flags is skipped). Hexadecimal digits are lower case alone.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (known, rest) = field.split_at_checked(LENGTH)?;
        let version = hex::<1>(&known[..2])?[0];
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !is_whole || [known[2], known[35], known[52]] != [b'-'; 3] {
            return None;
        }
        let flags = hex::<1>(&known[53..])?[0] & (SAMPLED | RANDOM);
        Some(Self { trace: TraceId::new(hex(&known[3..35])?)?, span: SpanId::new(hex(&known[36..52])?)?, flags })
    }

    /// As version 00 writes it.
    pub fn traceparent(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits and dashes are a field's value")
    }
}

impl TraceId {
    pub(super) fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    pub(super) fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl SpanId {
    pub(super) fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    pub(super) fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn parents() {
        fn check(field: &str, expected: Option<bool>) {
            let parsed = SpanContext::parse(field.as_bytes());
            assert_eq!(parsed.map(SpanContext::is_sampled), expected, "{field}");
        }
        check(GOOD, Some(true));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(false));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", Some(true));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", Some(false));
        // A later version may say more, behind another dash.
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what the future holds", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", None);
        check("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b77-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None);
        check(" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("", None);
    }

    #[test]
    fn what_a_request_says() {
        fn check(fields: &[(&'static str, &'static str)], is_expected: impl Fn(Incoming) -> bool) {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let incoming = Incoming::of(&headers);
            assert!(is_expected(incoming), "{fields:?}: {incoming:?}");
        }
        check(&[], |incoming| incoming == Incoming::Absent);
        check(&[("traceparent", GOOD)], |incoming| matches!(incoming, Incoming::Parent(_)));
        check(&[("traceparent", GOOD), ("tracestate", "a=b")], |incoming| matches!(incoming, Incoming::Parent(_)));
        check(&[("traceparent", GOOD), ("traceparent", GOOD)], |incoming| incoming == Incoming::Invalid);
        check(&[("traceparent", "01")], |incoming| incoming == Incoming::Invalid);
        // A state of nobody's trace.
        check(&[("tracestate", "a=b")], |incoming| incoming == Incoming::Invalid);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let context = SpanContext {
                trace: TraceId::new(trace.to_be_bytes()).expect("not zero"),
                span: SpanId::new(span.to_be_bytes()).expect("not zero"),
                flags: u8::from(is_sampled),
            };
            let written = context.traceparent();
            prop_assert_eq!(written.len(), LENGTH);
            prop_assert_eq!(SpanContext::parse(written.as_bytes()), Some(context));
        }

        #[test]
        fn no_field_is_too_odd(field in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = SpanContext::parse(&field);
        }

        /// What is read is written the same, but for flags that nobody knows.
        #[test]
        fn one_changed_letter(position in 0..LENGTH, letter in 0x20_u8..0x7f) {
            let mut field = GOOD.as_bytes().to_vec();
            field[position] = letter;
            if let Some(read) = SpanContext::parse(&field) {
                let written = read.to_string();
                let kept = 2..53;
                prop_assert_eq!(&written.as_bytes()[kept.clone()], &field[kept]);
            }
        }
    }
}
