//! One test binary: one link, and no file that is run by accident. Each module is named here.

mod redis_servers; // real Redis: alone, TLS with ACL, Sentinel, Cluster
mod store; // the store, the same suite over each of its homes
