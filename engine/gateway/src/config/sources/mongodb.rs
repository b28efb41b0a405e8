//! A `mongodb` source: where a MongoDB deployment is. Knows no driver.

use super::pool::{self, PoolBounds};
use super::tls::{self, Tls};
use super::write_user::{self, WriteUser};
use crate::config::syntax::secret::{Environment, Secret};
use crate::config::syntax::table::Table;
use std::path::PathBuf;

/// A database of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MongoSource {
    pub(crate) address: Address,
    /// Instead of the one in the address.
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Who changes documents; `None`: it is only read.
    pub(crate) writer: Option<WriteUser>,
    pub(crate) database: String,
    /// `None`: as the address says; if it says nothing, none on this machine, otherwise verified.
    pub(crate) tls: Option<Tls>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) pool: PoolBounds,
}

/// A `mongodb://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Written down, without a password.
    Plain(String),
    /// From environment or file; may hold a password.
    Hidden(Secret),
}

/// Without `verify-ca`: the client either checks a certificate whole or not at all.
const TLS: &[(&str, Tls)] = &[("off", Tls::Off), ("require", Tls::Require), ("verify-full", Tls::VerifyFull)];

impl Address {
    /// The address, for the driver that needs it.
    pub(crate) fn expose(&self) -> &str {
        match self {
            Self::Plain(address) => address,
            Self::Hidden(secret) => secret.expose(),
        }
    }
}

impl MongoSource {
    /// A database by its address; everything else as it is by default.
    pub(crate) fn new(address: Address, database: String) -> Self {
        Self {
            address,
            user: None,
            password: None,
            writer: None,
            database,
            tls: None,
            tls_ca: None,
            pool: PoolBounds::default(),
        }
    }
}

/// Whether an address names a password.
pub(crate) fn holds_password(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let login = rest.split('/').next().and_then(|hosts| hosts.rsplit_once('@'));
    login.is_some_and(|(user, _)| user.contains(':'))
}

/// Reads the keys of a `mongodb` source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, environment: &Environment) -> Option<MongoSource> {
    let (url, database) = (table.required("url"), table.required("database"));
    let user = table.text("user").map(|user| user.value);
    let password = super::secret(table, "password", environment);
    let writer = write_user::resolve(table, environment);
    let (tls, tls_ca) = tls::resolve(table, environment, TLS, None);
    let pool = pool::resolve(table);
    let url = url?;
    let address = if url.value.starts_with("mongodb://") {
        if holds_password(&url.value) {
            table
                .error(url.span, "`url` holds a password: give it as `password`, or the whole address as \"env:NAME\"");
            return None;
        }
        Address::Plain(url.value)
    } else {
        match environment.secret(&url.value) {
            Ok(secret) => Address::Hidden(secret),
            Err(message) => {
                table.error(url.span, format!("`url` is neither mongodb://… nor a secret: {message}"));
                return None;
            }
        }
    };
    Some(MongoSource { user, password, writer, tls, tls_ca, pool: pool?, ..MongoSource::new(address, database?.value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_address_has_no_place_for_a_password() {
        for (address, expected) in [
            ("mongodb://db.example:27017/shop", false),
            ("mongodb://gate@db.example,other:27018/shop?replicaSet=rs0", false),
            ("mongodb://gate:secret@db.example/shop", true),
            ("mongodb://gate:se@cret@db.example", true),
        ] {
            assert_eq!(holds_password(address), expected, "{address}");
        }
    }
}
