//! What answers bring: the token answer, and the requests that follow it. Read before the rest of `[oauth]`, because the
//! names that they define may stand in every request of a grant.

use std::collections::BTreeMap;

use super::super::host::HostRule;
use super::super::names::{Names, Stage};
use super::super::{Guards, merge_guard, token_response};
use super::{discovery, endpoint, exchange};
use crate::config::reader::Table;
use crate::mapping::Template;
use crate::oauth::{Discovery, TokenExchange, TokenResponse};

/// How answers are read, and what is asked after the token answer.
pub(in crate::config::provider) struct Answers {
    pub(in crate::config::provider) token_response: TokenResponse,
    pub(in crate::config::provider) token_exchange: Vec<TokenExchange>,
    pub(in crate::config::provider) discovery: Vec<Discovery>,
    /// Which names stand in the hosts of those requests.
    pub(in crate::config::provider) guards: Guards,
}

/// Reads the tables in the order in which what they describe happens.
pub(in crate::config::provider) fn read(table: &mut Table<'_>, names: &mut Names, allow_http: bool) -> Answers {
    let doc = "JSONPaths when the answer is not RFC 6749's.";
    let token_response = table.table("token_response", doc, |table| token_response::read(table, names));
    let mut following = Following { names, allow_http, guards: BTreeMap::new() };
    let none = Default::default();
    let doc = "Requests after the code exchange that bring other tokens, in order.";
    let token_exchange =
        table.table_list("token_exchange", doc, ("", &none), |_, table| exchange::read(table, &mut following));
    if token_exchange.iter().filter(|exchange| exchange.after_refresh).count() > 1 {
        // A failure between two of them would lose what the first one brought.
        let fault = "has two requests that follow each refresh";
        table.mistake("token_exchange", fault, "write `after = \"refresh\"` at one of them");
    }
    let doc = "Requests after the code exchange and [[oauth.token_exchange]] that learn where to call, in order.";
    let discovery = table.table_list("discovery", doc, ("", &none), |_, table| discovery::read(table, &mut following));
    Answers { token_response, token_exchange, discovery, guards: following.guards }
}

/// What is known while the requests are read one after the other.
pub(super) struct Following<'a> {
    pub(super) names: &'a mut Names,
    allow_http: bool,
    guards: Guards,
}

impl Following<'_> {
    /// The URL of a request.
    pub(super) fn url(&mut self, table: &mut Table<'_>) -> Option<Template> {
        let mut rule = HostRule { names: self.names, allow_http: self.allow_http, guards: BTreeMap::new() };
        let url = endpoint(table, &mut rule, Stage::FollowingUrl, "url", "Where it goes.");
        let guards = rule.guards;
        self.guards = guards.into_iter().fold(std::mem::take(&mut self.guards), merge_guard);
        if !table.has("url") {
            table.mistake("url", "is missing", "write for example \"https://api.example.com/me\"");
        }
        url
    }
}
