//! Refusals that the audit stream hears of: wrong keys and sessions, what lies outside of a scope, foreign pages.

use std::net::IpAddr;

use super::respond::HttpError;
use super::service::Service;
use crate::model::{CallerName, IntegrationName, Person};
use crate::telemetry::audit::{About, Denial};

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

impl Service {
    /// Tells the audit stream of a refusal, if it is one that it hears of.
    pub(super) fn note_denial(&self, error: &HttpError, request_id: &str, client: IpAddr) {
        let Some((denial, denied)) = denial(error) else { return };
        let mut about = About { request: Some(request_id), client: Some(client), ..About::default() };
        if let Some(Denied { caller, integration, person }) = denied {
            about.caller = caller.as_ref().map(CallerName::as_str);
            about.integration = integration.as_ref().map(IntegrationName::as_str);
            about = person.iter().fold(about, |about, person| about.person(person));
        }
        self.process.denials.deny(denial, &about);
    }
}

/// What a refusal is to the stream, with what is known of it. Somebody else's authorization is told where it is found
/// out.
fn denial(error: &HttpError) -> Option<(Denial, Option<&Denied>)> {
    match error {
        HttpError::Unauthenticated => Some((Denial::Unauthenticated, None)),
        HttpError::Forbidden(denied) => Some((Denial::OutsideScope, Some(denied))),
        HttpError::Forwarded => Some((Denial::Forwarded, None)),
        HttpError::CrossSite | HttpError::NotFetched => Some((Denial::CrossSite, None)),
        HttpError::NoAdminKey | HttpError::WrongAdminKey => Some((Denial::WrongAdminKey, None)),
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
