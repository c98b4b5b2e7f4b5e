//! The admin key: who is taken for the operator.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::super::caller::is_key_of;
use super::super::respond::HttpError;
use super::super::service::Service;

impl Service {
    /// Whether the request has the admin key. A caller's API key is none, nor is anything else that opens the other
    /// listener.
    pub(super) fn check_admin_key(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        let hash = self.settings.admin_key_hash.as_ref().ok_or(HttpError::NoAdminKey)?;
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = fields.next().filter(|_| fields.next().is_none());
        let key = field.and_then(|field| field.to_str().ok()?.split_once(' ')).filter(|(scheme, _)| {
            // RFC 9110 section 11.1.
            scheme.eq_ignore_ascii_case("bearer")
        });
        if key.is_some_and(|(_, key)| is_key_of(key.trim(), hash)) {
            return Ok(());
        }
        Err(HttpError::WrongAdminKey)
    }
}
