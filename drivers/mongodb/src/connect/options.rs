//! How a deployment is reached. Holds the password and never prints it.

use crate::error::unreachable;
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use querygate_driver_api::pool::Budget;
use querygate_types::Result;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Connections beside those of statements: cancels and health checks must not wait behind them.
const CONTROL_CONNECTIONS: usize = 2;
/// How long the client keeps a connection that nobody uses.
const REST_MAX: Duration = Duration::from_secs(60);

/// Where a deployment is and how it is used.
#[derive(Clone)]
pub struct MongoOptions {
    /// `mongodb://host:port,host:port/?replicaSet=rs0`, with the options that MongoDB defines for it. May name the user.
    pub url: String,
    /// Instead of the one in the address.
    pub user: Option<String>,
    pub password: Option<String>,
    /// Who changes documents, with its password; `None`: the source is only read.
    pub writer: Option<(String, Option<String>)>,
    /// The database whose collections are the source's tables.
    pub database: String,
    /// `None`: as the address says; if it says nothing, none on this machine, otherwise verified.
    pub tls: Option<MongoTls>,
    /// PEM file of the authorities to trust, instead of those that browsers trust.
    pub tls_ca: Option<PathBuf>,
    /// Statements that run at a time.
    pub connections: usize,
    /// Transactions that change documents at a time, beside the others.
    pub write_connections: usize,
    /// Whether its changes may be a part of transactions of several sources, which leave a marker in a collection that the operator
    /// has made.
    pub distributed: bool,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a server that can be read from.
    pub connect_timeout: Duration,
    /// Longest wait for an answer about collections and their fields.
    pub answer_timeout: Duration,
    /// Bounds the connections of all sources together.
    pub budget: Budget,
}

/// How far TLS goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MongoTls {
    /// None: everything in clear.
    Off,
    /// Encrypted, to whoever answers.
    Required,
    /// Encrypted, to a server whose certificate a trusted authority signed for its name.
    Verify,
}

impl MongoOptions {
    /// Eight connections, ten seconds for each wait for one.
    #[must_use]
    pub fn new(url: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            writer: None,
            database: database.into(),
            tls: None,
            tls_ca: None,
            connections: 8,
            write_connections: 4,
            distributed: false,
            acquire_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            // Above the half minute that the server has for either sample of a collection.
            answer_timeout: Duration::from_secs(75),
            budget: Budget::default(),
        }
    }

    /// This database by its writing user. `None`: there is none.
    pub(crate) fn of_writer(&self) -> Option<Self> {
        let (user, password) = self.writer.clone()?;
        Some(Self { user: Some(user), password, connections: self.write_connections, ..self.clone() })
    }

    /// For the client.
    ///
    /// # Errors
    /// 08001 for an address that is none.
    pub(crate) async fn client(&self) -> Result<ClientOptions> {
        // What the parser says may quote the address, and with it a password: not even the log learns it.
        let wrong = |_| {
            unreachable("source has no valid address")
                .with_hint("Write mongodb://HOST:PORT/?OPTIONS; addresses of mongodb+srv are not looked up.")
        };
        let mut options = ClientOptions::parse(&self.url).await.map_err(wrong)?;
        if self.user.is_some() || self.password.is_some() {
            let mut credential = options.credential.take().unwrap_or_else(|| Credential::builder().build());
            credential.username = self.user.clone().or(credential.username);
            credential.password = self.password.clone().or(credential.password);
            options.credential = Some(credential);
        }
        options.tls = Some(self.security(options.tls.take(), &options.hosts));
        options.app_name.get_or_insert_with(|| "querygate".to_owned());
        options.connect_timeout = Some(self.connect_timeout);
        options.server_selection_timeout = Some(self.connect_timeout);
        options.min_pool_size = None;
        // The client's own; what rests there is in nobody's count.
        options.max_idle_time = Some(REST_MAX);
        let connections = self.connections.max(1).saturating_add(CONTROL_CONNECTIONS);
        options.max_pool_size = Some(u32::try_from(connections).unwrap_or(u32::MAX));
        Ok(options)
    }

    fn security(&self, said: Option<Tls>, hosts: &[ServerAddress]) -> Tls {
        let local = |host: &ServerAddress| match host {
            ServerAddress::Tcp { host, .. } => matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1"),
            _ => true,
        };
        let enabled = |invalid: bool| {
            let mut tls = TlsOptions::default();
            tls.ca_file_path.clone_from(&self.tls_ca);
            tls.allow_invalid_certificates = invalid.then_some(true);
            Tls::Enabled(tls)
        };
        match (self.tls, said) {
            (Some(MongoTls::Off), _) => Tls::Disabled,
            (Some(MongoTls::Required), _) => enabled(true),
            (Some(MongoTls::Verify), _) => enabled(false),
            (None, Some(Tls::Enabled(mut tls))) => {
                if self.tls_ca.is_some() {
                    tls.ca_file_path.clone_from(&self.tls_ca);
                }
                Tls::Enabled(tls)
            }
            (None, Some(Tls::Disabled)) => Tls::Disabled,
            (None, None) if hosts.iter().all(local) && self.tls_ca.is_none() => Tls::Disabled,
            (None, None) => enabled(false),
        }
    }
}

impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoOptions")
            .field("database", &self.database)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_never_printed_and_a_remote_host_is_verified() {
        let mut options = MongoOptions::new("mongodb://gate:sesame@db.example:27017/?replicaSet=rs0", "shop");
        assert!(!format!("{options:?}").contains("sesame"));
        let client = options.client().await.unwrap();
        assert!(matches!(client.tls, Some(Tls::Enabled(tls)) if tls.allow_invalid_certificates.is_none()));
        options.url = "mongodb://127.0.0.1:1/?authSource=people".to_owned();
        (options.user, options.password) = (Some("gate".to_owned()), Some("p@ss:/".to_owned()));
        let client = options.client().await.unwrap();
        assert_eq!(client.tls, Some(Tls::Disabled));
        let credential = client.credential.unwrap();
        assert_eq!((credential.username.as_deref(), credential.password.as_deref()), (Some("gate"), Some("p@ss:/")));
        for wrong in ["postgres://sesame", "mongodb+srv://gate:sesame@db.example", "mongodb://a:sesame@:x"] {
            let error = MongoOptions::new(wrong, "shop").client().await.unwrap_err();
            assert!(!format!("{error} {:?} {:?}", error.cause(), error.hint()).contains("sesame"), "{wrong}");
        }
    }
}
