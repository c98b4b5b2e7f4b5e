//! The `[items]` table: what is asked for, and which items the answers hold.

mod body;
mod page;
mod source;

use figment::value::{Dict, Value};
use http::Method;

use self::source::Target;
pub(in crate::config) use self::source::value_tables;
pub(super) use self::source::{Known, known_in_requests};
use super::api::RESERVED;
use super::names::Names;
use super::tables::free_header;
use crate::config::problem::{Fault, Problem, did_you_mean, quoted};
use crate::config::reader::{Kind, Table};
use crate::items::{Fields, Stream, Turning};
use crate::mapping::{Path, Phrase, Source};

/// Reads the table. The streams are whole only when no mistake was noted; warnings are said when the provider is used.
pub(super) fn read(table: &mut Table<'_>, names: &Names, warnings: &mut Vec<Problem>) -> Option<Vec<Stream>> {
    let doc = "Keys for every stream; its own tables are merged into these, its other values replace them.";
    let defaults = table.value("defaults", Kind::DefaultsOf("streams"), doc, |entry| match entry.value() {
        Value::Dict(_, defaults) => Ok(defaults.clone()),
        _ => Err(Fault::new("is not a table", "write its keys one by one")),
    });
    let family = Family::peek(table);
    let defaults = defaults.unwrap_or_default();
    let streams = table.table_list("streams", "One kind of request.", ("defaults", &defaults), |position, table| {
        stream(table, names, &family, position, warnings)
    });
    table.need("streams", "write what to ask for, as [[items.streams]]");
    Some(streams)
}

/// The streams' names and parents, before anything else is read.
struct Family(Vec<(Option<String>, Option<String>)>);

impl Family {
    fn peek(table: &Table<'_>) -> Self {
        let text = |table: &Dict, name: &str| table.get(name).and_then(Value::as_str).map(str::to_owned);
        let names = |value: &Value| value.as_dict().map(|table| (text(table, "name"), text(table, "parent")));
        let streams = table.peek("streams").and_then(Value::as_array).unwrap_or_default();
        Self(streams.iter().map(|value| names(value).unwrap_or_default()).collect())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|(name, _)| name.as_deref())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(other, _)| other.as_deref() == Some(name))
    }

    /// The streams above one, innermost first; a mistake when one is missing or they go in a circle.
    fn ancestors(&self, position: usize) -> Result<Vec<usize>, Fault> {
        let mut ancestors: Vec<usize> = Vec::new();
        let mut current = position;
        while let Some((_, Some(parent))) = self.0.get(current) {
            let Some(above) = self.position(parent) else {
                let fault = format!("no stream is named {}", quoted(parent));
                return Err(Fault::new(fault, did_you_mean(parent, self.names())));
            };
            if above == position || ancestors.contains(&above) {
                return Err(Fault::new("goes in a circle", "remove one `parent`"));
            }
            ancestors.push(above);
            current = above;
        }
        Ok(ancestors)
    }
}

fn stream(
    table: &mut Table<'_>,
    names: &Names,
    family: &Family,
    position: usize,
    warnings: &mut Vec<Problem>,
) -> Option<Stream> {
    let name = table.parsed("name", "What problems call it.", super::filled);
    match name.as_deref().and_then(|name| family.position(name)) {
        _ if !table.has("name") => {}
        Some(first) if first != position => table.mistake("name", "is the name of two streams", "rename one"),
        _ => {}
    }
    table.need("name", "give the stream a name");
    let doc = "The stream whose records it is asked about, one by one.";
    let ancestors = table.parsed("parent", doc, |_| family.ancestors(position)).unwrap_or_default();
    let known = Known { ancestors: ancestors.len(), ..known_in_requests(names) };

    let method =
        table.word("method", "`GET` (the default) or `POST`.", &[("GET", Method::GET.as_str()), ("POST", "POST")]);
    let method = if method == Some("POST") { Method::POST } else { Method::GET };
    let path = table.parsed("path", "Below the base URL; a template.", |text| path(text, &known));
    table.need("path", "write for example \"/v1/items\"");
    let query = table.free_values("query", "Query parameters.", |_, value| known.source(value));
    let headers = table.free_values("headers", "Headers beside those of [api].", |header, value| {
        Ok((free_header(header, &RESERVED)?, known.source(value)?))
    });
    let body = table.value("body", Kind::AnyTable, "The JSON body; texts in it are literal.", |entry| {
        body::read(entry.value(), &known)
    });
    if body.is_some() && method == Method::GET {
        table.mistake("body", "stands at a GET, which has none", "write `method = \"POST\"`");
    }
    let read = table.boolean_or("read", "Whether sending it twice does no harm though it is a POST.", false);
    let records =
        table.parsed_as("records", Kind::JsonPath, "JSONPath of the records.", |text| json_path(text, "$.results[*]"));
    table.need("records", "write the JSONPath of the records, for example \"$.results[*]\"");
    let doc = "How the pages follow each other.";
    let paging = table.optional_table("page", doc, |table| page::read(table, &known, &method));
    if let Some(records) = &records {
        check_records(table, records, paging.as_ref().map(|paging| &paging.turning), warnings);
    }
    let doc = "JSONPath that selects something, and not `false`, when the provider left records out.";
    let incomplete = table.parsed_as("incomplete", Kind::JsonPath, doc, |text| json_path(text, "$.incomplete_results"));
    let doc = "Statuses on which a parent is passed over, each with the word `skip`.";
    let skip_on = table.parsed_texts("on_error", doc, skip);

    let item_known = Known { record: true, page: true, ..known };
    let lets = table
        .free_values("let", "Values computed once for each record, for its item.", |_, value| item_known.source(value));
    let let_names: Vec<&str> = lets.iter().map(|(name, _)| name.as_str()).collect();
    let item_known = Known { lets: &let_names, ..item_known };
    let doc = "Where each field of an item comes from.";
    let fields = table.table("item", doc, |table| fields(table, &item_known));

    let doc = "Whether items wait for the ids of the items found under them.";
    let collect_children = table.boolean_or("collect_children", doc, false);
    let is_parent = family.0.iter().any(|(_, parent)| parent.is_some() && *parent == name);
    if collect_children && !is_parent {
        table.mistake("collect_children", "is true, but no stream has this one as its parent", "remove it");
    } else if collect_children && fields.children.is_some() {
        table.mistake("collect_children", "is true beside an `item.children`", "keep one of them");
    }
    Some(Stream {
        name: name?,
        parent: ancestors.first().copied(),
        method,
        path: path?,
        query,
        headers: headers.into_iter().map(|(_, header)| header).collect(),
        body,
        read,
        records: records?,
        paging,
        incomplete,
        skip_on: skip_on.into_iter().map(|(_, status)| status).collect(),
        lets,
        fields,
        collect_children,
    })
}

/// A JSONPath, beside an example of one for this place.
fn json_path(text: &str, example: &str) -> Result<Path, Fault> {
    Path::parse(text).map_err(|_| {
        Fault::new(format!("{} is not a JSONPath", quoted(text)), format!("write for example `{example}`"))
    })
}

fn check_records(table: &Table<'_>, records: &Path, turning: Option<&Turning>, warnings: &mut Vec<Problem>) {
    if matches!(turning, Some(Turning::Offset(_) | Turning::Number { .. })) && !records.counts() {
        let fault = "leaves records out in such a way that nobody can count them, as `page` does here";
        table.mistake("records", fault, "filter in its last step only, for example \"$.results[?@.size > 0]\"");
    }
    if !records.ends_in_members() {
        let fault = Fault::new(
            "ends in neither `[*]` nor `[?…]` nor `[a:b]`, so that a list is one record",
            "write for example \"$.results[*]\"",
        );
        warnings.push(table.place("records").problem(fault));
    }
}

fn path(text: &str, known: &Known<'_>) -> Result<Phrase, Fault> {
    if !text.starts_with('/') || text.starts_with("//") {
        return Err(Fault::new("does not begin with one `/`", "write for example \"/v1/items\""));
    }
    // Filters of JSONPath hold question marks too, but stand inside braces.
    let phrase = known.phrase(text)?;
    let literal = phrase.literals().collect::<String>();
    if literal.contains(['?', '#']) {
        return Err(Fault::new("holds a query or a fragment", "put parameters into `query`"));
    }
    if literal.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Fault::new("holds a `.` or `..` segment", "write the path without it"));
    }
    if literal.contains(|c: char| !c.is_ascii_graphic() || c == '\\') {
        return Err(Fault::new("holds characters that stand in no URL", "percent-encode them"));
    }
    Ok(phrase)
}

fn skip(status: &str, word: &str) -> Result<u16, Fault> {
    let status = status.parse().ok().filter(|status| (400..600).contains(status));
    match (status, word) {
        (Some(status), "skip") => Ok(status),
        (None, _) => Err(Fault::new("is not an error's status", "write for example { 403 = \"skip\" }")),
        (_, word) => Err(Fault::new(format!("{} is not known here", quoted(word)), "write `skip`")),
    }
}

fn fields(table: &mut Table<'_>, known: &Known<'_>) -> Fields {
    let mut field = |name: &'static str, doc: &'static str, target: Target| -> Option<Source> {
        table.value(name, Kind::Value, doc, |entry| target.check(known.source(entry.value())?))
    };
    let fields = Fields {
        id: field("id", "Unique within the integration; a record without it is left out.", Target::Text),
        kind: field("type", "What it is.", Target::Text),
        directory: field("directory", "Whether other items lie in it; by default false.", Target::Flag),
        parent_path_or_name: field("parent_path_or_name", "Where it lies, as people read it.", Target::Text),
        parent_id: field("parent_id", "The id of the item that it lies in.", Target::Text),
        name: field("name", "What people call it.", Target::Text),
        creation_time: field("creation_time", "When it was made.", Target::Time),
        last_modified_time: field("last_modified_time", "When it was changed last.", Target::Time),
        url: field("url", "Where a person opens it.", Target::Text),
        children: field("children", "The ids of the items in it.", Target::List),
        mime_type: field("mime_type", "Its media type.", Target::Text),
        delta: field("delta", "The provider's token for asking what changed since.", Target::Text),
        drive_id: field("drive_id", "The drive that it lies on.", Target::Text),
        visibility: field("visibility", "Whether it is shown; by default true.", Target::Flag),
    };
    table.need("id", "write for example `id = \"$.id\"`");
    fields
}
