//! Which endpoint a path means. The path is matched exactly as sent: a spelling that only decodes to one of ours is not
//! ours.

use super::page::Asset;
use crate::route::{Target, TargetError};

/// What a request is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Endpoint<'a> {
    /// `/integrations`.
    Integrations,
    /// `/integrations/openapi.json`.
    OpenApi,
    /// `/integrations/page.js` and its like.
    Asset(&'static Asset),
    /// `/integrations/sessions`.
    Sessions,
    /// `/integrations/{i}/authorize`.
    Authorize(&'a str),
    /// `/integrations/{i}/oauth2callback`.
    Callback(&'a str),
    /// `/integrations/{i}/confirm`.
    Confirm(&'a str),
    /// `/integrations/{i}/credentials`.
    Credentials(&'a str),
    /// `/integrations/{i}/connection`.
    Connection(&'a str),
    /// `/integrations/{i}/load`.
    Load(&'a str),
    /// `/integrations/{i}/items`.
    Items(&'a str),
    /// `/proxy/{i}/…`.
    Call(Target<'a>),
    /// Nothing of ours.
    Unknown,
}

impl<'a> Endpoint<'a> {
    /// From path and query as the request line has them.
    pub(crate) fn parse(path_and_query: &'a str, base_path: &str) -> Result<Self, TargetError> {
        if let Some(target) = Target::parse(path_and_query, base_path)? {
            return Ok(Self::Call(target));
        }
        let path = path_and_query.split('?').next().unwrap_or_default();
        let Some(rest) = path.strip_prefix(base_path).and_then(|path| path.strip_prefix("/integrations")) else {
            return Ok(Self::Unknown);
        };
        if let Some(asset) = rest.strip_prefix('/').and_then(Asset::named) {
            return Ok(Self::Asset(asset));
        }
        let mut segments = rest.split('/');
        Ok(match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some(""), None | Some(""), None, None) => Self::Integrations,
            (Some(""), Some("openapi.json"), None, None) => Self::OpenApi,
            (Some(""), Some("sessions"), None, None) => Self::Sessions,
            (Some(""), Some(name), Some("authorize"), None) => Self::Authorize(name),
            (Some(""), Some(name), Some("oauth2callback"), None) => Self::Callback(name),
            (Some(""), Some(name), Some("confirm"), None) => Self::Confirm(name),
            (Some(""), Some(name), Some("credentials"), None) => Self::Credentials(name),
            (Some(""), Some(name), Some("connection"), None) => Self::Connection(name),
            (Some(""), Some(name), Some("load"), None) => Self::Load(name),
            (Some(""), Some(name), Some("items"), None) => Self::Items(name),
            _ => Self::Unknown,
        })
    }

    /// The methods that the endpoint knows, for 405's `Allow`; `None` when it takes any.
    pub(crate) fn methods(&self) -> Option<&'static str> {
        match self {
            Self::Integrations | Self::OpenApi | Self::Asset(_) => Some("GET, HEAD"),
            Self::Sessions => Some("POST, DELETE"),
            Self::Authorize(_) | Self::Callback(_) => Some("GET, POST"),
            Self::Confirm(_) | Self::Credentials(_) | Self::Load(_) => Some("POST"),
            Self::Items(_) => Some("GET"),
            Self::Connection(_) => Some("GET, HEAD, DELETE"),
            Self::Call(_) | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        fn check(path: &str, base_path: &str, expected: Endpoint<'_>) {
            assert_eq!(Endpoint::parse(path, base_path).expect("no proxy path"), expected, "{path}");
        }
        check("/integrations", "", Endpoint::Integrations);
        check("/integrations/?x=1", "", Endpoint::Integrations);
        check("/integrations/openapi.json", "", Endpoint::OpenApi);
        check("/integrations/sessions", "", Endpoint::Sessions);
        let asset = Endpoint::Asset(Asset::named("connect.js").expect("a file"));
        check("/kf/integrations/connect.js?v=1", "/kf", asset);
        check("/integrations/connect%2Ejs", "", Endpoint::Unknown);
        check("/integrations/connect.js/", "", Endpoint::Unknown);
        check("/integrations/hubspot/authorize?a=/b", "", Endpoint::Authorize("hubspot"));
        check("/integrations/hubspot/oauth2callback", "", Endpoint::Callback("hubspot"));
        check("/integrations/hubspot/connection/", "", Endpoint::Unknown);
        check("/integrations//authorize", "", Endpoint::Authorize(""));
        check("/Integrations/hubspot/authorize", "", Endpoint::Unknown);
        check("/integrations%2Fhubspot/authorize", "", Endpoint::Unknown);
        check("/integrationsx", "", Endpoint::Unknown);
        check("/kf/integrations", "/kf", Endpoint::Integrations);
        check("/integrations", "/kf", Endpoint::Unknown);
        check("/", "", Endpoint::Unknown);
    }
}
