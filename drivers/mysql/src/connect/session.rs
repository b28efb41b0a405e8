//! One connection with everything pinned that changes what SQL means. Refuses servers that are too old.

use crate::connect::nodelay::send_at_once;
use crate::error::{from_login, unreachable};
use crate::wire::binary;
use querygate_driver_api::pool::Place;
use querygate_types::Result;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::time::{Duration, Instant};

/// Whose server it is: they share a protocol, not all of their SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    MariaDb,
    MySql,
}

impl Flavor {
    /// The collation in which text compares by code point, without padding.
    pub(crate) const fn binary(self) -> &'static str {
        match self {
            Self::MariaDb => "utf8mb4_nopad_bin",
            Self::MySql => "utf8mb4_0900_bin",
        }
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: MySqlConnection,
    /// The server's own number of it, for KILL.
    pub(crate) id: u64,
    pub(crate) flavor: Flavor,
    /// Whether what it prepares outlasts its connection.
    pub(crate) keeps_prepared: bool,
    pub(crate) last_used: Instant,
    /// Of the pool's connections, in the budget of all sources.
    pub(crate) place: Option<Place>,
}

impl Session {
    /// Connects and pins the session.
    ///
    /// # Errors
    /// 08001 if the server cannot be reached, refuses the login, or is older than MariaDB 10.11 or MySQL 8.0.
    pub(crate) async fn open(options: &MySqlConnectOptions, timeout: Duration) -> Result<Self> {
        let opened = tokio::time::timeout(timeout, Self::begin(options)).await;
        opened.unwrap_or_else(|_| Err(unreachable("source does not answer")))
    }

    async fn begin(options: &MySqlConnectOptions) -> Result<Self> {
        let mut connection = options.connect().await.map_err(|error| from_login(&error))?;
        if options.get_socket().is_none() {
            send_at_once(options.get_host(), options.get_port()).await;
        }
        let row = sqlx::raw_sql("SELECT VERSION(), CONNECTION_ID()")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| from_login(&error))?;
        let version = binary::text(&row, 0)?.unwrap_or_default();
        let id =
            binary::text(&row, 1)?.and_then(|id| id.parse().ok()).ok_or_else(|| unreachable("source is no server"))?;
        let flavor = supported(&version)
            .ok_or_else(|| unreachable("source is older than MariaDB 10.11 or MySQL 8.0").with_cause(&version))?;
        connection.execute(AssertSqlSafe(settings(flavor))).await.map_err(|error| from_login(&error))?;
        let keeps_prepared = keeps_prepared(&version);
        Ok(Self { connection, id, flavor, keeps_prepared, last_used: Instant::now(), place: None })
    }

    /// Whether the server still answers on it, within this time.
    pub(crate) async fn answers(&mut self, within: Duration) -> bool {
        matches!(tokio::time::timeout(within, self.connection.ping()).await, Ok(Ok(())))
    }
}

/// `10.11.6-MariaDB-…`, also behind `5.5.5-` (what old replicas want to see), or `8.0.36`.
fn numbers(version: &str) -> (Flavor, [u32; 3]) {
    let maria = version.contains("MariaDB");
    let version = version.strip_prefix("5.5.5-").filter(|_| maria).unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let flavor = if maria { Flavor::MariaDb } else { Flavor::MySql };
    (flavor, [(); 3].map(|()| numbers.next().unwrap_or(0)))
}

fn supported(version: &str) -> Option<Flavor> {
    let (flavor, found) = numbers(version);
    let least = match flavor {
        Flavor::MariaDb => [10, 11, 0],
        Flavor::MySql => [8, 0, 0],
    };
    (found >= least).then_some(flavor)
}

/// Older servers end a prepared XA transaction with its connection, or let no other connection settle it.
fn keeps_prepared(version: &str) -> bool {
    let (flavor, found) = numbers(version);
    match flavor {
        Flavor::MariaDb => found >= [10, 5, 0],
        Flavor::MySql => found >= [8, 0, 30],
    }
}

/// What must not depend on the server's configuration: quoting, the zone of TIMESTAMP, the collation of parameters, digits
/// of quotients, cut sorts. MariaDB's cache of subquery results finds them by the outer column in the column's own
/// collation, so that `'a'` gets the answer for `'A'`. Nothing is written through the session.
fn settings(flavor: Flavor) -> String {
    let limits = match flavor {
        Flavor::MariaDb => "tx_read_only = 1, max_statement_time = 0, optimizer_switch = 'subquery_cache=off'",
        Flavor::MySql => "transaction_read_only = 1, max_execution_time = 0",
    };
    format!(
        "SET NAMES utf8mb4 COLLATE {}, sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone = '+00:00', \
         div_precision_increment = 12, group_concat_max_len = 1048576, max_sort_length = 1024, \
         sql_select_limit = 18446744073709551615, sql_safe_updates = 0, {limits}",
        flavor.binary()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (version, expected) in [
            ("10.11.19-MariaDB-0+deb12u1", Some(Flavor::MariaDb)),
            ("5.5.5-11.4.2-MariaDB", Some(Flavor::MariaDb)),
            ("10.6.1-MariaDB", None),
            ("8.0.36", Some(Flavor::MySql)),
            ("9.1.0-commercial", Some(Flavor::MySql)),
            ("5.7.44-log", None),
            ("", None),
        ] {
            assert_eq!(supported(version), expected, "{version}");
        }
    }

    #[test]
    fn old_servers_do_not_keep_what_is_prepared() {
        for (version, expected) in [
            ("10.11.19-MariaDB-0+deb12u1", true),
            ("5.5.5-11.4.2-MariaDB", true),
            ("10.4.34-MariaDB", false),
            ("8.0.30", true),
            ("8.0.29", false),
            ("8.4.0", true),
            ("9.1.0-commercial", true),
            ("", false),
        ] {
            assert_eq!(keeps_prepared(version), expected, "{version}");
        }
    }
}
