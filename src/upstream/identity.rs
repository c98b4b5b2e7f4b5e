//! Client certificates as they are written, read and held to fit.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::model::ClientCertificate;

/// Why a certificate cannot be presented. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in the chain's text.
    #[error("has no certificate in `cert`; it begins with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// No key, or one under a password.
    #[error("has no private key in `key`; it begins with `-----BEGIN PRIVATE KEY-----`, and has no password")]
    NoKey,
    /// They do not belong together, or are of a kind that TLS does not take.
    #[error("has a certificate and a key that do not fit; name the key that the certificate was made for")]
    Misfit,
}

/// Reads a certificate chain and its key, both in PEM.
pub fn client_certificate(cert: &str, key: &str) -> Result<ClientCertificate, CertificateError> {
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
    let chain = chain.map_err(|_| CertificateError::NoCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CertificateError::NoKey)?;
    let certificate = ClientCertificate::new(
        chain.iter().map(|certificate| certificate.to_vec()).collect(),
        key.secret_der().to_vec(),
    );
    certified(&certificate).map(|_| certificate)
}

/// The certificate as TLS presents it.
pub(super) fn certified(certificate: &ClientCertificate) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain = certificate.chain().iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
    let key = PrivateKeyDer::try_from(certificate.expose_key().to_vec()).map_err(|_| CertificateError::NoKey)?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(|_| CertificateError::Misfit)
}
