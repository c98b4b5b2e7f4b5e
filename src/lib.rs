//! Keyferry: an OAuth broker that runs as a sidecar. It lets an application's users connect their accounts at a
//! provider, keeps the grants sealed and fresh, and puts the bearer tokens on the calls that the application makes.
//!
//! This file is the table of contents. The groups stand in layer order: each may name only its own and those above it.
//! The order inside a group is in ARCHITECTURE.md, and `tests/it/layers.rs` holds all to it. The first group is pure:
//! no async, clock, random or I/O.

// Pure: decisions.
pub mod items;
pub mod mapping;
pub mod model;
pub mod oauth;
pub mod provider;
pub mod route;

// Edges: each talks to one outside thing.
pub mod clock;
pub mod store;
pub mod telemetry;
pub mod upstream;

// Joining.
pub mod broker;
pub mod server;

// The operator's side.
pub mod config;

// The whole, and the operator at the terminal.
pub mod app;
pub mod cli;
