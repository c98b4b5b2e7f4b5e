//! The names that templates of one provider file may ask for, where each of them has a value, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::problem::{Fault, did_you_mean, quoted};
use crate::mapping::Template;

/// The names that no file has to define.
pub(super) const BUILT_IN: [&str; 9] =
    ["client_id", "client_secret", "access_token", "refresh_token", "code", "state", "redirect_uri", "scope", "random"];

/// Who chooses the value of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chooser {
    /// The operator, on the integration.
    Operator,
    /// Whoever connects.
    Person,
    /// Whoever sends the browser to the callback; known from then on.
    Callback,
    /// The provider's token answer; known from then on.
    TokenAnswer,
    /// The provider's token answer, and it is a token: known where the access token is, and never in a URL.
    FurtherToken,
    /// The answer to a request that follows the token answer; known from then on.
    Discovery,
}

/// What is known of the values of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// It is one of these.
    Closed(Vec<String>),
    /// It matches the pattern, as it was written, if there is one.
    Open(Option<String>),
}

/// A name that the file defines.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) chooser: Chooser,
    pub(super) values: Values,
}

/// All names of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<String, Name>,
    /// Those whose values are never shown, and stand in no URL.
    secret: BTreeSet<String>,
}

/// Where a template is used, which decides what has a value there and what may be seen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The URL that the browser is sent to, before anything is known.
    AuthorizationUrl,
    /// Its parameters.
    AuthorizationParams,
    /// The token endpoint, which is used before there is a token answer.
    TokenUrl,
    /// The parameters of the code exchange.
    TokenParams,
    /// Headers of code exchange and refresh.
    TokenHeaders,
    /// What an assertion says, which goes with any of the requests to the token endpoint.
    AssertionClaims,
    /// What the assertion of a grant says.
    GrantClaims,
    /// Endpoints that are used when there is a grant.
    GrantUrl,
    /// The parameters of a refresh.
    RefreshParams,
    /// The URL of a request that follows the token answer.
    FollowingUrl,
    /// Parameters and headers of an exchange of the token.
    ExchangeParams,
    /// Headers of a discovery.
    DiscoveryHeaders,
    /// What a discovery's records are compared with.
    DiscoveryMatch,
    /// Parameters and headers of a revocation.
    RevocationParams,
    /// The base URL of the API.
    ApiUrl,
    /// Headers of API calls.
    ApiHeaders,
    /// Query parameters of API calls.
    ApiQuery,
    /// The token's own place.
    ApiToken,
}

impl Stage {
    fn built_ins(self) -> &'static [&'static str] {
        match self {
            Self::AuthorizationUrl
            | Self::TokenUrl
            | Self::GrantUrl
            | Self::FollowingUrl
            | Self::DiscoveryMatch
            | Self::AssertionClaims
            | Self::ApiUrl => &["client_id"],
            Self::GrantClaims => &["client_id", "scope"],
            Self::AuthorizationParams => &["client_id", "redirect_uri", "scope", "state", "random"],
            Self::TokenParams => &["client_id", "client_secret", "code", "state", "redirect_uri", "random"],
            Self::TokenHeaders => &["client_id", "client_secret", "random"],
            Self::RefreshParams | Self::ExchangeParams => {
                &["client_id", "client_secret", "access_token", "refresh_token", "redirect_uri", "random"]
            }
            Self::RevocationParams => &["client_id", "client_secret", "access_token", "refresh_token", "random"],
            Self::ApiHeaders => &["client_id", "client_secret", "access_token", "random"],
            Self::DiscoveryHeaders => &["client_id", "access_token", "random"],
            Self::ApiQuery | Self::ApiToken => &["client_id", "access_token"],
        }
    }

    fn knows(self, chooser: Chooser) -> bool {
        match chooser {
            Chooser::Operator | Chooser::Person => true,
            Chooser::Callback => !matches!(self, Self::AuthorizationUrl | Self::AuthorizationParams),
            Chooser::FurtherToken => self.built_ins().contains(&"access_token") && !self.is_visible(),
            Chooser::TokenAnswer | Chooser::Discovery => !matches!(
                self,
                Self::AuthorizationUrl
                    | Self::AuthorizationParams
                    | Self::TokenUrl
                    | Self::TokenParams
                    | Self::TokenHeaders
                    | Self::AssertionClaims
                    | Self::GrantClaims
            ),
        }
    }

    /// True where a value becomes visible in URLs, and so in logs and histories.
    fn is_visible(self) -> bool {
        matches!(
            self,
            Self::AuthorizationUrl
                | Self::AuthorizationParams
                | Self::TokenUrl
                | Self::GrantUrl
                | Self::FollowingUrl
                | Self::ApiUrl
                | Self::ApiQuery
        )
    }

    /// True for requests that are read in order: what comes behind one has not been seen.
    fn is_in_order(self) -> bool {
        matches!(self, Self::FollowingUrl | Self::ExchangeParams | Self::DiscoveryHeaders | Self::DiscoveryMatch)
    }
}

impl Names {
    /// Adds a name of the file's own.
    pub(super) fn define(&mut self, text: &str, name: Name) -> Result<(), Fault> {
        let lower = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !lower || !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            let remedy = "begin with a lower-case letter, and go on with those, digits and `_`";
            return Err(Fault::new(format!("{} cannot be the name of a value", quoted(text)), remedy));
        }
        if BUILT_IN.contains(&text) {
            return Err(Fault::new(format!("{} is a built-in name", quoted(text)), "choose another"));
        }
        if self.known.insert(text.to_owned(), name).is_some() {
            let fault = format!("{} is defined twice, as a variable or a captured value", quoted(text));
            return Err(Fault::new(fault, "name one of them otherwise"));
        }
        Ok(())
    }

    /// From now on values of that name are secrets.
    pub(super) fn keep_secret(&mut self, text: &str) {
        self.secret.insert(text.to_owned());
    }

    pub(super) fn is_secret(&self, text: &str) -> bool {
        self.secret.contains(text)
    }

    /// The names whose values may be shown, in their order.
    pub(super) fn shown(&self) -> impl Iterator<Item = &str> {
        let is_shown = |(text, name): &(&String, &Name)| !self.is_secret(text) && name.chooser != Chooser::FurtherToken;
        self.known.iter().filter(is_shown).map(|(text, _)| text.as_str())
    }

    /// Whether it is one of the further tokens.
    pub(super) fn is_token(&self, text: &str) -> bool {
        self.get(text).is_some_and(|name| name.chooser == Chooser::FurtherToken)
    }

    pub(super) fn get(&self, text: &str) -> Option<&Name> {
        self.known.get(text)
    }

    /// Compiles a template and checks that each of its names has a value at that stage.
    pub(super) fn template(&self, text: &str, stage: Stage) -> Result<Template, Fault> {
        let template = Template::parse(text).map_err(|error| {
            let Fault { fault, remedy } = Fault::sentence(&error.to_string());
            Fault::new(format!("{} {fault}", quoted(text)), remedy)
        })?;
        for name in template.names() {
            self.check(name, stage)?;
        }
        Ok(template)
    }

    fn check(&self, name: &str, stage: Stage) -> Result<(), Fault> {
        if stage.built_ins().contains(&name) {
            return Ok(());
        }
        let asked = format!("asks for `{{{name}}}`");
        if BUILT_IN.contains(&name) {
            let secret = matches!(name, "client_secret" | "access_token" | "refresh_token" | "code");
            return Err(if secret && stage.is_visible() {
                secret_in_a_url(&asked)
            } else {
                Fault::new(format!("{asked}, which has no value here"), known_here(stage))
            });
        }
        match self.known.get(name) {
            Some(_) if self.is_secret(name) && stage.is_visible() => {
                let remedy = "send it in a header or in the body of a token request";
                Err(Fault::new(format!("{asked}, a secret that does not belong into a URL"), remedy))
            }
            Some(known) if stage.knows(known.chooser) => Ok(()),
            Some(Name { chooser: Chooser::FurtherToken, .. }) if stage.is_visible() => Err(secret_in_a_url(&asked)),
            Some(known) => {
                let from = match known.chooser {
                    Chooser::Callback => "the callback",
                    Chooser::Discovery => "the requests that follow the token answer",
                    _ => "the token answer",
                };
                Err(Fault::new(format!("{asked}, which is known only after {from}"), "use a variable here"))
            }
            None => {
                let known = self.known.keys().map(String::as_str).chain(BUILT_IN);
                let before = if stage.is_in_order() { " before it" } else { "" };
                Err(Fault::new(format!("{asked}, which nobody defines{before}"), did_you_mean(name, known)))
            }
        }
    }
}

fn secret_in_a_url(asked: &str) -> Fault {
    Fault::new(format!("{asked}, a secret that does not belong into a URL"), "send it in a parameter or header")
}

fn known_here(stage: Stage) -> String {
    let names: Vec<String> = stage.built_ins().iter().map(|name| format!("`{{{name}}}`")).collect();
    format!("built in here: {}", names.join(", "))
}
