//! Where a PostgreSQL source is and how it is spoken to. Never prints a password.

use querygate_driver_api::pool::Budget;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a connection is encrypted. A server that does not do what is asked is an error, never a downgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Plain text.
    Off,
    /// Encrypted; whoever answers is believed.
    Unverified,
    /// The server's certificate must come from one of the authorities in this PEM file, or of the system's.
    VerifyCa(Option<PathBuf>),
    /// As `VerifyCa`, and it must name the host.
    VerifyFull(Option<PathBuf>),
}

/// How a database is reached.
#[derive(Clone)]
pub struct PostgresOptions {
    /// What the configuration calls the source; errors name it.
    pub name: String,
    /// A host name, an address, or the folder of a Unix socket (begins with `/`).
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    /// Who makes and drops indexes that an operator wants, with its password; `None`: the same user.
    pub advisor: Option<(String, Option<String>)>,
    /// Who changes rows, with its password; `None`: the source is only read.
    pub writer: Option<(String, Option<String>)>,
    pub database: String,
    pub tls: PostgresTls,
    /// Connections at most that read.
    pub pool_size: usize,
    /// Connections at most that write, beside the others: transactions at a time.
    pub write_pool_size: usize,
    /// Whether its changes may be a part of transactions of several sources: the server must keep prepared transactions.
    pub distributed: bool,
    /// Longest time for one connection to be made, settings included.
    pub connect_timeout: Duration,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// A connection that was idle for longer is asked whether it lives before it is used.
    pub check_after: Duration,
    /// A connection older than this is replaced when it is next free.
    pub lifetime: Duration,
    /// Tables from this size on, in bytes, are read over several connections at once when they are read whole, and off the connection's own
    /// bytes under a condition.
    pub bulk_bytes: u64,
    /// Rows, however wide, from which on it pays to describe and to plan a statement over such a table anew for each of its runs, which is
    /// two round trips more, because each row then takes 0.15 µs less; by how many it gave last.
    pub bulk_rows: usize,
    /// Bounds the connections of all sources together.
    pub budget: Budget,
}

impl PostgresOptions {
    /// Port 5432, no password, no TLS, eight connections whatever others have, no changes, five seconds to connect, thirty to wait.
    #[must_use]
    pub fn new(name: &str, host: &str, user: &str, database: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port: 5432,
            user: user.to_owned(),
            password: None,
            advisor: None,
            writer: None,
            database: database.to_owned(),
            tls: PostgresTls::Off,
            pool_size: 8,
            write_pool_size: 4,
            distributed: false,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(30),
            check_after: Duration::from_secs(30),
            lifetime: Duration::from_secs(3_600),
            bulk_bytes: 64 << 20,
            bulk_rows: 50_000,
            budget: Budget::default(),
        }
    }

    /// The same database, by the advisor's user.
    pub(crate) fn of_advisor(&self) -> Self {
        let mut options = self.clone();
        if let Some((user, password)) = &self.advisor {
            (options.user, options.password) = (user.clone(), password.clone());
        }
        options
    }

    /// The same database, by the writing user. `None`: there is none.
    pub(crate) fn of_writer(&self) -> Option<Self> {
        let (user, password) = self.writer.clone()?;
        Some(Self { user, password, pool_size: self.write_pool_size, ..self.clone() })
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
