//! Loading a connection's items, without I/O: a state machine says what to do next, and whoever drives it does that.
//! Paging, parents, retries and caps are decided here, from answers and the present moment alone.

mod fields;
mod interest;
mod page;
mod plan;
mod position;
mod problem;
mod request;
mod retry;
mod walk;

pub use fields::Fields;
pub use page::{Insert, PageState, Paging, Turning};
pub use plan::{Body, Plan, Stream};
pub use position::Position;
pub use problem::Problem;
pub use request::PageRequest;
pub use retry::{Condition, Policy, Retry, WaitSource};
pub use walk::{Answer, Options, Outage, Step, Walk};
