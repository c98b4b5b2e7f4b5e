//! `{name}` templates: plain substitution and nothing else. No functions, no code, so a provider file can never do more
//! than place a value.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::braces::{Piece, pieces};

/// A compiled template. `{{` and `}}` stand for literal braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

type Part = Piece<String>;

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{` without its `}`, or a `}` without its `{`.
    #[error("has a brace without its partner; write `{{{{` or `}}}}` for a literal brace")]
    Unbalanced,
    /// What stands between the braces is not a name.
    #[error("has `{{{0}}}`, which is not a name; names are lower-case letters, digits and `_`")]
    NotAName(String),
}

/// How substituted values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Percent-encoded but for RFC 3986's unreserved characters: a value can never change the shape of a URL.
    Url,
}

/// What stays as it is in an encoded value: RFC 3986 section 2.3.
pub(crate) const UNRESERVED_KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Template {
    /// Compiles the text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let name = |name: &str| match is_name(name) {
            true => Ok(name.to_owned()),
            false => Err(TemplateError::NotAName(name.to_owned())),
        };
        let parts = pieces(text, |rest| rest.find('}'), || TemplateError::Unbalanced, name)?;
        Ok(Self { parts })
    }

    /// The names it asks for, in order, repeats included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// True when there is nothing to send: in a parameter table an empty value drops the parameter.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text, when the template holds no names.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first name.
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Fills the names in. `None` when a name has no value: half a URL or header is never sent.
    ///
    /// A name at the very start of a URL stands for scheme and host (Salesforce's `{instance_url}`), so it is written
    /// raw under [`Encoding::Url`] too.
    pub fn render<'a>(&self, encoding: Encoding, lookup: impl Fn(&str) -> Option<Cow<'a, str>>) -> Option<String> {
        let mut text = String::new();
        for (position, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(name) => {
                    let value = lookup(name)?;
                    match encoding {
                        Encoding::Url if position > 0 => {
                            write!(text, "{}", utf8_percent_encode(&value, UNRESERVED_KEPT)).ok()?;
                        }
                        Encoding::Url | Encoding::Raw => text.push_str(&value),
                    }
                }
            }
        }
        Some(text)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<Cow<'static, str>> {
        match name {
            "sub" => Some("acme".into()),
            "odd" => Some("a/b?c#d e".into()),
            "root" => Some("https://eu.example".into()),
            _ => None,
        }
    }

    #[test]
    fn rendering() {
        fn check(text: &str, encoding: Encoding, expected: Option<&str>) {
            let template = Template::parse(text).expect("a template");
            assert_eq!(template.render(encoding, lookup).as_deref(), expected, "{text:?}");
        }
        check("", Encoding::Raw, Some(""));
        check("plain", Encoding::Raw, Some("plain"));
        check("https://{sub}.example/{odd}", Encoding::Url, Some("https://acme.example/a%2Fb%3Fc%23d%20e"));
        check("{root}/v1/{sub}", Encoding::Url, Some("https://eu.example/v1/acme"));
        check("Bearer {odd}", Encoding::Raw, Some("Bearer a/b?c#d e"));
        check("{{\"a\":\"{sub}\"}}", Encoding::Raw, Some("{\"a\":\"acme\"}"));
        check("{absent}", Encoding::Raw, None);
    }

    #[test]
    fn mistakes() {
        fn check(text: &str, expected: TemplateError) {
            assert_eq!(Template::parse(text), Err(expected), "{text:?}");
        }
        check("a{b", TemplateError::Unbalanced);
        check("a}b", TemplateError::Unbalanced);
        check("{}", TemplateError::NotAName(String::new()));
        check("{base64(x)}", TemplateError::NotAName("base64(x)".into()));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".*") {
            if let Ok(template) = Template::parse(&text) && template.names().next().is_none() {
                let rendered = template.render(Encoding::Url, |_| None).expect("no names");
                prop_assert_eq!(rendered.replace('{', "{{").replace('}', "}}"), text);
            }
        }
    }
}
