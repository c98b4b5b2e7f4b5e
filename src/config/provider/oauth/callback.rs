//! The `[oauth.callback]` table: what the provider calls the parameters of its redirect, and how it sends them.

use crate::config::problem::{Fault, quoted};
use crate::config::reader::Table;
use crate::oauth::CallbackNames;

/// Parameters of a redirect that mean the same everywhere (RFC 6749 section 4.1.2.1, RFC 9207).
const TAKEN: [&str; 4] = ["error", "error_description", "error_uri", "iss"];

pub(super) fn read(table: &mut Table<'_>) -> CallbackNames {
    let defaults = CallbackNames::default();
    let code = table.parsed("code_param", "The parameter that brings the code; `code` by default.", parameter);
    let doc = "The parameter that brings our state back; `state` by default.";
    let state = table.parsed("state_param", doc, parameter);
    let doc = "How the redirect comes: GET, and POST where the provider posts a form; both by default.";
    let methods = table.list("methods", doc, |text| match text {
        "GET" => Ok(false),
        "POST" => Ok(true),
        _ => Err(Fault::new(format!("{} is no method of a redirect", quoted(text)), "write GET or POST")),
    });
    let by_post = methods.map(|methods| {
        if !methods.iter().any(|(_, is_post)| !is_post) {
            let fault = "leaves out GET, and a form that is posted goes on as one";
            table.mistake("methods", fault, "write [\"GET\", \"POST\"], or [\"GET\"] where nothing is posted");
        }
        methods.iter().any(|(_, is_post)| *is_post)
    });
    let code = code.unwrap_or(defaults.code);
    let state = state.unwrap_or(defaults.state);
    if code == state {
        let name = if table.has("state_param") { "state_param" } else { "code_param" };
        table.mistake(name, format!("gives code and state the same name, {}", quoted(&code)), "name one otherwise");
    }
    CallbackNames { code, state, by_post: by_post.unwrap_or(defaults.by_post) }
}

fn parameter(text: &str) -> Result<String, Fault> {
    if TAKEN.contains(&text) {
        return Err(Fault::new(format!("{} has a meaning of its own", quoted(text)), "write what the provider sends"));
    }
    super::super::filled(text)
}
