//! TLS towards providers: rustls with ring, the compiled-in roots and those of `[net] ca_file`. One way of verifying
//! for everything, so that no pooled connection was ever checked by other rules than the request that uses it.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::SetupError;

/// The client configurations, which differ in what they offer by ALPN (RFC 7301).
#[derive(Clone)]
pub(super) struct Tls {
    /// HTTP/2 and HTTP/1.1.
    pub(super) any: Arc<ClientConfig>,
    /// HTTP/1.1 alone, for upgrades.
    pub(super) http1: Arc<ClientConfig>,
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
}
