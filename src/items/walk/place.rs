//! Where a walk stands, and how another one gets there.

use super::level::Level;
use super::{Phase, Walk};
use crate::items::Position;
use crate::items::position::LevelPosition;

impl Walk {
    /// Where to go on after the last item given out; `None` at the end. A walk that ended because the token was refused
    /// still has a place to go on at.
    pub fn position(&self) -> Option<Position> {
        let top = self.levels.last()?;
        let mut levels: Vec<LevelPosition> = self.levels.iter().map(|level| level.position(&self.plan)).collect();
        let mut given = self.given;
        if let Some(place) = self.held.place() {
            levels.truncate(place.depth + 1);
            levels[place.depth].done -= u64::from(place.closed);
            given += place.given;
        } else if !self.resume.is_empty() {
            levels.extend(self.resume.iter().cloned());
        } else if self.nothing_is_left() {
            return None;
        } else if top.open.is_some() {
            match self.next_child(top) {
                Some((_, child)) => levels.push(Level::first(child).position(&self.plan)),
                None => levels[self.levels.len() - 1].done += 1,
            }
        } else if let (true, Some(next)) = (top.records.as_slice().is_empty(), &top.next) {
            let level = &mut levels[self.levels.len() - 1];
            (level.state, level.pages, level.done) = (next.clone(), level.pages.saturating_add(1), 0);
            level.circle.pass(next, level.pages);
        }
        Some(Position { levels, given })
    }

    /// Opens the record in which the position lies, if there is one to be reached.
    pub(super) fn descend(&mut self) {
        let Some(saved) = self.resume.pop_front() else { return };
        let Some(index) = self.plan.index_of(&saved.stream) else { return };
        if let Some(level) = self.levels.last_mut() {
            let children = self.plan.children_of(level.stream);
            level.child = children.iter().position(|child| *child == index).map_or(0, |position| position + 1);
            level.open = level.records.next();
            // The provider has fewer records now; what was below is gone with them.
            if level.open.is_none() {
                self.resume.clear();
                return;
            }
        }
        self.descend_to(Level::at(index, saved));
    }

    fn nothing_is_left(&self) -> bool {
        let is_done = |level: &Level| {
            level.records.as_slice().is_empty()
                && level.next.is_none()
                && (level.open.is_none() || self.next_child(level).is_none())
        };
        let root = self.levels.first().map_or(0, |level| level.stream + 1);
        matches!(self.phase, Phase::Advance) && self.levels.iter().all(is_done) && self.root_from(root).is_none()
    }

    pub(super) fn begin_root_from(&mut self, index: usize) {
        match self.root_from(index) {
            Some(index) => self.descend_to(Level::first(index)),
            None => self.phase = Phase::Ended,
        }
    }

    pub(super) fn root_from(&self, index: usize) -> Option<usize> {
        (index..self.plan.len()).find(|index| self.asked[*index] && self.plan.stream(*index).parent.is_none())
    }

    /// The following stream to be asked about the level's open record, and its place among its siblings.
    pub(super) fn next_child(&self, level: &Level) -> Option<(usize, usize)> {
        let children = self.plan.children_of(level.stream).iter().copied().enumerate();
        children.skip(level.child).find(|(_, child)| self.asked[*child])
    }
}
