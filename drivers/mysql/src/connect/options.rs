//! How a server is reached. Holds the password and never prints it.

use querygate_driver_api::pool::Budget;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Statements that a connection keeps prepared.
const PREPARED_PER_CONNECTION: usize = 256;

/// Where a server is and how it is used.
#[derive(Clone)]
pub struct MysqlOptions {
    pub host: String,
    pub port: u16,
    /// A Unix socket, used instead of host and port.
    pub socket: Option<PathBuf>,
    pub user: String,
    pub password: Option<String>,
    /// Who changes rows, with its password; `None`: the source is only read.
    pub writer: Option<(String, Option<String>)>,
    /// The schema whose tables are the source's.
    pub database: String,
    pub tls: MysqlTls,
    /// PEM file of the authorities to trust, instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// Connections at most that read; one more, rarely used, carries cancels.
    pub connections: usize,
    /// Connections at most that write, beside the others: transactions at a time.
    pub write_connections: usize,
    /// Whether its changes may be a part of transactions of several sources, which begin as XA transactions.
    pub distributed: bool,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a new one.
    pub connect_timeout: Duration,
    /// Longest wait for an answer about the catalog.
    pub answer_timeout: Duration,
    /// Bounds the connections of all sources together.
    pub budget: Budget,
}

/// How far TLS goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MysqlTls {
    /// None: everything in clear.
    Off,
    /// Encrypted, to whoever answers.
    Required,
    /// Encrypted, to a server whose certificate a trusted authority signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

impl MysqlOptions {
    /// Eight connections, ten seconds for each wait for one; without TLS on this machine, otherwise with a verified certificate.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>, database: impl Into<String>) -> Self {
        let host = host.into();
        let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        Self {
            tls: if local { MysqlTls::Off } else { MysqlTls::VerifyFull },
            host,
            port,
            socket: None,
            user: user.into(),
            password: None,
            writer: None,
            database: database.into(),
            tls_ca: None,
            connections: 8,
            write_connections: 4,
            distributed: false,
            acquire_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            budget: Budget::default(),
        }
    }

    /// The same schema, by the writing user. `None`: there is none.
    pub(crate) fn of_writer(&self) -> Option<Self> {
        let (user, password) = self.writer.clone()?;
        Some(Self { user, password, connections: self.write_connections, ..self.clone() })
    }

    /// For sqlx. It sets nothing of the session by itself: that is done, whole, when a session begins.
    pub(crate) fn connect(&self) -> MySqlConnectOptions {
        let mode = match self.tls {
            MysqlTls::Off => MySqlSslMode::Disabled,
            MysqlTls::Required => MySqlSslMode::Required,
            MysqlTls::VerifyCa => MySqlSslMode::VerifyCa,
            MysqlTls::VerifyFull => MySqlSslMode::VerifyIdentity,
        };
        let mut connect = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(mode)
            .statement_cache_capacity(PREPARED_PER_CONNECTION)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .set_names(false);
        if let Some(password) = &self.password {
            connect = connect.password(password);
        }
        if let Some(socket) = &self.socket {
            connect = connect.socket(socket);
        }
        if let Some(authorities) = &self.tls_ca {
            connect = connect.ssl_ca(authorities);
        }
        sqlx::ConnectOptions::disable_statement_logging(connect)
    }
}

impl fmt::Debug for MysqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed_and_a_remote_host_is_verified() {
        let mut options = MysqlOptions::new("db.example", 3306, "gate", "shop");
        options.password = Some("open sesame".to_owned());
        assert!(!format!("{options:?}").contains("sesame"));
        assert_eq!(options.tls, MysqlTls::VerifyFull);
        assert_eq!(MysqlOptions::new("127.0.0.1", 1, "", "").tls, MysqlTls::Off);
    }
}
