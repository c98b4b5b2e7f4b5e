//! The demo's provider: "Demo Notes", an authorization server and a tiny API on a loopback port, as if somebody else
//! ran them. Tells the terminal what happens, and never shows a token there.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::authority::{
    ACCOUNTS, Account, Authority, Authorization, Bearer, Fields, Question, Refused, Registration, SCOPES,
};
use super::serve::{self, Answer, Asked, Site, escape, fill};
use crate::clock::Clock;
use crate::model::Timestamp;

/// Most notes of an account; older ones make room.
const MOST_NOTES: usize = 50;

/// What happened at the provider, for the terminal.
#[derive(Debug)]
pub(super) enum Event {
    /// A person allowed it, and the code was exchanged.
    Connected { account: &'static Account, life: Duration },
    /// A refresh token was exchanged for the next tokens.
    Refreshed { account: &'static Account, number: u32 },
    /// A person said no.
    Denied,
    /// The client ended a grant.
    Revoked { account: &'static Account },
    /// The token endpoint said no.
    Refused { description: &'static str },
    /// The API was called.
    Called { method: Method, path: String, caller: Option<&'static Account>, status: StatusCode },
}

/// The provider's state.
pub(super) struct Provider {
    issuer: String,
    clock: Clock,
    authority: Mutex<Authority>,
    notes: Mutex<Vec<Note>>,
    events: UnboundedSender<Event>,
}

struct Note {
    id: u64,
    account: &'static Account,
    text: String,
    written_at: Timestamp,
}

impl Provider {
    pub(super) fn new(
        address: SocketAddr,
        registration: Registration,
        token_life: Duration,
        clock: Clock,
        events: UnboundedSender<Event>,
    ) -> Self {
        let now = clock.now();
        let first = |id, account, text: &str| Note { id, account, text: text.to_owned(), written_at: now };
        let notes = vec![
            first(1, &ACCOUNTS[0], "Buy a ticket for the ferry."),
            first(2, &ACCOUNTS[0], "The keys are under the third plant."),
            first(3, &ACCOUNTS[1], "Call Ada about the plants."),
        ];
        Self {
            issuer: format!("http://{address}"),
            clock,
            authority: Mutex::new(Authority::new(registration, token_life)),
            notes: Mutex::new(notes),
            events,
        }
    }

    fn page(&self, status: StatusCode, title: &str, words: &str) -> Answer {
        serve::page(status, fill(include_str!("notice.html"), &[("title", title), ("words", words)]))
    }

    /// RFC 8414.
    fn metadata(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.issuer);
        serve::json(
            StatusCode::OK,
            &json!({
                "issuer": self.issuer,
                "authorization_endpoint": at("/authorize"),
                "token_endpoint": at("/token"),
                "revocation_endpoint": at("/revoke"),
                "scopes_supported": SCOPES.map(|(scope, _)| scope),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            }),
        )
    }

    fn authorize(&self, query: &Fields) -> Answer {
        // Bound first: a guard in the scrutinee would be held through the arms, which lock again.
        let authorization = self.authority().authorize(query, self.clock.now());
        match authorization {
            Authorization::Ask(question) => serve::page(StatusCode::OK, consent_page(&question)),
            Authorization::Refuse(parameters) => self.back(parameters),
            Authorization::Stop(why) => self.page(StatusCode::BAD_REQUEST, "This cannot go on", why),
        }
    }

    fn decide(&self, form: &Fields) -> Answer {
        let get = |name| form.get(name).map(String::as_str).unwrap_or_default();
        let chosen = ACCOUNTS.iter().find(|account| account.id == get("account"));
        let account = match (get("decision"), chosen) {
            ("allow", Some(account)) => Some(account),
            ("allow", None) => {
                return self.page(StatusCode::BAD_REQUEST, "Who are you?", "Go back and pick an account.");
            }
            _ => None,
        };
        let decided = self.authority().decide(get("request"), account, self.clock.now());
        let Some(parameters) = decided else {
            let words = "It was answered before, or is older than ten minutes. Begin again from the application.";
            return self.page(StatusCode::BAD_REQUEST, "This question is over", words);
        };
        if account.is_none() {
            self.tell(Event::Denied);
        }
        self.back(parameters)
    }

    /// Back to the client, with the issuer's name (RFC 9207).
    fn back(&self, parameters: Vec<(&'static str, String)>) -> Answer {
        let authority = self.authority();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters).append_pair("iss", &self.issuer);
        serve::see_other(&format!("{}?{}", authority.redirect_uri(), query.finish()))
    }

    fn token(&self, asked: &Asked) -> Answer {
        let form = Fields::parse(&asked.body);
        let mut authority = self.authority();
        if !authority.authenticates(asked.authorization.as_deref(), &form) {
            let refused = Refused { error: "invalid_client", description: "the client's id or secret is wrong" };
            return self.refuse(StatusCode::UNAUTHORIZED, &refused);
        }
        match authority.token(&form, self.clock.now()) {
            Ok(tokens) => {
                let (account, number, life) = (tokens.account, tokens.number, tokens.life);
                self.tell(match number {
                    1 => Event::Connected { account, life },
                    number => Event::Refreshed { account, number },
                });
                serve::json(
                    StatusCode::OK,
                    &json!({
                        "access_token": tokens.access_token.expose(),
                        "token_type": "Bearer",
                        "expires_in": life.as_secs(),
                        "refresh_token": tokens.refresh_token.expose(),
                        "scope": tokens.scope,
                    }),
                )
            }
            Err(refused) => self.refuse(StatusCode::BAD_REQUEST, &refused),
        }
    }

    fn revoke(&self, asked: &Asked) -> Answer {
        let form = Fields::parse(&asked.body);
        let mut authority = self.authority();
        if !authority.authenticates(asked.authorization.as_deref(), &form) {
            let refused = Refused { error: "invalid_client", description: "the client's id or secret is wrong" };
            return self.refuse(StatusCode::UNAUTHORIZED, &refused);
        }
        if let Some(account) = form.get("token").and_then(|token| authority.revoke(token)) {
            self.tell(Event::Revoked { account });
        }
        serve::json(StatusCode::OK, &json!({}))
    }

    fn refuse(&self, status: StatusCode, refused: &Refused) -> Answer {
        self.tell(Event::Refused { description: refused.description });
        serve::json(status, &json!({ "error": refused.error, "error_description": refused.description }))
    }

    /// The API: nothing without a live bearer token (RFC 6750).
    fn api(&self, asked: &Asked) -> Answer {
        let token = asked.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        let bearer = token.and_then(|token| self.authority().bearer(token, self.clock.now()));
        let answer = match &bearer {
            None => unauthorized(token.is_some()),
            Some(bearer) => match (&asked.method, asked.path.as_str()) {
                (&Method::GET, "/v1/me") => self.me(bearer),
                (&Method::GET, "/v1/notes") => self.list(bearer, &asked.query),
                (&Method::POST, "/v1/notes") => self.write(bearer, &asked.body),
                (_, "/v1/me" | "/v1/notes") => {
                    problem(StatusCode::METHOD_NOT_ALLOWED, "That method does nothing here.")
                }
                _ => problem(StatusCode::NOT_FOUND, "This demo API has /v1/me and /v1/notes."),
            },
        };
        let caller = bearer.map(|bearer| bearer.account);
        let (method, path, status) = (asked.method.clone(), asked.path.clone(), answer.status());
        self.tell(Event::Called { method, path, caller, status });
        answer
    }

    /// Says which token came, by its number, so that a refresh can be seen; never the token.
    fn me(&self, bearer: &Bearer) -> Answer {
        let Account { id, name, email } = bearer.account;
        serve::json(
            StatusCode::OK,
            &json!({
                "demo": true,
                "id": id,
                "name": name,
                "email": email,
                "scopes": bearer.scopes,
                "access_token_number": bearer.number,
            }),
        )
    }

    /// In pages of `limit`, each with the `next` to ask for in `after`.
    fn list(&self, bearer: &Bearer, query: &Fields) -> Answer {
        let number = |name| query.get(name).and_then(|text| text.parse::<u64>().ok());
        let after = number("after").unwrap_or(0);
        let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST_NOTES).max(1);
        let notes = lock(&self.notes);
        let mut theirs = notes.iter().filter(|note| note.account == bearer.account && note.id > after).peekable();
        let page: Vec<&Note> = theirs.by_ref().take(limit).collect();
        let next = page.last().filter(|_| theirs.peek().is_some()).map(|note| note.id);
        let page: Vec<Value> = page.into_iter().map(Note::json).collect();
        serve::json(StatusCode::OK, &json!({ "demo": true, "notes": page, "next": next }))
    }

    fn write(&self, bearer: &Bearer, body: &[u8]) -> Answer {
        if !bearer.scopes.contains(&"notes.write") {
            return problem(StatusCode::FORBIDDEN, "The person allowed no writing: the scope notes.write is missing.");
        }
        let sent: Option<Value> = serde_json::from_slice(body).ok();
        let text = sent.as_ref().and_then(|sent| sent["text"].as_str()).filter(|text| !text.trim().is_empty());
        let Some(text) = text else {
            return problem(StatusCode::BAD_REQUEST, "Send JSON such as {\"text\": \"…\"}.");
        };
        let mut notes = lock(&self.notes);
        // The newest is the last: room is made at the front.
        let id = notes.last().map_or(1, |last| last.id + 1);
        let note = Note { id, account: bearer.account, text: text.to_owned(), written_at: self.clock.now() };
        let answer = serve::json(StatusCode::CREATED, &note.json());
        notes.push(note);
        if notes.iter().filter(|note| note.account == bearer.account).count() > MOST_NOTES
            && let Some(oldest) = notes.iter().position(|note| note.account == bearer.account)
        {
            notes.remove(oldest);
        }
        answer
    }

    fn authority(&self) -> std::sync::MutexGuard<'_, Authority> {
        lock(&self.authority)
    }

    /// A terminal that is gone ends nothing.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Site for Provider {
    async fn answer(&self, asked: Asked) -> Answer {
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/") => {
                let words = "This is a demo provider inside of `keyferry demo`. It has two people, a few notes and no \
                             connection to anything outside of this machine. It ends with the command that started it.";
                self.page(StatusCode::OK, "Demo Notes", words)
            }
            (&Method::GET, "/style.css") => serve::style(),
            (&Method::GET, "/.well-known/oauth-authorization-server") => self.metadata(),
            (&Method::GET, "/authorize") => self.authorize(&asked.query),
            (&Method::POST, "/authorize") => self.decide(&Fields::parse(&asked.body)),
            (&Method::POST, "/token") => self.token(&asked),
            (&Method::POST, "/revoke") => self.revoke(&asked),
            (_, path) if path.starts_with("/v1/") => self.api(&asked),
            _ => self.page(StatusCode::NOT_FOUND, "Nothing here", "The demo provider has no such page."),
        }
    }
}

impl Note {
    fn json(&self) -> Value {
        json!({ "id": self.id, "text": self.text, "written_at": self.written_at.to_string() })
    }
}

fn consent_page(question: &Question) -> String {
    let choices: String = ACCOUNTS
        .iter()
        .enumerate()
        .map(|(position, Account { id, name, email })| {
            let checked = if position == 0 { " checked" } else { "" };
            format!(
                "<label class=\"account\"><input type=\"radio\" name=\"account\" value=\"{}\"{checked}>\
                 <span><b>{}</b><small>{}</small></span></label>",
                escape(id),
                escape(name),
                escape(email)
            )
        })
        .collect();
    let words = SCOPES.iter().filter(|(scope, _)| question.scopes.contains(scope));
    let scopes: String = words.map(|(_, words)| format!("<li>{}</li>", escape(words))).collect();
    fill(include_str!("authorize.html"), &[("request", &question.request)])
        .replace("<!-- accounts -->", &choices)
        .replace("<!-- scopes -->", &scopes)
}

/// RFC 6750 section 3: no error code when no token was sent.
fn unauthorized(token_was_sent: bool) -> Answer {
    let (challenge, words) = if token_was_sent {
        ("Bearer realm=\"demo\", error=\"invalid_token\"", "The access token is unknown, expired or revoked.")
    } else {
        ("Bearer realm=\"demo\"", "This API wants an access token. Call it through Keyferry.")
    };
    let mut answer = problem(StatusCode::UNAUTHORIZED, words);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

fn problem(status: StatusCode, message: &str) -> Answer {
    serve::json(status, &json!({ "demo": true, "message": message }))
}

/// Nothing panics while it holds one of the demo's locks, and if it did, a demo's state is still worth showing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
