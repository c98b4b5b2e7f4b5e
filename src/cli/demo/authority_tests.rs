//! The demo's authorization server against what RFC 6749, 7636, 7009 and 9700 ask of one.

use super::*;

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-";
const REDIRECT: &str = "http://localhost:8080/integrations/demo/oauth2callback";

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_000_000)
}

fn authority() -> Authority {
    let registration =
        Registration { client_id: "id:1".into(), client_secret: Secret::new("s%cret"), redirect_uri: REDIRECT.into() };
    Authority::new(registration, Duration::from_secs(60))
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::parse(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().as_bytes())
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

fn asked(authority: &mut Authority, change: (&str, &str)) -> Authorization {
    let challenge = challenge();
    let mut query = vec![
        ("client_id", "id:1"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("state", "st"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    query.retain(|(name, _)| *name != change.0);
    query.push(change);
    authority.authorize(&fields(&query), now())
}

fn code(authority: &mut Authority) -> String {
    let Authorization::Ask(question) = asked(authority, ("scope", "notes.read")) else { panic!("no question") };
    let redirect = authority.decide(&question.request, Some(&ACCOUNTS[0]), now()).expect("known");
    assert_eq!(redirect[1], ("state", "st".to_owned()));
    assert_eq!(authority.decide(&question.request, Some(&ACCOUNTS[0]), now()), None, "a question is answered once");
    redirect[0].1.clone()
}

fn exchange(authority: &mut Authority, code: &str, verifier: &str) -> Result<Tokens, Refused> {
    let form = fields(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", REDIRECT),
    ]);
    authority.token(&form, now())
}

fn refresh(authority: &mut Authority, token: &Secret) -> Result<Tokens, Refused> {
    authority.token(&fields(&[("grant_type", "refresh_token"), ("refresh_token", token.expose())]), now())
}

fn error(outcome: Result<Tokens, Refused>) -> &'static str {
    outcome.err().map_or("none", |refused| refused.error)
}

#[test]
fn requests_are_checked() {
    fn check(change: (&str, &str), expected: &str) {
        let got = match asked(&mut authority(), change) {
            Authorization::Ask(question) => question.scopes.join(" "),
            Authorization::Refuse(parameters) => parameters[0].1.clone(),
            Authorization::Stop(_) => "stop".into(),
        };
        assert_eq!(got, expected, "{change:?}");
    }
    check(("state", "other"), "notes.read notes.write");
    check(("scope", "notes.write"), "notes.write");
    check(("scope", "notes.write admin"), "invalid_scope");
    check(("client_id", "other"), "stop");
    check(("redirect_uri", "http://localhost:8080/integrations/demo/oauth2callback/"), "stop");
    check(("response_type", "token"), "unsupported_response_type");
    check(("code_challenge_method", "plain"), "invalid_request");
    check(("code_challenge", "short"), "invalid_request");
}

#[test]
fn a_code_brings_tokens_once_and_its_second_use_ends_them() {
    let mut authority = authority();
    let code = code(&mut authority);
    let tokens = exchange(&mut authority, &code, VERIFIER).expect("tokens");
    assert_eq!((tokens.number, tokens.scope.as_str(), tokens.account.id), (1, "notes.read", "ada"));
    assert!(authority.bearer(tokens.access_token.expose(), now()).is_some());
    assert_eq!(error(exchange(&mut authority, &code, VERIFIER)), "invalid_grant");
    assert_eq!(authority.bearer(tokens.access_token.expose(), now()), None);
    assert_eq!(error(refresh(&mut authority, &tokens.refresh_token)), "invalid_grant");
}

#[test]
fn a_wrong_verifier_spends_the_code() {
    let mut authority = authority();
    let code = code(&mut authority);
    assert_eq!(error(exchange(&mut authority, &code, "wrong")), "invalid_grant");
    assert_eq!(error(exchange(&mut authority, &code, VERIFIER)), "invalid_grant");
}

#[test]
fn refresh_tokens_rotate_and_reuse_ends_the_grant() {
    let mut authority = authority();
    let code = code(&mut authority);
    let first = exchange(&mut authority, &code, VERIFIER).expect("tokens");
    let second = refresh(&mut authority, &first.refresh_token).expect("tokens");
    assert_eq!(second.number, 2);
    let number = |authority: &Authority, tokens: &Tokens| {
        authority.bearer(tokens.access_token.expose(), now()).map(|bearer| bearer.number)
    };
    assert_eq!((number(&authority, &first), number(&authority, &second)), (Some(1), Some(2)));
    assert_eq!(error(refresh(&mut authority, &first.refresh_token)), "invalid_grant");
    assert_eq!(error(refresh(&mut authority, &second.refresh_token)), "invalid_grant");
    assert_eq!((number(&authority, &first), number(&authority, &second)), (None, None));
}

#[test]
fn access_tokens_end_by_time_and_by_revocation() {
    let mut authority = authority();
    let code = code(&mut authority);
    let tokens = exchange(&mut authority, &code, VERIFIER).expect("tokens");
    let token = tokens.access_token.expose();
    assert!(authority.bearer(token, now().plus(Duration::from_secs(59))).is_some());
    assert_eq!(authority.bearer(token, now().plus(Duration::from_secs(60))), None);
    assert_eq!(authority.revoke("unknown"), None);
    assert_eq!(authority.revoke(tokens.refresh_token.expose()), Some(&ACCOUNTS[0]));
    assert_eq!(authority.bearer(token, now()), None);
}

#[test]
fn a_denial_and_a_late_word() {
    let mut authority = authority();
    let Authorization::Ask(question) = asked(&mut authority, ("scope", "")) else { panic!("no question") };
    let denied = authority.decide(&question.request, None, now()).expect("known");
    assert_eq!(denied[0], ("error", "access_denied".to_owned()));
    let Authorization::Ask(question) = asked(&mut authority, ("scope", "notes.read")) else { panic!("no question") };
    assert_eq!(authority.decide(&question.request, Some(&ACCOUNTS[1]), now().plus(PATIENCE)), None);
}

#[test]
fn clients_authenticate_one_way() {
    fn check(basic: Option<&str>, form: &[(&str, &str)], expected: bool) {
        let basic = basic.map(|text| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)));
        assert_eq!(authority().authenticates(basic.as_deref(), &fields(form)), expected, "{basic:?} {form:?}");
    }
    let right = [("client_id", "id:1"), ("client_secret", "s%cret")];
    check(Some("id%3A1:s%25cret"), &[], true);
    check(Some("id%3A1:wrong"), &[], false);
    check(Some("id:1:s%cret"), &[], false);
    check(None, &right, true);
    check(None, &right[..1], false);
    check(Some("id%3A1:s%25cret"), &right, false);
    check(Some("nonsense"), &right, false);
    check(None, &[], false);
}

#[test]
fn a_repeated_parameter_counts_for_nothing() {
    let fields = Fields::parse(b"a=1&b=2&a=3&a=4");
    assert_eq!((fields.get("a"), fields.get("b").map(String::as_str)), (None, Some("2")));
}
