//! Names of records. A key's text is the record's name in both stores and part of what seals it, so two different keys
//! never share a text. It holds no record and reaches no store.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters: neither the separator nor a glob character survives in a part.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal,)+) => {
        /// What a record is. The list is closed: a kind is never renamed, for its text is in every stored key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind, for work that goes over the whole store.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The first part of the key's text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }

            /// The kind that a key's text begins with; nothing when it begins with none of ours.
            pub(super) fn of(text: &str) -> Option<Self> {
                let kind = text.split('/').next()?;
                Self::ALL.iter().copied().find(|known| known.as_str() == kind)
            }
        }
    };
}

kinds! {
    /// A connection and its grant, by org, user and integration.
    Connection = "connection",
    /// Where the connection with an id stands.
    ConnectionById = "connection-id",
    /// An authorization under way.
    Pending = "pending",
    /// A start link that nobody has opened yet.
    Start = "start",
    /// A grant that waits to be confirmed.
    Unconfirmed = "unconfirmed",
    /// A session.
    Session = "session",
    /// What ends all sessions of a person.
    SessionsOf = "sessions-of",
    /// A token that is still to be revoked at its provider.
    Revocation = "revocation",
    /// Who may do a thing alone. Not a record: it has an owner instead of a sealed value.
    Lease = "lease",
    /// A place in a list of items. Not a record: it is given out, sealed, and comes back.
    Cursor = "cursor",
    /// What is left of a rate budget. Not a record: it holds a number in the clear, as scripts count with it.
    Budget = "budget",
    /// A grant that an integration has without a person (client_credentials).
    ClientGrant = "client-grant",
}

impl Kind {
    /// Whether it lies in the store as a sealed record; the others only have their names from here.
    pub(super) fn is_record(self) -> bool {
        match self {
            Self::Connection
            | Self::ConnectionById
            | Self::Pending
            | Self::Start
            | Self::Unconfirmed
            | Self::Session
            | Self::SessionsOf
            | Self::Revocation
            | Self::ClientGrant => true,
            Self::Lease | Self::Cursor | Self::Budget => false,
        }
    }
}

/// The name of one record, or the beginning of many.
///
/// Parts are percent-encoded one by one, so (`a:b`, `c`) and (`a`, `b:c`) are different keys. They stand in the clear
/// in the store and in messages: where the part itself would be a secret, put a hash of it there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    text: Box<str>,
}

impl Key {
    /// The key of one record: `kind/part/part`.
    pub fn new(kind: Kind, parts: &[&str]) -> Self {
        let mut text = String::from(kind.as_str());
        for part in parts {
            text.push('/');
            text.extend(utf8_percent_encode(part, &ENCODED));
        }
        Self { text: text.into() }
    }

    /// The beginning of every key of this kind whose first parts are these: `kind/part/`.
    pub fn prefix(kind: Kind, parts: &[&str]) -> Self {
        let mut text = String::from(Self::new(kind, parts).text);
        text.push('/');
        Self { text: text.into() }
    }

    /// The beginning of every key.
    pub(super) fn all() -> Self {
        Self { text: "".into() }
    }

    /// Reads a key's text back; nothing when no call of [`Key::new`] makes that text.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = Kind::of(text)?;
        let parts = text.split('/').skip(1);
        let parts: Vec<_> = parts.map(|part| percent_decode_str(part).decode_utf8()).collect::<Result<_, _>>().ok()?;
        let key = Self::new(kind, &parts.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        (&*key.text == text).then_some(key)
    }

    /// The text that stands in the store.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parts that the key was made of, without its kind.
    pub fn parts(&self) -> Vec<String> {
        self.text.split('/').skip(1).map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts() {
        fn check(parts: &[&str], expected: &str) {
            let key = Key::new(Kind::Connection, parts);
            assert_eq!(key.as_str(), expected);
            assert_eq!(Key::parse(expected), Some(key));
        }
        check(&[], "connection");
        check(&[""], "connection/");
        check(&["acme", "ann", "notion"], "connection/acme/ann/notion");
        check(&["a:b", "c"], "connection/a%3Ab/c");
        check(&["a", "b:c"], "connection/a/b%3Ac");
        check(&["a/b%", "*[ü]?"], "connection/a%2Fb%25/%2A%5B%C3%BC%5D%3F");
    }

    #[test]
    fn a_prefix_ends_at_a_part() {
        let acme = Key::prefix(Kind::Connection, &["acme"]);
        assert!(Key::new(Kind::Connection, &["acme", "ann"]).as_str().starts_with(acme.as_str()));
        assert!(!Key::new(Kind::Connection, &["acme2", "ann"]).as_str().starts_with(acme.as_str()));
        assert!(
            !Key::new(Kind::ConnectionById, &["1"]).as_str().starts_with(Key::prefix(Kind::Connection, &[]).as_str())
        );
    }

    #[test]
    fn what_is_not_a_key() {
        fn check(text: &str) {
            assert_eq!(Key::parse(text), None, "{text:?}");
        }
        check("");
        check("other/a");
        check("connection/a:b");
        check("connection/%3a");
        check("connection/%FF");
        check("connection/%");
    }

    proptest! {
        #[test]
        fn different_parts_have_different_texts(
            one in proptest::collection::vec("[a-c:/%*é]{0,4}", 0..4),
            other in proptest::collection::vec("[a-c:/%*é]{0,4}", 0..4),
        ) {
            let key = |parts: &[String]| Key::new(Kind::Session, &parts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(key(&one) == key(&other), one == other);
            prop_assert_eq!(key(&one).parts(), one.clone());
            prop_assert_eq!(Key::parse(key(&one).as_str()), Some(key(&one)));
        }

        #[test]
        fn any_text_parses_or_does_not(text in "\\PC{0,40}") {
            if let Some(key) = Key::parse(&text) {
                prop_assert_eq!(key.as_str(), text);
            }
        }
    }
}
