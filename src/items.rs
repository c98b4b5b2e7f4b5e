//! Loading a connection's items, without I/O: a state machine says what to do next, and whoever drives it does that.
//! Paging, parents, retries and caps are decided here, from answers and the present moment alone.

mod walk;

pub use walk::{Answer, Options, Outage, PageRequest, Plan, Position, Problem, Step, Walk};
