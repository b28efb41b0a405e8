//! One connection: opened with the settings that our semantics need, and its prepared statements. Knows no fragment.

use crate::connect::loan::{Borrowed, Owner, lend};
use crate::connect::options::PostgresOptions;
use crate::connect::socket::{Canceler, Reached};
use crate::connect::tls::Encryption;
use crate::error::{cannot_connect, from_postgres, no_stream, timed_out_connecting, unavailable};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::pool::Place;
use querygate_types::{PlannerSetting, Result};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{Client, Config, NoTls, Statement};

/// Statements that one connection keeps prepared.
const STATEMENTS_MAX: usize = 256;
/// Runs of a prepared statement that the server plans for their values. From the next on it may keep one plan for any values, which can
/// be many times slower: the client wrote its values into the text, and would have had a plan for them from the server itself.
const PLANNED_RUNS: u32 = 5;
/// Longest text of a statement that is kept: long lists of keys seldom come again, and cost the server memory.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// Oldest server whose answers were compared with our semantics.
const VERSION_MIN: u32 = 150_000;

/// What every answer depends on. Nothing outside `pg_catalog` is found without its schema, so that no function of a
/// user's takes the place of the server's own.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
     SET extra_float_digits = 1; SET standard_conforming_strings = on; SET bytea_output = 'hex'; \
     SET search_path = pg_catalog; SET default_transaction_read_only = on; SET statement_timeout = 0";
/// The server stops a statement whose client has died. Not every system can do it.
const WATCH_CLIENT: &str = "SET client_connection_check_interval = '5s'";

/// How connections are opened.
#[derive(Debug)]
pub(crate) struct Connector {
    source: String,
    config: Config,
    host: String,
    port: u16,
    encryption: Encryption,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self> {
        let encryption = Encryption::new(&options.tls)?;
        let mut config = Config::new();
        config
            .host(&options.host)
            .port(options.port)
            .user(&options.user)
            .dbname(&options.database)
            .application_name("querygate")
            // The stream is encrypted before the library gets it, if it is to be.
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &options.password {
            config.password(password);
        }
        let (source, host) = (options.name.clone(), options.host.clone());
        Ok(Self { source, config, host, port: options.port, encryption, timeout: options.connect_timeout })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// How long an attempt may last.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Host, or folder of the socket, and port.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(crate) fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// Whether it can open connections whose bytes are ours.
    pub(crate) fn can_link(&self) -> bool {
        !(self.host.starts_with('/') && self.encryption.is_on())
    }

    pub(crate) async fn open(&self) -> Result<Connection> {
        match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(connection) => connection,
            Err(_) => Err(timed_out_connecting(&self.source, self.timeout)),
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let refused = |error: tokio_postgres::Error| cannot_connect(&self.source, &error);
        let Reached { stream, address } = self.reach(None).await.map_err(|error| no_stream(&self.source, &error))?;
        let (owner, lent) = lend(stream);
        let (client, mut io) = self.config.connect_raw(lent, NoTls).await.map_err(refused)?;
        // Notices and warnings may quote values: they are dropped.
        let io = async move { while let Some(Ok(_)) = poll_fn(|context| io.poll_message(context)).await {} };
        let connection = Connection {
            client,
            owner,
            address,
            io: tokio::spawn(io).abort_handle(),
            statements: Mutex::default(),
            opened: Instant::now(),
            idle_since: Instant::now(),
            search_path: None,
            counted_since: OnceLock::new(),
            place: None,
        };
        prepared_for_us(&self.source, &connection.client).await?;
        Ok(connection)
    }
}

/// Gives a new connection the settings that our semantics need, and refuses a server that they were not compared with.
pub(crate) async fn prepared_for_us(source: &str, client: &Client) -> Result<()> {
    let refused = |error: tokio_postgres::Error| cannot_connect(source, &error);
    client.batch_execute(SETTINGS).await.map_err(refused)?;
    // Whether it is possible there or not is no reason to refuse the server.
    drop(client.batch_execute(WATCH_CLIENT).await);
    let version = client.query_one("SELECT current_setting('server_version_num')::int4", &[]);
    let version: i32 = version.await.and_then(|row| row.try_get(0)).map_err(refused)?;
    if u32::try_from(version).unwrap_or(0) < VERSION_MIN {
        return Err(unavailable(source, "is older than PostgreSQL 15")
            .with_hint("Only PostgreSQL 15 and later were compared with the gate's semantics."));
    }
    Ok(())
}

/// An open connection. Dropped, its socket closes at once.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    owner: Owner,
    address: Option<SocketAddr>,
    io: AbortHandle,
    statements: Mutex<Prepared>,
    pub(crate) opened: Instant,
    pub(crate) idle_since: Instant,
    /// The schema that changes were made with on it, behind the server's own; `None`: none, or it is not known which.
    pub(crate) search_path: Option<String>,
    /// Since when the server counts its work, as it said in the first transaction that changed something here: a crash of the server,
    /// after which it counts anew, ends the connection.
    pub(crate) counted_since: OnceLock<String>,
    /// Of the pool's connections, in the budget of all sources.
    pub(crate) place: Option<Place>,
}

/// A server may keep one plan for all runs of a prepared statement: one that was made under a setting must meet no other run.
type Key = (Arc<str>, Vec<u32>, Option<PlannerSetting>);

#[derive(Debug, Default)]
struct Prepared {
    known: HashMap<Key, Known>,
    uses: u64,
}

#[derive(Debug)]
struct Known {
    statement: Statement,
    /// The use of the connection that was its last.
    used: u64,
    /// Runs so far.
    runs: u32,
}

impl Connection {
    /// The statement with these parameter types, prepared for some runs if it is not too long to be kept. `setting`: what the planner
    /// is told of it.
    pub(crate) async fn prepared(
        &self,
        text: &Arc<str>,
        types: &[Type],
        setting: Option<PlannerSetting>,
    ) -> Result<Statement, tokio_postgres::Error> {
        let key = (Arc::clone(text), types.iter().map(Type::oid).collect::<Vec<_>>(), setting);
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        let statement = self.client.prepare_typed(text, types).await?;
        // After some runs the server would keep one plan for lists of any length.
        let lists = types.iter().any(|one| matches!(one.kind(), Kind::Array(_)));
        if lists || text.len() > KEPT_BYTES_MAX {
            // Its last user's drop closes it.
            return Ok(statement);
        }
        self.remember(key, &statement);
        Ok(statement)
    }

    /// As [`prepared`](Self::prepared). `by_key`: one plan is as good as another.
    pub(crate) async fn prepared_read(
        &self,
        statement: &NativeStatement,
        types: &[Type],
        by_key: bool,
    ) -> Result<Statement, tokio_postgres::Error> {
        if by_key {
            self.prepared_change(&statement.text, types).await
        } else {
            self.prepared(&statement.text, types, None).await
        }
    }

    /// As [`prepared`](Self::prepared), for a change. Its lists find rows by their key, for which one plan is as good as another
    /// however long they are.
    pub(crate) async fn prepared_change(
        &self,
        text: &Arc<str>,
        types: &[Type],
    ) -> Result<Statement, tokio_postgres::Error> {
        let key = (Arc::clone(text), types.iter().map(Type::oid).collect::<Vec<_>>(), None);
        let known = {
            let mut prepared = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
            prepared.uses += 1;
            let now = prepared.uses;
            prepared.known.get_mut(&key).map(|known| {
                known.used = now;
                known.statement.clone()
            })
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let statement = self.client.prepare_typed(text, types).await?;
        self.remember(key, &statement);
        Ok(statement)
    }

    fn remember(&self, key: Key, statement: &Statement) {
        let mut prepared = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.known.len() >= STATEMENTS_MAX {
            let oldest = prepared.known.iter().min_by_key(|(_, known)| known.used).map(|(key, _)| key.clone());
            oldest.and_then(|key| prepared.known.remove(&key));
        }
        let used = prepared.uses;
        prepared.known.insert(key, Known { statement: statement.clone(), used, runs: 1 });
    }

    fn remembered(&self, key: &Key) -> Option<Statement> {
        let mut prepared = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.uses += 1;
        let now = prepared.uses;
        let known = prepared.known.get_mut(key)?;
        // Without values there is one plan anyway.
        if known.runs >= PLANNED_RUNS && !key.1.is_empty() {
            prepared.known.remove(key);
            return None;
        }
        known.used = now;
        known.runs = known.runs.saturating_add(1);
        Some(known.statement.clone())
    }

    /// What stops its statements.
    pub(crate) fn canceler(&self) -> Canceler {
        Canceler { token: self.client.cancel_token(), address: self.address }
    }

    /// Its bytes, for a reader of many rows. The client has heard the answer to what it asked last, and to all that its library asks by
    /// itself before; until the bytes are given back, nothing is asked of it. `None`: they are lost.
    pub(crate) fn borrow(&self) -> Option<Borrowed> {
        self.owner.borrow()
    }

    /// Forgets every statement: their tables may have changed.
    pub(crate) fn forget(&self) {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).known.clear();
    }

    /// Rows of a query of our own.
    pub(crate) async fn rows(
        &self,
        source: &str,
        text: &'static str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        self.query(source, text, parameters).await
    }

    /// Rows of a statement that was printed from quoted names.
    pub(crate) async fn rows_of(&self, source: &str, text: &str) -> Result<Vec<tokio_postgres::Row>> {
        self.query(source, text, &[]).await
    }

    async fn query(
        &self,
        source: &str,
        text: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let statement =
            self.prepared(&Arc::from(text), &[], None).await.map_err(|error| from_postgres(source, &error))?;
        self.client.query(&statement, parameters).await.map_err(|error| from_postgres(source, &error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.io.abort();
    }
}
