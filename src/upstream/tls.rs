//! TLS towards providers: rustls with ring, the compiled-in roots and those of `[net] ca_file`. One way of verifying
//! for everything, so that no pooled connection was ever checked by other rules than the request that uses it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::SetupError;
use super::identity::{CertificateError, certified};
use crate::model::ClientCertificate;

/// Certificates whose configurations are kept. A certificate that is replaced leaves its own behind.
const MOST_KEPT: usize = 256;

/// The client configurations, which differ in what they offer by ALPN (RFC 7301).
#[derive(Clone)]
pub(super) struct Tls {
    /// HTTP/2 and HTTP/1.1.
    pub(super) any: Arc<ClientConfig>,
    /// HTTP/1.1 alone, for upgrades.
    pub(super) http1: Arc<ClientConfig>,
}

/// The configurations with a certificate of ours, one for each.
#[derive(Default)]
pub(super) struct Presenting(Mutex<HashMap<Arc<ClientCertificate>, Tls>>);

impl Presenting {
    /// The configurations that present this certificate and are otherwise like `plain`.
    pub(super) fn of(&self, certificate: &Arc<ClientCertificate>, plain: &Tls) -> Result<Tls, CertificateError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = known.get(certificate) {
            return Ok(tls.clone());
        }
        if known.len() >= MOST_KEPT {
            known.clear();
        }
        let tls = plain.presenting(certificate)?;
        known.insert(Arc::clone(certificate), tls.clone());
        Ok(tls)
    }
}

impl Tls {
    /// Reads `ca_file`, if one is set.
    pub(super) fn load(ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let fail = |reason: String| SetupError::CaFile { path: path.display().to_string(), reason };
            let mut found = false;
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))? {
                let certificate = certificate.map_err(|error| fail(error.to_string()))?;
                roots.add(certificate).map_err(|error| fail(error.to_string()))?;
                found = true;
            }
            if !found {
                return Err(fail("it holds no certificate".into()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut any = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut http1 = any.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }

    fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, CertificateError> {
        let presented = certified(certificate)?;
        // A session that is resumed is that of whoever began it: no two identities share any.
        let resumption = Resumption::default();
        let with = |plain: &ClientConfig| {
            let mut config = plain.clone();
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&presented)));
            config.resumption = resumption.clone();
            Arc::new(config)
        };
        Ok(Self { any: with(&self.any), http1: with(&self.http1) })
    }
}
