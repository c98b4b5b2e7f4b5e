//! One written value and what it can be taken for. Text from the environment and the command line takes the type of its
//! key; a value in a file has to be of that type.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Dict, Num, Value};

use crate::config::document::{Origin, inline_value};
use crate::config::problem::{Fault, one_of, quoted};

/// What `toml` calls the only key of a date.
const TOML_DATE: &str = "$__toml_private_datetime";

/// The longest span that may be written: beyond it nothing is meant any more, and arithmetic stays far from its ends.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

pub(in crate::config) struct Entry<'a> {
    pub(super) value: &'a Value,
    pub(super) origin: Origin,
}

impl<'a> Entry<'a> {
    /// As it was written, for values of a shape of their own.
    pub(in crate::config) fn value(&self) -> &'a Value {
        self.value
    }

    pub(in crate::config) fn text(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.wrong_kind("text", "write it in quotes"))
    }

    /// Text, or a date as TOML writes it without quotes.
    pub(in crate::config) fn date(&self) -> Result<&'a str, Fault> {
        match self.value {
            Value::Dict(_, dict) => dict.get(TOML_DATE).and_then(Value::as_str),
            value => value.as_str(),
        }
        .ok_or_else(|| self.wrong_kind("a date", "write for example \"2027-02-16\""))
    }

    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let allowed = one_of(words.iter().map(|(word, _)| *word));
            Fault::new(format!("{} is not known here", quoted(text)), format!("write {allowed}"))
        })
    }

    pub(super) fn integer(&self, bounds: RangeInclusive<u32>) -> Result<u32, Fault> {
        let number = match self.value {
            Value::String(_, text) if self.origin.is_text => text.trim().parse().ok(),
            Value::Num(_, number) => whole(*number),
            _ => None,
        };
        let remedy = format!("write a number from {} to {}", bounds.start(), bounds.end());
        let number = number.ok_or_else(|| self.wrong_kind("a whole number", &remedy))?;
        u32::try_from(number)
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| Fault::new("is out of bounds", remedy))
    }

    pub(super) fn share(&self) -> Result<f64, Fault> {
        const REMEDY: &str = "write a number from 0 to 1, for example 0.1";
        let number = match self.value {
            Value::String(_, text) if self.origin.is_text => text.trim().parse().ok(),
            Value::Num(_, number) => number.to_f64().or_else(|| whole(*number).map(|whole| whole as f64)),
            _ => None,
        };
        let number = number.ok_or_else(|| self.wrong_kind("a number", REMEDY))?;
        if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(Fault::new("is out of bounds", REMEDY)) }
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match self.value {
            Value::Bool(_, flag) => Ok(*flag),
            Value::String(_, text) if self.origin.is_text => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(Fault::new(format!("{} is neither true nor false", quoted(text)), "write `true` or `false`")),
            },
            _ => Err(self.wrong_kind("true or false", "write `true` or `false`, without quotes")),
        }
    }

    pub(super) fn duration(&self) -> Result<Duration, Fault> {
        const REMEDY: &str = "write for example \"30s\", \"5m\" or \"60d\"";
        let duration = match self.value {
            Value::Num(_, number) => match whole(*number).map(u64::try_from) {
                Some(Ok(seconds)) => Duration::from_secs(seconds),
                _ => return Err(Fault::new("is not a span of time", REMEDY)),
            },
            Value::String(_, text) => {
                let seconds = if self.origin.is_text { text.trim().parse().ok() } else { None };
                match seconds {
                    Some(seconds) => Duration::from_secs(seconds),
                    None => humantime::parse_duration(text)
                        .map_err(|_| Fault::new(format!("{} is not a span of time", quoted(text)), REMEDY))?,
                }
            }
            _ => return Err(self.wrong_kind("a span of time", REMEDY)),
        };
        if duration > LONGEST { Err(Fault::new("is longer than a hundred years", REMEDY)) } else { Ok(duration) }
    }

    pub(in crate::config) fn path(&self) -> Result<PathBuf, Fault> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(Fault::new("is empty", "name a path"));
        }
        Ok(self.origin.directory.join(text))
    }

    /// A list of texts. From the environment: with commas between, or written as TOML or JSON.
    pub(super) fn texts(&self) -> Result<Vec<String>, Fault> {
        let wrong = || self.wrong_kind("a list of texts", "write for example [\"a\", \"b\"]");
        let texts = |values: &[Value]| -> Result<Vec<String>, Fault> {
            values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        };
        match self.value {
            Value::Array(_, values) => texts(values),
            Value::String(_, text) if self.origin.is_text => {
                let text = text.trim();
                if text.starts_with('[') {
                    if let Some(Value::Array(_, values)) = inline_value(text) {
                        return texts(&values);
                    }
                    if let Ok(values) = serde_json::from_str(text) {
                        return Ok(values);
                    }
                }
                Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            _ => Err(wrong()),
        }
    }

    /// A table. From the environment: written as a TOML inline table.
    pub(super) fn table(&self) -> Result<Cow<'a, Dict>, Fault> {
        let inline = match self.value {
            Value::Dict(_, dict) if !dict.contains_key(TOML_DATE) => return Ok(Cow::Borrowed(dict)),
            Value::String(_, text) if self.origin.is_text => inline_value(text),
            _ => None,
        };
        let table = inline.and_then(Value::into_dict).map(Cow::Owned);
        table.ok_or_else(|| self.wrong_kind("a table", "write its keys one by one"))
    }

    /// Names the kind that was found and the one that is wanted, never the value.
    fn wrong_kind(&self, wanted: &str, remedy: &str) -> Fault {
        let found = match self.value {
            Value::String(..) | Value::Char(..) => "text",
            Value::Bool(..) => "true or false",
            Value::Num(..) => "a number",
            Value::Empty(..) => "nothing",
            Value::Dict(_, dict) if dict.contains_key(TOML_DATE) => "a date",
            Value::Dict(..) => "a table",
            Value::Array(..) => "a list",
        };
        Fault::new(format!("is {found} where {wanted} belongs"), remedy)
    }
}

/// The number as JSON has it: whole where it is.
pub(in crate::config) fn json_number(number: Num) -> serde_json::Value {
    match whole(number).map(i64::try_from) {
        Some(Ok(whole)) => whole.into(),
        _ => number.to_f64().map_or(serde_json::Value::Null, Into::into),
    }
}

/// The number, when it has no fraction.
pub(in crate::config) fn whole(number: Num) -> Option<i128> {
    number.to_i128().or_else(|| i128::try_from(number.to_u128()?).ok())
}
