//! Items that are held back until the ids of their children are known, with everything found below them, so that the
//! order stays the same: a parent, its children, the next parent.

use std::collections::VecDeque;

use crate::model::Item;

/// Most items that are held for one parent. A parent with more goes out without its list of children.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<Item>,
    /// The items that wait, outermost first; empty when what is held may go.
    collectors: Vec<Collector>,
    /// The depth of the outermost one.
    depth: usize,
    /// Whether everything below it was read.
    closed: bool,
    /// How many of these items were given out.
    given: u64,
}

#[derive(Debug)]
struct Collector {
    depth: usize,
    item: usize,
    ids: Vec<String>,
    /// Whether all of them could be read.
    whole: bool,
}

/// Where an interrupted walk would have to begin.
pub(super) struct Place {
    pub(super) depth: usize,
    pub(super) closed: bool,
    pub(super) given: u64,
}

impl Held {
    /// Whether items have to wait.
    pub(super) fn is_holding(&self) -> bool {
        !self.collectors.is_empty()
    }

    /// Whether ids of this depth are being collected.
    pub(super) fn collects(&self, depth: usize) -> bool {
        self.collectors.last().is_some_and(|collector| collector.depth + 1 == depth)
    }

    /// Notes a child.
    pub(super) fn found(&mut self, id: &str) {
        if let Some(collector) = self.collectors.last_mut() {
            collector.ids.push(id.to_owned());
        }
    }

    /// Notes that children of this depth are missing: a list that is not whole is none.
    pub(super) fn miss(&mut self, depth: usize) {
        if self.collects(depth)
            && let Some(collector) = self.collectors.last_mut()
        {
            collector.whole = false;
        }
    }

    /// Holds an item back; `collects` says that it waits for children of its own.
    pub(super) fn hold(&mut self, item: Item, depth: usize, collects: bool) {
        if self.collectors.is_empty() {
            self.depth = depth;
            self.closed = false;
            self.given = 0;
        }
        if collects {
            self.collectors.push(Collector { depth, item: self.items.len(), ids: Vec::new(), whole: true });
        }
        self.items.push_back(item);
    }

    /// Everything below the open record of this depth was read.
    pub(super) fn close(&mut self, depth: usize) {
        if let Some(collector) = self.collectors.pop_if(|collector| collector.depth == depth) {
            let Collector { item, ids, whole, .. } = collector;
            if let Some(item) = self.items.get_mut(item) {
                item.children = whole.then_some(ids);
            }
            self.closed = true;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let ids = self.collectors.last().map_or(0, |collector| collector.ids.len());
        self.items.len().max(ids) > MOST
    }

    /// Lets everything go though not everything was read.
    pub(super) fn let_go(&mut self) {
        self.collectors.clear();
        self.closed = false;
    }

    /// The next item that need not wait any more.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = if self.collectors.is_empty() { self.items.pop_front() } else { None };
        self.given += u64::from(item.is_some());
        item
    }

    /// Where the items that are held came from; `None` when none is.
    pub(super) fn place(&self) -> Option<Place> {
        let Self { depth, closed, given, .. } = *self;
        (!self.items.is_empty()).then_some(Place { depth, closed: closed && self.collectors.is_empty(), given })
    }
}
