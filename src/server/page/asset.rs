//! The files of the connect page and script: compiled in, compressed when first asked for, kept by browsers until they
//! change. The same for everybody.

use std::io::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::keep;
use crate::server::body::Body;

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its name below `/integrations/`. It holds a dot, so that no integration can be called so.
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// Whether pages of every origin may load it.
    is_public: bool,
    content: OnceLock<Content>,
}

static ASSETS: [Asset; 10] = [
    Asset::public("connect.js", SCRIPT, include_bytes!("connect.js")),
    Asset::public("connect.d.ts", "text/plain; charset=utf-8", include_bytes!("connect.d.ts")),
    Asset::own("page.js", SCRIPT, include_bytes!("page.js")),
    Asset::own("card.js", SCRIPT, include_bytes!("card.js")),
    Asset::own("items.js", SCRIPT, include_bytes!("items.js")),
    Asset::own("dialogs.js", SCRIPT, include_bytes!("dialogs.js")),
    Asset::own("session.js", SCRIPT, include_bytes!("session.js")),
    Asset::own("dom.js", SCRIPT, include_bytes!("dom.js")),
    Asset::own("page.css", "text/css; charset=utf-8", include_bytes!("page.css")),
    Asset::own("icon.svg", "image/svg+xml", include_bytes!("icon.svg")),
];

impl Asset {
    /// The file of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// Whether pages of every origin may load it: it holds nobody's data and is sent without credentials.
    pub(crate) fn is_public(&self) -> bool {
        self.is_public
    }

    /// The answer to a request with these headers.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let content = self.content.get_or_init(|| Content::new(self.bytes.to_vec()));
        let mut response = content.answer(self.media_type, headers);
        let sharing = if self.is_public { "cross-origin" } else { "same-origin" };
        let fields = response.headers_mut();
        fields.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static(sharing));
        if self.is_public {
            fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }

    const fn own(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, media_type, bytes, is_public: false, content: OnceLock::new() }
    }

    const fn public(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, media_type, bytes, is_public: true, content: OnceLock::new() }
    }
}

impl PartialEq for Asset {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Bytes, plain and compressed.
#[derive(Debug)]
pub(super) struct Content {
    plain: Bytes,
    gzip: Bytes,
    /// A digest of the plain bytes, which names them.
    digest: String,
}

impl Content {
    pub(super) fn new(plain: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&plain).and_then(|()| encoder.finish());
        Self {
            digest: URL_SAFE_NO_PAD.encode(&Sha256::digest(&plain)[..16]),
            gzip: compressed.expect("a vector takes every byte").into(),
            plain: plain.into(),
        }
    }

    /// 200 with the bytes, compressed where that is accepted, or 304 where the browser has them.
    pub(super) fn answer(&self, media_type: &'static str, headers: &HeaderMap) -> Response<Body> {
        let is_compressed = accepts_gzip(headers);
        // Two encodings are two representations, and a strong tag tells them apart (RFC 9110 section 8.8.3.3).
        let tag = format!("\"{}{}\"", self.digest, if is_compressed { "-gzip" } else { "" });
        let bytes = if is_compressed { &self.gzip } else { &self.plain };
        let mut response = if has(headers, &tag) {
            let mut unchanged = Response::new(Body::Empty);
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        } else {
            let mut whole = Response::new(Body::from(bytes.clone()));
            whole.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            if is_compressed {
                whole.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            whole
        };
        keep(response.headers_mut());
        response.headers_mut().insert(ETAG, HeaderValue::try_from(tag).expect("base64 is ASCII"));
        response
    }
}

/// Whether `If-None-Match` names the tag (RFC 9110 section 13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    let mut tags = fields.flat_map(|field| field.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether `Accept-Encoding` lets gzip through (RFC 9110 section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let mut by_name = None;
    let mut by_star = false;
    for coding in fields.flat_map(|field| field.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
        let is_accepted = weight.is_some_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => by_name = Some(is_accepted),
            "*" => by_star = is_accepted,
            _ => {}
        }
    }
    by_name.unwrap_or(by_star)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IntegrationName;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn no_integration_can_be_called_like_a_file() {
        for asset in &ASSETS {
            assert!(IntegrationName::parse(asset.name).is_err(), "{}", asset.name);
            assert_eq!(Asset::named(asset.name), Some(asset));
        }
        assert_eq!(Asset::named("page.rs"), None);
    }

    /// The text between two others, in the script for every front end.
    fn within_the_script(before: &str, after: &str) -> &'static str {
        let rest = include_str!("connect.js").split_once(before).expect("it is there").1;
        rest.split_once(after).expect("it ends").0
    }

    proptest::proptest! {
        #[test]
        fn the_script_takes_the_names_that_integrations_can_have(text in r"\PC*|[a-z0-9_-]{1,70}|[.%2e/]{1,8}|[A-Za-z]{1,3}\n?") {
            check_name(&text);
        }
    }

    #[test]
    fn the_script_takes_no_name_that_leads_elsewhere() {
        for text in ["hubspot", "a", "0", "google-drive_2", "sessions", "session", "", ".", "..", "%2e%2e", "-a", "_a"]
        {
            check_name(text);
        }
        for text in ["a/b", "a\\b", "a\n", "\na", "a ", "A", "ä", "a?b", "a#b", &"a".repeat(63), &"a".repeat(64)] {
            check_name(text);
        }
    }

    fn check_name(text: &str) {
        let pattern = regex_lite::Regex::new(within_the_script("const NAME = /", "/;")).expect("a pattern");
        let is_taken = pattern.is_match(text) && text != within_the_script("const RESERVED = \"", "\";");
        assert_eq!(is_taken, IntegrationName::parse(text).is_ok(), "{text:?}");
    }

    #[test]
    fn encodings() {
        fn check(value: &'static str, expected: bool) {
            assert_eq!(accepts_gzip(&headers(ACCEPT_ENCODING, value)), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        check("gzip, deflate, br, zstd", true);
        check("br;q=1.0, gzip;q=0.8, *;q=0.1", true);
        check("GZip", true);
        check("gzip;q=0", false);
        check("gzip; q=0.000", false);
        check("identity", false);
        check("*", true);
        check("*;q=0", false);
        check("gzip;q=0, *", false);
        check("gzip;q=x", false);
        check("", false);
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let content = Content::new(b"one two three".repeat(100));
        let whole = content.answer(SCRIPT, &headers(ACCEPT_ENCODING, "gzip"));
        let tag = whole.headers()[ETAG].to_str().expect("ASCII").to_owned();
        assert_eq!(whole.status(), StatusCode::OK);
        for (known, accepted, status) in [
            (tag.clone(), "gzip", 304),
            (format!("\"x\", W/{tag}"), "gzip", 304),
            ("*".to_owned(), "gzip", 304),
            (tag, "identity", 200),
            ("\"x\"".to_owned(), "gzip", 200),
        ] {
            let mut asked = headers(ACCEPT_ENCODING, accepted);
            asked.insert(IF_NONE_MATCH, HeaderValue::try_from(&known).expect("ASCII"));
            assert_eq!(content.answer(SCRIPT, &asked).status().as_u16(), status, "{known} {accepted}");
        }
    }
}
