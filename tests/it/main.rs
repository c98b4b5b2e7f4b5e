//! One test binary: one link, and no file that is run by accident. Each module is named here.

mod config; // every mistake and its sentence, precedence, the sample
mod deploy; // image, compose, Kubernetes and systemd: their files agree, and a supervisor is told
mod documentation; // every block of every page is loaded, run, sent or compared; nothing in them leads nowhere
mod examples; // what the examples show is so
mod layers; // a module names only lower ones
mod redis_servers; // real Redis: alone, TLS with ACL, Sentinel, Cluster
mod schemas; // the JSON Schemas, and a linter that holds every file to them
mod support; // the binary under test, an authorization server, SDKs, a browser, a raw socket

mod peers; // the authorization server, the recorder and the SDKs are what the tests take them for
mod store; // the store, the same suite over each of its homes

mod call; // the call path from socket to socket: bodies, upgrades, smuggling, TLS, addresses

// Keyferry from outside.
mod admin; // the operator's side: connections, a person's data, another store key, and the commands for them
mod answers; // every refusal: status, code, header, and nothing lost
mod app; // in front of an application: its traffic, its login, and who may finish there
mod assessment; // the front end that people know, at its own addresses
mod browser; // the connect page and script in Chromium
mod cli; // what is typed, printed and answered with an exit code
mod confirm; // who may finish an authorization; keys and sessions
mod connect; // a connection's whole life, over every store and with every client authentication
mod demo; // `keyferry demo`, as a newcomer walks it
mod items; // items by configuration: shipped files against documented answers, and every rule of the walk
mod limits; // rate budgets over replicas, pauses, circuits, and what readiness and metrics say of them
mod loading; // a connection's items, over HTTP, from vendors that page, insist, fail and recover
mod logging; // a line and a count of each call, and what the audit stream hears
mod mechanisms; // each mechanism of provider files: every byte that is sent, and what comes of the answer
mod metrics; // what is counted, in both formats; dashboard and alerts name what exists
mod openapi; // what the documents say is what is answered
mod providers; // `keyferry providers`: lists, shows, and writes files that connect
mod providers_test; // `keyferry providers test`, and docs/providers.md by what it teaches
mod refresh; // one refresh per expired token, and what a failing token endpoint does to a grant
mod reload; // another configuration while it runs: what triggers it, what it changes, what goes on
mod sdk; // vendors' SDKs through the proxy, byte for byte
mod traces; // OTLP, as a receiver of others sees it
mod upkeep; // what happens over days: due tokens, idle refresh tokens, grants that nobody confirms
