//! The demo's authorization server, without I/O: requests waiting for a person's word, one-time codes bound to PKCE,
//! rotating refresh tokens, revocation. Small, but it takes no shortcut that a real one would not: what Keyferry does
//! against it is what it does against a vendor. Keeps everything in memory and forgets it with the process.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::broker::random_token;
use crate::model::{Secret, Timestamp};

/// How long a person may look at the page, and how long a code waits for its exchange.
const PATIENCE: Duration = Duration::from_secs(600);

/// What may be asked for, with the words of the page.
pub(super) const SCOPES: [(&str, &str); 2] =
    [("notes.read", "read your name and your notes"), ("notes.write", "write notes in your name")];

/// Who one can be. Nobody of that name has an account anywhere.
pub(super) const ACCOUNTS: [Account; 2] = [
    Account { id: "ada", name: "Ada Quill", email: "ada@demo.example" },
    Account { id: "bo", name: "Bo Marchetti", email: "bo@demo.example" },
];

/// One of the demo's two people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
}

/// The one client that is registered: the sidecar.
pub(super) struct Registration {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    /// Compared byte for byte (RFC 9700 section 2.1).
    pub(super) redirect_uri: String,
}

/// The authorization server's memory.
pub(super) struct Authority {
    registration: Registration,
    token_life: Duration,
    requests: HashMap<String, Request>,
    codes: HashMap<String, Code>,
    grants: Vec<Grant>,
}

/// An authorization request that a person is looking at.
struct Request {
    state: Option<String>,
    challenge: String,
    scopes: Vec<&'static str>,
    expires_at: Timestamp,
}

struct Code {
    request: Request,
    account: &'static Account,
    /// Which grant it was exchanged for: a second exchange ends that one (RFC 6749 section 4.1.2).
    spent_on: Option<usize>,
}

struct Grant {
    account: &'static Account,
    scopes: Vec<&'static str>,
    is_alive: bool,
    /// The live ones; the last is the newest. As at most providers, a refresh leaves the one before to its own end, so
    /// that calls under way are answered.
    access_tokens: Vec<AccessToken>,
    refresh_token: Secret,
    spent_refresh_tokens: HashSet<String>,
}

struct AccessToken {
    token: Secret,
    expires_at: Timestamp,
    /// 1 for the first of its grant.
    number: u32,
}

/// What the authorization page shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Names the request in the page's form.
    pub(super) request: String,
    pub(super) scopes: Vec<&'static str>,
}

/// How a request to authorize goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authorization {
    /// The person is asked.
    Ask(Question),
    /// The browser goes back with an error, as parameters of the redirect.
    Refuse(Vec<(&'static str, String)>),
    /// There is nowhere safe to send the browser; the reason, for a person.
    Stop(&'static str),
}

/// Tokens, once.
pub(super) struct Tokens {
    pub(super) access_token: Secret,
    pub(super) refresh_token: Secret,
    pub(super) life: Duration,
    pub(super) scope: String,
    pub(super) account: &'static Account,
    /// 1 for the first of its grant.
    pub(super) number: u32,
}

/// Whom an access token stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) account: &'static Account,
    pub(super) scopes: Vec<&'static str>,
    pub(super) number: u32,
}

/// An error of RFC 6749 section 5.2.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

impl Authority {
    pub(super) fn new(registration: Registration, token_life: Duration) -> Self {
        Self { registration, token_life, requests: HashMap::new(), codes: HashMap::new(), grants: Vec::new() }
    }

    /// RFC 6749 section 4.1.1 with PKCE, S256 only.
    pub(super) fn authorize(&mut self, query: &Fields, now: Timestamp) -> Authorization {
        self.forget(now);
        if query.get("client_id") != Some(&self.registration.client_id) {
            return Authorization::Stop("This client_id is not registered here.");
        }
        if query.get("redirect_uri") != Some(&self.registration.redirect_uri) {
            return Authorization::Stop("This redirect_uri is not the registered one, byte for byte.");
        }
        let state = query.get("state").cloned();
        let refuse = |error: &str| {
            let state = state.clone().map(|state| ("state", state));
            Authorization::Refuse([("error", error.to_owned())].into_iter().chain(state).collect())
        };
        if query.get("response_type").is_none_or(|kind| kind != "code") {
            return refuse("unsupported_response_type");
        }
        let is_s256 = query.get("code_challenge_method").is_some_and(|method| method == "S256");
        let Some(challenge) = query.get("code_challenge").filter(|challenge| is_s256 && challenge.len() == 43) else {
            return refuse("invalid_request");
        };
        let asked: Vec<&str> = query
            .get("scope")
            .map(|scope| scope.split(' ').filter(|scope| !scope.is_empty()).collect())
            .unwrap_or_default();
        let known = || SCOPES.iter().map(|(scope, _)| *scope);
        if asked.iter().any(|scope| !known().any(|known| known == *scope)) {
            return refuse("invalid_scope");
        }
        let scopes = known().filter(|scope| asked.is_empty() || asked.contains(scope)).collect::<Vec<_>>();
        let Some(id) = draw() else { return refuse("server_error") };
        let request =
            Request { state, challenge: challenge.clone(), scopes: scopes.clone(), expires_at: now.plus(PATIENCE) };
        self.requests.insert(id.expose().to_owned(), request);
        Authorization::Ask(Question { request: id.expose().to_owned(), scopes })
    }

    /// The person's word. Gives the parameters of the redirect; `None` when the request is unknown, answered or
    /// expired.
    pub(super) fn decide(
        &mut self,
        request: &str,
        account: Option<&'static Account>,
        now: Timestamp,
    ) -> Option<Vec<(&'static str, String)>> {
        self.forget(now);
        let mut request = self.requests.remove(request)?;
        let state = request.state.take().map(|state| ("state", state));
        let outcome = match (account, draw()) {
            (None, _) => ("error", "access_denied".to_owned()),
            (Some(_), None) => ("error", "server_error".to_owned()),
            (Some(account), Some(code)) => {
                request.expires_at = now.plus(PATIENCE);
                self.codes.insert(code.expose().to_owned(), Code { request, account, spent_on: None });
                ("code", code.expose().to_owned())
            }
        };
        Some(std::iter::once(outcome).chain(state).collect())
    }

    /// The token endpoint, for a client that has authenticated.
    pub(super) fn token(&mut self, form: &Fields, now: Timestamp) -> Result<Tokens, Refused> {
        self.forget(now);
        let missing = Refused { error: "invalid_request", description: "a parameter is missing" };
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => self.exchange(form, now),
            Some("refresh_token") => self.refresh(form.get("refresh_token").ok_or(missing)?, now),
            Some(_) => Err(Refused { error: "unsupported_grant_type", description: "code and refresh_token only" }),
            None => Err(missing),
        }
    }

    fn exchange(&mut self, form: &Fields, now: Timestamp) -> Result<Tokens, Refused> {
        const GRANT: fn(&'static str) -> Refused = |description| Refused { error: "invalid_grant", description };
        let code = form.get("code").and_then(|code| self.codes.get_mut(code)).ok_or(GRANT("the code is unknown"))?;
        if let Some(grant) = code.spent_on {
            self.grants[grant].is_alive = false;
            return Err(GRANT("the code was used before; what it brought is revoked"));
        }
        // Spent by the attempt, whatever comes of it.
        code.spent_on = Some(self.grants.len());
        let verifier = form.get("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        let is_proven = verifier.is_some_and(|challenge| challenge == code.request.challenge);
        let is_same_redirect = form.get("redirect_uri") == Some(&self.registration.redirect_uri);
        let failure = Refused { error: "server_error", description: "no entropy" };
        let (access_token, refresh_token) = draw().zip(draw()).ok_or(failure)?;
        let expires_at = now.plus(self.token_life);
        self.grants.push(Grant {
            account: code.account,
            scopes: code.request.scopes.clone(),
            is_alive: is_proven && is_same_redirect,
            access_tokens: vec![AccessToken { token: access_token.clone(), expires_at, number: 1 }],
            refresh_token: refresh_token.clone(),
            spent_refresh_tokens: HashSet::new(),
        });
        match (is_proven, is_same_redirect) {
            (true, true) => Ok(self.tokens(self.grants.len() - 1, access_token, 1)),
            (false, _) => Err(GRANT("the code_verifier does not fit the code_challenge")),
            (_, false) => Err(GRANT("the redirect_uri is not that of the authorization request")),
        }
    }

    /// A refresh token works once. Presenting a spent one ends the grant: somebody has a copy (RFC 9700 section
    /// 4.14.2).
    fn refresh(&mut self, token: &str, now: Timestamp) -> Result<Tokens, Refused> {
        let presented = Secret::new(token);
        if let Some(grant) = self.grants.iter_mut().find(|grant| grant.spent_refresh_tokens.contains(token)) {
            grant.is_alive = false;
            let description = "the refresh token was used before; its whole grant is revoked";
            return Err(Refused { error: "invalid_grant", description });
        }
        let current = self.grants.iter().position(|grant| grant.is_alive && grant.refresh_token == presented);
        let index = current.ok_or(Refused { error: "invalid_grant", description: "the refresh token is unknown" })?;
        let failure = Refused { error: "server_error", description: "no entropy" };
        let (access_token, refresh_token) = draw().zip(draw()).ok_or(failure)?;
        let grant = &mut self.grants[index];
        grant.spent_refresh_tokens.insert(token.to_owned());
        let number = grant.access_tokens.last().map_or(1, |newest| newest.number + 1);
        grant.access_tokens.retain(|old| now < old.expires_at);
        let expires_at = now.plus(self.token_life);
        grant.access_tokens.push(AccessToken { token: access_token.clone(), expires_at, number });
        grant.refresh_token = refresh_token;
        Ok(self.tokens(index, access_token, number))
    }

    fn tokens(&self, index: usize, access_token: Secret, number: u32) -> Tokens {
        let grant = &self.grants[index];
        Tokens {
            access_token,
            refresh_token: grant.refresh_token.clone(),
            life: self.token_life,
            scope: grant.scopes.join(" "),
            account: grant.account,
            number,
        }
    }

    /// RFC 7009: either token ends the grant; a token that nobody knows is no error. Gives whose grant it was.
    pub(super) fn revoke(&mut self, token: &str) -> Option<&'static Account> {
        let token = Secret::new(token);
        let is_meant = |grant: &&mut Grant| {
            grant.refresh_token == token || grant.access_tokens.iter().any(|access| access.token == token)
        };
        let grant = self.grants.iter_mut().filter(|grant| grant.is_alive).find(is_meant)?;
        grant.is_alive = false;
        Some(grant.account)
    }

    /// Whom a live access token stands for.
    pub(super) fn bearer(&self, token: &str, now: Timestamp) -> Option<Bearer> {
        let token = Secret::new(token);
        let is_live = |access: &&AccessToken| now < access.expires_at && access.token == token;
        let find = |grant: &Grant| {
            let access = grant.access_tokens.iter().find(is_live)?;
            Some(Bearer { account: grant.account, scopes: grant.scopes.clone(), number: access.number })
        };
        self.grants.iter().filter(|grant| grant.is_alive).find_map(find)
    }

    /// Client authentication, `client_secret_basic` or `client_secret_post` and never both (RFC 6749 section 2.3).
    pub(super) fn authenticates(&self, basic: Option<&str>, form: &Fields) -> bool {
        let from_header = basic.and_then(basic_credentials);
        let from_form =
            form.get("client_secret").and_then(|secret| Some((form.get("client_id")?.clone(), secret.clone())));
        let ((Some(_), Some((id, secret)), None) | (None, None, Some((id, secret)))) = (basic, from_header, from_form)
        else {
            return false;
        };
        id == self.registration.client_id && Secret::new(secret) == self.registration.client_secret
    }

    /// Where the browser goes back to.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.registration.redirect_uri
    }

    fn forget(&mut self, now: Timestamp) {
        self.requests.retain(|_, request| now < request.expires_at);
        self.codes.retain(|_, code| now < code.request.expires_at);
    }
}

/// The fields of a query or form. Of a name that comes twice, neither counts (RFC 6749 section 3.1).
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut fields = HashMap::new();
        let mut repeated = HashSet::new();
        for (name, value) in form_urlencoded::parse(text) {
            if fields.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                repeated.insert(name.into_owned());
            }
        }
        fields.retain(|name, _| !repeated.contains(name));
        Self(fields)
    }

    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }
}

/// The two halves of `Authorization: Basic`, form-decoded (RFC 6749 section 2.3.1).
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |half: &str| {
        let field = format!("v={half}");
        form_urlencoded::parse(field.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    decode(id).zip(decode(secret))
}

fn draw() -> Option<Secret> {
    random_token().ok()
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
