//! The `Link` header field (RFC 8288 section 3).

use http::HeaderMap;
use http::header::LINK;

/// The target of the first link with `rel="next"` about the answer itself.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().find_map(|field| next_in(field.to_str().ok()?))
}

fn next_in(mut text: &str) -> Option<String> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        let (target, rest) = text.strip_prefix('<')?.split_once('>')?;
        let (is_next, rest) = parameters(rest);
        if is_next {
            return Some(target.trim().to_owned());
        }
        text = rest;
    }
}

/// Reads `; name=value` for as long as there are any; whether the relation is the wanted one, and what follows.
fn parameters(mut text: &str) -> (bool, &str) {
    let mut relation: Option<String> = None;
    let mut elsewhere = false;
    loop {
        text = text.trim_start_matches([' ', '\t']);
        let Some(rest) = text.strip_prefix(';') else { break };
        let rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find(['=', ';', ',', ' ', '\t']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let rest = rest.trim_start_matches([' ', '\t']);
        let (value, rest) = match rest.strip_prefix('=') {
            Some(rest) => value(rest.trim_start_matches([' ', '\t'])),
            None => (String::new(), rest),
        };
        // Only the first `rel` counts (section 3.3); with an anchor, the link is about something else (section 3.2).
        if name.eq_ignore_ascii_case("rel") {
            relation.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("anchor") {
            elsewhere = true;
        }
        text = rest;
    }
    let next =
        relation.is_some_and(|relation| relation.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next")));
    // What is not understood ends at the following comma.
    let rest =
        if text.is_empty() || text.starts_with(',') { text } else { text.find(',').map_or("", |at| &text[at..]) };
    (next && !elsewhere, rest)
}

/// A token or a quoted string, and what follows.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn next_links() {
        fn check(fields: &[&str], expected: Option<&str>) {
            let headers = fields.iter().map(|field| (LINK, HeaderValue::from_str(field).expect("a value"))).collect();
            assert_eq!(next(&headers).as_deref(), expected, "{fields:?}");
        }
        check(&["<https://a.example/2>; rel=\"next\""], Some("https://a.example/2"));
        check(
            &["<https://a.example/9>; rel=\"last\", <https://a.example/2>; rel=\"next\""],
            Some("https://a.example/2"),
        );
        check(&["<a>; rel=prev", "<b>; rel=next"], Some("b"));
        check(&["</2?a=1,2;3>;rel=next"], Some("/2?a=1,2;3"));
        check(&["<b>; title=\"a, <c>; rel=\\\"next\\\"\"; rel=last"], None);
        check(&["<b>; title=\"x;y\" ; REL = \"prev Next\""], Some("b"));
        check(&["<b>; rel=last; rel=next"], None);
        check(&["<b>; rel=next; anchor=\"/other\"", "<c>; rel=next"], Some("c"));
        check(&["<b>; rel=next; anchor=\"/other\", <c>; rel=next"], Some("c"));
        check(&["<b>; rel=nextish"], None);
        check(&["<b>"], None);
        check(&["b; rel=next"], None);
        check(&["<b; rel=next"], None);
        check(&[",, <b>; rel=next"], Some("b"));
        check(&["<a>; rel=last oops, <b>; rel=next"], Some("b"));
        check(&[], None);
    }

    proptest! {
        #[test]
        fn any_field_is_read(text in "[<>;,= \"\\\\a-e]{0,40}|.{0,40}") {
            let _ = next_in(&text);
        }

        #[test]
        fn what_is_written_is_found(target in "[a-z/?=&;,]{1,20}", title in "[a-z,;<>]{0,10}") {
            let field = format!("<x>; rel=first; title=\"{title}\", <{target}>; title=\"{title}\"; rel=\"next\"");
            prop_assert_eq!(next_in(&field), Some(target));
        }
    }
}
