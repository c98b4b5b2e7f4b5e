//! Denials on their way into the stream: the one place that writes them, whoever denies. A flood of one kind is told by
//! its first lines and one line with the number of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{About, Event, write};
use crate::telemetry::metric::label;

/// How many denials for one reason are told one by one, within how long.
const TOLD: u32 = 10;
const WINDOW: Duration = Duration::from_secs(5);

label! {
    /// Why somebody was refused; the reason of its line.
    #[derive(PartialOrd, Ord)]
    pub Denial {
        /// No key or session, or a wrong one.
        Unauthenticated = "unauthenticated",
        /// Not what this caller may do.
        OutsideScope = "outside_scope",
        /// From a page of somebody else.
        CrossSite = "cross_site",
        /// Through a proxy, in the open mode.
        Forwarded = "forwarded",
        /// Not the operator's key.
        WrongAdminKey = "wrong_admin_key",
        /// An authorization that another person began.
        SomebodyElse = "somebody_else",
        /// An authorization that was begun in another browser.
        AnotherBrowser = "another_browser",
    }
}

/// What was denied lately, by reason: a process has one, and whoever denies something holds it. Cheap to clone.
#[derive(Clone, Default)]
pub struct Denials(Arc<Mutex<BTreeMap<Denial, Window>>>);

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
    /// Tells the stream that this was denied, at once or with others of its reason.
    pub fn deny(&self, denial: Denial, about: &About<'_>) {
        match self.course(denial, Instant::now()) {
            Course::Tell => write(Event::Denied, &about.because(denial.as_str())),
            Course::Hold => {}
            Course::HoldAndTell(wait) => drop(tokio::spawn(self.clone().tell_later(denial, wait))),
        }
    }

    /// Tells at once of all that are held back: nobody is left to tell it later.
    pub fn end(&self) {
        let windows = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        windows.into_iter().for_each(|(denial, window)| tell(denial, window.held));
    }

    async fn tell_later(self, denial: Denial, wait: Duration) {
        tokio::time::sleep(wait).await;
        tell(denial, self.close(denial));
    }

    fn course(&self, denial: Denial, now: Instant) -> Course {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(denial).or_insert(Window { began: now, told: 0, held: 0 });
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
    fn close(&self, denial: Denial) -> u64 {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.remove(&denial).map_or(0, |window| window.held)
    }
}

/// Tells of so many denials in one line.
fn tell(denial: Denial, held: u64) {
    if held > 0 {
        write(Event::Denied, &About { times: Some(held), ..About::default() }.because(denial.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_by_its_number() {
        let denials = Denials::default();
        let start = Instant::now();
        let at = |seconds: u64| denials.course(Denial::Unauthenticated, start + Duration::from_secs(seconds));
        for _ in 0..TOLD {
            assert_eq!(at(1), Course::Tell);
        }
        assert_eq!(at(3), Course::HoldAndTell(Duration::from_secs(3)));
        assert_eq!(at(4), Course::Hold);
        assert_eq!(denials.course(Denial::CrossSite, start), Course::Tell, "another reason has lines of its own");
        assert_eq!(at(15), Course::Hold, "not told yet");
        assert_eq!(denials.close(Denial::Unauthenticated), 3);
        assert_eq!(at(16), Course::Tell);
    }

    #[test]
    fn a_trickle_is_told_whole() {
        let denials = Denials::default();
        let start = Instant::now();
        for tenth in 0..u64::from(TOLD) * 3 {
            assert_eq!(
                denials.course(Denial::CrossSite, start + WINDOW / TOLD * tenth as u32),
                Course::Tell,
                "{tenth}"
            );
        }
    }
}
