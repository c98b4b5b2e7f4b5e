//! The running sidecar, as the command line speaks to it: over HTTP, as any application does. Opens no store and reads
//! no configuration.

use clap::Args;
use http::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use url::Url;

use super::contact::{Contact, Lines, Refusal, Words, ask, is_web};
use super::{Environment, Failure};
use crate::model::{IntegrationName, Secret};

/// Where `keyferry serve` is when nobody says.
const DEFAULT_URL: &str = "http://localhost:8080";

const WORDS: Words = Words {
    url_flag: "--url",
    key_from: "--key or KEYFERRY_KEY",
    nothing_there: "start it with `keyferry serve`, or name another address with --url",
    no_key: "This sidecar asks for a key: pass one with --key or KEYFERRY_KEY.",
    wrong_key: "The key is not one of its callers' keys, or the session has ended.",
};

/// Which sidecar is asked, by whom and for whom: the arguments of every subcommand that speaks to one.
#[derive(Debug, Args)]
pub(super) struct Connecting {
    /// Organisation whose connection this is [default: `default`, without keys]
    #[arg(long, value_name = "ID")]
    org: Option<String>,

    /// User whose connection this is [default: `default`, without keys]
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// Where the sidecar is [default: KEYFERRY_URL, or port 8080 of this machine]
    #[arg(long)]
    url: Option<Url>,

    /// API key or session, when the sidecar asks for one [default: KEYFERRY_KEY, which no process list shows]
    #[arg(long)]
    key: Option<String>,
}

/// One person's view of a running sidecar. Nobody has to be named in the open mode.
#[derive(Debug)]
pub(super) struct Sidecar {
    contact: Contact,
    org: Option<String>,
    user: Option<String>,
}

impl Sidecar {
    /// Does not speak to it yet.
    pub(super) fn new(connecting: Connecting, environment: &Environment) -> Result<Self, Failure> {
        let Connecting { org, user, url, key } = connecting;
        let url = match url {
            Some(url) => url,
            None => Url::parse(environment.get("KEYFERRY_URL").unwrap_or(DEFAULT_URL))
                .map_err(|error| Failure::other(format!("KEYFERRY_URL is not a URL: {error}")))?,
        };
        let key = key.or_else(|| environment.get("KEYFERRY_KEY").map(str::to_owned)).map(Secret::new);
        Ok(Self { contact: Contact::new(&url, key.as_ref(), &WORDS)?, org, user })
    }

    /// Where it is, without a trailing slash.
    pub(super) fn base(&self) -> &str {
        self.contact.base()
    }

    /// Begins an authorization, with values for the provider's variables and parameters for its page, and gives the URL
    /// that the person is to open.
    pub(super) async fn authorize(
        &self,
        integration: &IntegrationName,
        variables: &[(String, String)],
        params: &[(String, String)],
    ) -> Result<Url, Failure> {
        let named = |prefix: &'static str, pairs: &[(String, String)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (format!("{prefix}.{name}"), value.clone())).collect()
        };
        let more = [named("variables", variables), named("authorization_params", params)].concat();
        let fields = [("org_id", self.org.as_deref()), ("user_id", self.user.as_deref())];
        let person = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let form: Vec<_> = person.chain(more.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
        let request = self.request(Method::POST, integration, "authorize")?;
        let answer = self.contact.ask(with_form(request, &form)).await?;
        let url = answer.as_str().and_then(|text| Url::parse(text).ok());
        // The URL goes to the desktop's opener, which knows more schemes than a sidecar has reason to name.
        url.filter(is_web).ok_or_else(|| Failure::other(format!("{} answered no URL to open", self.base())))
    }

    /// The person's connection as the sidecar shows it; `None` when there is none.
    pub(super) async fn connection(&self, integration: &IntegrationName) -> Result<Option<Value>, Failure> {
        match ask(self.request(Method::GET, integration, "connection")?).await {
            Ok(connection) => Ok(Some(connection)),
            Err(Refusal::Problem { code, .. }) if matches!(code.as_str(), "not_connected" | "not_found") => Ok(None),
            Err(refusal) => Err(self.contact.explain(refusal)),
        }
    }

    /// Confirms a finished authorization with its one-time code, and gives the connection.
    pub(super) async fn confirm(&self, integration: &IntegrationName, code: &str) -> Result<Value, Failure> {
        let request = with_form(self.request(Method::POST, integration, "confirm")?, &[("code", code)]);
        self.contact.ask(request).await
    }

    /// The lines of a list of items, as they come.
    pub(super) async fn items(
        &self,
        integration: &IntegrationName,
        query: &[(&str, Option<&str>)],
    ) -> Result<Lines<'_>, Failure> {
        let pairs = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.contact.lines(self.request(Method::GET, integration, &format!("items?{query}"))?).await
    }

    fn request(&self, method: Method, integration: &IntegrationName, what: &str) -> Result<RequestBuilder, Failure> {
        let mut request = self.contact.request(method, &format!("/integrations/{integration}/{what}"));
        for (name, value) in [("keyferry-org", &self.org), ("keyferry-user", &self.user)] {
            if let Some(value) = value {
                let value = HeaderValue::from_bytes(value.as_bytes());
                request =
                    request.header(name, value.map_err(|_| Failure::other("--org or --user holds a line break"))?);
            }
        }
        Ok(request)
    }
}

fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}
