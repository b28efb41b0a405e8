//! TLS to the server by rustls, before the client library gets the stream. Decides what a certificate must prove, knows no query.

use crate::connect::options::PostgresTls;
use querygate_types::{Error, ErrorCode, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes encrypted streams as the options ask.
#[derive(Debug, Clone)]
pub(crate) struct Encryption {
    config: Option<Arc<ClientConfig>>,
}

impl Encryption {
    /// # Errors
    /// F0000 for a file of authorities that cannot be read or holds none.
    pub(crate) fn new(tls: &PostgresTls) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match tls {
            PostgresTls::Off => return Ok(Self { config: None }),
            PostgresTls::Unverified => Arc::new(Lenient { provider: Arc::clone(&provider), chain: None }),
            PostgresTls::VerifyCa(file) => {
                let chain = Some(chain(file.as_deref(), &provider)?);
                Arc::new(Lenient { provider: Arc::clone(&provider), chain })
            }
            PostgresTls::VerifyFull(file) => chain(file.as_deref(), &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self { config: Some(Arc::new(config)) })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.config.is_some()
    }

    /// The stream to a host, encrypted.
    ///
    /// # Errors
    /// The handshake failed, the certificate does not prove what the options ask, or encryption is off.
    pub(crate) async fn encrypt(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config.as_ref().ok_or_else(|| io::Error::other("encryption is off"))?;
        let server = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(config)).connect(server, stream).await
    }
}

fn chain(file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let roots = match file {
        Some(file) => of_file(file)?,
        None => of_system()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map_err(Error::internal)
}

fn of_file(file: &Path) -> Result<RootCertStore> {
    let wrong = |what: &str| Error::new(ErrorCode::ConfigInvalid, format!("{} {what}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong("cannot be read").with_cause(e))? {
        let certificate = certificate.map_err(|e| wrong("is not a PEM file of certificates").with_cause(e))?;
        roots.add(certificate).map_err(|e| wrong("holds a certificate that cannot be used").with_cause(e))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    Ok(roots)
}

/// What the system trusts; single certificates that cannot be used are none of our business.
fn of_system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::new(ErrorCode::ConfigInvalid, "the system trusts no certificate authority")
            .with_hint("Name a file of certificates with tls_ca."));
    }
    Ok(roots)
}

/// Checks less than a chain and a name; the handshake's own signatures always.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// What the certificate's chain must lead to, under whatever name; `None`: every certificate is believed.
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The chain is checked before the name.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
