//! Who may go on to an endpoint: the caller first, then whether the integration is theirs to use, and only then whether
//! it exists, so that nobody learns names by trying.

use std::sync::Arc;

use http::{HeaderMap, request};
use hyper::body::Incoming;

use super::caller::{Caller, Named};
use super::form::Form;
use super::respond::HttpError;
use super::service::Service;
use crate::broker::{BrokerError, Integration};
use crate::model::ConnectionKey;

/// The ticket of a start link, when the query has one.
pub(super) fn start_ticket(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, value)| name == "start" && !value.is_empty()).map(|(_, value)| value.into_owned())
}

impl Service {
    /// The fields of a request's body, in bounded size and time.
    pub(super) async fn form(&self, head: &request::Parts, body: Incoming) -> Result<Form, HttpError> {
        Form::read(&head.headers, body, &self.settings.limits).await
    }

    /// The caller of one of our own endpoints, and the integration in its path.
    pub(super) async fn admit(
        &self,
        name: &str,
        head: &request::Parts,
    ) -> Result<(Caller<'_>, Arc<Integration>), HttpError> {
        let caller = self.identify(&head.headers, &head.uri, &head.extensions, None).await?;
        let integration = self.permitted(&caller, name)?;
        Ok((caller, integration))
    }

    /// The integration, if the caller may use it. The refusal is the same whether it exists or not. One that lacks its
    /// client answers nothing but what has to be set.
    pub(super) fn permitted(&self, caller: &Caller<'_>, name: &str) -> Result<Arc<Integration>, HttpError> {
        usable(self.broker.integration(name), caller, name)
    }
}

/// The integration that was found by this name, if any was, held to the caller's scope first.
pub(super) fn usable(
    found: Option<Arc<Integration>>,
    caller: &Caller<'_>,
    name: &str,
) -> Result<Arc<Integration>, HttpError> {
    if caller.scope().is_some_and(|scope| !scope.integrations.permits(name)) {
        return Err(caller.denied(found.as_ref().map(|integration| &integration.name), None));
    }
    let integration = found.ok_or(HttpError::UnknownIntegration)?;
    match &integration.missing {
        None => Ok(integration),
        Some(missing) => Err(BrokerError::NotConfigured(missing.clone()).into()),
    }
}

/// The person whom the headers name, or the form's `org_id` and `user_id`.
pub(super) fn named<'f>(headers: &'f HeaderMap, form: &'f Form) -> Result<Named<'f>, HttpError> {
    let by_header = Named::from_headers(headers)?;
    let by_form = Named { org: form.get("org_id"), user: form.get("user_id") };
    let agree = |header: Option<&str>, form: Option<&str>| header.is_none() || form.is_none() || header == form;
    if !agree(by_header.org, by_form.org) || !agree(by_header.user, by_form.user) {
        return Err(HttpError::bad_request("Headers and form name different persons."));
    }
    Ok(Named { org: by_header.org.or(by_form.org), user: by_header.user.or(by_form.user) })
}

/// Integration and person of a request, within the caller's scope.
pub(super) fn person_key(
    caller: &Caller<'_>,
    integration: &Integration,
    headers: &HeaderMap,
    form: &Form,
) -> Result<ConnectionKey, HttpError> {
    let person = caller.person(named(headers, form)?)?;
    caller.require(integration.name.as_str(), person)?;
    Ok(ConnectionKey { integration: integration.name.clone(), person: person.parse()? })
}
