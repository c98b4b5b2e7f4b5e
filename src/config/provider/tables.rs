//! Tables of parameters and headers whose values are templates.

use http::{HeaderName, HeaderValue};

use super::names::{Names, Stage};
use crate::config::problem::{Fault, quoted};
use crate::config::reader::Table;
use crate::mapping::Template;
use crate::oauth::Parameters;

/// A table of parameters. `reserved` are names that no file may touch, each with the reason.
pub(super) fn parameters(
    table: &mut Table<'_>,
    name: &'static str,
    doc: &'static str,
    names: &Names,
    stage: Stage,
    reserved: &[(&str, &str)],
) -> Parameters {
    table.parsed_texts(name, doc, |parameter, text| {
        if parameter.is_empty() {
            return Err(Fault::new("is a parameter without a name", "name or remove it"));
        }
        if let Some((_, reason)) = reserved.iter().find(|(reserved, _)| *reserved == parameter) {
            return Err(Fault::new(format!("cannot be set or dropped: {reason}"), "remove it"));
        }
        names.template(text, stage)
    })
}

/// A table of headers. `reserved` are lower-case names that no file may set, each with the reason.
pub(super) fn headers(
    table: &mut Table<'_>,
    name: &'static str,
    doc: &'static str,
    names: &Names,
    stage: Stage,
    reserved: &[(&str, &str)],
) -> Vec<(HeaderName, Template)> {
    let headers = table.parsed_texts(name, doc, |header, text| {
        let header = free_header(header, reserved)?;
        let template = names.template(text, stage)?;
        header_template(&template)?;
        Ok((header, template))
    });
    headers.into_iter().map(|(_, header)| header).collect()
}

/// A header that a file may set.
pub(super) fn free_header(text: &str, reserved: &[(&str, &str)]) -> Result<HeaderName, Fault> {
    let header = header_name(text)?;
    let hop_by_hop = (header.as_str(), "it is set for each connection");
    let of_the_connection = CONNECTION_HEADERS.contains(&header.as_str()).then_some(&hop_by_hop);
    let mut all = reserved.iter().chain(of_the_connection);
    match all.find(|(reserved, _)| *reserved == header.as_str()) {
        Some((_, reason)) => Err(Fault::new(format!("cannot be set here: {reason}"), "remove it")),
        None => Ok(header),
    }
}

/// Headers that belong to one connection or to the framing of one message (RFC 9110 section 7.6.1).
const CONNECTION_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn header_name(text: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Fault::new(format!("{} is not a header name", quoted(text)), "write for example `X-Api-Version`"))
}

/// The written part of a header's value has to be a header's; what is filled in is checked when it is.
pub(super) fn header_template(template: &Template) -> Result<(), Fault> {
    let filled = template.render(crate::mapping::Encoding::Raw, |_| Some("x".into())).unwrap_or_default();
    match HeaderValue::from_str(&filled) {
        Ok(_) if filled.is_ascii() => Ok(()),
        _ => Err(Fault::new("is not a header's value", "write visible ASCII characters and spaces")),
    }
}
