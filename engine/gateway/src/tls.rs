//! TLS of the doors from PEM files. Knows no protocol.

use crate::config::TlsFiles;
use querygate_types::{Error, ErrorCode, Result};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// A certificate ready to serve.
pub(crate) struct Loaded {
    pub(crate) config: Arc<ServerConfig>,
    /// The end-entity certificate.
    pub(crate) certificate: CertificateDer<'static>,
}

/// Reads certificate and key. With `client_ca`, clients must show a certificate that it signed.
pub(crate) fn load(files: &TlsFiles, client_ca: Option<&Path>) -> Result<Loaded> {
    let chain = certificates(&files.certificate)?;
    let certificate = chain.first().cloned().ok_or_else(|| bad(&files.certificate, "no certificate in it"))?;
    let key = private_key(&files.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| bad(file, e))?)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|e| bad(&files.certificate, e))?;
    Ok(Loaded { config: Arc::new(config), certificate })
}

/// What shows this certificate to a server, and believes servers of these authorities alone.
pub(crate) fn of_client(files: &TlsFiles, authorities: &Path) -> Result<ClientConfig> {
    let key = private_key(&files.key)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots(authorities)?);
    builder.with_client_auth_cert(certificates(&files.certificate)?, key).map_err(|e| bad(&files.certificate, e))
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|e| bad(file, e))?;
    }
    Ok(roots)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        pem::Error::NoItemsFound => bad(file, "no private key in it"),
        other => bad(file, other),
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|e| bad(file, e))
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot use {} for TLS", path.display())).with_detail(why.to_string())
}
