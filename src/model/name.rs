//! Names that come from files, URLs and forms, parsed once. A value of one of these types is safe to put into a URL
//! path, a log line and a store key (which still encodes it).

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than the limit in bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The text holds a character that the name may not.
    #[error("may hold only a–z, 0–9, `-` and `_`, and begins with a letter or digit")]
    NotASlug,
    /// The text holds a control character.
    #[error("holds a control character")]
    Control,
    /// The name is a fixed path segment of Keyferry's own.
    #[error("is a name that Keyferry's own URLs use")]
    Reserved,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        // Shared, so that whoever keeps a name for a record or a line copies none of it.
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the text as given; nothing is trimmed or folded.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The id of a provider: the stem of its file name.
    ProviderId,
    slug
);
name!(
    /// The name of an integration, which stands in URLs.
    IntegrationName,
    integration
);
name!(
    /// The name of a caller in `[callers.<name>]`.
    CallerName,
    slug
);
name!(
    /// The application's identifier of an organisation; opaque to us.
    Org,
    opaque
);
name!(
    /// The application's identifier of a user within an organisation; opaque to us.
    User,
    opaque
);

/// A person of an organisation: whose connections these are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person {
    /// The organisation.
    pub org: Org,
    /// The user within it.
    pub user: User,
}

impl Person {
    /// Whom the open mode means when nobody is named: `default` of `default`.
    pub fn unnamed() -> Self {
        Self { org: Org("default".into()), user: User("default".into()) }
    }

    /// Nobody: who holds a grant that an integration got for itself. No text parses to it; `mark` tells one such grant
    /// from another.
    pub fn nobody(mark: &str) -> Self {
        Self { org: Org("".into()), user: User(mark.into()) }
    }

    /// Whether it is nobody.
    pub fn is_nobody(&self) -> bool {
        self.org.0.is_empty()
    }
}

fn slug(text: &str) -> Result<(), NameError> {
    bounded(text, 63)?;
    let first_ok = text.as_bytes()[0].is_ascii_lowercase() || text.as_bytes()[0].is_ascii_digit();
    let rest_ok = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if first_ok && rest_ok { Ok(()) } else { Err(NameError::NotASlug) }
}

/// `/integrations/sessions` is Keyferry's own, so no integration may be called so.
fn integration(text: &str) -> Result<(), NameError> {
    slug(text)?;
    if text == "sessions" { Err(NameError::Reserved) } else { Ok(()) }
}

fn opaque(text: &str) -> Result<(), NameError> {
    bounded(text, 255)?;
    if text.chars().any(char::is_control) { Err(NameError::Control) } else { Ok(()) }
}

fn bounded(text: &str, limit: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > limit => Err(NameError::TooLong(limit)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_names() {
        fn check(input: &str, expected: Result<(), NameError>) {
            assert_eq!(IntegrationName::parse(input).map(|_| ()), expected, "{input:?}");
        }
        check("hubspot", Ok(()));
        check("google-drive_2", Ok(()));
        check("", Err(NameError::Empty));
        check("-x", Err(NameError::NotASlug));
        check("HubSpot", Err(NameError::NotASlug));
        check("a/b", Err(NameError::NotASlug));
        check("sessions", Err(NameError::Reserved));
        check(&"a".repeat(64), Err(NameError::TooLong(63)));
    }

    #[test]
    fn people_are_opaque() {
        fn check(input: &str, expected: Result<(), NameError>) {
            assert_eq!(Org::parse(input).map(|_| ()), expected, "{input:?}");
        }
        check("Größe & Söhne / 42:%", Ok(()));
        check("a\nb", Err(NameError::Control));
        check("", Err(NameError::Empty));
        check(&"x".repeat(256), Err(NameError::TooLong(255)));
    }
}
