//! TLS of the doors from PEM files, read again while they serve. Knows no protocol.

use crate::config::{Config, TlsFiles};
use querygate_types::{Error, ErrorCode, Result};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A certificate ready to serve.
pub(crate) struct Loaded {
    pub(crate) config: Arc<ServerConfig>,
    /// The end-entity certificate.
    pub(crate) certificate: CertificateDer<'static>,
}

/// Gives a door another certificate.
type Renew = Box<dyn Fn(Loaded) + Send + Sync>;

/// The certificates of doors that serve.
#[derive(Default)]
pub(crate) struct Certificates {
    pub(crate) postgres: OnceLock<Renew>,
    pub(crate) flight: OnceLock<Renew>,
}

/// Certificates that were read and are not yet in force.
pub(crate) struct Renewed {
    postgres: Option<Loaded>,
    flight: Option<Loaded>,
}

impl Certificates {
    /// Reads what a configuration names, for the doors that have one.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn next(&self, config: &Config) -> Result<Renewed> {
        let of = |door: &OnceLock<Renew>, client_ca: Option<&Path>| {
            let files = config.server.tls.as_ref().filter(|_| door.get().is_some());
            files.map(|files| load(files, client_ca)).transpose()
        };
        Ok(Renewed {
            postgres: of(&self.postgres, None)?,
            flight: of(&self.flight, config.flight.client_ca.as_deref())?,
        })
    }

    /// Puts them in force, for connections from now on.
    pub(crate) fn replace(&self, Renewed { postgres, flight }: Renewed) {
        for (door, loaded) in [(&self.postgres, postgres), (&self.flight, flight)] {
            if let (Some(renew), Some(loaded)) = (door.get(), loaded) {
                renew(loaded);
            }
        }
    }
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
    let config = builder.with_single_cert(chain, key).map_err(|e| bad(&files.certificate, in_words(&e)))?;
    Ok(Loaded { config: Arc::new(config), certificate })
}

/// What shows this certificate to a server, and believes servers of these authorities alone.
pub(crate) fn of_client(files: &TlsFiles, authorities: &Path) -> Result<ClientConfig> {
    let key = private_key(&files.key)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots(authorities)?);
    builder
        .with_client_auth_cert(certificates(&files.certificate)?, key)
        .map_err(|e| bad(&files.certificate, in_words(&e)))
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|e| bad(file, in_words(&e)))?;
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

/// What certificates are refused for by names that only the library knows, in words.
const REASONS: [(&str, &str); 6] = [
    ("UnsupportedCertVersion", "it is of X.509 version 1 or 2: make one of version 3, with a subjectAltName"),
    ("UnsupportedCriticalExtension", "it has a critical extension that is not known here"),
    ("MalformedExtensions", "its extensions are malformed"),
    ("ExtensionValueInvalid", "an extension of it has a value that is not valid"),
    ("UnsupportedSignatureAlgorithm", "it is signed by an algorithm that is not known here"),
    ("KeyMismatch", "the key does not belong to the certificate"),
];

fn in_words(error: &rustls::Error) -> String {
    let raw = format!("{error:?}");
    let known = REASONS.iter().find(|(name, _)| raw.contains(name));
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot use {} for TLS", path.display())).with_detail(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// As `openssl x509 -req` makes it of a request without further words.
    const VERSION_1: &str = "set -e
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old -keyout key.pem -out old.csr
openssl x509 -req -in old.csr -signkey key.pem -days 2 -out old.pem
openssl x509 -in old.pem -noout -text | grep -q 'Version: 1'
openssl ecparam -genkey -name prime256v1 -noout -out other.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=new -keyout new.key -out new.pem";

    #[test]
    fn why_a_certificate_cannot_be_used_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("/bin/sh").arg("-c").arg(VERSION_1).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let refused = |certificate: &str, key: &str| {
            let files = TlsFiles { certificate: folder.path().join(certificate), key: folder.path().join(key) };
            load(&files, None).err().unwrap().detail().unwrap().to_owned()
        };
        assert!(refused("old.pem", "key.pem").contains("version 3"), "{}", refused("old.pem", "key.pem"));
        assert_eq!(refused("new.pem", "other.pem"), "the key does not belong to the certificate");
    }
}
