//! A `postgres` source: where a PostgreSQL server is. Knows no driver.

use super::pool::{self, PoolBounds};
use super::tls::{self, TLS, Tls};
use super::write_user::{self, WriteUser};
use crate::config::syntax::secret::{Environment, Secret};
use crate::config::syntax::table::Table;
use std::path::PathBuf;

/// A database of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PostgresSource {
    /// A name, an address, or the folder of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// Who makes and drops suggested indexes, with its password; `None`: the same user.
    pub(crate) advisor: Option<(String, Option<Secret>)>,
    /// Who changes rows; `None`: it is only read.
    pub(crate) writer: Option<WriteUser>,
    pub(crate) database: String,
    /// Schema of the tables that the metadata names without one.
    pub(crate) schema: String,
    pub(crate) tls: Tls,
    /// Authorities to trust instead of the system's.
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) pool: PoolBounds,
}

pub(crate) const PORT_DEFAULT: u16 = 5432;
pub(crate) const SCHEMA_DEFAULT: &str = "public";

impl PostgresSource {
    /// A database by its address; everything else as it is by default.
    pub(crate) fn new(host: String, port: u16, user: String, database: String) -> Self {
        let tls = tls_default(&host);
        Self {
            host,
            port,
            user,
            password: None,
            advisor: None,
            writer: None,
            database,
            schema: SCHEMA_DEFAULT.to_owned(),
            tls,
            tls_ca: None,
            pool: PoolBounds::default(),
        }
    }
}

fn tls_default(host: &str) -> Tls {
    if is_here(host) { Tls::Off } else { Tls::VerifyFull }
}

/// Whether what is sent there never leaves this machine.
fn is_here(host: &str) -> bool {
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads the keys of a `postgres` source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, environment: &Environment) -> Option<PostgresSource> {
    let host = table.required("host");
    let port = table.number("port", 1..=65_535).map_or(Some(PORT_DEFAULT), |port| u16::try_from(port.value).ok());
    let (user, database) = (table.required("user"), table.required("database"));
    let password = super::secret(table, "password", environment);
    let advisor_password = super::secret(table, "advisor_password", environment);
    let advisor = table.text("advisor_user").map(|user| (user.value, advisor_password));
    let place = |wanted: &str| table.keys().find(|(key, _)| *key == wanted).map(|(_, place)| place);
    if let (Some(place), None) = (place("advisor_password"), place("advisor_user")) {
        table.error(place, "`advisor_password` needs `advisor_user`");
    }
    let writer = write_user::resolve(table, environment);
    let schema = table.text("schema").map_or_else(|| SCHEMA_DEFAULT.to_owned(), |schema| schema.value);
    let default = host.as_ref().map(|host| tls_default(&host.value));
    let (tls, tls_ca) = tls::resolve(table, environment, TLS, default);
    let pool = pool::resolve(table);
    let source = PostgresSource::new(host?.value, port?, user?.value, database?.value);
    Some(PostgresSource {
        password,
        advisor,
        writer,
        schema,
        tls: tls.unwrap_or(source.tls),
        tls_ca,
        pool: pool?,
        ..source
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_verified() {
        for (host, expected) in [
            ("db.example", Tls::VerifyFull),
            ("10.0.0.5", Tls::VerifyFull),
            ("localhost", Tls::Off),
            ("127.0.0.1", Tls::Off),
            ("::1", Tls::Off),
            ("/run/postgresql", Tls::Off),
        ] {
            let source = PostgresSource::new(host.to_owned(), PORT_DEFAULT, String::new(), String::new());
            assert_eq!(source.tls, expected, "{host}");
        }
    }
}
