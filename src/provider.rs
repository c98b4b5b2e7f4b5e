//! A provider: the sum of how it speaks OAuth and how its API is called. Written in a file, never in code.

use std::sync::Arc;

use url::Url;

use crate::items::Plan;
use crate::mapping::Template;
use crate::model::ProviderId;
use crate::oauth::Protocol;
use crate::route::Api;

/// One provider file, checked and compiled.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The stem of its file name.
    pub id: ProviderId,
    /// What people read.
    pub display_name: String,
    /// The vendor's page about its OAuth.
    pub documentation: Option<String>,
    /// One word for lists: `crm`, `docs`, `storage` …
    pub category: Option<String>,
    /// How to get a grant.
    pub protocol: Protocol,
    /// How to call.
    pub api: Api,
    /// How to load items; empty where the file does not say.
    pub items: Arc<Plan>,
    /// SHA-256 over the file and those that it extends.
    pub digest: [u8; 32],
}

/// Two of one name are the same when their files are.
impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.digest == other.digest
    }
}

impl Provider {
    /// Whether the URL's host and port stand literally in this file, not chosen by any variable. Only such a host may
    /// be an address of this machine without `[net] allow`.
    pub fn writes(&self, url: &Url) -> bool {
        let authority = |url: &Url| Some((url.host_str()?.to_owned(), url.port_or_known_default()));
        self.urls().filter_map(literal_origin).any(|written| authority(&written) == authority(url))
    }

    /// Every URL that the file writes.
    pub fn urls(&self) -> impl Iterator<Item = &Template> {
        let protocol = &self.protocol;
        [
            &protocol.issuer,
            &protocol.authorization_endpoint,
            &protocol.token_endpoint,
            &protocol.refresh_endpoint,
            &protocol.revocation_endpoint,
            &protocol.introspection_endpoint,
        ]
        .into_iter()
        .flatten()
        .chain(protocol.token_exchange.iter().map(|exchange| &exchange.url))
        .chain(protocol.discovery.iter().map(|discovery| &discovery.url))
        .chain([&self.api.base_url])
    }
}

/// The origin of a URL template whose host ends before the first name begins.
pub fn literal_origin(template: &Template) -> Option<Url> {
    let prefix = template.literal_prefix();
    let complete = template.constant().is_some() || prefix.splitn(4, '/').count() == 4;
    if complete { Url::parse(prefix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_hosts() {
        fn check(template: &str, expected: Option<&str>) {
            let template = Template::parse(template).expect("a template");
            assert_eq!(
                literal_origin(&template).and_then(|url| url.host_str().map(str::to_owned)).as_deref(),
                expected
            );
        }
        check("https://a.example", Some("a.example"));
        check("https://a.example/{path}", Some("a.example"));
        check("https://{sub}.example/x", None);
        check("https://a.exam{tld}/x", None);
        check("{base}/x", None);
        check("http://127.0.0.1:8{port}/x", None);
    }
}
