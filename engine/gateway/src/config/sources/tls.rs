//! TLS to the servers of sources: how far it goes and whom it trusts. Knows no driver.

use crate::config::Config;
use crate::config::syntax::secret::Environment;
use crate::config::syntax::table::Table;
use std::path::PathBuf;

/// How far TLS to a server goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Off,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The words for it.
pub(super) const TLS: &[(&str, Tls)] =
    &[("off", Tls::Off), ("require", Tls::Require), ("verify-ca", Tls::VerifyCa), ("verify-full", Tls::VerifyFull)];

impl Tls {
    /// As the configuration says it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether anybody looks at the server's certificate, and so whom to trust is of any consequence.
    pub(crate) const fn verifies(self) -> bool {
        match self {
            Self::Off | Self::Require => false,
            Self::VerifyCa | Self::VerifyFull => true,
        }
    }
}

/// Reads `tls`, one of some words, and `tls_ca`. `default`: what it is where nothing is said, if that is known by now.
pub(super) fn resolve(
    table: &Table<'_>,
    environment: &Environment,
    words: &[(&'static str, Tls)],
    default: Option<Tls>,
) -> (Option<Tls>, Option<PathBuf>) {
    let tls = table.choice("tls", words).map(|tls| tls.value);
    let authorities = table.text("tls_ca");
    if let Some(given) = &authorities
        && tls.or(default).is_some_and(|tls| !tls.verifies())
    {
        table.error(given.span.clone(), "`tls_ca` says whom to trust, and nobody looks: set `tls` to \"verify-full\"");
    }
    (tls, authorities.map(|path| Config::resolve_path(environment.folder(), &path.value)))
}
