//! Answers as providers really give them, and what each becomes.

use proptest::prelude::*;

use super::super::{CaptureRule, ErrorSign, TokenCapture, TokenExchange, TokenRequestFormat, TokenResponse};
use super::*;
use crate::mapping::Template;

const NOW: i64 = 1_700_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_unix_millis(NOW)
}

fn exchange(protocol: &Protocol, status: u16, body: &str) -> Result<Grant, TokenError> {
    grant_from_answer(protocol, status, body.as_bytes(), &["asked".into()], now())
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

/// Access token, refresh token, seconds until expiry, scopes.
type Seen = (String, Option<String>, Option<i64>, String);

fn seen(grant: &Grant) -> Seen {
    (
        grant.access_token.expose().to_owned(),
        grant.refresh_token.as_ref().map(|token| token.expose().to_owned()),
        grant.expires_at.map(|at| (at.unix_millis() - NOW) / 1000),
        grant.scopes.join("|"),
    )
}

#[test]
fn answers_of_many_shapes() {
    fn check(body: &str, refresh: Option<&str>, expires_in: Option<i64>, scopes: &str) {
        let grant = exchange(&Protocol::default(), 200, body).expect("a grant");
        assert_eq!(seen(&grant), ("A".into(), refresh.map(Into::into), expires_in, scopes.into()), "{body}");
    }
    check(
        r#"{"access_token":"A","token_type":"Bearer","expires_in":3600,"refresh_token":"R","scope":"a b"}"#,
        Some("R"),
        Some(3600),
        "a|b",
    );
    check(r#"{"access_token":"A","token_type":"bearer","expires_in":"3600"}"#, None, Some(3600), "asked");
    check(r#"{"access_token":"A","expires_in":3599.6}"#, None, Some(3599), "asked");
    check(r#"{"access_token":"A","expires_in":-5}"#, None, None, "asked");
    check(r#"{"access_token":"A","expires_in":0,"error":""}"#, None, None, "asked");
    check(r#"{"access_token":"A","expires_in":null,"refresh_token":null}"#, None, None, "asked");
    check(r#"{"access_token":"A","expires_in":"soon","scopes":["x","y"]}"#, None, None, "x|y");
    check(r#"{"access_token":"A","expires_in":1e300}"#, None, Some((253_402_300_799_999 - NOW) / 1000), "asked");
    check(r#"{"access_token":"A","expires_at":1700000100}"#, None, Some(100), "asked");
    check(r#"{"access_token":"A","expires_at":1700000100000}"#, None, Some(100), "asked");
    check(r#"{"access_token":"A","expires_at":"2023-11-14T22:15:00Z"}"#, None, Some(100), "asked");
    check("access_token=A&scope=repo%2Cgist&token_type=bearer", None, None, "repo|gist");
}

#[test]
fn a_jwt_says_when_it_ends() {
    let token = format!("{}.{}.sig", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(r#"{"exp":1700000042}"#));
    let grant = exchange(&Protocol::default(), 200, &json!({ "access_token": token }).to_string()).expect("a grant");
    assert_eq!(grant.expires_at, Some(Timestamp::from_unix_millis(NOW + 42_000)));
}

#[test]
fn what_the_file_knows_fills_in() {
    let letters = CaptureRule { pattern: regex_lite::Regex::new("[a-z]+").ok(), ..CaptureRule::default() };
    let protocol = Protocol {
        access_token_lifetime: Some(Duration::from_secs(60)),
        refresh_token_lifetime: Some(Duration::from_secs(600)),
        token_capture: BTreeMap::from([
            ("team".into(), TokenCapture { path: path("$.team.id"), rule: CaptureRule::default() }),
            ("host".into(), TokenCapture { path: path("$.host"), rule: letters }),
        ]),
        ..Protocol::default()
    };
    let grant = exchange(&protocol, 200, r#"{"access_token":"A","refresh_token":"R","team":{"id":7},"host":"evil/x"}"#);
    let grant = grant.expect("a grant");
    assert_eq!(grant.expires_at, Some(Timestamp::from_unix_millis(NOW + 60_000)));
    assert_eq!(grant.refresh_expires_at, Some(Timestamp::from_unix_millis(NOW + 600_000)));
    assert_eq!(grant.captured, BTreeMap::from([("team".into(), "7".into())]));
}

#[test]
fn nested_answers_by_path() {
    let protocol = Protocol {
        token_response: TokenResponse {
            access_token: vec![path("$.authed_user.access_token"), path("$.data.access_token")],
            expires_in: vec![path("$.data.ttl")],
            expires_in_per_second: Some(1000),
            error: vec![ErrorSign { path: path("$.ok"), ok: Some(json!(true)) }],
            ..TokenResponse::default()
        },
        ..Protocol::default()
    };
    let grant = exchange(&protocol, 200, r#"{"ok":true,"data":{"access_token":"A","ttl":5000}}"#).expect("a grant");
    assert_eq!(seen(&grant), ("A".into(), None, Some(5), "asked".into()));
    let refused = exchange(&protocol, 200, r#"{"ok":false,"error":"invalid_grant"}"#);
    assert_eq!(refused, Err(TokenError::Terminal { code: "invalid_grant".into() }));
}

#[test]
fn errors_by_status_and_body() {
    fn check(status: u16, body: &str, expected: TokenError) {
        assert_eq!(exchange(&Protocol::default(), status, body), Err(expected), "{status} {body}");
    }
    let terminal = || TokenError::Terminal { code: "invalid_grant".into() };
    let unusable = |status, why| TokenError::Unusable { status, why };
    let other = |status, code: &str| TokenError::Other { status, code: code.into() };
    check(400, r#"{"error":"invalid_grant"}"#, terminal());
    check(401, r#"{"error":"invalid_grant"}"#, terminal());
    check(200, "error=invalid_grant&error_description=x", terminal());
    check(500, r#"{"error":"invalid_grant"}"#, other(500, "invalid_grant"));
    check(429, r#"{"error":"invalid_grant"}"#, other(429, "invalid_grant"));
    check(401, r#"{"error":"invalid_client"}"#, TokenError::ClientRefused { code: "invalid_client".into() });
    check(400, r#"{"error":"server\r\nfell"}"#, other(400, "serverfell"));
    check(400, "<html>invalid_grant</html>", unusable(400, "the body is neither JSON nor form-encoded"));
    check(400, "", unusable(400, "the body is neither JSON nor form-encoded"));
    check(400, "{}", unusable(400, "the status says failure and the body names no error"));
    check(200, "{}", unusable(200, "there is no access token"));
    check(200, "[]", unusable(200, "the body is neither JSON nor form-encoded"));
    check(200, r#"{"access_token":""}"#, unusable(200, "there is no access token"));
    check(200, r#"{"access_token":"A","token_type":"mac"}"#, unusable(200, "the token type is not bearer"));
}

#[test]
fn refreshes_keep_and_replace() {
    let old = exchange(&Protocol::default(), 200, r#"{"access_token":"A","refresh_token":"R","scope":"a"}"#)
        .expect("a grant");
    let refresh = |protocol: &Protocol, body: &str| refreshed_grant(protocol, 200, body.as_bytes(), &old, now());
    let kept = refresh(&Protocol::default(), r#"{"access_token":"B"}"#).expect("a grant");
    assert_eq!(seen(&kept), ("B".into(), Some("R".into()), None, "a".into()));
    let rotated = refresh(&Protocol::default(), r#"{"access_token":"B","refresh_token":"S"}"#).expect("a grant");
    assert_eq!(seen(&rotated), ("B".into(), Some("S".into()), None, "a".into()));
    let extend = Protocol {
        refresh: RefreshMode::Extend,
        access_token_lifetime: Some(Duration::from_secs(9)),
        ..Protocol::default()
    };
    let extended = refresh(&extend, r#"{"result":"0000"}"#).expect("a grant");
    assert_eq!(seen(&extended), ("A".into(), Some("R".into()), Some(9), "a".into()));
}

#[test]
fn further_tokens_are_replaced_and_kept() {
    let protocol = Protocol {
        token_response: TokenResponse {
            extra: BTreeMap::from([("user".into(), path("$.user.token")), ("page".into(), path("$.page"))]),
            ..TokenResponse::default()
        },
        token_capture: BTreeMap::from([(
            "copy".into(),
            TokenCapture { path: path("$.user.token"), rule: CaptureRule::default() },
        )]),
        ..Protocol::default()
    };
    let extra = |grant: &Grant| grant.extra.iter().map(|(name, token)| format!("{name}={}", token.expose())).collect();
    let old = exchange(&protocol, 200, r#"{"access_token":"A","user":{"token":"U"},"page":"P"}"#).expect("a grant");
    assert_eq!((extra(&old), old.captured.len()), (vec!["page=P".to_owned(), "user=U".to_owned()], 0));
    let body = br#"{"access_token":"B","user":{"token":"V"},"page":""}"#;
    let renewed = refreshed_grant(&protocol, 200, body, &old, now()).expect("a grant");
    assert_eq!(extra(&renewed), ["page=P", "user=V"]);
}

#[test]
fn exchanges_replace_what_they_bring() {
    let exchange_rule = TokenExchange {
        url: Template::parse("https://api.example/exchange").expect("a template"),
        method: "POST",
        format: TokenRequestFormat::Form,
        auth_method: None,
        params: Vec::new(),
        headers: Vec::new(),
        after_refresh: false,
        token_response: TokenResponse {
            extra: BTreeMap::from([("session".into(), path("$.session"))]),
            ..TokenResponse::default()
        },
        capture: BTreeMap::from([(
            "shard".into(),
            TokenCapture { path: path("$.shard"), rule: CaptureRule::default() },
        )]),
    };
    let protocol = Protocol::default();
    let old = exchange(&protocol, 200, r#"{"access_token":"A","refresh_token":"R","expires_in":60,"scope":"a"}"#);
    let old = old.expect("a grant");
    let later = now().plus(Duration::from_secs(10));
    let exchanged = |body: &str| exchanged_grant(&protocol, &exchange_rule, 200, body.as_bytes(), &old, later);
    let long = exchanged(r#"{"access_token":"B","expires_in":600}"#).expect("a grant");
    assert_eq!(seen(&long), ("B".into(), Some("R".into()), Some(610), "a".into()));
    // The end belongs to the token that it was said of.
    let unknown = exchanged(r#"{"access_token":"B","refresh_token":"S"}"#).expect("a grant");
    assert_eq!(seen(&unknown), ("B".into(), Some("S".into()), None, "a".into()));
    let session = exchanged(r#"{"session":"X","shard":3}"#).expect("a grant");
    assert_eq!(seen(&session), ("A".into(), Some("R".into()), Some(60), "a".into()));
    assert_eq!((session.extra["session"].expose(), &*session.captured["shard"]), ("X", "3"));
    assert_eq!(session.answer, old.answer, "kept is what the token endpoint said");
    let why = "there is no token and nothing that the file captures";
    assert_eq!(exchanged(r#"{"ok":true}"#), Err(TokenError::Unusable { status: 200, why }));
    assert_eq!(exchanged(r#"{"error":"invalid_grant"}"#), Err(TokenError::Terminal { code: "invalid_grant".into() }));
}

#[test]
fn codes_that_are_sentences_end_a_grant_too() {
    let protocol = Protocol { terminal_errors: vec!["Invalid refresh token".into()], ..Protocol::default() };
    let refused = exchange(&protocol, 400, r#"{"error":"Invalid refresh token"}"#);
    assert_eq!(refused, Err(TokenError::Terminal { code: "Invalid refresh token".into() }));
}

#[test]
fn captures_show_no_token() {
    let path = |text: &str| TokenCapture { path: Path::parse(text).expect("a path"), rule: CaptureRule::default() };
    let captures = [("link", "$.link"), ("id", "$.id_token"), ("plan", "$.plan")];
    let token_capture = captures.map(|(name, text)| (name.to_owned(), path(text))).into();
    let protocol = Protocol { token_capture, ..Protocol::default() };
    let body = r#"{"access_token":"a-token-of-some-length","id_token":"h.p.s","plan":"free",
        "link":"https://a.example/?t=a-token-of-some-length"}"#;
    let grant = exchange(&protocol, 200, body).expect("a grant");
    assert_eq!(grant.captured, BTreeMap::from([("plan".to_owned(), "free".to_owned())]));
}

#[test]
fn failures_that_pass() {
    fn check(status: u16, body: &str, expected: bool) {
        let error = exchange(&Protocol::default(), status, body).expect_err("an error");
        assert_eq!(error.is_transient(), expected, "{status} {body}");
    }
    check(503, "", true);
    check(429, r#"{"error":"invalid_grant"}"#, true);
    check(500, r#"{"error":"server_error"}"#, true);
    check(400, r#"{"error":"invalid_grant"}"#, false);
    check(403, "", false);
    check(200, "{}", false);
}

#[test]
fn use_restarts_the_idle_life_of_a_refresh_token() {
    let protocol = Protocol { refresh_token_lifetime: Some(Duration::from_secs(600)), ..Protocol::default() };
    let old = exchange(&protocol, 200, r#"{"access_token":"A","refresh_token":"R"}"#).expect("a grant");
    let later = now().plus(Duration::from_secs(500));
    let check = |body: &str, expected_seconds: u64| {
        let renewed = refreshed_grant(&protocol, 200, body.as_bytes(), &old, later).expect("a grant");
        assert_eq!(renewed.refresh_expires_at, Some(later.plus(Duration::from_secs(expected_seconds))), "{body}");
    };
    check(r#"{"access_token":"B"}"#, 600);
    check(r#"{"access_token":"B","refresh_token":"S"}"#, 600);
    check(r#"{"access_token":"B","refresh_token":"S","refresh_token_expires_in":100}"#, 100);
}

proptest! {
    #[test]
    fn any_body_is_answered(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = grant_from_answer(&Protocol::default(), status, &body, &[], now());
    }

    #[test]
    fn any_field_values_are_answered(lifetime in ".*", scope in ".*", token in ".+") {
        let body = json!({ "access_token": token, "expires_in": lifetime, "expires_at": lifetime, "scope": scope });
        prop_assert!(exchange(&Protocol::default(), 200, &body.to_string()).is_ok());
    }
}
