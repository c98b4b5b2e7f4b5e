//! One `[[oauth.discovery]]`.

use super::super::capture::{self, json_path};
use super::super::names::{Chooser, Stage};
use super::super::tables::headers;
use super::answers::Following;
use super::text_names;
use crate::config::reader::Table;
use crate::oauth::Discovery;

/// Reads the table, and defines the names that its answer brings.
pub(super) fn read(table: &mut Table<'_>, following: &mut Following<'_>) -> Option<Discovery> {
    let url = following.url(table);
    let doc = "The request's method; GET by default.";
    let method = table.word("method", doc, &[("GET", "GET"), ("POST", "POST")]).unwrap_or("GET");
    let doc = "More headers; by default the token is sent as `Authorization: Bearer {access_token}`.";
    let headers = text_names(headers(table, "headers", doc, following.names, Stage::DiscoveryHeaders, &[]));
    let doc = "The JSONPath of the records to choose from; without it the whole answer is the only one.";
    let records = table.parsed("records", doc, json_path);
    let doc =
        "What the record says, by JSONPath; the first that says all of it is taken. An empty text does not count.";
    let matches = table.parsed_texts("match", doc, |path, text| {
        Ok((json_path(path)?, following.names.template(text, Stage::DiscoveryMatch)?))
    });
    let doc = "Values kept from the record: a JSONPath, or a table with `path`, `pattern`, `map`, `default`.";
    let capture = capture::from_answer(table, "capture", doc, following.names, Chooser::Discovery);
    if capture.is_empty() && !table.has("capture") {
        table.mistake("capture", "is missing, so that nothing is learned", "write for example { site_id = \"$.id\" }");
    }
    let matches = matches.into_iter().map(|(_, pair)| pair).collect();
    Some(Discovery { url: url?, method, headers, records, matches, capture })
}
