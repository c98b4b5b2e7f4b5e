//! What a walk and its driver say to each other.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use crate::items::{PageRequest, Position};
use crate::model::Item;

/// What a walk is to load, and what it may know.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `$conn`: captured values and variables of the connection.
    pub connection: Value,
    /// The rendered base URL, to which next-page URLs are held.
    pub base_url: String,
    /// Item types that are wanted; empty for all.
    pub types: Vec<String>,
    /// Where to go on; the beginning otherwise. Holds for a walk with the same types.
    pub position: Option<Position>,
}

/// What the driver is to do. After `Send` it calls [`super::Walk::answer`] or [`super::Walk::no_answer`], after `Renew`
/// [`super::Walk::renewed`], after the others [`super::Walk::next`] again.
#[derive(Debug)]
pub enum Step {
    /// Send this and report what came.
    Send(PageRequest),
    /// Let this much time pass.
    Wait(Duration),
    /// The provider answered 401: get another token.
    Renew,
    /// Give this item out.
    Emit(Item),
    /// Nothing is left.
    Done,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Its body, whole.
    pub body: &'a [u8],
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The provider cannot be reached, or the exchange broke off.
    Unreachable,
    /// It took too long.
    Timeout,
    /// The page is larger than is read.
    TooLarge,
    /// The circuit is open: nothing is sent for so long.
    CircuitOpen(Duration),
    /// The rate budget would have to be waited for longer than the cap.
    OverBudget(Duration),
}
