//! The paths that are walked without the library: names, indexes, wildcards, and filters that ask for one member or
//! compare it with a text, `true` or `false`. Reads only what it understands exactly; everything else is left to the library.

mod planting;

use serde_json::Value;

use super::Taken;
use crate::mapping::Wanted;

/// Steps from a document to its nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps(Box<[Step]>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(Box<str>),
    Index(i64),
    Every,
    Where(Filter),
}

/// `[?@.a.b == 'text']`, `[?@.a]`, `[?!@.a]`: the members of which it is true.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    /// Names and indexes only.
    member: Steps,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equal(Value),
    Unequal(Value),
    Present,
    Absent,
}

impl Steps {
    /// Reads what follows the `$`; `None` when the library is needed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (steps, rest) = Self::read_front(text)?;
        rest.is_empty().then_some(steps)
    }

    /// Reads steps for as long as there are any, and returns what follows.
    fn read_front(mut text: &str) -> Option<(Self, &str)> {
        let mut steps = Vec::new();
        while text.starts_with(['.', '[']) {
            let (step, rest) = Step::read(text)?;
            steps.push(step);
            text = rest;
        }
        Some((Self(steps.into()), text))
    }

    /// Shows every node for as long as `found` answers true; tells whether it always did.
    pub(super) fn visit<'a>(&self, document: &'a Value, found: &mut dyn FnMut(&'a Value) -> bool) -> bool {
        visit(&self.0, document, found)
    }

    /// Moves the members of a list out; `None` where the path does not end in one.
    pub(super) fn take(&self, document: &mut Value) -> Option<Taken> {
        let (last, way) = self.0.split_last()?;
        if !matches!(last, Step::Every | Step::Where(_)) || way.iter().any(|step| step.is_plural()) {
            return None;
        }
        let mut list = document;
        for step in way {
            list = match step.only_mut(list) {
                Some(next) => next,
                None => return Some(Taken::default()),
            };
        }
        let Value::Array(members) = list else { return None };
        let mut nodes = std::mem::take(members);
        let listed = nodes.len();
        if let Step::Where(filter) = last {
            nodes.retain(|node| filter.holds(node));
        }
        Some(Taken { nodes, listed, is_there: true })
    }

    pub(super) fn mark<'w>(&self, mut wanted: &'w mut Wanted) -> &'w mut Wanted {
        for step in &self.0 {
            wanted = match step {
                Step::Name(name) => wanted.member(name),
                Step::Index(_) | Step::Every => wanted.every(),
                Step::Where(filter) => {
                    let each = wanted.every();
                    filter.member.mark(each).whole();
                    each
                }
            };
        }
        wanted
    }

    pub(super) fn first_name(&self) -> Option<&str> {
        match self.0.first()? {
            Step::Name(name) => Some(name),
            _ => None,
        }
    }
}

fn visit<'a>(steps: &[Step], mut value: &'a Value, found: &mut dyn FnMut(&'a Value) -> bool) -> bool {
    for (position, step) in steps.iter().enumerate() {
        let rest = &steps[position + 1..];
        let mut onward = |member: &'a Value| match step {
            Step::Where(filter) if !filter.holds(member) => true,
            _ => visit(rest, member, found),
        };
        match (step, value) {
            (Step::Every | Step::Where(_), Value::Array(members)) => return members.iter().all(&mut onward),
            (Step::Every | Step::Where(_), Value::Object(members)) => return members.values().all(&mut onward),
            _ => match step.only(value) {
                Some(next) => value = next,
                None => return true,
            },
        }
    }
    found(value)
}

impl Step {
    fn read(text: &str) -> Option<(Self, &str)> {
        if let Some(rest) = text.strip_prefix('.') {
            if let Some(rest) = rest.strip_prefix('*') {
                return Some((Self::Every, rest));
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && !rest.starts_with(|c: char| !c.is_ascii());
            return named.then(|| (Self::Name(name.into()), rest));
        }
        let inner = text.strip_prefix('[')?;
        if let Some(rest) = inner.strip_prefix("*]") {
            return Some((Self::Every, rest));
        }
        if let Some(filter) = inner.strip_prefix('?') {
            let (filter, rest) = Filter::read(filter)?;
            return Some((Self::Where(filter), rest.strip_prefix(']')?));
        }
        if let Some((name, rest)) = quoted(inner) {
            return Some((Self::Name(name.into()), rest.strip_prefix(']')?));
        }
        let (index, rest) = inner.split_once(']')?;
        Some((Self::Index(index.parse().ok()?), rest))
    }

    fn is_plural(&self) -> bool {
        matches!(self, Self::Every | Self::Where(_))
    }

    fn only<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match (self, value) {
            (Self::Name(name), Value::Object(members)) => members.get(&**name),
            (Self::Index(index), Value::Array(members)) => members.get(counted(*index, members.len())?),
            _ => None,
        }
    }

    fn only_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match (self, value) {
            (Self::Name(name), Value::Object(members)) => members.get_mut(&**name),
            (Self::Index(index), Value::Array(members)) => {
                let index = counted(*index, members.len())?;
                members.get_mut(index)
            }
            _ => None,
        }
    }
}

/// A negative index counts from the end.
fn counted(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl Filter {
    fn read(text: &str) -> Option<(Self, &str)> {
        let (negated, text) = match text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (member, rest) = Steps::read_front(text.strip_prefix('@')?)?;
        if member.0.iter().any(Step::is_plural) {
            return None;
        }
        if rest.starts_with(']') {
            return Some((Self { member, test: if negated { Test::Absent } else { Test::Present } }, rest));
        }
        let rest = rest.trim_start_matches(' ');
        let (equal, rest) = match rest.strip_prefix("==") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("!=")?),
        };
        let rest = rest.trim_start_matches(' ');
        let (literal, rest) = if let Some((text, rest)) = quoted(rest) {
            (Value::from(text), rest)
        } else if let Some(rest) = rest.strip_prefix("true") {
            (Value::Bool(true), rest)
        } else {
            (Value::Bool(false), rest.strip_prefix("false")?)
        };
        let test = if equal { Test::Equal(literal) } else { Test::Unequal(literal) };
        (!negated).then_some((Self { member, test }, rest))
    }

    /// What is absent equals nothing (RFC 9535 section 2.3.5.2.2); what is null is present.
    fn holds(&self, node: &Value) -> bool {
        let mut value = Some(node);
        for step in &self.member.0 {
            value = value.and_then(|value| step.only(value));
        }
        match &self.test {
            Test::Equal(literal) => value == Some(literal),
            Test::Unequal(literal) => value != Some(literal),
            Test::Present => value.is_some(),
            Test::Absent => value.is_none(),
        }
    }
}

/// A text in quotes, without escapes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inner, rest) = text[1..].split_once(quote)?;
    let plain = inner.chars().all(|c| c != '\\' && c != '"' && c != '\'' && !c.is_control());
    plain.then_some((inner, rest))
}
