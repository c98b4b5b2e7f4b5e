//! What the person gave: tokens, expiry, scopes, captured values. Decides when a token is to be refreshed and what a
//! refresh answer changes; never fetches anything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Secret, Timestamp};

/// The tokens of one connection and what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Names the authorization that this grant began with; every refresh keeps it. Random, and no secret.
    pub authorization: String,
    /// The token that calls carry.
    pub access_token: Secret,
    /// The token that gets the next one; some providers give none.
    pub refresh_token: Option<Secret>,
    /// The scopes granted, as the provider named them.
    pub scopes: Vec<String>,
    /// When this access token was received.
    pub obtained_at: Timestamp,
    /// When the access token ends; `None` when the provider does not say, and a 401 is the only sign.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends if it stays idle; `None` when unknown or never.
    pub refresh_expires_at: Option<Timestamp>,
    /// Whose account it is at the provider (`sub` of an ID token), where the provider says.
    pub subject: Option<String>,
    /// Values that the provider file captures from callback, answers and discovery, usable as `{name}` templates.
    pub captured: BTreeMap<String, String>,
    /// Further tokens of the answers, usable as `{name}` where the access token is, and never shown.
    pub extra: BTreeMap<String, Secret>,
    /// What the token answers said besides tokens, as JSON: for captures that the file gains later.
    pub answer: Option<Secret>,
    /// What a refresh has brought and the requests after it have not made usable yet. Until they have, this grant's own
    /// access token is the one in use, and the tokens to go on with are those.
    pub unfinished: Option<Box<Self>>,
}

/// What is to be done with an access token at a given moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and refresh it in the background.
    Due,
    /// It is past its end; do not use it.
    Expired,
}

impl Grant {
    /// Whether the access token is good at `now`, given the provider's leeway as in [`Self::due_at`].
    pub fn freshness(&self, now: Timestamp, leeway: Option<Duration>) -> Freshness {
        match (self.expires_at, self.due_at(leeway)) {
            (Some(expires_at), _) if now >= expires_at => Freshness::Expired,
            (_, Some(due_at)) if now >= due_at => Freshness::Due,
            _ => Freshness::Fresh,
        }
    }

    /// When the access token becomes due for refreshing: ahead of its end by the leeway, but never before half its life,
    /// so that no token is due as soon as it comes. Without a leeway by the lesser of 60 s and a tenth of its life. `None`
    /// when its end is unknown.
    pub fn due_at(&self, leeway: Option<Duration>) -> Option<Timestamp> {
        let expires_at = self.expires_at?;
        let life = expires_at.since(self.obtained_at);
        let ahead = leeway.map_or(Duration::from_secs(60).min(life / 10), |leeway| leeway.min(life / 2));
        Some(expires_at.minus(ahead))
    }

    /// The tokens that the provider gave last, whether or not they are in use yet.
    pub fn newest(&self) -> &Self {
        self.unfinished.as_deref().unwrap_or(self)
    }

    /// Every token of it.
    pub fn tokens(&self) -> impl Iterator<Item = &Secret> {
        [&self.access_token].into_iter().chain(&self.refresh_token).chain(self.extra.values())
    }

    /// The grant after a refresh answer. What the answer leaves out is kept: the refresh token (RFC 6749 section 6),
    /// the scopes (section 5.1), the captured values and further tokens, and the refresh token's end when the token
    /// itself was kept.
    #[must_use]
    pub fn renewed(&self, answer: Self) -> Self {
        let kept_refresh_token = answer.refresh_token.is_none();
        let mut captured = self.captured.clone();
        captured.extend(answer.captured);
        let mut extra = self.extra.clone();
        extra.extend(answer.extra);
        Self {
            authorization: self.authorization.clone(),
            access_token: answer.access_token,
            refresh_token: answer.refresh_token.or_else(|| self.refresh_token.clone()),
            scopes: if answer.scopes.is_empty() { self.scopes.clone() } else { answer.scopes },
            obtained_at: answer.obtained_at,
            expires_at: answer.expires_at,
            refresh_expires_at: match answer.refresh_expires_at {
                None if kept_refresh_token => self.refresh_expires_at,
                renewed => renewed,
            },
            subject: answer.subject.or_else(|| self.subject.clone()),
            captured,
            extra,
            answer: answer.answer,
            unfinished: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(obtained_at: i64, expires_at: Option<i64>) -> Grant {
        Grant {
            authorization: "first".into(),
            access_token: Secret::new("access"),
            refresh_token: Some(Secret::new("refresh")),
            scopes: vec!["read".into()],
            obtained_at: Timestamp::from_unix_millis(obtained_at),
            expires_at: expires_at.map(Timestamp::from_unix_millis),
            captured: BTreeMap::from([("team".into(), "blue".into())]),
            ..Grant::default()
        }
    }

    #[test]
    fn freshness_by_age() {
        fn check(life_seconds: i64, age_millis: i64, expected: Freshness) {
            let grant = grant(0, Some(life_seconds * 1000));
            assert_eq!(
                grant.freshness(Timestamp::from_unix_millis(age_millis), None),
                expected,
                "{life_seconds} s, {age_millis} ms"
            );
        }
        check(3600, 0, Freshness::Fresh);
        check(3600, 3_539_999, Freshness::Fresh);
        check(3600, 3_540_000, Freshness::Due);
        check(3600, 3_600_000, Freshness::Expired);
        check(2, 1_799, Freshness::Fresh);
        check(2, 1_800, Freshness::Due);
        check(2, 2_000, Freshness::Expired);
        check(0, 0, Freshness::Expired);
    }

    #[test]
    fn a_leeway_of_the_provider() {
        fn check(life_seconds: i64, leeway_seconds: u64, due_after_seconds: i64) {
            let grant = grant(0, Some(life_seconds * 1000));
            let due_at = grant.due_at(Some(Duration::from_secs(leeway_seconds)));
            assert_eq!(due_at, Some(Timestamp::from_unix_millis(due_after_seconds * 1000)), "{life_seconds} s");
        }
        check(600, 30, 570);
        check(3600, 600, 3000);
        check(600, 0, 600);
        check(40, 30, 20);
    }

    #[test]
    fn unknown_expiry_is_fresh_for_ever() {
        assert_eq!(grant(0, None).freshness(Timestamp::from_unix_millis(i64::MAX), None), Freshness::Fresh);
    }

    #[test]
    fn a_refresh_keeps_what_the_answer_leaves_out() {
        let old = grant(0, Some(1000));
        let answer = Grant {
            access_token: Secret::new("next"),
            refresh_token: None,
            scopes: vec![],
            captured: BTreeMap::new(),
            ..grant(5, Some(9))
        };
        let renewed = old.renewed(answer);
        assert_eq!(renewed.access_token, Secret::new("next"));
        assert_eq!(renewed.refresh_token, old.refresh_token);
        assert_eq!((renewed.scopes, renewed.captured), (old.scopes, old.captured));
    }

    #[test]
    fn a_refresh_takes_what_the_answer_brings() {
        let answer =
            Grant { refresh_token: Some(Secret::new("rotated")), scopes: vec!["less".into()], ..grant(5, Some(9)) };
        let renewed = grant(0, Some(1000)).renewed(answer);
        assert_eq!(renewed.refresh_token, Some(Secret::new("rotated")));
        assert_eq!(renewed.scopes, ["less"]);
    }
}
