//! JSON Schemas (draft-07, which editors' TOML extensions understand) of `config.toml` and of provider files, made from
//! what the readers say of their keys. Nothing is listed here: a key that is read is a key of the schema. What no schema
//! can say, `keyferry check` still does.

use serde_json::{Map, Value as Json, json};

use super::provider::value_tables;
use super::{Key, Kind, keys, provider_keys};

/// What a schema's root says of itself.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Where the value language is described.
const VALUE: &str = "#/definitions/value";

/// A span of time as `humantime` reads it.
const DURATION: &str = "^(0|(\\s*[0-9]+\\s*[A-Za-zµ]+)+\\s*)$";

/// The schema of `config.toml`.
pub fn config_schema() -> Json {
    let keys = keys();
    let root = Node::tree(&keys);
    let mut schema =
        header("Keyferry's config.toml", "An environment variable KEYFERRY_<TABLE>__<KEY> can stand for each key.");
    schema.extend(root.members(""));
    schema.extend(root.needs().map(|needs| ("allOf".to_owned(), json!([needs]))));
    schema.into()
}

/// The schema of a provider file.
pub fn provider_schema() -> Json {
    let keys = provider_keys();
    let root = Node::tree(&keys);
    let mut schema = header("A Keyferry provider file", "How to get a grant, how to call, what to load.");
    schema.extend(root.members(""));
    // A file that extends another has from there what it does not say.
    schema.insert("if".into(), json!({ "required": ["extends"] }));
    schema.insert("else".into(), root.needs().unwrap_or_else(|| json!({})));
    let tables: Vec<Json> = value_tables().map(|kind| shape(&kind)).collect();
    let constants = json!({ "type": ["string", "number", "boolean"] });
    let list = json!({ "type": "array", "minItems": 1, "items": { "$ref": VALUE } });
    let forms: Vec<Json> = [constants, list].into_iter().chain(tables).collect();
    let description = "A JSONPath (`$…`), a template, a constant, a list of those of which the first that is there counts, or a table.";
    schema.insert("definitions".into(), json!({ "value": { "description": description, "anyOf": forms } }));
    schema.into()
}

fn header(title: &str, description: &str) -> Map<String, Json> {
    let members = [("$schema", DRAFT), ("title", title), ("description", description)];
    members.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// A key with those below it.
#[derive(Default)]
struct Node<'a> {
    key: Option<&'a Key>,
    /// By the last part of their path, in the order in which they are read.
    children: Vec<(&'a str, Self)>,
}

impl<'a> Node<'a> {
    fn tree(keys: &'a [Key]) -> Self {
        let mut root = Self::default();
        for key in keys {
            let mut node = &mut root;
            for part in key.path.split('.') {
                let (name, is_element) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
                node = node.child(name);
                if is_element {
                    node = node.child("[]");
                }
            }
            node.key = Some(key);
        }
        root
    }

    fn child(&mut self, name: &'a str) -> &mut Self {
        let position = self.children.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.children.push((name, Self::default()));
            self.children.len() - 1
        });
        &mut self.children[position].1
    }

    fn get(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(known, _)| *known == name).map(|(_, node)| node)
    }

    /// The one child of a table of free names or of a list.
    fn element(&self) -> &Self {
        self.children.first().map_or(self, |(_, element)| element)
    }

    /// The schema of the key; `here` points to its parent's properties.
    fn schema(&self, here: &str, name: &str) -> Json {
        let Some(key) = self.key else { return self.members(&format!("{here}/{name}")).into() };
        let there = format!("{here}/{name}");
        let mut schema = Map::new();
        schema.insert("description".into(), key.doc.into());
        if let Some(default) = &key.default {
            schema.insert("default".into(), default.clone());
        }
        let rest = match &key.kind {
            Kind::Table => self.members(&there).into(),
            Kind::Tables { shorthand } => {
                let element = self.element();
                let table: Json = element.members(&format!("{there}/additionalProperties")).into();
                let short = shorthand.and_then(|name| Some(shape(&element.get(name)?.key?.kind)));
                let element = match short {
                    Some(short) => json!({ "anyOf": [short, table] }),
                    None => table,
                };
                json!({ "type": "object", "additionalProperties": element })
            }
            Kind::TableList { .. } => {
                let element = self.element().members(&format!("{there}/items"));
                json!({ "type": "array", "items": element })
            }
            Kind::DefaultsOf(list) => json!({ "allOf": [{ "$ref": format!("#{here}/{list}/items") }] }),
            kind => shape(kind),
        };
        if let Json::Object(rest) = rest {
            schema.extend(rest);
        }
        if let Some(example) = &key.example {
            schema.insert("examples".into(), json!([example]));
        }
        schema.into()
    }

    /// As a table that knows these keys and no other.
    fn members(&self, here: &str) -> Map<String, Json> {
        let below = format!("{here}/properties");
        let properties: Map<String, Json> =
            self.children.iter().map(|(name, node)| ((*name).to_owned(), node.schema(&below, name))).collect();
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), properties.into());
        schema.insert("additionalProperties".into(), false.into());
        schema
    }

    /// What has to be there, and nothing else; `None` when nothing has to. Apart from the rest, since a file that extends
    /// another, or a list of tables with defaults, is not held to it.
    fn needs(&self) -> Option<Json> {
        let named = |name: &str| !name.starts_with(['<', '[']);
        let required: Vec<&str> = self
            .children
            .iter()
            .filter(|(name, node)| named(name) && node.key.is_some_and(|key| key.is_required))
            .map(|(name, _)| *name)
            .collect();
        let mut properties = Map::new();
        let mut schema = Map::new();
        for (name, node) in &self.children {
            let Some(needs) = node.needs() else { continue };
            match (*name, node.key.map(|key| &key.kind)) {
                ("[]", _) => drop(schema.insert("items".into(), needs)),
                (name, _) if name.starts_with('<') => drop(schema.insert("additionalProperties".into(), needs)),
                (name, Some(Kind::TableList { defaults })) if !defaults.is_empty() => {
                    schema.insert("if".into(), json!({ "required": [defaults] }));
                    schema.insert("else".into(), json!({ "properties": { name: needs } }));
                }
                (name, _) => drop(properties.insert(name.to_owned(), needs)),
            }
        }
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        if !properties.is_empty() {
            schema.insert("properties".into(), properties.into());
        }
        (!schema.is_empty()).then(|| schema.into())
    }
}

/// What a value without described keys looks like.
fn shape(kind: &Kind) -> Json {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Url => json!({ "type": "string", "pattern": "^(https?://|\\{)" }),
        Kind::Address => json!({ "type": "string", "pattern": ":[0-9]+$" }),
        Kind::JsonPath => json!({ "type": "string", "pattern": "^\\$" }),
        Kind::Date => json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }),
        Kind::Integer(bounds) => json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
        Kind::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Duration => {
            json!({ "anyOf": [{ "type": "string", "pattern": DURATION }, { "type": "integer", "minimum": 0 }] })
        }
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret => json!({ "type": "string", "examples": ["env:NAME", "file:/run/secrets/name"] }),
        Kind::List(element) => json!({ "type": "array", "items": shape(element) }),
        Kind::OneOrMore(element) => {
            let one = shape(element);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(shape).collect::<Vec<_>>() }),
        Kind::Members(members) => {
            let required: Vec<&str> = members.iter().filter(|(_, must, _)| *must).map(|(name, ..)| *name).collect();
            let properties: Map<String, Json> =
                members.iter().map(|(name, _, kind)| ((*name).to_owned(), shape(kind))).collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
        }
        Kind::TextTable => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::SecretTable => json!({ "type": "object", "additionalProperties": shape(&Kind::Secret) }),
        Kind::SecretTables => {
            let secrets = json!({ "type": "object", "additionalProperties": shape(&Kind::Secret) });
            json!({ "type": "object", "additionalProperties": secrets })
        }
        // Beside a reference, nothing else of a schema counts.
        Kind::Value => json!({ "allOf": [{ "$ref": VALUE }] }),
        Kind::ValueTable => json!({ "type": "object", "additionalProperties": { "$ref": VALUE } }),
        Kind::Anything => json!({}),
        Kind::AnyTable | Kind::Table | Kind::Tables { .. } | Kind::DefaultsOf(_) => json!({ "type": "object" }),
        Kind::TableList { .. } => json!({ "type": "array" }),
    }
}
