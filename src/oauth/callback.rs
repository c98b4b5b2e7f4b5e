//! What the provider's redirect brings (RFC 6749 section 4.1.2, RFC 9207). Anybody can craft one, so nothing in it is
//! believed before its `state` is known, and none of its words is ever shown.

use std::collections::BTreeMap;

use super::{CallbackCapture, CallbackNames, Endpoints, Protocol};

/// A redirect's query, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Our state, under whichever name it came back.
    pub state: String,
    /// The other parameters, each once.
    parameters: BTreeMap<String, String>,
}

/// What a redirect with a known state means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// The person agreed.
    Code {
        /// To be sent once and never again.
        code: String,
        /// What the provider file keeps from the query.
        captured: BTreeMap<String, String>,
    },
    /// The person, or the provider, did not.
    Denied(DenialReason),
}

/// The fixed words that a provider's error becomes (RFC 6749 section 4.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// `access_denied`.
    AccessDenied,
    /// `invalid_scope`.
    InvalidScope,
    /// `server_error`, `temporarily_unavailable`.
    ProviderTrouble,
    /// Any other: our registration at the provider does not fit the request.
    Refused,
}

/// Why a redirect cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// No state.
    #[error("the redirect has no state")]
    NoState,
    /// A parameter twice, which RFC 6749 section 3.1 forbids and attackers like.
    #[error("the redirect repeats a parameter")]
    Repeated,
    /// Neither a code nor `error`.
    #[error("the redirect has neither code nor error")]
    Empty,
    /// `iss` is not the issuer that this authorization went to (RFC 9207 section 2.4).
    #[error("the redirect comes from another issuer")]
    WrongIssuer,
    /// The issuer promises `iss`, and it is missing.
    #[error("the redirect lacks the issuer that its metadata promises")]
    NoIssuer,
}

impl Redirect {
    /// Parses the query as the callback's URL has it. The URL names the integration, and so the provider's names are known
    /// before the state is.
    pub fn parse(query: &str, names: &CallbackNames) -> Result<Self, CallbackError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(CallbackError::Repeated);
            }
        }
        let state = parameters.remove(&names.state).filter(|state| !state.is_empty()).ok_or(CallbackError::NoState)?;
        Ok(Self { state, parameters })
    }

    /// What it means, given the provider that its state was drawn for.
    pub fn accept(self, protocol: &Protocol, endpoints: &Endpoints) -> Result<Callback, CallbackError> {
        match (self.parameters.get("iss"), &endpoints.issuer) {
            (Some(given), Some(issuer)) if given != issuer => return Err(CallbackError::WrongIssuer),
            (None, _) if endpoints.iss_required => return Err(CallbackError::NoIssuer),
            _ => {}
        }
        if let Some(error) = self.parameters.get("error") {
            return Ok(Callback::Denied(match error.as_str() {
                "access_denied" => DenialReason::AccessDenied,
                "invalid_scope" => DenialReason::InvalidScope,
                "server_error" | "temporarily_unavailable" => DenialReason::ProviderTrouble,
                _ => DenialReason::Refused,
            }));
        }
        let code = self.parameters.get(&protocol.callback.code).filter(|code| !code.is_empty());
        let code = code.ok_or(CallbackError::Empty)?.clone();
        let captured = protocol
            .callback_capture
            .iter()
            .filter_map(|(name, capture)| Some((name.clone(), capture.value(self.parameters.get(&capture.param))?)))
            .collect();
        Ok(Callback::Code { code, captured })
    }
}

impl CallbackCapture {
    /// What the sent value becomes; `None` when it is missing or not let through.
    fn value(&self, sent: Option<&String>) -> Option<String> {
        match sent {
            Some(value) => self.rule.admit(value),
            None => self.rule.fallback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oauth::CaptureRule;

    fn endpoints(iss_required: bool) -> Endpoints {
        Endpoints { issuer: Some("https://as.example".into()), iss_required, ..Endpoints::default() }
    }

    fn accept(query: &str, iss_required: bool) -> Result<Callback, CallbackError> {
        let hosts = CallbackCapture {
            param: "location".into(),
            rule: CaptureRule {
                default: Some("us".into()),
                pattern: None,
                map: BTreeMap::from([("us".into(), "a.com".into()), ("eu".into(), "a.eu".into())]),
            },
        };
        let protocol = Protocol { callback_capture: BTreeMap::from([("host".into(), hosts)]), ..Protocol::default() };
        Redirect::parse(query, &protocol.callback)?.accept(&protocol, &endpoints(iss_required))
    }

    fn code(code: &str, host: Option<&str>) -> Callback {
        let captured = host.map(|host| ("host".to_owned(), host.to_owned())).into_iter().collect();
        Callback::Code { code: code.into(), captured }
    }

    #[test]
    fn redirects() {
        fn check(query: &str, expected: Result<Callback, CallbackError>) {
            assert_eq!(accept(query, false), expected, "{query}");
        }
        check("code=a%2Fb&state=s", Ok(code("a/b", Some("a.com"))));
        check("code=x&state=s&location=eu&iss=https%3A%2F%2Fas.example", Ok(code("x", Some("a.eu"))));
        check("code=x&state=s&location=evil.example", Ok(code("x", None)));
        check("code=x&state=s&iss=https%3A%2F%2Fother.example", Err(CallbackError::WrongIssuer));
        check("code=x&state=s&iss=https%3A%2F%2Fas.example%2F", Err(CallbackError::WrongIssuer));
        check("code=x", Err(CallbackError::NoState));
        check("code=x&state=", Err(CallbackError::NoState));
        check("state=s", Err(CallbackError::Empty));
        check("state=s&code=", Err(CallbackError::Empty));
        check("state=s&code=1&code=2", Err(CallbackError::Repeated));
        check("state=s&state=t&code=1", Err(CallbackError::Repeated));
        check("state=s&error=access_denied&error_description=<b>", Ok(Callback::Denied(DenialReason::AccessDenied)));
        check("state=s&error=%3Cscript%3E", Ok(Callback::Denied(DenialReason::Refused)));
        check("state=s&error=invalid_scope&code=1", Ok(Callback::Denied(DenialReason::InvalidScope)));
    }

    #[test]
    fn a_promised_issuer_is_required() {
        assert_eq!(accept("code=x&state=s", true), Err(CallbackError::NoIssuer));
        assert_eq!(accept("code=x&state=s&iss=https://as.example", true), Ok(code("x", Some("a.com"))));
    }

    #[test]
    fn names_of_the_provider() {
        let names = CallbackNames { code: "auth_code".into(), state: "custom".into(), by_post: true };
        let protocol = Protocol { callback: names.clone(), ..Protocol::default() };
        let accept = |query| Redirect::parse(query, &names)?.accept(&protocol, &endpoints(false));
        assert_eq!(accept("auth_code=x&custom=s"), Ok(code("x", None)));
        assert_eq!(accept("code=x&custom=s"), Err(CallbackError::Empty));
        assert_eq!(accept("auth_code=x&state=s"), Err(CallbackError::NoState));
    }

    proptest! {
        #[test]
        fn any_query_is_answered(query in ".*") {
            let _ = accept(&query, false);
        }
    }
}
