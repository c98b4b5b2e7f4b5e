//! The text of a new provider file.

use std::fmt::Write as _;

use url::Url;

use super::issuer::Found;
use crate::config::toml_text;

/// What marks a line that only the author can complete.
pub(super) const FILL_IN: &str = "FILL IN";

/// The schema, as seen from the folder of provider files.
const SCHEMA: &str = "#:schema ../schemas/provider.schema.json";

/// What comes of the author's words and the issuer's.
pub(super) struct Draft<'a> {
    pub(super) id: &'a str,
    pub(super) found: Option<&'a Found>,
    pub(super) api: Option<&'a Url>,
}

impl Draft<'_> {
    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{SCHEMA}\n");
        self.head(&mut text);
        text.push_str("\n[oauth]\n");
        match self.found {
            Some(found) => oauth(&mut text, found),
            None => text.push_str(&skeleton()),
        }
        self.api(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let name = title(self.id);
        let documentation = self.found.and_then(|found| found.text("service_documentation")).filter(|url| is_web(url));
        let begun = match self.found {
            Some(found) => format!("Begun from the metadata of {}.", found.issuer),
            None => format!("Begun as a skeleton: what says {FILL_IN} is in the vendor's OAuth pages."),
        };
        let documentation = match documentation {
            Some(url) => format!("documentation = {}", toml_text(url)),
            None => "# documentation = \"https://…\"   # the vendor's page about its OAuth".to_owned(),
        };
        let _ = writeln!(
            text,
            "# {name}. {begun}\ndisplay_name = {}\n{documentation}\n# category = \"crm\"   # one word for lists: crm, docs, storage …",
            toml_text(&name)
        );
    }

    fn api(&self, text: &mut String) {
        text.push_str("\n[api]\n");
        match self.api {
            Some(url) => {
                let _ = writeln!(text, "base_url = {}", template(url.as_str().trim_end_matches('/')));
            }
            None => {
                let _ = writeln!(text, "base_url = \"https://api.example.com\"   # {FILL_IN}: where calls go");
            }
        }
        text.push_str(
            "# headers = { X-Api-Version = \"1\" }   # added unless the caller sends them\n\
             # rate = { limit = 10, per = \"1s\" }   # for each connection\n\
             # auth = { in = \"header\", name = \"Authorization\", format = \"Bearer {access_token}\" }   # the default\n\
             \n# What `keyferry items` loads; docs/items.md has every key.\n\
             # [[items.streams]]\n# name    = \"things\"\n# path    = \"/v1/things\"\n# records = \"$.data[*]\"\n\
             # page    = { cursor = \"$.next_cursor\", into = \"query.cursor\" }\n\
             # item    = { id = \"$.id\", type = \"Thing\", name = \"$.name\" }\n",
        );
    }
}

/// What the issuer says, as keys where the file has to decide and as comments where the engine asks the issuer itself.
fn oauth(text: &mut String, found: &Found) {
    let _ = writeln!(text, "issuer = {}", template(&found.issuer));
    let endpoints =
        ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "introspection_endpoint"].map(|name| {
            let url = found.text(name).filter(|url| is_web(url))?;
            Some(format!("# {name} = {}\n", template(url)))
        });
    let listed: String = endpoints.into_iter().flatten().collect();
    let _ = write!(
        text,
        "# Its metadata names the endpoints, and is asked again while running. One that is written here wins:\n{listed}"
    );
    if found.text("revocation_endpoint").is_none() {
        text.push_str(
            "# It names no revocation endpoint: disconnecting removes tokens here, and they end there in their time.\n",
        );
    }
    auth_method(text, found);
    match found.list("code_challenge_methods_supported") {
        Some(methods) if methods.contains(&"S256") => {
            text.push_str("code_challenge_method = \"S256\"   # PKCE (RFC 7636), the default\n");
        }
        Some(methods) if !methods.is_empty() => {
            text.push_str("code_challenge_method = \"none\"   # it names other methods of PKCE than S256\n");
        }
        _ => text.push_str(
            "# It does not say whether it knows PKCE. S256 is sent, which others ignore; where it is refused:\n\
             # code_challenge_method = \"none\"\n",
        ),
    }
    scopes(text, found);
    let refreshes = found.list("grant_types_supported").is_none_or(|types| types.contains(&"refresh_token"));
    if !refreshes {
        text.push_str("# It does not name `refresh_token` among its grant types: people may have to connect again.\n");
    }
    text.push_str("# refresh = \"rotate\"   # where each refresh brings another refresh token and ends the old one\n");
}

fn auth_method(text: &mut String, found: &Found) {
    const KNOWN: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
    // RFC 8414 section 2: a list that is left out means client_secret_basic.
    let supported = found.list("token_endpoint_auth_methods_supported").unwrap_or_else(|| vec!["client_secret_basic"]);
    match KNOWN.into_iter().find(|known| supported.contains(known)) {
        Some(method) => {
            let others: Vec<&str> = supported.into_iter().filter(|other| *other != method).collect();
            let note =
                if others.is_empty() { String::new() } else { format!("   # it also takes {}", others.join(", ")) };
            let _ = writeln!(text, "token_endpoint_auth_method = \"{method}\"{note}");
        }
        None => {
            let _ = writeln!(text, "# {FILL_IN}: token_endpoint_auth_method. It takes {}", supported.join(", "));
        }
    }
}

fn scopes(text: &mut String, found: &Found) {
    const MOST: usize = 30;
    let supported = found.list("scopes_supported").unwrap_or_default();
    let asked: Vec<&str> = ["openid", "offline_access"].into_iter().filter(|scope| supported.contains(scope)).collect();
    let list: Vec<String> = asked.iter().map(|scope| toml_text(scope)).collect();
    let _ = writeln!(text, "scopes = [{}]   # asked for unless the integration names its own", list.join(", "));
    let others: Vec<&str> = supported.iter().copied().filter(|scope| !asked.contains(scope)).collect();
    if !others.is_empty() {
        let more = if others.len() > MOST { " …" } else { "" };
        let _ = writeln!(text, "# It also offers: {}{more}", others[..others.len().min(MOST)].join(" "));
    }
    if asked.contains(&"offline_access") {
        text.push_str(
            "# A refresh token comes only when the person is asked (OpenID Connect Core section 11).\n\
             authorization_params = { prompt = \"consent\" }\n",
        );
    }
}

fn skeleton() -> String {
    format!(
        "authorization_endpoint = \"https://login.example.com/authorize\"   # {FILL_IN}: where the browser is sent\n\
         token_endpoint         = \"https://login.example.com/token\"       # {FILL_IN}: where codes become tokens\n\
         # revocation_endpoint  = \"https://login.example.com/revoke\"\n\
         # Where the vendor publishes metadata, `issuer` takes the place of all three:\n\
         # issuer = \"https://login.example.com\"\n\
         token_endpoint_auth_method = \"client_secret_post\"   # or client_secret_basic; none for a public client\n\
         # code_challenge_method = \"none\"   # only where PKCE is refused; S256 is the default\n\
         scopes = []   # asked for unless the integration names its own; empty: no scope is sent\n\
         # authorization_params = {{ access_type = \"offline\" }}   # what the vendor wants before it gives a refresh token\n\
         # refresh = \"rotate\"   # where each refresh brings another refresh token and ends the old one\n\
         # access_token_lifetime = \"1h\"   # where the answer has no expires_in\n\
         \n# Values of the token answer that calls or pages need, usable as {{name}}:\n\
         # [oauth.capture.token]\n# team_id = \"$.team.id\"\n\
         \n# A part of the address that each customer has for itself, asked for when connecting and usable as {{subdomain}}:\n\
         # [variables.subdomain]\n# title   = \"Your Acme address\"\n# pattern = \"^[a-z0-9-]+$\"\n"
    )
}

/// A text in which braces are not names.
fn template(text: &str) -> String {
    toml_text(&text.replace('{', "{{").replace('}', "}}"))
}

fn is_web(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// `acme-crm` as people would write it.
fn title(id: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    id.split(['-', '_']).filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::check_provider;

    fn draft(document: Option<Value>, api: Option<&str>) -> String {
        let found = document.map(|document| Found { issuer: "https://as.example".into(), document });
        let api = api.map(|api| Url::parse(api).expect("a URL"));
        Draft { id: "acme-crm", found: found.as_ref(), api: api.as_ref() }.text()
    }

    #[test]
    fn every_draft_passes_the_check() {
        let documents = [
            json!({}),
            json!({ "scopes_supported": ["openid", "offline_access", "it's", "a b"] }),
            json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"], "scopes_supported": null }),
            json!({ "token_endpoint_auth_methods_supported": [], "code_challenge_methods_supported": ["plain"] }),
            json!({ "authorization_endpoint": "https://as.example/{tenant}\"", "token_endpoint": "https://x/\n[api]" }),
            json!({ "service_documentation": "javascript:alert(1)", "code_challenge_methods_supported": ["S256"] }),
            json!({ "scopes_supported": (0..100).map(|n| format!("s{n}")).collect::<Vec<_>>() }),
        ];
        for document in documents.into_iter().map(Some).chain([None]) {
            for api in [None, Some("https://api.acme.example/v1/")] {
                let text = draft(document.clone(), api);
                let checked = check_provider("acme-crm", "acme-crm.toml", &text, false);
                assert_eq!(checked, Ok(()), "{text}");
                assert_eq!(text.contains("base_url = \"https://api.acme.example/v1\""), api.is_some());
            }
        }
    }

    #[test]
    fn commented_lines_are_keys_that_can_be_taken_up() {
        let text = draft(None, None);
        let is_key = |rest: &str| {
            rest.split_once(" = ").is_some_and(|(key, _)| !key.trim().contains(' ')) || rest.starts_with('[')
        };
        // `issuer` beside the endpoints is allowed; a second `[oauth]` key would not be.
        let taken_up: Vec<&str> =
            text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line)).collect();
        assert_eq!(check_provider("acme", "acme.toml", &taken_up.join("\n"), false), Ok(()), "{}", taken_up.join("\n"));
    }

    #[test]
    fn what_the_issuer_says_is_written() {
        let document = json!({
            "authorization_endpoint": "https://as.example/a",
            "token_endpoint": "https://as.example/t",
            "revocation_endpoint": "https://as.example/r",
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "offline_access", "crm.read"],
            "grant_types_supported": ["authorization_code"],
            "service_documentation": "https://as.example/docs",
        });
        insta::assert_snapshot!(draft(Some(document), None), @r###"
        #:schema ../schemas/provider.schema.json
        # Acme Crm. Begun from the metadata of https://as.example.
        display_name = "Acme Crm"
        documentation = "https://as.example/docs"
        # category = "crm"   # one word for lists: crm, docs, storage …

        [oauth]
        issuer = "https://as.example"
        # Its metadata names the endpoints, and is asked again while running. One that is written here wins:
        # authorization_endpoint = "https://as.example/a"
        # token_endpoint = "https://as.example/t"
        # revocation_endpoint = "https://as.example/r"
        token_endpoint_auth_method = "client_secret_post"   # it also takes none
        code_challenge_method = "S256"   # PKCE (RFC 7636), the default
        scopes = ["openid", "offline_access"]   # asked for unless the integration names its own
        # It also offers: crm.read
        # A refresh token comes only when the person is asked (OpenID Connect Core section 11).
        authorization_params = { prompt = "consent" }
        # It does not name `refresh_token` among its grant types: people may have to connect again.
        # refresh = "rotate"   # where each refresh brings another refresh token and ends the old one

        [api]
        base_url = "https://api.example.com"   # FILL IN: where calls go
        # headers = { X-Api-Version = "1" }   # added unless the caller sends them
        # rate = { limit = 10, per = "1s" }   # for each connection
        # auth = { in = "header", name = "Authorization", format = "Bearer {access_token}" }   # the default

        # What `keyferry items` loads; docs/items.md has every key.
        # [[items.streams]]
        # name    = "things"
        # path    = "/v1/things"
        # records = "$.data[*]"
        # page    = { cursor = "$.next_cursor", into = "query.cursor" }
        # item    = { id = "$.id", type = "Thing", name = "$.name" }
        "###);
    }
}
