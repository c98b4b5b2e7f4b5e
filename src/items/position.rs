//! A place between two items, as few bytes: a cursor that a caller hands back. What comes back may be anything.

use serde_json::Value;

use super::page::{Circle, PageState, is_below_base};

/// A place between two items, from which another walk of the same plan goes on.
///
/// It names the page that was being read at each depth, and how many of its records are done. What changes at the
/// provider in between may be met twice or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// From the outermost stream inwards; the last is the one whose records are given out next.
    pub(super) levels: Vec<LevelPosition>,
    /// How many of the items that come next were given out already.
    pub(super) given: u64,
}

impl Eq for Position {}

/// Where one stream stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LevelPosition {
    pub(super) stream: String,
    pub(super) state: PageState,
    /// How many pages came before this one.
    pub(super) pages: u64,
    /// How many of the page's records are done.
    pub(super) done: u64,
    /// The pages before it that a provider must not lead back to.
    pub(super) circle: Circle,
}

const VERSION: u8 = 2;
/// Deeper than any file nests its streams.
const MOST_LEVELS: u64 = 64;

impl Position {
    /// As bytes, for a cursor.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        number(&mut bytes, self.given);
        number(&mut bytes, self.levels.len() as u64);
        for level in &self.levels {
            text(&mut bytes, &level.stream);
            number(&mut bytes, level.pages);
            number(&mut bytes, level.done);
            let (tag, payload) = match &level.state {
                PageState::First => (0, None),
                PageState::Cursor(Value::String(cursor)) => (1, Some(cursor.clone())),
                PageState::Cursor(cursor) => (2, Some(cursor.to_string())),
                PageState::Offset(offset) => (3, Some(offset.to_string())),
                PageState::Number { number, before } => (4, Some(format!("{number} {before}"))),
                PageState::Url(url) => (5, Some(url.clone())),
            };
            bytes.push(tag);
            if let Some(payload) = payload {
                text(&mut bytes, &payload);
            }
            number(&mut bytes, level.circle.marks().len() as u64);
            level.circle.marks().iter().for_each(|mark| bytes.extend_from_slice(&mark.to_be_bytes()));
        }
        bytes
    }

    /// From those bytes; `None` when they are not a position.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let given = reader.number()?;
        let count = reader.number().filter(|count| (1..=MOST_LEVELS).contains(count))?;
        let levels = (0..count).map(|_| reader.level()).collect::<Option<_>>()?;
        reader.0.is_empty().then_some(Self { levels, given })
    }
}

/// Seven bits a byte, low ones first (LEB128).
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn level(&mut self) -> Option<LevelPosition> {
        let stream = self.text()?.to_owned();
        let (pages, done) = (self.number()?, self.number()?);
        let state = match self.byte()? {
            0 => PageState::First,
            1 => PageState::Cursor(self.text()?.into()),
            2 => PageState::Cursor(serde_json::from_str(self.text()?).ok().filter(Value::is_number)?),
            3 => PageState::Offset(self.text()?.parse().ok()?),
            4 => {
                let (number, before) = self.text()?.split_once(' ')?;
                PageState::Number { number: number.parse().ok()?, before: before.parse().ok()? }
            }
            5 => PageState::Url(self.text().filter(|url| is_below_base(url))?.to_owned()),
            _ => return None,
        };
        let count = self.number().filter(|count| *count <= Circle::MOST)?;
        let circle = Circle::of((0..count).map(|_| self.mark()).collect::<Option<_>>()?);
        Some(LevelPosition { stream, state, pages, done, circle })
    }

    fn mark(&mut self) -> Option<u64> {
        let (mark, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*mark))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = PageState> {
        prop_oneof![
            Just(PageState::First),
            ".{0,20}".prop_map(|text| PageState::Cursor(text.into())),
            any::<i64>().prop_map(|number| PageState::Cursor(number.into())),
            any::<u64>().prop_map(PageState::Offset),
            any::<(u64, u64)>().prop_map(|(number, before)| PageState::Number { number, before }),
            "/[a-z]{1,5}(\\?[a-z=%0-9]{0,9})?".prop_map(PageState::Url),
        ]
    }

    fn position() -> impl Strategy<Value = Position> {
        let circle = prop::collection::vec(any::<u64>(), 0..=17).prop_map(Circle::of);
        let level = ("[a-zé]{1,9}", state(), any::<u64>(), any::<u64>(), circle)
            .prop_map(|(stream, state, pages, done, circle)| LevelPosition { stream, state, pages, done, circle });
        (prop::collection::vec(level, 1..4), any::<u64>()).prop_map(|(levels, given)| Position { levels, given })
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(position in position()) {
            prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        }

        #[test]
        fn any_bytes_are_a_position_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Position::decode(&bytes);
        }

        #[test]
        fn a_changed_position_is_another_or_refused(position in position(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = position.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(other) = Position::decode(&bytes) {
                prop_assert!(other.levels.len() <= 64);
            }
            bytes.truncate(at);
            prop_assert_eq!(Position::decode(&bytes), None);
        }
    }

    #[test]
    fn a_foreign_url_is_not_a_position() {
        fn check(url: &str, expected: bool) {
            let (stream, state) = ("s".into(), PageState::Url(url.into()));
            let level = LevelPosition { stream, state, pages: 1, done: 0, circle: Circle::default() };
            let bytes = Position { levels: vec![level], given: 0 }.encode();
            assert_eq!(Position::decode(&bytes).is_some(), expected, "{url}");
        }
        check("/items?page=2", true);
        check("//evil.example/items", false);
        check("@evil.example/items", false);
        check(".evil.example/items", false);
        check("/../items", false);
        check("/a b", false);
    }
}
