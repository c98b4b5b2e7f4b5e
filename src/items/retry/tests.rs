//! Answers and what is done about them.

use http::HeaderValue;
use serde_json::json;

use super::*;

fn policy() -> Policy {
    let path = |text: &str| Path::parse(text).expect("a path");
    Policy {
        retry: Retry {
            on: vec![409, 429, 500, 503],
            when: vec![
                Condition {
                    status: Some(403),
                    header: Some(HeaderName::from_static("x-ratelimit-remaining")),
                    equals: vec!["0".into()],
                    ..Condition::default()
                },
                Condition { path: Some(path("$.error")), equals: vec!["ratelimited".into()], ..Condition::default() },
            ],
            wait: vec![
                WaitSource::Header(http::header::RETRY_AFTER),
                WaitSource::Reset(HeaderName::from_static("x-ratelimit-reset")),
            ],
            max: 2,
            cap: Duration::from_secs(60),
        },
        refresh_on: vec![Condition {
            path: Some(path("$.error")),
            equals: vec!["token_expired".into()],
            ..Condition::default()
        }],
        ok_path: Some(path("$.ok")),
        error_path: Some(path("$.errors[0]")),
    }
}

const GET: Asked<'static> = Asked { repeatable: true, attempt: 0, renewed: false, skip_on: &[403, 404, 503] };
const POST: Asked<'static> = Asked { repeatable: false, ..GET };

fn judge(asked: Asked<'_>, status: u16, fields: &[(&'static str, &'static str)], body: Value) -> Verdict {
    let headers: HeaderMap =
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    let came = Came { status, headers: &headers, body: Some(&body) };
    policy().judge(asked, came, Timestamp::from_unix_millis(1_700_000_000_000), 0.5)
}

fn wait(seconds: f64) -> Verdict {
    Verdict::Wait(Duration::from_secs_f64(seconds))
}

fn fail(kind: Kind, status: u16, retry_after: Option<u64>) -> Verdict {
    Verdict::Fail(Trouble { kind, status: Some(status), retry_after: retry_after.map(Duration::from_secs) })
}

#[test]
fn verdicts() {
    fn check(asked: Asked<'_>, status: u16, fields: &[(&'static str, &'static str)], body: Value, expected: Verdict) {
        assert_eq!(judge(asked, status, fields, body.clone()), expected, "{asked:?} {status} {fields:?} {body}");
    }
    let ok = || json!({ "ok": true });
    let nothing = || json!(null);
    check(GET, 200, &[], ok(), Verdict::Use);

    // 429, with every kind of header.
    check(GET, 429, &[("retry-after", "10")], nothing(), wait(10.0));
    check(POST, 429, &[("retry-after", "2.0")], nothing(), wait(2.0));
    check(GET, 429, &[("retry-after", "0")], nothing(), wait(0.0));
    check(GET, 429, &[("retry-after", "garbage"), ("x-ratelimit-reset", "1700000007")], nothing(), wait(7.0));
    check(GET, 429, &[], nothing(), wait(0.5));
    check(Asked { attempt: 1, ..GET }, 429, &[], nothing(), wait(1.0));
    check(Asked { attempt: 2, ..GET }, 429, &[], nothing(), fail(Kind::RateLimited, 429, None));
    check(Asked { attempt: 2, ..GET }, 429, &[("retry-after", "9")], nothing(), fail(Kind::RateLimited, 429, Some(9)));
    check(GET, 429, &[("retry-after", "3600")], nothing(), fail(Kind::RateLimited, 429, Some(3600)));

    // Other ways to say it.
    check(GET, 403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000030")], nothing(), wait(30.0));
    check(GET, 403, &[("x-ratelimit-remaining", "7")], nothing(), Verdict::Skip);
    check(POST, 200, &[("retry-after", "3")], json!({ "ok": false, "error": "ratelimited" }), wait(3.0));
    check(POST, 400, &[], json!({ "error": "ratelimited" }), wait(0.5));

    // What may have been carried out is not sent twice.
    check(GET, 503, &[], nothing(), wait(0.5));
    check(Asked { skip_on: &[], ..POST }, 503, &[], nothing(), fail(Kind::Refused, 503, None));
    check(POST, 409, &[], nothing(), wait(0.5));
    check(Asked { attempt: 2, ..GET }, 503, &[], nothing(), Verdict::Skip);
    check(GET, 501, &[], nothing(), fail(Kind::Refused, 501, None));

    // Tokens.
    check(GET, 401, &[], nothing(), Verdict::Renew);
    check(Asked { renewed: true, ..GET }, 401, &[], nothing(), fail(Kind::Unauthorized, 401, None));
    check(GET, 200, &[], json!({ "ok": false, "error": "token_expired" }), Verdict::Renew);

    // Errors that look like successes.
    check(GET, 200, &[], json!({ "ok": false, "error": "missing_scope" }), fail(Kind::Refused, 200, None));
    check(GET, 200, &[], json!({}), fail(Kind::Refused, 200, None));
    check(GET, 200, &[], json!({ "ok": true, "errors": [{ "code": 1 }] }), fail(Kind::Refused, 200, None));
    check(GET, 200, &[], json!({ "ok": true, "errors": [] }), Verdict::Use);

    check(GET, 404, &[], nothing(), Verdict::Skip);
    check(GET, 302, &[], nothing(), fail(Kind::Refused, 302, None));
    check(GET, 400, &[], nothing(), fail(Kind::Refused, 400, None));
}

#[test]
fn an_empty_error_is_none() {
    fn check(error: Value, expected: Verdict) {
        let policy = Policy { error_path: Path::parse("$.error").ok(), ..Policy::default() };
        let body = json!({ "error": error });
        let came = Came { status: 200, headers: &HeaderMap::new(), body: Some(&body) };
        assert_eq!(policy.judge(GET, came, Timestamp::from_unix_millis(0), 0.5), expected, "{body}");
    }
    for nothing in [json!(null), json!(false), json!(""), json!([]), json!({})] {
        check(nothing, Verdict::Use);
    }
    for error in [json!(true), json!(0), json!("no"), json!([null]), json!({ "code": null })] {
        check(error, fail(Kind::Refused, 200, None));
    }
}

#[test]
fn silence() {
    fn check(asked: Asked<'_>, expected: Verdict) {
        assert_eq!(policy().judge_silence(asked, Kind::TimedOut, 0.5), expected, "{asked:?}");
    }
    check(GET, wait(0.5));
    check(Asked { attempt: 2, ..GET }, Verdict::Fail(Kind::TimedOut.into()));
    check(POST, Verdict::Fail(Kind::TimedOut.into()));
}

#[test]
fn backoff_has_a_cap() {
    fn check(attempt: u32, jitter: f64, expected: f64) {
        assert_eq!(policy().retry.backoff(attempt, jitter).as_secs_f64(), expected, "{attempt} {jitter}");
    }
    check(0, 1.0, 1.0);
    check(3, 0.5, 4.0);
    check(9, 1.0, 60.0);
    check(u32::MAX, 1.0, 60.0);
    check(3, 0.0, 0.0);
    check(3, f64::NAN, 0.0);
}
