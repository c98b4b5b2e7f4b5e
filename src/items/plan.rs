//! What a provider file says about items, checked and compiled.

use http::{HeaderName, Method};
use serde_json::{Map, Value};

use super::{Fields, Paging, Policy, Position, interest};
use crate::mapping::{Path, Phrase, Scope, Source, Wanted};

/// The `[items]` table of a provider file, with what `[api]` says about retries, errors and budgets.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    streams: Vec<Stream>,
    children: Vec<Vec<usize>>,
    /// What is looked at in the answers of each stream.
    wanted: Vec<Wanted>,
    pub(super) policy: Policy,
    pub(super) budget: Option<Phrase>,
}

/// One kind of request, and the items in its answers.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What problems and positions call it; unique in its file.
    pub name: String,
    /// The stream whose records it is asked about, one by one.
    pub parent: Option<usize>,
    /// `GET` or `POST`.
    pub method: Method,
    /// Below the base URL; begins with `/`.
    pub path: Phrase,
    /// Query parameters; one whose value is null is left out.
    pub query: Vec<(String, Source)>,
    /// Headers; one whose value is null is left out.
    pub headers: Vec<(HeaderName, Source)>,
    /// The JSON body.
    pub body: Option<Body>,
    /// Whether sending it twice does no harm though it is a `POST`.
    pub read: bool,
    /// The records of an answer.
    pub records: Path,
    /// How the following page is asked for; `None` when there is only one.
    pub paging: Option<Paging>,
    /// Selects something, and not `false`, when the provider left records out.
    pub incomplete: Option<Path>,
    /// Statuses on which the stream is left out for this parent.
    pub skip_on: Vec<u16>,
    /// Values computed once for each record.
    pub lets: Vec<(String, Source)>,
    /// From record to item.
    pub fields: Fields,
    /// Whether items wait for the ids of the items found under them.
    pub collect_children: bool,
}

/// A JSON body. Texts are literal; only what is marked holds values.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// As it stands.
    Literal(Value),
    /// A table with marked values in it.
    Table(Vec<(String, Self)>),
    /// A list with marked values in it.
    List(Vec<Self>),
    /// A marked value; null stays null.
    Source(Source),
}

impl Plan {
    /// From streams that name their parents by position, none of them a descendant of itself.
    pub fn new(streams: Vec<Stream>, policy: Policy, budget: Option<Phrase>) -> Self {
        let mut children = vec![Vec::new(); streams.len()];
        for (index, stream) in streams.iter().enumerate() {
            if let Some(of_parent) = stream.parent.and_then(|parent| children.get_mut(parent)) {
                of_parent.push(index);
            }
        }
        let wanted = interest::of_all(&streams, &policy, budget.as_ref());
        Self { streams, children, wanted, policy, budget }
    }

    /// Whether the file says nothing about items.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether parts of a connection have rate budgets of their own, so that a call whose part nobody knows has none.
    pub fn parts_budgets(&self) -> bool {
        self.budget.is_some()
    }

    /// Whether a walk of this plan can go on at the position: it may be of an earlier version of the file.
    pub fn accepts(&self, position: &Position) -> bool {
        let mut above = None;
        position.levels.iter().all(|level| {
            let index = self.index_of(&level.stream);
            let below = index.is_some_and(|index| {
                let stream = &self.streams[index];
                stream.parent == above && level.state.suits(stream.paging.as_ref())
            });
            above = index;
            below
        }) && !position.levels.is_empty()
    }

    pub(super) fn stream(&self, index: usize) -> &Stream {
        &self.streams[index]
    }

    /// What is looked at in an answer of the stream; `None` when it is not JSON.
    pub(super) fn read(&self, index: usize, json: &[u8]) -> Option<Value> {
        self.wanted.get(index)?.read(json).ok()
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn children_of(&self, index: usize) -> &[usize] {
        &self.children[index]
    }

    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|stream| stream.name == name)
    }

    /// Which streams have to be asked for these types: those that may bring them, and those above them.
    pub(super) fn asked_for(&self, types: &[String]) -> Vec<bool> {
        let mut asked: Vec<bool> = self.streams.iter().map(|stream| stream.may_bring(types)).collect();
        for (index, stream) in self.streams.iter().enumerate() {
            // A list of children is only whole when all children were read.
            let of_collector = |parent: usize| {
                let parent = &self.streams[parent];
                parent.collect_children && parent.may_bring(types)
            };
            asked[index] |= stream.parent.is_some_and(of_collector);
        }
        for index in 0..self.streams.len() {
            let mut above = self.streams[index].parent.filter(|_| asked[index]);
            while let Some(parent) = above {
                asked[parent] = true;
                above = self.streams[parent].parent;
            }
        }
        asked
    }
}

impl Stream {
    /// Whether an item of this stream may be of one of these types; all are wanted when none is named.
    pub(super) fn may_bring(&self, types: &[String]) -> bool {
        let constant = self.fields.kind.as_ref().map(|source| source.constant().and_then(Value::as_str));
        match constant {
            _ if types.is_empty() => true,
            Some(Some(constant)) => types.iter().any(|wanted| wanted == constant),
            Some(None) => true,
            None => false,
        }
    }

    /// Whether the request may be sent again when nobody knows what became of the first one.
    pub(super) fn is_repeatable(&self) -> bool {
        self.read || self.method == Method::GET
    }
}

impl Body {
    /// The body for one request.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Table(members) => Value::Object(
                members.iter().map(|(name, body)| (name.clone(), body.render(scope))).collect::<Map<_, _>>(),
            ),
            Self::List(members) => Value::Array(members.iter().map(|body| body.render(scope)).collect()),
            Self::Source(source) => source.evaluate(scope).into_owned(),
        }
    }
}
