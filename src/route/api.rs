//! The `[api]` table of a provider file, checked and compiled.

use http::HeaderName;

use super::Rate;
use crate::mapping::Template;

/// How a provider's API is called.
#[derive(Clone, Debug)]
pub struct Api {
    /// Scheme, authority and path prefix; never ends in `/`.
    pub base_url: Template,
    /// Default headers: one that the caller sends wins.
    pub headers: Vec<(HeaderName, Template)>,
    /// Default query parameters, appended when the caller's query lacks the name.
    pub query: Vec<(String, Template)>,
    /// Where the access token goes.
    pub auth: TokenPlace,
    /// How many calls of one connection the provider takes.
    pub rate: Option<Rate>,
}

/// Where a call carries its access token.
#[derive(Clone, Debug)]
pub enum TokenPlace {
    /// In a header, `Authorization: Bearer {access_token}` by default.
    Header {
        /// The header's name.
        name: HeaderName,
        /// Its value.
        format: Template,
    },
    /// In a query parameter, for providers that know no header.
    Query {
        /// The parameter's name.
        name: String,
        /// Its value.
        format: Template,
    },
}

impl TokenPlace {
    /// `Authorization: Bearer {access_token}` (RFC 6750 section 2.1).
    pub fn bearer() -> Self {
        let format = Template::parse("Bearer {access_token}").expect("a template without a mistake");
        Self::Header { name: http::header::AUTHORIZATION, format }
    }
}
