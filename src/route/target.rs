//! The target of a call: which integration a request line names and what of it goes to the provider, byte for byte.
//! Never decodes, joins or rewrites what is forwarded; what could mean another place to somebody further on is refused.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What a request under `/proxy/` names. The remainder is borrowed exactly as the caller sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The integration's name as it stands in the path, not yet checked to be a name.
    pub integration: &'a str,
    /// What follows the integration's name: empty, or begins with exactly one `/`.
    pub path: &'a str,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
}

/// Why a path is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A `.` or `..` segment, plain or percent-encoded.
    #[error("the path holds a `.` or `..` segment, plain or percent-encoded; send the path that is meant")]
    DotSegment,
    /// A backslash, plain or percent-encoded.
    #[error("the path holds a backslash, plain or percent-encoded")]
    Backslash,
    /// A control character, plain or percent-encoded.
    #[error("the path holds a control character, plain or percent-encoded")]
    Control,
    /// The provider's part of the path begins with `//`.
    #[error("the path after the integration's name begins with `//`, which could name another host")]
    LeadingSlashes,
    /// A fragment, which no request carries (RFC 9110 section 7.1).
    #[error("the request target holds a `#`")]
    Fragment,
    /// Bytes that stand in no URI.
    #[error("the path or query is not that of a URI")]
    NotAUri,
}

/// How often a path is decoded while looking for hidden meanings: once for the provider, and twice for whoever stands
/// in front of and behind it.
const DECODING_ROUNDS: usize = 3;

impl<'a> Target<'a> {
    /// Reads `{base_path}/proxy/{integration}{path}?{query}`. `Ok(None)` when the request is not a call at all.
    ///
    /// `base_path` is empty, or begins with `/` and does not end with it.
    pub fn parse(path_and_query: &'a str, base_path: &str) -> Result<Option<Self>, TargetError> {
        let Some(rest) =
            path_and_query.strip_prefix(base_path).and_then(|rest| rest.strip_prefix("/proxy/")).filter(|rest| {
                // `/proxy/` and `/proxy/?x` name nothing.
                !rest.is_empty() && !rest.starts_with(['/', '?'])
            })
        else {
            return Ok(None);
        };
        if rest.as_bytes().contains(&b'#') {
            return Err(TargetError::Fragment);
        }
        let (whole_path, query) = split_query(rest);
        let (integration, path) = whole_path.split_at(whole_path.find('/').unwrap_or(whole_path.len()));
        if path.starts_with("//") {
            return Err(TargetError::LeadingSlashes);
        }
        check_path(path.as_bytes())?;
        Ok(Some(Self { integration, path, query }))
    }

    /// A path and query of our own making, below a provider's base URL, held to the same rules as a caller's.
    pub fn below(path_and_query: &'a str) -> Result<Self, TargetError> {
        let (path, query) = split_query(path_and_query);
        if path.starts_with("//") {
            return Err(TargetError::LeadingSlashes);
        }
        check_path(path.as_bytes())?;
        Ok(Self { integration: "", path, query })
    }
}

fn split_query(path_and_query: &str) -> (&str, Option<&str>) {
    match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    }
}

/// Refuses a path that somebody further on might read as another one.
pub(super) fn check_path(path: &[u8]) -> Result<(), TargetError> {
    check_as_it_stands(path)?;
    let mut current = Cow::Borrowed(path);
    for _ in 0..DECODING_ROUNDS {
        if !current.contains(&b'%') {
            break;
        }
        let next: Vec<u8> = percent_decode(&current).collect();
        check_as_it_stands(&next)?;
        current = Cow::Owned(next);
    }
    Ok(())
}

fn check_as_it_stands(path: &[u8]) -> Result<(), TargetError> {
    let mut segment_start = 0;
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'/' => {
                check_segment(&path[segment_start..at])?;
                segment_start = at + 1;
            }
            b'\\' => return Err(TargetError::Backslash),
            0..=0x1f | 0x7f => return Err(TargetError::Control),
            _ => {}
        }
    }
    check_segment(&path[segment_start..])
}

/// `..;x` counts as `..`: servers that know path parameters (RFC 3986 section 3.3) cut them off before they resolve dots.
fn check_segment(segment: &[u8]) -> Result<(), TargetError> {
    let hides_dots = |rest: &[u8]| rest.is_empty() || rest[0] == b';';
    match segment {
        [b'.', b'.', rest @ ..] | [b'.', rest @ ..] if hides_dots(rest) => Err(TargetError::DotSegment),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target<'a>(
        integration: &'a str,
        path: &'a str,
        query: Option<&'a str>,
    ) -> Result<Option<Target<'a>>, TargetError> {
        Ok(Some(Target { integration, path, query }))
    }

    #[test]
    fn reading() {
        fn check(text: &str, base_path: &str, expected: Result<Option<Target<'_>>, TargetError>) {
            assert_eq!(Target::parse(text, base_path), expected, "{text:?} under {base_path:?}");
        }
        check("/proxy/notion/v1/users/me?page=2", "", target("notion", "/v1/users/me", Some("page=2")));
        check("/proxy/notion", "", target("notion", "", None));
        check("/proxy/notion?x", "", target("notion", "", Some("x")));
        check("/proxy/notion/", "", target("notion", "/", None));
        check("/proxy/notion/?", "", target("notion", "/", Some("")));
        check("/kf/proxy/notion/a", "/kf", target("notion", "/a", None));
        check("/proxy/notion/a", "/kf", Ok(None));
        check("/proxy/", "", Ok(None));
        check("/proxy/?x", "", Ok(None));
        check("/proxy//x", "", Ok(None));
        check("/proxy", "", Ok(None));
        check("/proxyx/a", "", Ok(None));
        check("/Proxy/a", "", Ok(None));
        check("*", "", Ok(None));
        // What has to survive as sent.
        check("/proxy/gitlab/projects/group%2Fname/files", "", target("gitlab", "/projects/group%2Fname/files", None));
        check("/proxy/x/a//b/@me/c:d", "", target("x", "/a//b/@me/c:d", None));
        check("/proxy/x/@evil.example/", "", target("x", "/@evil.example/", None));
        check("/proxy/x/...", "", target("x", "/...", None));
        check("/proxy/x/.well-known/a", "", target("x", "/.well-known/a", None));
        check("/proxy/x/a..b", "", target("x", "/a..b", None));
        check("/proxy/x/100%", "", target("x", "/100%", None));
        check("/proxy/x/%zz", "", target("x", "/%zz", None));
        check("/proxy/x/a?b=../..\\c?d", "", target("x", "/a", Some("b=../..\\c?d")));
        check("/proxy/x/%C3%A9", "", target("x", "/%C3%A9", None));
    }

    #[test]
    fn refusals() {
        fn check(path: &str, expected: TargetError) {
            let text = format!("/proxy/x{path}");
            assert_eq!(Target::parse(&text, ""), Err(expected), "{path:?}");
        }
        for path in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/%2e%2e",
            "/%2E%2e/b",
            "/.%2e",
            "/..%2f",
            "/..%2Fadmin",
            "/a/..%2f..%2fb",
            "/%252e%252e/",
            "/%25252e%25252e",
            "/a%2f..%2fb",
            "/..;x/y",
            "/.;",
            "/%2e%2e%3bx",
        ] {
            check(path, TargetError::DotSegment);
        }
        for path in ["/..\\", "/a\\b", "/%5c", "/..%5c", "/%255C", "/%25255c"] {
            check(path, TargetError::Backslash);
        }
        for path in ["/%00", "/a%0d%0ab", "/%7f", "/%2500", "/a\tb", "/%1F"] {
            check(path, TargetError::Control);
        }
        for path in ["//evil.example/", "//", "///a"] {
            check(path, TargetError::LeadingSlashes);
        }
        check("/a#b", TargetError::Fragment);
    }

    proptest! {
        #[test]
        fn the_remainder_is_what_was_sent(text in "/proxy/[a-z]{1,8}[!-~]{0,60}") {
            if let Ok(Some(target)) = Target::parse(&text, "") {
                let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
                prop_assert_eq!(format!("/proxy/{}{}{}", target.integration, target.path, query), &text[..]);
                prop_assert!(target.path.is_empty() || target.path.starts_with('/'));
                prop_assert!(!target.path.starts_with("//"));
            }
        }

        #[test]
        fn no_encoding_hides_a_dot_segment(
            before in "(/[a-z%]{0,3}){0,2}",
            dots in "(\\.|%2e|%2E|%252e|%252E|%25252e){1,2}",
            after in "(/|%2f|%252F)?[a-z]{0,3}",
        ) {
            let separated = after.is_empty() || after.starts_with('/') || after.starts_with('%');
            let text = format!("/proxy/x{before}/{dots}{after}");
            prop_assume!(separated && !before.ends_with('%'));
            prop_assert!(Target::parse(&text, "").is_err(), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = Target::parse(&text, "");
            let _ = Target::parse(&format!("/proxy/x/{text}"), "");
        }
    }
}
