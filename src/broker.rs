//! The broker: what happens between a caller and a provider. Starts and completes authorizations, keeps grants fresh, gives
//! out live tokens, ends connections. Every step is a pure decision or one call outward.

mod integration;

pub use integration::Integration;
