//! A `mysql` source: where a MariaDB or MySQL server is. Knows no driver.

use super::pool::{self, PoolBounds};
use super::tls::{self, TLS, Tls};
use super::write_user::{self, WriteUser};
use crate::config::Config;
use crate::config::syntax::secret::{Environment, Secret};
use crate::config::syntax::table::Table;
use std::path::PathBuf;

/// A schema of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MysqlSource {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// Who changes rows; `None`: it is only read.
    pub(crate) writer: Option<WriteUser>,
    pub(crate) database: String,
    /// `None`: none on this machine, otherwise a verified certificate.
    pub(crate) tls: Option<Tls>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) pool: PoolBounds,
}

pub(crate) const PORT_DEFAULT: u16 = 3306;

impl MysqlSource {
    /// A server by its address; everything else as it is by default.
    pub(crate) fn new(host: String, port: u16, user: String, database: String) -> Self {
        Self {
            host,
            port,
            socket: None,
            user,
            password: None,
            writer: None,
            database,
            tls: None,
            tls_ca: None,
            pool: PoolBounds::default(),
        }
    }
}

/// Whether there is no TLS unless the configuration says so.
fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// Reads the keys of a `mysql` source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, environment: &Environment) -> Option<MysqlSource> {
    let path = |key| table.text(key).map(|path| Config::resolve_path(environment.folder(), &path.value));
    let socket = path("socket");
    let host = if socket.is_some() { table.text("host") } else { table.required("host") };
    let port = table.number("port", 1..=65_535).map_or(Some(PORT_DEFAULT), |port| u16::try_from(port.value).ok());
    let (user, database) = (table.required("user"), table.required("database"));
    let password = super::secret(table, "password", environment);
    let writer = write_user::resolve(table, environment);
    let is_here = socket.is_some() || host.as_ref().is_some_and(|host| is_here(&host.value));
    let (tls, tls_ca) = tls::resolve(table, environment, TLS, is_here.then_some(Tls::Off));
    let pool = pool::resolve(table);
    let host = host.map(|host| host.value).or_else(|| socket.as_ref().map(|_| "localhost".to_owned()));
    Some(MysqlSource {
        socket,
        password,
        writer,
        tls,
        tls_ca,
        pool: pool?,
        ..MysqlSource::new(host?, port?, user?.value, database?.value)
    })
}
