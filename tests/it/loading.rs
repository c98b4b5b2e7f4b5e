//! Loading a connection's items over HTTP, from the real binary down to servers that page, insist, rate-limit, fail and
//! recover as the vendors do.

mod compat; // the names and order of the page that people come from
mod edges; // cursors, limits, wrong records
mod endings; // lists that end before they are whole
pub(crate) mod expected; // what the samples are as items
mod failing; // waits, refusals, broken answers, and what is kept
mod leaving; // a client that goes
mod lists; // the three vendors, in every way in which a list is given out
mod many; // as many as a memory would not hold
mod others; // eight more vendors, each with a way of paging of its own
mod people; // whose items they are
mod renewal; // tokens that end during a load
mod scene;
