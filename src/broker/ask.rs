//! One small request to a provider: token, revocation, metadata. Decides whether the host is one that the provider file
//! wrote itself; everything else about sending is `upstream`'s.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::{Broker, BrokerError, Integration};
use crate::model::Secret;
use crate::oauth::{HttpRequest, Sent, TokenError};
use crate::telemetry::trace::{Span, attribute};
use crate::upstream::{FetchRequest, FetchResponse};

/// The answer to a token request.
pub(super) struct TokenAnswer<'a> {
    answer: FetchResponse,
    sent: Sent<'a>,
}

impl TokenAnswer<'_> {
    /// What `read` makes of status and body. An error's code that repeats what was sent is not told.
    pub(super) fn read<T>(&self, read: impl FnOnce(u16, &[u8]) -> Result<T, TokenError>) -> Result<T, TokenError> {
        read(self.answer.status.as_u16(), &self.answer.body).map_err(|error| error.without(&self.sent))
    }

    /// Its header fields.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.answer.headers
    }
}

impl Broker {
    /// Sends it once, whatever comes of it.
    pub(super) async fn ask(
        &self,
        integration: &Integration,
        request: HttpRequest,
    ) -> Result<FetchResponse, BrokerError> {
        let invalid = |what: &str| BrokerError::Internal(format!("the provider file makes an invalid {what}"));
        let url = Url::parse(&request.url).map_err(|_| invalid("URL"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid("header name"))?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| invalid("header value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| invalid("method"))?;
        let trusted_as_written = integration.provider.writes(&url);
        let body = request.body.expose().to_owned().into();
        let certificate = integration.certificate.clone();
        let request = FetchRequest { method, url, headers, body, trusted_as_written, certificate };
        Ok(self.network().fetch.send(request).await?)
    }

    /// The same for a token request, with what a span says of it: who was asked, and the status of the answer.
    pub(super) async fn ask_for_token<'a>(
        &self,
        integration: &'a Integration,
        request: HttpRequest,
        span: &mut Span,
    ) -> Result<TokenAnswer<'a>, BrokerError> {
        if span.is_recorded()
            && let Ok(url) = Url::parse(&request.url)
        {
            span.set(attribute::METHOD, request.method);
            span.asks(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        }
        let sent = Sent::of(&request, integration.client_id.as_deref().unwrap_or_default());
        let answer = self.ask(integration, request).await?;
        span.status(answer.status.as_u16());
        Ok(TokenAnswer { answer, sent })
    }

    /// A GET that asks for JSON.
    pub(super) async fn ask_json(&self, integration: &Integration, url: &str) -> Result<FetchResponse, BrokerError> {
        let headers = vec![("accept".to_owned(), Secret::new("application/json"))];
        let request = HttpRequest { method: "GET", url: url.to_owned(), headers, body: Secret::new("") };
        self.ask(integration, request).await
    }
}
