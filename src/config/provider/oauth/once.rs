//! One request never authenticates twice (RFC 6749 section 2.3): the client secret stands in one place of it. Many a
//! provider's documentation shows it in two.

use super::ask::mistake_in;
use crate::config::problem::{Fault, quoted};
use crate::config::reader::Table;
use crate::mapping::Template;
use crate::oauth::{AuthMethod, Parameters};

/// A request as a file writes it.
pub(super) struct Written<'a> {
    /// How the client authenticates; `None` where the issuer's metadata may decide.
    pub(super) method: Option<AuthMethod>,
    /// What Basic sends instead of id and secret.
    pub(super) basic: [&'a Option<Template>; 2],
    /// The key of its parameters, and what it holds.
    pub(super) params: (&'a str, &'a Parameters),
    /// The same of its headers.
    pub(super) headers: (&'a str, &'a Parameters),
    /// The tables that may drop built-ins.
    pub(super) drops: &'a [&'a Parameters],
}

/// Notes a mistake at each place that sends the secret once more.
pub(super) fn check(table: &Table<'_>, request: &Written<'_>) {
    let mut sent_by = built_in(request);
    for (key, written) in [request.params, request.headers] {
        for (name, _) in written.iter().filter(|(_, template)| asks(template)) {
            // The same parameter takes the built-in's place.
            let replaces = name == "client_secret" && matches!(sent_by, Some("client_secret_post"));
            match sent_by {
                Some(place) if !replaces => {
                    let fault = format!("sends the client secret a second time, beside {place}");
                    mistake_in(table, key, name, Fault::new(fault, remedy(request, place)));
                }
                _ => sent_by = Some("another parameter"),
            }
        }
    }
}

/// What sends it without being asked.
fn built_in(request: &Written<'_>) -> Option<&'static str> {
    let dropped = |name: &str| {
        let mut all = request.drops.iter().flat_map(|table| table.iter());
        all.any(|(own, template)| own == name && template.is_empty())
    };
    let [username, password] = request.basic;
    match request.method {
        Some(AuthMethod::ClientSecretBasic) => {
            let sends = username.as_ref().is_some_and(asks) || password.as_ref().is_none_or(asks);
            sends.then_some("client_secret_basic")
        }
        Some(AuthMethod::ClientSecretPost) => (!dropped("client_secret")).then_some("client_secret_post"),
        Some(_) => None,
        None => Some("what the issuer's metadata may want"),
    }
}

fn asks(template: &Template) -> bool {
    template.names().any(|name| name == "client_secret")
}

fn remedy(request: &Written<'_>, place: &str) -> String {
    let (is_built_in, is_revocation) = (place == "client_secret_post", request.params.0 == "params");
    match request.method {
        None => format!("write {}", quoted("token_endpoint_auth_method")),
        Some(_) if is_built_in && is_revocation => "write `auth_method = \"none\"`, or remove this".to_owned(),
        Some(_) if is_built_in => "drop that by `client_secret = \"\"` in token_params, or remove this".to_owned(),
        Some(_) => "remove one of them".to_owned(),
    }
}
