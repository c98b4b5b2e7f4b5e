//! Which side of a sidecar in front of an application a path belongs to. Servers differ in what they decode, fold and
//! resolve, so a path is read in every way that one of them may; a path whose readings disagree belongs to nobody. What
//! belongs to the application goes on byte for byte: no reading is ever forwarded.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Whose path it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It begins with `/integrations` or `/proxy` below the base path, exactly so, however it is read.
    Ours,
    /// No reading of it begins so.
    Application,
    /// Another spelling of one of ours, or one of ours that leads out again: there is nothing at such an address.
    Neither,
}

/// What we own below the base path, in the only spelling that is ours.
const OURS: [&str; 2] = ["integrations", "proxy"];

/// How often a path is decoded: once for the application, and twice for whoever stands in front of and behind it.
const DECODING_ROUNDS: usize = 3;

impl Side {
    /// Reads a request's path, which has no query. `base_path` is empty, or begins with `/` and does not end with it.
    pub fn of(path: &str, base_path: &str) -> Self {
        let is_exact = path.strip_prefix(base_path).is_some_and(begins_with_ours);
        if is_plain(path) {
            // It has one reading, itself, and nothing is to be decoded or copied for that.
            let folded = path.get(..base_path.len()).filter(|prefix| prefix.eq_ignore_ascii_case(base_path));
            let is_ours = folded.is_some() && begins_loosely(&path[base_path.len()..]);
            return Self::agreed(is_exact, is_ours, is_ours);
        }
        let (mut any, mut all) = (false, true);
        let mut current = Cow::Borrowed(path.as_bytes());
        for round in 0..=DECODING_ROUNDS {
            let is_ours = reads_as_ours(&current, base_path);
            (any, all) = (any || is_ours, all && is_ours);
            if round == DECODING_ROUNDS || !current.contains(&b'%') {
                break;
            }
            current = Cow::Owned(percent_decode(&current).collect());
        }
        Self::agreed(is_exact, any, all)
    }

    fn agreed(is_exact: bool, any: bool, all: bool) -> Self {
        match (is_exact, any, all) {
            (true, _, true) => Self::Ours,
            (false, false, _) => Self::Application,
            _ => Self::Neither,
        }
    }
}

/// Nothing in it that anybody decodes, folds, cuts off or resolves.
fn is_plain(path: &str) -> bool {
    let is_read_differently = |byte: u8| matches!(byte, b'%' | b'\\' | b';' | b'#' | b'?' | 0..=b' ' | 0x7f);
    path.starts_with('/') && !path.bytes().any(is_read_differently) && !path.contains("//") && !path.contains("/.")
}

fn begins_with_ours(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('/') else { return false };
    OURS.contains(&rest.split('/').next().unwrap_or_default())
}

fn begins_loosely(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('/') else { return false };
    let first = rest.split('/').next().unwrap_or_default();
    OURS.iter().any(|ours| ours.eq_ignore_ascii_case(first))
}

/// Whether a server that folds `\` to `/`, takes slashes together, cuts off path parameters and what would be a query,
/// drops controls and white space, resolves dots and ignores case would find one of ours here.
fn reads_as_ours(path: &[u8], base_path: &str) -> bool {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in path[..end].split(|byte| matches!(byte, b'/' | b'\\')) {
        let plain = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        let plain: Vec<u8> =
            plain.iter().filter(|byte| !matches!(byte, 0..=b' ' | 0x7f)).map(u8::to_ascii_lowercase).collect();
        match plain.as_slice() {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(plain),
        }
    }
    let mut segments = segments.iter();
    let base_is_there = base_path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .all(|segment| segments.next().is_some_and(|read| segment.as_bytes().eq_ignore_ascii_case(read)));
    base_is_there && segments.next().is_some_and(|first| OURS.iter().any(|ours| ours.as_bytes() == first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whose_path_it_is() {
        fn check(path: &str, base_path: &str, expected: Side) {
            assert_eq!(Side::of(path, base_path), expected, "{path:?} under {base_path:?}");
        }
        for ours in
            ["/integrations", "/integrations/", "/integrations/acme/oauth2callback", "/proxy", "/proxy/acme/a%2Fb/c"]
        {
            check(ours, "", Side::Ours);
            check(&format!("/kf{ours}"), "/kf", Side::Ours);
            check(ours, "/kf", Side::Application);
        }
        for application in [
            "/",
            "/a",
            "*",
            "/integrationsx",
            "/integration",
            "/proxies/a",
            "/api/integrations",
            "/a/proxy",
            "/.well-known/a",
            "/a%2Fb;c=d//e",
            "/kf/integrations",
            "/%",
            "/integrations%C3%A9",
        ] {
            check(application, "", Side::Application);
        }
        for neither in [
            "/Integrations",
            "/PROXY/acme",
            "//integrations",
            "/integrations;a=b/acme",
            "/integrations%2Facme/oauth2callback",
            "/%69ntegrations/acme",
            "/%2569ntegrations/acme",
            "/%252569ntegrations",
            "/./integrations/acme",
            "/a/../integrations/acme/oauth2callback",
            "/a/%2e%2e/integrations",
            "/a/..%2fproxy/acme",
            "/a/..;x/proxy/acme",
            "\\integrations",
            "/%5cintegrations",
            "/integrations%00",
            "/integrations%20",
            "/integrations%3Fcode=a",
            "/integrations%2523",
            "/integrations/../admin",
            "/integrations/%2e%2e/%2e%2e/admin",
            "/proxy/../admin",
            "/proxy/%252e%252e/admin",
        ] {
            check(neither, "", Side::Neither);
        }
        check("/KF/integrations", "/kf", Side::Neither);
        check("/kf/../integrations", "/kf", Side::Application);
        check("/kf/../kf/integrations", "/kf", Side::Neither);
    }

    /// A path's own characters as other spellings have them: encoded once or more, in the other case, with empty
    /// segments, dots, parameters and detours.
    fn spelled(path: &'static str) -> impl Strategy<Value = String> {
        let character = |character: char| {
            let byte = character as u32;
            let mut ways = vec![
                character.to_string(),
                character.to_ascii_uppercase().to_string(),
                format!("%{byte:02x}"),
                format!("%{byte:02X}"),
                format!("%25{byte:02x}"),
                format!("%2525{byte:02X}"),
            ];
            if character == '/' {
                ways.extend(
                    ["//", "/./", "/x/../", "\\", "/%2e/", "/x/%2e%2e/", ";a=b/", "/x/..;y/", "%5C", "/%09"]
                        .map(String::from),
                );
            }
            proptest::sample::select(ways)
        };
        // The first slash stays: every path begins with one.
        path[1..].chars().map(character).collect::<Vec<_>>().prop_map(|parts| format!("/{}", parts.concat()))
    }

    proptest! {
        #[test]
        fn no_spelling_of_ours_reaches_the_application(path in spelled("/integrations/acme/oauth2callback")) {
            let side = Side::of(&path, "");
            prop_assert_ne!(side, Side::Application, "{}", path);
            prop_assert!(side == Side::Neither || path.starts_with("/integrations/"), "{}", path);
        }

        #[test]
        fn nor_under_a_base_path(path in spelled("/kf/proxy/acme/a")) {
            let side = Side::of(&path, "/kf");
            prop_assert_ne!(side, Side::Application, "{}", path);
            prop_assert!(side == Side::Neither || path.starts_with("/kf/proxy/"), "{}", path);
        }

        #[test]
        fn no_spelling_of_the_applications_reaches_us(path in spelled("/api/integrations/proxy")) {
            prop_assert_ne!(Side::of(&path, ""), Side::Ours, "{}", path);
        }

        #[test]
        fn nothing_leads_out_of_ours(rest in "[/.%2eE5fFcC;\\\\a]{0,24}") {
            let path = format!("/integrations/{rest}");
            if Side::of(&path, "") == Side::Ours {
                let decoded = percent_decode(path.as_bytes()).decode_utf8_lossy().into_owned();
                prop_assert!(reads_as_ours(decoded.as_bytes(), ""), "{}", path);
            }
        }

        #[test]
        fn any_text_is_read(path in "\\PC*") {
            let _ = Side::of(&path, "");
            let _ = Side::of(&path, "/kf");
        }
    }
}
