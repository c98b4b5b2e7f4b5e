//! A URL in an answer, held to the base URL: the token goes with it, and must go nowhere else.

use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use url::Url;

/// How often a path is decoded while looking for dot segments: once for the provider, and for whoever stands around it.
const DECODING_ROUNDS: usize = 3;

/// The path and query below the base URL of what `text` refers to; `None` when it lies elsewhere. `asked` is the path and
/// query below the base URL of the page that the text stood in.
pub(super) fn below(base: &Url, asked: &str, text: &str) -> Option<String> {
    let here = Url::parse(&format!("{}{asked}", base.as_str().trim_end_matches('/'))).ok()?;
    let url = here.join(text.trim()).ok()?;
    let same_place = url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none();
    let path = url.path().strip_prefix(base.path().trim_end_matches('/')).filter(|_| same_place)?;
    let below = match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    is_below_base(&below).then_some(below)
}

/// Whether this can follow a base URL without leaving it or meaning another place to somebody further on.
pub(in crate::items) fn is_below_base(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    if !path.starts_with('/') || path.starts_with("//") || path_and_query.contains('#') {
        return false;
    }
    let mut decoded = path.to_owned();
    for _ in 0..=DECODING_ROUNDS {
        let wrong = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if decoded.split('/').any(wrong) || decoded.contains(|c: char| c == '\\' || c.is_control()) {
            return false;
        }
        let Ok(next) = percent_decode_str(&decoded).decode_utf8() else { return false };
        decoded = next.into_owned();
    }
    PathAndQuery::try_from(path_and_query).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_below_the_base_url() {
        fn check(text: &str, expected: Option<&str>) {
            let base = Url::parse("https://api.example/v1").expect("a URL");
            assert_eq!(below(&base, "/items?page=1", text).as_deref(), expected, "{text}");
        }
        check("https://api.example/v1/items?page=2", Some("/items?page=2"));
        check("HTTPS://API.example:443/v1/items?page=2", Some("/items?page=2"));
        check("/v1/items?page=2", Some("/items?page=2"));
        check("?page=2", Some("/items?page=2"));
        check("more?page=2#top", Some("/more?page=2"));
        check("https://api.example/v1/items?after=NzcwMDI%253D", Some("/items?after=NzcwMDI%253D"));
        check("http://api.example/v1/items", None);
        check("https://api.example:8443/v1/items", None);
        check("https://api.example.evil/v1/items", None);
        check("https://evil.example/v1/items", None);
        check("//evil.example/v1/items", None);
        check("https://api.example@evil.example/v1/items", None);
        check("https://me@api.example/v1/items", None);
        check("https://api.example/v2/items", None);
        check("https://api.example/v10/items", None);
        check("https://api.example/v1", None);
        check("https://api.example/v1//items", None);
        check("https://api.example/v1/../v2/items", None);
        check("https://api.example/v1/%2e%2e/v2", None);
        check("https://api.example/v1/%252e%252e/v2", None);
        check("https://api.example/v1/..%2fv2", None);
        check("https://api.example/v1/a%5c..", None);
        check("\\\\evil.example\\v1\\items", None);
        check("javascript:alert(1)", None);
        check("data:text/plain,x", None);
        check("https://", None);
    }

    proptest! {
        #[test]
        fn any_text_stays_below_or_is_refused(text in "(https?:)?[/\\\\a-z.@:%0-9?#]{0,40}|.{0,40}") {
            let base = Url::parse("https://api.example/v1").expect("a URL");
            if let Some(below) = below(&base, "/items", &text) {
                let url = Url::parse(&format!("https://api.example/v1{below}")).expect("a URL");
                prop_assert_eq!(url.host_str(), Some("api.example"));
                prop_assert!(url.path().starts_with("/v1/"), "{}", url);
                prop_assert!(is_below_base(&below));
            }
        }
    }
}
