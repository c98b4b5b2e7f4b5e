//! Refusals that the audit stream hears of: wrong keys and sessions, what lies outside of a scope, foreign pages. A flood
//! of one kind is told by its first lines and one line with the number of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::respond::HttpError;
use super::service::{Process, Service};
use crate::model::{CallerName, IntegrationName, Person};
use crate::telemetry::audit::{self, About, Event};

/// How many denials for one reason are told one by one, within how long.
const TOLD: u32 = 10;
const WINDOW: Duration = Duration::from_secs(5);

/// Who was refused, and what: for the audit stream, never for the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denied {
    /// The API key's name, or of the key that made the session.
    pub(crate) caller: Option<CallerName>,
    /// What was asked for, where it is one of the configuration.
    pub(crate) integration: Option<IntegrationName>,
    /// Whom it was asked for.
    pub(crate) person: Option<Person>,
}

/// What was denied lately, by reason.
#[derive(Default)]
pub(super) struct Denials(Mutex<BTreeMap<&'static str, Window>>);

struct Window {
    began: Instant,
    told: u32,
    held: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Course {
    /// It has a line of its own.
    Tell,
    /// It is counted with others.
    Hold,
    /// It is the first of those; their number is to be told after so long.
    HoldAndTell(Duration),
}

impl Denials {
    fn course(&self, reason: &'static str, now: Instant) -> Course {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(reason).or_insert(Window { began: now, told: 0, held: 0 });
        // One that holds something back goes on until that is told.
        if window.held == 0 && now.saturating_duration_since(window.began) >= WINDOW {
            *window = Window { began: now, told: 0, held: 0 };
        }
        if window.told < TOLD {
            window.told += 1;
            return Course::Tell;
        }
        window.held += 1;
        match window.held {
            1 => Course::HoldAndTell((window.began + WINDOW).saturating_duration_since(now)),
            _ => Course::Hold,
        }
    }

    /// How many were held back; from here on it begins anew.
    fn close(&self, reason: &'static str) -> u64 {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.remove(reason).map_or(0, |window| window.held)
    }

    /// Tells the audit stream at once of all that are held back: nobody is left to tell it later.
    pub(super) fn tell(&self) {
        let windows = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        windows.into_iter().for_each(|(reason, window)| tell(reason, window.held));
    }
}

impl Service {
    /// Tells the audit stream of a refusal, if it is one that it hears of.
    pub(super) fn note_denial(&self, error: &HttpError, request_id: &str) {
        let Some((reason, denied)) = denial(error) else { return };
        match self.process.denials.course(reason, Instant::now()) {
            Course::Tell => {
                let mut about = About { request: Some(request_id), ..About::default() }.because(reason);
                if let Some(Denied { caller, integration, person }) = denied {
                    about.caller = caller.as_ref().map(CallerName::as_str);
                    about.integration = integration.as_ref().map(IntegrationName::as_str);
                    about = person.iter().fold(about, |about, person| about.person(person));
                }
                audit::write(Event::Denied, &about);
            }
            Course::Hold => {}
            Course::HoldAndTell(wait) => drop(tokio::spawn(tell_later(Arc::clone(&self.process), reason, wait))),
        }
    }
}

async fn tell_later(process: Arc<Process>, reason: &'static str, wait: Duration) {
    tokio::time::sleep(wait).await;
    tell(reason, process.denials.close(reason));
}

/// Tells of so many denials in one line.
fn tell(reason: &str, held: u64) {
    if held > 0 {
        audit::write(Event::Denied, &About { times: Some(held), ..About::default() }.because(reason));
    }
}

/// The word for a refusal that the stream hears of, with what is known of it. Somebody else's authorization is told where
/// it is found out.
fn denial(error: &HttpError) -> Option<(&'static str, Option<&Denied>)> {
    match error {
        HttpError::Unauthenticated => Some(("unauthenticated", None)),
        HttpError::Forbidden(denied) => Some(("outside_scope", Some(denied))),
        HttpError::Forwarded => Some(("forwarded", None)),
        HttpError::CrossSite | HttpError::NotFetched => Some(("cross_site", None)),
        HttpError::NoAdminKey | HttpError::WrongAdminKey => Some(("wrong_admin_key", None)),
        HttpError::BadRequest(_)
        | HttpError::UnknownIntegration
        | HttpError::UnknownConnection { .. }
        | HttpError::AlreadyRunning
        | HttpError::NotFound
        | HttpError::MethodNotAllowed(_)
        | HttpError::TooLarge
        | HttpError::UnsupportedMediaType
        | HttpError::WrongHost
        | HttpError::HeadersTooLarge
        | HttpError::LoopDetected
        | HttpError::ShuttingDown
        | HttpError::Broker(..)
        | HttpError::Upstream(_)
        | HttpError::Items(_)
        | HttpError::Application(_)
        | HttpError::NotLoggedIn
        | HttpError::LoginUnknown(_)
        | HttpError::Misconfigured(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_by_its_number() {
        let denials = Denials::default();
        let start = Instant::now();
        let at = |seconds: u64| denials.course("unauthenticated", start + Duration::from_secs(seconds));
        for _ in 0..TOLD {
            assert_eq!(at(1), Course::Tell);
        }
        assert_eq!(at(3), Course::HoldAndTell(Duration::from_secs(3)));
        assert_eq!(at(4), Course::Hold);
        assert_eq!(denials.course("cross_site", start), Course::Tell, "another reason has lines of its own");
        assert_eq!(at(15), Course::Hold, "not told yet");
        assert_eq!(denials.close("unauthenticated"), 3);
        assert_eq!(at(16), Course::Tell);
    }

    #[test]
    fn a_trickle_is_told_whole() {
        let denials = Denials::default();
        let start = Instant::now();
        for tenth in 0..u64::from(TOLD) * 3 {
            assert_eq!(denials.course("cross_site", start + WINDOW / TOLD * tenth as u32), Course::Tell, "{tenth}");
        }
    }
}
