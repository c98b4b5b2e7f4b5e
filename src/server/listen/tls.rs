//! TLS of our own, read from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::Tls;

/// Why the files of `[server.tls]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// A file cannot be read as PEM.
    #[error("server.tls.{key}: {path}: {reason}")]
    File {
        /// `cert` or `key`.
        key: &'static str,
        /// As configured.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Both can be read, but they do not belong together, or the key is of a kind that is not known.
    #[error("server.tls: certificate and key cannot be used together: {0}")]
    Pair(#[source] rustls::Error),
}

/// Reads certificate chain and key. Offers HTTP/2 and HTTP/1.1.
pub fn tls_config(files: &Tls) -> Result<Arc<ServerConfig>, TlsFileError> {
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fail("cert", &files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(fail("cert", &files.cert, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fail("key", &files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsFileError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn fail(key: &'static str, path: &Path, reason: String) -> TlsFileError {
    TlsFileError::File { key, path: path.display().to_string(), reason }
}
