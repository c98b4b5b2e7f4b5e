//! The call path from socket to socket: a listener, the forwarding and real peers on both sides.

mod bodies;
mod content;
mod dialling;
mod fetching;
mod heads;
mod listening;
mod support;
mod upgrades;
