//! What a plan looks at in the answers of each of its streams.

use super::plan::{Body, Stream};
use super::{Paging, Policy};
use crate::mapping::{Phrase, Reference, Root, Wanted};

/// For each stream, what anybody looks at in one of its answers: the rules for paging and errors, its own items, and
/// what is asked and made of its records further down.
pub(super) fn of_all(streams: &[Stream], policy: &Policy, budget: Option<&Phrase>) -> Vec<Wanted> {
    (0..streams.len()).map(|index| of(streams, index, policy, budget).settled()).collect()
}

fn of(streams: &[Stream], index: usize, policy: &Policy, budget: Option<&Phrase>) -> Wanted {
    let (mut page, mut record) = (Wanted::default(), Wanted::default());
    let parent = |index: usize| streams.get(index).and_then(|stream| stream.parent);
    for (other, stream) in streams.iter().enumerate() {
        let made = stream.made_of();
        let asked = stream.asked_with().into_iter().chain(budget.into_iter().flat_map(Phrase::references));
        for reference in made.into_iter().chain(asked) {
            match reference.root() {
                Root::Record if other == index => record.add(reference.path()),
                Root::Page if other == index => page.add(reference.path()),
                Root::Parent if parent(other) == Some(index) => record.add(reference.path()),
                Root::Grandparent if parent(other).and_then(parent) == Some(index) => record.add(reference.path()),
                _ => {}
            }
        }
    }
    let stream = &streams[index];
    stream.incomplete.iter().for_each(|path| page.add(path));
    stream.paging.iter().flat_map(Paging::paths).for_each(|path| page.add(path));
    policy.paths().for_each(|path| page.add(path));
    page.add_below(&stream.records, &record);
    page
}

impl Stream {
    /// What its items are made of.
    fn made_of(&self) -> Vec<&Reference> {
        let lets = self.lets.iter().map(|(_, source)| source);
        self.fields.sources().chain(lets).flat_map(|source| source.references()).collect()
    }

    /// What its requests are made of.
    fn asked_with(&self) -> Vec<&Reference> {
        let query = self.query.iter().map(|(_, source)| source);
        let headers = self.headers.iter().map(|(_, source)| source);
        let mut references: Vec<&Reference> = self.path.references().collect();
        references.extend(query.chain(headers).flat_map(|source| source.references()));
        references.extend(self.paging.iter().filter_map(|paging| paging.path.as_ref()).flat_map(Phrase::references));
        if let Some(body) = &self.body {
            body.references(&mut references);
        }
        references
    }
}

impl Body {
    fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Self::Literal(_) => {}
            Self::Table(members) => members.iter().for_each(|(_, body)| body.references(found)),
            Self::List(members) => members.iter().for_each(|body| body.references(found)),
            Self::Source(source) => found.extend(source.references()),
        }
    }
}
