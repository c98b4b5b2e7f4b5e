//! `[integrations.<name>.tls]`: the certificate that says who we are on connections to the provider.

use std::sync::Arc;

use super::{Lacking, wanted};
use crate::config::problem::Fault;
use crate::config::reader::Table;
use crate::config::secrets::Resolved;
use crate::model::{ClientCertificate, Secret};
use crate::provider::Provider;
use crate::upstream;

/// What the table refers to.
#[derive(Default)]
pub(super) struct Written {
    cert: Option<Resolved>,
    key: Option<Resolved>,
}

pub(super) fn read(table: &mut Table<'_>) -> Option<Written> {
    let doc = "Our certificate, where the provider asks connections for one (RFC 8705).";
    table.optional_table("tls", doc, |table| {
        let cert = table.secret("cert", "The certificate chain in PEM, ours first.");
        let key = table.secret("key", "Its private key in PEM.");
        table.for_example("cert", "file:/run/secrets/acme.pem");
        table.for_example("key", "file:/run/secrets/acme.key");
        for (name, other) in [("cert", "key"), ("key", "cert")] {
            if table.has(other) && !table.has(name) {
                table.mistake(name, format!("is missing beside `{other}`"), "write both");
            }
        }
        Some(Written { cert, key })
    })
}

/// What is referred to and not there goes to `lacking`; what cannot be used is a mistake.
pub(super) fn finish(
    table: &Table<'_>,
    written: Option<Written>,
    provider: &Provider,
    lacking: &mut Vec<Lacking>,
) -> Option<Arc<ClientCertificate>> {
    let is_needed = provider.protocol.auth_methods().any(|method| method.is_by_certificate());
    let is_written = written.is_some();
    let Written { cert, key } = written.unwrap_or_default();
    let mut take = |key: &str, resolved| -> Option<Secret> { wanted(table, key, resolved, is_needed, lacking) };
    let (cert, key) = (take("tls.cert", cert), take("tls.key", key));
    if !is_written {
        return None;
    }
    match upstream::client_certificate(cert?.expose(), key?.expose()) {
        Ok(certificate) => Some(Arc::new(certificate)),
        Err(error) => {
            let fault = Fault::sentence(&error.to_string());
            table.context().report.mistake(table.place("tls").problem(fault));
            None
        }
    }
}
