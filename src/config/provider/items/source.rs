//! The value language as a provider file writes it, and what its paths may begin at in each place.

use figment::value::{Dict, Value};
use serde_json::Value as Json;

use crate::config::problem::{Fault, did_you_mean, one_of, quoted};
use crate::config::provider::names::Names;
use crate::config::reader::{Kind, json_number};
use crate::mapping::{Phrase, Reference, Root, Source, SourceError, TimeFormat};

/// What there is at one place of a file.
#[derive(Clone, Copy)]
pub(in crate::config::provider) struct Known<'a> {
    pub(in crate::config::provider) names: &'a Names,
    /// How many streams lie above.
    pub(in crate::config::provider) ancestors: usize,
    pub(in crate::config::provider) record: bool,
    pub(in crate::config::provider) page: bool,
    pub(in crate::config::provider) lets: &'a [&'a str],
}

/// What a request knows: the connection.
pub(in crate::config::provider) fn known_in_requests(names: &Names) -> Known<'_> {
    Known { names, ancestors: 0, record: false, page: false, lets: &[] }
}

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Text,
    Flag,
    Time,
    List,
}

/// The keys that a table of the value language begins with, each with those that may stand beside it.
const HEADS: [(&str, &[&str]); 5] = [
    ("path", &["map", "default", "format"]),
    ("template", &["trim"]),
    ("join", &["sep"]),
    ("list", &[]),
    ("exists", &[]),
];

const FORMATS: [(&str, TimeFormat); 4] = [
    ("rfc3339", TimeFormat::Rfc3339),
    ("unix_s", TimeFormat::UnixSeconds),
    ("unix_ms", TimeFormat::UnixMillis),
    ("dotnet", TimeFormat::DotNet),
];

/// The tables of the value language, as descriptions: each head with what may stand beside it.
pub(in crate::config) fn value_tables() -> impl Iterator<Item = Kind> {
    HEADS.into_iter().map(|(head, beside)| {
        let head_kind = if head == "template" { Kind::Text } else { Kind::JsonPath };
        let members = beside.iter().map(|key| {
            let kind = match *key {
                "map" => Kind::AnyTable,
                "format" => Kind::Word(FORMATS.map(|(word, _)| word).to_vec()),
                "trim" => Kind::Boolean,
                "sep" => Kind::Text,
                _ => Kind::Anything,
            };
            (*key, false, kind)
        });
        Kind::Members([(head, true, head_kind)].into_iter().chain(members).collect())
    })
}

impl Known<'_> {
    /// Compiles a value.
    pub(super) fn source(&self, value: &Value) -> Result<Source, Fault> {
        let source = match value {
            Value::String(_, text) => Source::parse(text).map_err(fault)?,
            Value::Array(_, values) if values.is_empty() => {
                return Err(Fault::new("is an empty list", "write what is to be tried, in order"));
            }
            Value::Array(_, values) => {
                Source::FirstOf(values.iter().map(|value| self.source(value)).collect::<Result<_, _>>()?)
            }
            Value::Dict(_, table) if !is_date(table) => compound(table)?,
            value => Source::Constant(literal(value)?),
        };
        source.references().into_iter().try_for_each(|reference| self.check(reference))?;
        Ok(source)
    }

    /// Compiles a template.
    pub(in crate::config::provider) fn phrase(&self, text: &str) -> Result<Phrase, Fault> {
        let phrase = Phrase::parse(text, false).map_err(fault)?;
        phrase.references().try_for_each(|reference| self.check(reference))?;
        Ok(phrase)
    }

    /// Whether there is something to begin at.
    fn check(&self, reference: &Reference) -> Result<(), Fault> {
        let asked = format!("asks for {}", quoted(&reference.text()));
        let missing = |why: &str, remedy: &str| Err(Fault::new(format!("{asked}, but {why}"), remedy));
        match reference.root() {
            Root::Record if !self.record => {
                missing("there is no record before the answer", "write `$parent` or `$conn`, or a constant")
            }
            Root::Page if !self.page => missing("there is no page before the answer", "write `$parent` or `$conn`"),
            Root::Parent if self.ancestors < 1 => missing("the stream has no parent", "name its `parent`"),
            Root::Grandparent if self.ancestors < 2 => {
                missing("the stream's parent has no parent", "name the parent's `parent`")
            }
            Root::Connection => match reference.path().first_name() {
                Some(name) if self.names.is_secret(name) => missing("that is a secret", "send it by [api.headers]"),
                Some(name) if self.names.shown().any(|shown| shown == name) => Ok(()),
                Some(name) => {
                    let fault = format!("{asked}, but nothing captured and no variable is named {}", quoted(name));
                    Err(Fault::new(fault, did_you_mean(name, self.names.shown())))
                }
                None => missing("no name follows", "write for example `$conn.workspace_id`"),
            },
            Root::Let => match reference.path().first_name() {
                Some(name) if self.lets.contains(&name) => Ok(()),
                Some(name) => {
                    let fault = format!("{asked}, but no `let` is named {}", quoted(name));
                    let remedy = match did_you_mean(name, self.lets.iter().copied()) {
                        remedy if remedy.is_empty() => {
                            "write it into [items.streams.let]; one `let` sees no other".into()
                        }
                        remedy => remedy,
                    };
                    Err(Fault::new(fault, remedy))
                }
                None => missing("no name follows", "write for example `$let.text`"),
            },
            _ => Ok(()),
        }
    }
}

impl Target {
    /// A constant has to be of the field's type; what an answer brings is checked when it is there.
    pub(super) fn check(self, source: Source) -> Result<Source, Fault> {
        let takes = |value: &Json| match self {
            Self::Text => value.is_string() || value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::Time => value.as_str().is_some_and(|text| crate::mapping::time::utc(text).is_some()),
            Self::List => value.is_array(),
        };
        let fits = match &source {
            Source::Constant(value) => takes(value),
            Source::Map { map, default, .. } => {
                map.iter().map(|(_, value)| value).chain(Some(default)).all(|value| value.is_null() || takes(value))
            }
            Source::Exists(_) => self == Self::Flag,
            Source::List(_) => self == Self::List,
            Source::Join { .. } | Source::Phrase(_) => matches!(self, Self::Text | Self::Time),
            Source::FirstOf(sources) => {
                for source in sources {
                    self.check(source.clone())?;
                }
                true
            }
            _ => true,
        };
        let wanted = match self {
            Self::Text => "text",
            Self::Flag => "true or false",
            Self::Time => "a time",
            Self::List => "a list",
        };
        if fits {
            Ok(source)
        } else {
            Err(Fault::new(format!("can never be {wanted}, which the field takes"), "take a value of that type"))
        }
    }
}

/// Whether a table of a body is one of the value language: its keys are, and its path begins with `$`.
pub(super) fn is_marked(table: &Dict) -> bool {
    HEADS.iter().any(|(head, beside)| {
        let text = table.get(*head).and_then(Value::as_str);
        let keys = table.keys().all(|key| key == head || beside.contains(&key.as_str()));
        keys && text.is_some_and(|text| *head == "template" || text.starts_with('$'))
    })
}

fn compound(table: &Dict) -> Result<Source, Fault> {
    let heads = || HEADS.iter().map(|(head, _)| *head);
    let Some((head, beside)) = HEADS.iter().find(|(head, _)| table.contains_key(*head)) else {
        let fault = "is a table without a value";
        return Err(Fault::new(fault, format!("write {} into it", one_of(heads()))));
    };
    if let Some(key) = table.keys().find(|key| key != head && !beside.contains(&key.as_str())) {
        let fault = format!("has the unknown key {} beside {}", quoted(key), quoted(head));
        return Err(Fault::new(fault, did_you_mean(key, beside.iter().copied())));
    }
    let text = table[*head].as_str();
    let text =
        text.ok_or_else(|| Fault::new(format!("has a {} that is not text", quoted(head)), "write it in quotes"))?;
    if *head == "template" {
        let trim = match table.get("trim") {
            None => true,
            Some(Value::Bool(_, trim)) => *trim,
            Some(_) => return Err(Fault::new("has a `trim` that is neither true nor false", "write `trim = false`")),
        };
        return Phrase::parse(text, trim).map(Source::Phrase).map_err(fault);
    }
    let reference = Reference::parse(text).map_err(fault)?;
    match *head {
        "join" => {
            let separator = match table.get("sep") {
                None => String::new(),
                Some(Value::String(_, separator)) => separator.clone(),
                Some(_) => return Err(Fault::new("has a `sep` that is not text", "write it in quotes")),
            };
            Ok(Source::Join { nodes: reference, separator })
        }
        "list" => Ok(Source::List(reference)),
        "exists" => Ok(Source::Exists(reference)),
        _ => path_with(reference, table),
    }
}

fn path_with(of: Reference, table: &Dict) -> Result<Source, Fault> {
    match (table.get("map"), table.get("default"), table.get("format")) {
        (Some(_), _, Some(_)) => Err(Fault::new("has a `map` and a `format`", "keep one of them")),
        (None, Some(_), _) => {
            Err(Fault::new("has a `default` without a `map`", "write a list: what is tried, in order"))
        }
        (Some(Value::Dict(_, map)), default, None) => {
            let map =
                map.iter().map(|(text, value)| Ok((text.clone(), literal(value)?))).collect::<Result<_, Fault>>()?;
            let default = default.map(literal).transpose()?.unwrap_or(Json::Null);
            Ok(Source::Map { of, map, default })
        }
        (Some(_), _, None) => Err(Fault::new("has a `map` that is not a table", "write { text = value }")),
        (None, None, Some(Value::String(_, word))) => match FORMATS.iter().find(|(known, _)| known == word) {
            Some((_, format)) => Ok(Source::Time { of, format: *format }),
            None => {
                let known = one_of(FORMATS.iter().map(|(word, _)| *word));
                Err(Fault::new(format!("has the unknown format {}", quoted(word)), format!("write {known}")))
            }
        },
        (None, None, Some(_)) => Err(Fault::new("has a `format` that is not text", "write it in quotes")),
        (None, None, None) => Ok(Source::Reference(of)),
    }
}

/// A value as JSON.
pub(super) fn literal(value: &Value) -> Result<Json, Fault> {
    Ok(match value {
        Value::String(_, text) => text.as_str().into(),
        Value::Char(_, character) => character.to_string().into(),
        Value::Bool(_, flag) => (*flag).into(),
        Value::Num(_, number) => json_number(*number),
        Value::Empty(..) => Json::Null,
        Value::Array(_, values) => values.iter().map(literal).collect::<Result<_, _>>()?,
        Value::Dict(_, table) if is_date(table) => {
            return Err(Fault::new("is a date without quotes", "write it in quotes"));
        }
        Value::Dict(_, table) => Json::Object(
            table.iter().map(|(key, value)| Ok((key.clone(), literal(value)?))).collect::<Result<_, Fault>>()?,
        ),
    })
}

/// What TOML makes of a date without quotes.
pub(super) fn is_date(table: &Dict) -> bool {
    table.keys().any(|key| key.starts_with("$__toml"))
}

fn fault(error: SourceError) -> Fault {
    Fault::sentence(&error.to_string())
}
