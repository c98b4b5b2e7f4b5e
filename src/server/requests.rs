//! Requests that are no calls, counted by endpoint and outcome. Both are lists of ours, with a place for each pair from
//! the beginning: whatever somebody sends, there are no more.

use http::Response;

use super::call_record::Outcome;
use super::endpoint::Endpoint;
use super::respond::KEYFERRY_ERROR;
use crate::telemetry::metric::{Counter, label};

label! {
    /// What a request was for, as far as metrics tell it apart.
    pub(super) Place {
        Integrations = "integrations",
        OpenApi = "openapi",
        Asset = "asset",
        Sessions = "sessions",
        Authorize = "authorize",
        Callback = "callback",
        Confirm = "confirm",
        Credentials = "credentials",
        Connection = "connection",
        Load = "load",
        Items = "items",
        /// A browser asks whether a page of another origin may (CORS), whatever it is that the page wants.
        Preflight = "preflight",
        /// Everything that goes to the application behind.
        Application = "application",
        /// The admin listener, whatever is asked there.
        Admin = "admin",
        /// Nothing of ours, or refused before it was known for what it was.
        Unknown = "unknown",
    }
}

impl Place {
    /// `None` for a call, which has metrics of its own.
    pub(super) fn of(endpoint: &Endpoint<'_>) -> Option<Self> {
        Some(match endpoint {
            Endpoint::Call(_) => return None,
            Endpoint::Integrations => Self::Integrations,
            Endpoint::OpenApi => Self::OpenApi,
            Endpoint::Asset(_) => Self::Asset,
            Endpoint::Sessions => Self::Sessions,
            Endpoint::Authorize(_) => Self::Authorize,
            Endpoint::Callback(_) => Self::Callback,
            Endpoint::Confirm(_) => Self::Confirm,
            Endpoint::Credentials(_) => Self::Credentials,
            Endpoint::Connection(_) => Self::Connection,
            Endpoint::Load(_) => Self::Load,
            Endpoint::Items(_) => Self::Items,
            Endpoint::Unknown => Self::Unknown,
        })
    }
}

/// The counts of a process.
pub(super) struct Requests(Box<[Counter]>);

impl Default for Requests {
    fn default() -> Self {
        Self((0..Place::ALL.len() * Outcome::COUNT).map(|_| Counter::default()).collect())
    }
}

impl Requests {
    /// Counts one by its answer. `is_ours` says that an error code on it is ours too, and not the application's.
    pub(super) fn count<B>(&self, place: Place, response: &Response<B>, is_ours: bool) {
        let code = response.headers().get(KEYFERRY_ERROR).filter(|_| is_ours);
        let outcome = match code.and_then(|code| code.to_str().ok()) {
            Some(code) => Outcome::of_code(code),
            None => Outcome::of_status(response.status()),
        };
        self.0[place as usize * Outcome::COUNT + outcome.number()].add(1);
    }

    /// What has happened so far, as endpoint, outcome and how often.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Place::ALL.iter().zip(self.0.chunks(Outcome::COUNT)).flat_map(|(place, counts)| {
            Outcome::all().zip(counts).map(|(outcome, count)| (place.as_str(), outcome.as_str(), count.get()))
        })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn whatever_comes_has_a_place() {
        fn check(status: u16, code: Option<&'static str>, is_ours: bool, expected: &str) {
            let requests = Requests::default();
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            if let Some(code) = code {
                response.headers_mut().insert(KEYFERRY_ERROR, http::HeaderValue::from_static(code));
            }
            requests.count(Place::Items, &response, is_ours);
            let counted: Vec<_> = requests.counted().filter(|(.., count)| *count > 0).collect();
            assert_eq!(counted, [("items", expected, 1)], "{status} {code:?}");
        }
        check(101, None, true, "1xx");
        check(299, None, true, "2xx");
        check(599, None, true, "5xx");
        check(999, None, false, "other");
        check(429, Some("rate_limited"), true, "rate_limited");
        check(500, Some("internal"), true, "internal");
        check(429, Some("rate_limited"), false, "4xx");
        check(400, Some("made_up"), true, "other");
    }
}
