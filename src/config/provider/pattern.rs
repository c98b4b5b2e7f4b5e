//! What a pattern can match, decided from its text. A pattern that guards a host has to be provably tame: trying a few
//! values would only show what its author thought of. What cannot be proven is refused.

use regex_lite::Regex;

use super::host::has_fixed_parent;
use crate::config::problem::{Fault, quoted};

/// Most endings that are looked at; a pattern with more of them is treated as open.
const MOST_ENDINGS: usize = 256;

/// Compiles a pattern that has to match a whole value, with or without `^` and `$` written.
pub(super) fn whole(pattern: &str) -> Result<Regex, Fault> {
    let mistake = |_| Fault::new(format!("{} is not a regular expression", quoted(pattern)), "mend or remove it");
    Regex::new(pattern).map_err(mistake)?;
    // An alternation would otherwise be anchored at its outer ends only.
    Regex::new(&format!("^(?:{pattern})$")).map_err(mistake)
}

/// A pattern as far as hosts are concerned.
pub(super) struct HostPattern {
    pieces: Vec<Piece>,
}

/// How all values that a pattern matches end.
pub(super) enum Endings {
    /// These are the values, all of them.
    Closed(Vec<String>),
    /// The values end so, and anything tame may stand before it.
    Open(Vec<String>),
}

impl HostPattern {
    /// For values that are a host or a part of one: every character that can be matched is a host's.
    pub(super) fn of_host(pattern: &str) -> Result<Self, Fault> {
        Self::from_tokens(pattern, &tokens(pattern)?)
    }

    /// For values that are a whole URL: they begin with `https://`, and the host that follows is tame.
    pub(super) fn of_url(pattern: &str) -> Result<Self, Fault> {
        let all = tokens(pattern)?;
        if top_level(&all).any(|token| *token == Token::Or) {
            return Err(refused(pattern, "has alternatives at its top level", "put them into a group"));
        }
        let scheme = "https://".chars().map(Token::Literal);
        let begins = scheme.eq(all.iter().take(8).cloned()) && all.get(8) != Some(&Token::Repeat);
        if !begins {
            return Err(refused(pattern, "lets through more than https URLs", "begin it with `^https://`"));
        }
        let rest = &all[8..];
        let slash = top_level_positions(rest).find(|at| rest[*at] == Token::Literal('/'));
        if slash.is_some_and(|at| rest.get(at + 1) == Some(&Token::Repeat)) {
            return Err(refused(pattern, "makes the `/` behind the host optional", "write a plain `/`"));
        }
        Self::from_tokens(pattern, &rest[..slash.unwrap_or(rest.len())])
    }

    fn from_tokens(pattern: &str, tokens: &[Token]) -> Result<Self, Fault> {
        for token in tokens {
            let tame = match token {
                Token::Literal(character) => is_host_character(*character),
                Token::Class(class) => class_is_tame(class),
                Token::Or | Token::Open | Token::Close | Token::Repeat => true,
            };
            if !tame {
                let example = "write out what a host may hold, such as `[a-z0-9-]+`";
                return Err(refused(pattern, "lets through characters that end or redirect a host", example));
            }
        }
        Ok(Self { pieces: pieces(tokens) })
    }

    /// How its values end.
    pub(super) fn endings(&self) -> Endings {
        let mut endings = vec![String::new()];
        for piece in self.pieces.iter().rev() {
            let choices: Vec<String> = match piece {
                Piece::Literal(character) => vec![character.to_string()],
                Piece::Choice(choices) => choices.clone(),
                Piece::Open => return Endings::Open(endings),
            };
            if choices.len() * endings.len() > MOST_ENDINGS {
                return Endings::Open(endings);
            }
            endings =
                choices.iter().flat_map(|choice| endings.iter().map(move |end| format!("{choice}{end}"))).collect();
        }
        Endings::Closed(endings)
    }

    /// True when no value can leave the domains that the pattern itself writes out.
    pub(super) fn stays_in_its_domain(&self) -> bool {
        match self.endings() {
            Endings::Closed(_) => true,
            Endings::Open(endings) => endings.iter().all(|ending| has_fixed_parent(ending)),
        }
    }
}

fn refused(pattern: &str, why: &str, remedy: &str) -> Fault {
    Fault::new(format!("the pattern {} guards a host and {why}", quoted(pattern)), remedy)
}

/// What a regular expression is made of. Anchors are left out: they only narrow what is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// One character out of several, as source.
    Class(String),
    Open,
    Close,
    Or,
    /// `*`, `+`, `?` or `{…}` behind what stands before.
    Repeat,
}

fn tokens(pattern: &str) -> Result<Vec<Token>, Fault> {
    let clever =
        || refused(pattern, "uses what cannot be checked", "write it with plain characters, classes and groups");
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '^' | '$' => continue,
            '\\' => match rest.next().ok_or_else(clever)? {
                kind @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => Token::Class(format!("\\{kind}")),
                escaped if escaped.is_ascii_punctuation() => Token::Literal(escaped),
                _ => return Err(clever()),
            },
            '.' => Token::Class(".".to_owned()),
            '[' => Token::Class(class(&mut rest).ok_or_else(clever)?),
            '(' => {
                if rest.next_if_eq(&'?').is_some() && rest.next() != Some(':') {
                    return Err(clever());
                }
                Token::Open
            }
            ')' => Token::Close,
            '|' => Token::Or,
            '*' | '+' | '?' => Token::Repeat,
            '{' => {
                rest.by_ref().find(|character| *character == '}').ok_or_else(clever)?;
                Token::Repeat
            }
            literal => Token::Literal(literal),
        });
    }
    Ok(tokens)
}

/// The source of a class whose `[` was read. Classes within classes, negations and escapes of code points are not
/// looked into.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut source = String::from("[");
    if matches!(rest.peek(), Some('^' | ']')) {
        return None;
    }
    loop {
        let character = rest.next()?;
        source.push(character);
        match character {
            ']' => return Some(source),
            '\\' => {
                let escaped = rest.next()?;
                let known = escaped.is_ascii_punctuation() || matches!(escaped, 'd' | 's' | 'w' | 'D' | 'S' | 'W');
                if !known {
                    return None;
                }
                source.push(escaped);
            }
            '[' | '&' | '~' => return None,
            other if !other.is_ascii() => return None,
            _ => {}
        }
    }
}

/// True when each character of the class may stand in a host. A class of ASCII text that is not negated can match
/// beyond ASCII only by `\D`, `\S`, `\W` or `.`, and those match within it too.
fn class_is_tame(class: &str) -> bool {
    let Ok(regex) = Regex::new(&format!("(?s)^(?:{class})$")) else { return false };
    let mut buffer = [0; 4];
    (0..=127_u8)
        .map(char::from)
        .all(|character| is_host_character(character) || !regex.is_match(character.encode_utf8(&mut buffer)))
}

/// Letters, digits, and what joins them.
pub(super) fn is_host_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_')
}

enum Piece {
    Literal(char),
    /// A group of plain texts.
    Choice(Vec<String>),
    /// Anything else.
    Open,
}

/// The pattern from left to right, as far as it consists of plain text and groups of plain texts.
fn pieces(tokens: &[Token]) -> Vec<Piece> {
    if top_level(tokens).any(|token| *token == Token::Or) {
        return vec![Piece::Open];
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Literal(character) => pieces.push(Piece::Literal(*character)),
            Token::Open => {
                let end = at + group_length(&tokens[at..]);
                pieces.push(choice(&tokens[at..end]));
                at = (end + 1).min(tokens.len());
            }
            Token::Repeat => {
                pieces.pop();
                pieces.push(Piece::Open);
            }
            Token::Class(_) | Token::Close | Token::Or => pieces.push(Piece::Open),
        }
    }
    pieces
}

fn choice(group: &[Token]) -> Piece {
    let alternatives = group.split(|token| *token == Token::Or).map(|alternative| {
        let literal = |token: &Token| match token {
            Token::Literal(character) => Some(*character),
            _ => None,
        };
        alternative.iter().map(literal).collect::<Option<String>>()
    });
    alternatives.collect::<Option<Vec<_>>>().map_or(Piece::Open, Piece::Choice)
}

/// How many tokens stand before the `)` of a group whose `(` was read.
fn group_length(tokens: &[Token]) -> usize {
    let mut depth = 1;
    let closes = |token: &Token| {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    tokens.iter().position(closes).unwrap_or(tokens.len())
}

fn top_level_positions(tokens: &[Token]) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

fn top_level(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    top_level_positions(tokens).map(|at| &tokens[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_of_hosts() {
        fn check(pattern: &str, tame: bool, stays: bool) {
            whole(pattern).expect("a pattern");
            let shape = HostPattern::of_host(pattern);
            assert_eq!(shape.is_ok(), tame, "{pattern:?}");
            assert_eq!(shape.is_ok_and(|shape| shape.stays_in_its_domain()), stays, "{pattern:?}");
        }
        check(r"^[a-z0-9-]+$", true, false);
        check(r"^[a-z0-9-]+\.acme\.com$", true, true);
        check(r"[a-z0-9-]+\.acme\.(com|eu|co\.uk)", true, true);
        check(r"(eu|us)\.acme\.com|acme\.org", true, false);
        check(r"((eu|us)\.acme\.com|acme\.org)", true, false);
        check(r"(eu|us)\.acme\.com", true, true);
        check(r"\w+\.acme\.com", true, true);
        // The dot is not escaped, so that `evilacme.com` and `x-acmeecom` match.
        check(r"[a-z]+.acme\.com", false, false);
        check(r"[a-z]+\.acme.com", false, false);
        check(r"[a-z-]+acme\.com", true, false);
        check(r"[a-z-]+\.com", true, false);
        check(r"[a-z-]+\.co\.uk", true, false);
        check(r"[a-z]+\.acme\.com?", true, false);
        check(r"[a-z]+(\.acme\.com)?", true, false);
        check(r"[a-z]+(\.acme\.com)*", true, false);
        check(r"[a-z]+\.acme\.com{0,1}", true, false);
        check(r"[a-z]+|x\.acme\.com", true, false);
        check(r"x\.acme\.com|[a-z]+", true, false);
        check(r"[a-z]+\.acme\.[a-z]+", true, false);
        check(r".+\.acme\.com", false, false);
        check(r"[^/]+\.acme\.com", false, false);
        check(r"[^/?#@:\\ ]+\.acme\.com", false, false);
        check(r"\S+\.acme\.com", false, false);
        check(r"\D+\.acme\.com", false, false);
        check(r"[\w.]+\.acme\.com", true, true);
        check(r"[\S]+\.acme\.com", false, false);
        check(r"[!-z]+\.acme\.com", false, false);
        check(r"[ -~]+\.acme\.com", false, false);
        check(r"[a-z/]+\.acme\.com", false, false);
        check(r"[a-z@]+\.acme\.com", false, false);
        check(r"a\\\.acme\.com", false, false);
        check(r"a:\d+\.acme\.com", false, false);
        check(r"a\s\.acme\.com", false, false);
        check(r"[а-я]+\.acme\.com", false, false);
        check(r"a。acme\.com", false, false);
        check(r"(?i)[a-z]+\.acme\.com", false, false);
        check(r"(?x) [a-z]+ \.acme\.com", false, false);
        check(r"(?:[a-z]+\.)+acme\.com", true, false);
        check(r"(?:[a-z]+\.)*x\.acme\.com", true, true);
        check(r"(?P<name>[a-z]+)\.acme\.com", false, false);
        check(r"\x2f\.acme\.com", false, false);
        check(r"[[:alpha:]]+\.acme\.com", false, false);
        check(r"[]a/]+\.acme\.com", false, false);
        check(r"", true, true);
    }

    #[test]
    fn patterns_of_urls() {
        fn check(pattern: &str, tame: bool, stays: bool) {
            whole(pattern).expect("a pattern");
            let shape = HostPattern::of_url(pattern);
            assert_eq!(shape.is_ok(), tame, "{pattern:?}");
            assert_eq!(shape.is_ok_and(|shape| shape.stays_in_its_domain()), stays, "{pattern:?}");
        }
        check(r"^https://[a-z0-9-]+\.my\.salesforce\.com$", true, true);
        check(r"^https://rest\d+\.bullhornstaffing\.com/rest-services/[a-z0-9]+/$", true, true);
        check(r"^https://(www|api)\.zohoapis\.(com|eu|com\.au)$", true, true);
        check(r"^https://(www|api)\.zoho(apis)?\.[a-z.]+$", true, false);
        check(r"^http://[a-z]+\.acme\.com$", false, false);
        check(r"^https?://[a-z]+\.acme\.com$", false, false);
        check(r"^(https)://[a-z]+\.acme\.com$", false, false);
        check(r"^https:///?[a-z]+\.acme\.com$", false, false);
        check(r"^https://?[a-z]+\.acme\.com$", false, false);
        check(r"^https://.*\.acme\.com$", false, false);
        check(r"^https://[a-z]+\.acme\.com/*[a-z.]+$", false, false);
        check(r"^https://[a-z]+\.acme\.com/.*$", true, true);
        check(r"^https://evil\.example/[a-z]+\.acme\.com$", true, true);
        check(r"^https://([a-z]+/)?\.acme\.com$", false, false);
        check(r"^https://x\.acme\.com|https://[a-z.]+$", false, false);
        check(r"^https://[a-z]+\.acme\.com:8443$", false, false);
        check(r"^https://u@[a-z]+\.acme\.com$", false, false);
    }

    #[test]
    fn whole_values_only() {
        fn check(pattern: &str, value: &str, expected: bool) {
            assert_eq!(whole(pattern).expect("a pattern").is_match(value), expected, "{pattern:?} {value:?}");
        }
        check("a|ab", "ab", true);
        check("a|b", "ax", false);
        check("^a|b$", "ab", false);
        check("[a-z]+", "ab\n", false);
    }

    proptest! {
        /// Whatever a tame pattern matches holds nothing that ends or redirects a host.
        #[test]
        fn tame_patterns_match_tame_values(pattern in r"[a-z./\\()\[\]|?*+^$@:# -]{0,12}", value in r"[a-z./@:?#\\ -]{0,6}") {
            if let (Ok(regex), Ok(_)) = (whole(&pattern), HostPattern::of_host(&pattern)) && regex.is_match(&value) {
                prop_assert!(value.chars().all(is_host_character), "{:?} {:?}", pattern, value);
            }
        }
    }
}
