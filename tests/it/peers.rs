//! Proof that the peers are what the other tests take them for, without Keyferry in between: a plain OAuth client signs
//! in at the authorization server, refreshes, and is caught when it reuses a token; the SDKs talk to the recorder and
//! read the vendors' lists. When one of these fails, no other test's answer means anything.

mod oauth;
mod sdks;
mod vendors;
