//! The part of OTLP that spans need (opentelemetry-proto 1.x, `collector/trace/v1`), as protobuf. Written out here
//! because the crate of the generated types brings the whole SDK along: a second batch processor, and random numbers of
//! its own. The tests decode it with the receiver of others.

use std::borrow::Cow;

use prost::{Message, Oneof};

use super::span::{Finished, Kind, Value};

/// What is exported at once.
pub(super) fn encode(service_name: &str, instance: &str, spans: Vec<Finished>) -> Vec<u8> {
    let resource = [
        ("service.name", service_name),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", instance),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "keyferry"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource = resource.map(|(key, text)| key_value(key, Value::Text(Cow::Owned(text.to_owned()))));
    let scope = Scope { name: "keyferry".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = spans.into_iter().map(Span::from).collect();
    let resource_spans = ResourceSpans {
        resource: Some(Resource { attributes: resource.into() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    };
    Export { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// How many spans the collector did not want, by its answer of status 200.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let partial = Exported::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| partial.rejected_spans.try_into().unwrap_or(0))
}

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "OneValue", tags = "1, 3")]
    value: Option<OneValue>,
}

#[derive(Clone, PartialEq, Oneof)]
enum OneValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Integer(i64),
}

#[derive(Clone, PartialEq, Message)]
struct Exported {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// `STATUS_CODE_ERROR`; what is not one stays unset, as the conventions have it.
const ERROR: i32 = 2;

impl From<Finished> for Span {
    fn from(span: Finished) -> Self {
        let Finished { context, parent, name, kind, start, end, attributes, links, is_error } = span;
        let link = |context: super::SpanContext| Link {
            trace_id: context.trace.to_vec(),
            span_id: context.span.to_vec(),
            flags: context.flags().into(),
        };
        Self {
            trace_id: context.trace.to_vec(),
            span_id: context.span.to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.to_vec()),
            name: name.into_owned(),
            kind: match kind {
                Kind::Internal => 1,
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: attributes.into_iter().map(|(key, value)| key_value(key, value)).collect(),
            links: links.into_iter().map(link).collect(),
            status: is_error.then_some(Status { code: ERROR }),
            flags: context.flags().into(),
        }
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => OneValue::Text(text.into_owned()),
        Value::Integer(number) => OneValue::Integer(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_collectors() {
        let answer = Exported { partial_success: Some(PartialSuccess { rejected_spans: 3 }) };
        assert_eq!(rejected(&answer.encode_to_vec()), 3);
        assert_eq!(rejected(&[]), 0);
        assert_eq!(rejected(b"{}"), 0);
    }
}
