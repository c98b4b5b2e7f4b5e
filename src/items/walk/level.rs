//! One depth of a walk: a stream, under one parent or none, and the page that is being read.

use std::vec;

use serde_json::Value;

use crate::items::page::Circle;
use crate::items::position::LevelPosition;
use crate::items::{PageState, Plan};

#[derive(Debug)]
pub(super) struct Level {
    pub(super) stream: usize,
    /// The page that is read, or is to be asked for.
    pub(super) state: PageState,
    /// How many pages came before it.
    pub(super) pages: u64,
    /// The pages that came before it, and it.
    pub(super) circle: Circle,
    /// The following page.
    pub(super) next: Option<PageState>,
    /// The page without its records.
    pub(super) page: Value,
    /// The records that are left.
    pub(super) records: vec::IntoIter<Value>,
    /// How many records of the page are done.
    pub(super) done: u64,
    /// The record whose children are read.
    pub(super) open: Option<Value>,
    /// The first child stream that was not asked about it.
    pub(super) child: usize,
}

impl Level {
    /// At the first page of a stream.
    pub(super) fn first(stream: usize) -> Self {
        Self {
            stream,
            state: PageState::First,
            pages: 0,
            circle: Circle::default(),
            next: None,
            page: Value::Null,
            records: Vec::new().into_iter(),
            done: 0,
            open: None,
            child: 0,
        }
    }

    /// Where an earlier walk left it.
    pub(super) fn at(stream: usize, saved: LevelPosition) -> Self {
        let LevelPosition { state, pages, done, circle, .. } = saved;
        Self { state, pages, done, circle, ..Self::first(stream) }
    }

    pub(super) fn turn_to(&mut self, next: PageState) {
        self.pages = self.pages.saturating_add(1);
        self.circle.pass(&next, self.pages);
        self.state = next;
        self.done = 0;
        self.page = Value::Null;
    }

    pub(super) fn position(&self, plan: &Plan) -> LevelPosition {
        let stream = plan.stream(self.stream).name.clone();
        let (state, circle) = (self.state.clone(), self.circle.clone());
        LevelPosition { stream, state, pages: self.pages, done: self.done, circle }
    }
}
