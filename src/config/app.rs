//! The `[app]` table: the application behind us, and how it tells who its users are.

use std::time::Duration;

use http::uri::PathAndQuery;
use url::Url;

use super::problem::{Fault, one_of, quoted, quoted_url};
use super::provider::check_constant_url;
use super::reader::{Kind, Table};
use crate::mapping::Path;
use crate::model::Org;
use crate::oauth::JwtAlgorithm;
use crate::route::Destination;
use crate::server::{App, Claim, Identity, LoginToken, Whoami};

/// How long the application's answer about a browser holds.
const CACHE: Duration = Duration::from_secs(5);

/// Reads the table. `has_callers` says that somebody else than the application's users may call.
pub(super) fn read(table: &mut Table<'_>, has_callers: bool, allow_http: bool) -> App {
    let doc =
        "The application behind us: everything that is not /integrations or /proxy goes there. Dialled as written.";
    let upstream = table.parsed_as("upstream", Kind::Url, doc, upstream);
    table.for_example("upstream", "http://127.0.0.1:3000");
    let doc = "Whether readiness fails with the store, though the application needs none.";
    let require_store = table.boolean_or("require_store", doc, false);
    let has_upstream = table.has("upstream");
    let doc = "How we learn which person a browser is.";
    let identity = table.optional_table("identity", doc, |table| identity(table, has_upstream, allow_http));
    if has_upstream && !table.has("identity") && !has_callers {
        let fault = "has users whom nobody tells apart, so nobody can connect";
        table.warning("upstream", fault, "add [app.identity], or a caller ([callers.<name>])");
    }
    App { upstream, require_store, identity }
}

fn identity(table: &mut Table<'_>, has_upstream: bool, allow_http: bool) -> Option<Identity> {
    let doc = "A path of the application that answers JSON about whoever is logged in, and 401 when nobody is; asked with \
               the browser's own cookies and Authorization.";
    let path = table.parsed("whoami", doc, whoami);
    let doc = "A JSONPath to the organisation in that answer, or one name for everybody.";
    let org = table.parsed("org", doc, org);
    let user = table.parsed_as("user", Kind::JsonPath, "A JSONPath to the user in that answer.", user);
    for (name, example) in [("whoami", "/api/me"), ("org", "$.org.id"), ("user", "$.id")] {
        table.for_example(name, example);
    }
    let cache = table.duration_or("cache", "How long an answer holds, for the same browser; \"0s\" for never.", CACHE);
    let doc = "Instead of whoami: a JSON Web Token that an issuer signed.";
    let token = table.optional_table("jwt", doc, |table| token(table, allow_http));

    if table.has("jwt") {
        for name in ["whoami", "org", "user", "cache"].into_iter().filter(|name| table.has(name)) {
            let remedy = match name {
                "org" | "user" => {
                    format!("move it to [app.identity.jwt], or remove jwt and write `{name}` beside whoami")
                }
                _ => "keep either whoami or jwt".to_owned(),
            };
            table.mistake(name, "stands beside jwt", remedy);
        }
        return token.map(Identity::Token);
    }
    if !table.has("whoami") {
        table.mistake("whoami", "is missing", "write a path of the application such as \"/api/me\", or use jwt");
        return None;
    }
    if !has_upstream {
        table.mistake("whoami", "has no application to ask", "set app.upstream, or use jwt");
    }
    for (name, remedy) in [("org", ORG), ("user", USER)] {
        if !table.has(name) {
            table.mistake(name, "is missing", remedy);
        }
    }
    Some(Identity::Whoami(Whoami { path: path?, org: org?, user: user?, cache }))
}

fn token(table: &mut Table<'_>, allow_http: bool) -> Option<LoginToken> {
    let before = table.context().report.count();
    let issuer = table.parsed("issuer", "The token's `iss`, exactly.", |text| text_of("an issuer", text));
    let audiences = table
        .one_or_more("audience", "The token's `aud`, exactly; one of a list.", |text| text_of("an audience", text));
    let org = table.parsed("org", "A JSONPath to the organisation among its claims, or one name for everybody.", org);
    let user = table.parsed_as("user", Kind::JsonPath, "A JSONPath to the user among its claims.", user);
    let doc = "Where the issuer's keys are (RFC 7517); by default its metadata says that.";
    let jwks = table.parsed_as("jwks", Kind::Url, doc, |text| key_address(text, allow_http));
    let doc = "The cookie that holds the token, beside Authorization.";
    let cookie = table.parsed("cookie", doc, cookie_name);
    let doc = "What it may be signed with: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.";
    let algorithms =
        table.list_of("algorithms", Kind::Word(JwtAlgorithm::NAMES.map(|(name, _)| name).to_vec()), doc, algorithm);

    let all = [
        ("issuer", "https://login.example.com"),
        ("audience", "crm"),
        ("org", "$.org_id"),
        ("user", "$.sub"),
        ("jwks", "https://login.example.com/keys"),
        ("cookie", "session"),
    ];
    for (name, example) in all {
        table.for_example(name, example);
    }
    table.by_default("algorithms", ["RS256", "ES256"], |names| names.as_slice().into());
    for (name, remedy) in [("issuer", ISSUER), ("audience", AUDIENCE), ("org", ORG), ("user", USER)] {
        table.need(name, remedy);
    }
    let is_unsaid = table.context().report.count() == before;
    if table.has("audience") && audiences.is_empty() && is_unsaid {
        table.mistake("audience", "names nobody", AUDIENCE);
    }
    if let Some(issuer) = &issuer
        && !table.has("jwks")
        && let Err(fault) = key_address(issuer, allow_http)
    {
        let remedy = "write jwks, or the issuer's URL, whose metadata then says where its keys are";
        table.mistake("issuer", fault.fault, remedy);
    }
    let algorithms = match algorithms {
        Some(named) if named.is_empty() => {
            if is_unsaid {
                let fault = "lets no token through";
                table.mistake("algorithms", fault, "name what the issuer signs with, or remove the key");
            }
            return None;
        }
        Some(named) => named.into_iter().map(|(_, algorithm)| algorithm).collect(),
        None if table.has("algorithms") => return None,
        None => vec![JwtAlgorithm::Rs256, JwtAlgorithm::Es256],
    };
    Some(LoginToken { issuer: issuer?, audiences, org: org?, user: user?, jwks, cookie, algorithms })
}

const ORG: &str = "write a JSONPath such as \"$.org.id\", or one name for everybody such as \"default\"";
const USER: &str = "write a JSONPath such as \"$.id\"";
const ISSUER: &str = "write the issuer's URL, as its tokens have it in `iss`";
const AUDIENCE: &str = "write what its tokens have in `aud`: a token for somebody else must not work here";

fn upstream(text: &str) -> Result<Destination, Fault> {
    const REMEDY: &str = "write for example `http://127.0.0.1:3000`";
    let url = Url::parse(text).map_err(|_| Fault::new(format!("{} is not a URL", quoted_url(text)), REMEDY))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Fault::new(format!("{} is not an http or https URL", quoted_url(text)), REMEDY));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("holds a user name or password", REMEDY));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let fault = format!("{} is more than the root of an application", quoted_url(text));
        return Err(Fault::new(fault, "write scheme, host and port: paths go on as the browser sends them"));
    }
    Destination::application(text).map_err(|_| Fault::new(format!("{} has no usable host", quoted_url(text)), REMEDY))
}

fn whoami(text: &str) -> Result<PathAndQuery, Fault> {
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains('#');
    let path = text.parse::<PathAndQuery>().ok().filter(|_| is_path);
    path.ok_or_else(|| {
        let fault = format!("{} is not a path of the application", quoted_url(text));
        Fault::new(fault, "write for example \"/api/me\"")
    })
}

/// A JSONPath begins with `$`, and so nothing else may.
fn org(text: &str) -> Result<Claim, Fault> {
    if text.starts_with('$') {
        return json_path(text).map(Claim::Path);
    }
    match Org::parse(text) {
        Ok(_) => Ok(Claim::Constant(text.to_owned())),
        Err(error) => Err(Fault::new(format!("{} is not an organisation: it {error}", quoted(text)), ORG)),
    }
}

fn user(text: &str) -> Result<Claim, Fault> {
    if text.starts_with('$') {
        return json_path(text).map(Claim::Path);
    }
    Err(Fault::new(format!("{} would make one user of everybody", quoted(text)), USER))
}

fn json_path(text: &str) -> Result<Path, Fault> {
    Path::parse(text).map_err(|error| Fault::sentence(&error.to_string()))
}

fn text_of(what: &str, text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new(format!("is not {what}"), "write it as the issuer does"));
    }
    Ok(text.to_owned())
}

fn key_address(text: &str, allow_http: bool) -> Result<Url, Fault> {
    check_constant_url(text, allow_http)?;
    Url::parse(text).map_err(|_| Fault::new(format!("{} is not a URL", quoted_url(text)), ISSUER))
}

/// A token of RFC 9110 section 5.6.2, as RFC 6265 section 4.1.1 asks for.
fn cookie_name(text: &str) -> Result<String, Fault> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(Fault::new(format!("{} is not a cookie's name", quoted(text)), "write for example \"session\""));
    }
    if text.starts_with("keyferry-") || text.starts_with("__Host-keyferry-") {
        return Err(Fault::new(
            format!("{} is a name of Keyferry's own", quoted(text)),
            "name the application's cookie",
        ));
    }
    Ok(text.to_owned())
}

/// Algorithms with a shared secret are none: whoever knows the issuer's public key could sign with it.
fn algorithm(text: &str) -> Result<JwtAlgorithm, Fault> {
    JwtAlgorithm::named(text).ok_or_else(|| {
        let fault = format!("{} is not an asymmetric algorithm that is known here", quoted(text));
        Fault::new(fault, format!("write {}", one_of(JwtAlgorithm::NAMES.iter().map(|(name, _)| *name))))
    })
}
