//! The SQLite source: a file read through a bounded set of connections that cannot write, and changed over one that can.

use crate::bind;
use crate::capabilities::SqliteCapabilities;
use crate::declared;
use crate::dialect::{Enforced, SqliteDialect};
use crate::error::from_sqlx;
use crate::introspect;
use crate::pool::{Lease, Reader, Readers};
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::capability::{Capabilities, Refusal, unsupported};
use querygate_driver_api::driver::{Driver, SchemaNotice};
use querygate_driver_api::execution::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::pool::PoolStatus;
use querygate_driver_api::relation::{Encoding, Relation};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::Writer;
use querygate_types::{Error, ErrorCode, Result};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Tables that one SQLite join can hold is 64; some are left for SQLite's own.
const SCANS_MAX: usize = 56;

/// How a database is read.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub path: PathBuf,
    /// Connections at most, each with a thread of its own.
    pub readers: usize,
    /// Whoever writes the database keeps dates as `YYYY-MM-DD`, times as `HH:MM:SS[.sss]` and instants as
    /// `YYYY-MM-DDTHH:MM:SS.sssZ`, always, as ObjectStack does. Then they are compared in the source; otherwise such
    /// columns are only read, and compared locally.
    pub fixed_text: bool,
    /// How long a reader waits for a lock.
    pub busy_timeout: Duration,
    /// Bytes of the file to map into memory; 0 for none.
    pub mmap_bytes: u64,
    /// Whether it may be changed, over one connection more.
    pub writes: bool,
    /// Whether its changes may be a part of transactions of several sources, which leave a marker in a table that the operator has made.
    pub distributed: bool,
}

impl SqliteOptions {
    /// Eight readers, no promise about texts, five seconds, 256 MiB mapped, no changes.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            readers: 8,
            fixed_text: false,
            busy_timeout: Duration::from_secs(5),
            mmap_bytes: 256 * 1024 * 1024,
            writes: false,
            distributed: false,
        }
    }
}

/// A SQLite database as a source. Opens nothing before it is asked something.
#[derive(Debug)]
pub struct SqliteDriver {
    options: SqliteOptions,
    readers: Arc<Readers>,
    /// The one connection that changes the database. None: it is only read.
    writers: Option<Arc<Readers>>,
    capabilities: SqliteCapabilities,
    /// What `describe` learned of stored classes; columns of other tables are guarded.
    enforced: RwLock<Enforced>,
    notice: Arc<SchemaNotice>,
}

impl SqliteDriver {
    /// A driver for one file, which need not exist yet. A database in WAL mode needs a folder that can be written, even
    /// to be read: SQLite keeps its index of the log there.
    #[must_use]
    pub fn new(options: SqliteOptions) -> Self {
        let connect = SqliteConnectOptions::new()
            .filename(&options.path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(options.busy_timeout)
            .row_buffer_size(512)
            .pragma("query_only", "ON")
            .pragma("trusted_schema", "OFF")
            .pragma("mmap_size", options.mmap_bytes.to_string())
            .disable_statement_logging();
        // What the source itself demands of its rows is not switched off: foreign keys are kept only where a connection asks for it.
        let writing = options.writes.then(|| {
            SqliteConnectOptions::new()
                .filename(&options.path)
                .create_if_missing(false)
                .foreign_keys(true)
                .busy_timeout(options.busy_timeout)
                .row_buffer_size(512)
                .pragma("trusted_schema", "OFF")
                .disable_statement_logging()
        });
        let (enforced, notice) = (RwLock::default(), Arc::<SchemaNotice>::default());
        let readers = Readers::new(connect, writing.clone(), options.readers, Arc::clone(&notice));
        let writers = writing.map(|connect| Readers::new(connect, None, 1, Arc::clone(&notice)));
        Self { options, readers, writers, capabilities: SqliteCapabilities, enforced, notice }
    }

    async fn lease(&self) -> Result<Lease> {
        self.lease_until(None).await
    }

    pub(crate) async fn lease_until(&self, deadline: Option<Instant>) -> Result<Lease> {
        self.readers.lease(deadline, &CancellationToken::new()).await
    }

    pub(crate) fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    pub(crate) fn writers(&self) -> Option<&Arc<Readers>> {
        self.writers.as_ref()
    }

    pub(crate) fn options(&self) -> &SqliteOptions {
        &self.options
    }

    async fn batches(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        Fragment::check_values(&statement.parameters, values)?;
        let arguments = bind::arguments(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        crate::execute::execute(&self.readers, Arc::clone(statement), arguments, context).await
    }
}

#[async_trait]
impl Driver for SqliteDriver {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.capabilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        let mut lease = self.lease().await?;
        let tables = introspect::tables(&mut lease.reader.connection).await;
        lease.release(tables.is_ok()).await;
        tables
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let mut lease = self.lease().await?;
        let Reader { connection, listing, .. } = &mut lease.reader;
        let described = introspect::describe(connection, listing, table).await;
        lease.release(described.is_ok()).await;
        let mut described = described?;
        for column in &mut described.remote.columns {
            if let Some(value_type) = column.value_type {
                let read = declared::read_as(&column.native_type, value_type, self.options.fixed_text);
                column.encoding = read.unwrap_or(column.encoding);
            }
        }
        let mut enforced = self.enforced.write().unwrap_or_else(PoisonError::into_inner);
        enforced.insert(described.remote.table.clone(), described.enforced);
        Ok(described.remote)
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        declared::read_as(&column.native_type, wanted, self.options.fixed_text)
    }

    fn read_or_null(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        self.read_as(column, wanted).map(Encoding::or_null)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let mut lease = self.lease().await?;
        let Reader { connection, listing, .. } = &mut lease.reader;
        let statistics = introspect::statistics(connection, listing, table).await;
        lease.release(statistics.is_ok()).await;
        statistics
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        let types = self.capabilities.supports_fragment(fragment)?;
        if scans(&fragment.relation) > SCANS_MAX {
            return unsupported("more tables than the source joins in one statement");
        }
        let enforced = self.enforced.read().unwrap_or_else(PoisonError::into_inner);
        querygate_sql::print(fragment, types, &SqliteDialect { enforced: &enforced }).map(Arc::new)
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal> {
        bind::arguments(statement, values).map(drop)
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            match ask {
                Ask::Batches(context) => self.batches(statement, values, context).await.map(Answer::Batches),
                Ask::LookUp | Ask::WireRows(_) => Ok(Answer::Declined(DeclineReason::Unsupported)),
            }
        })
    }

    async fn health(&self) -> Result<()> {
        let mut lease = self.lease().await?;
        let answer =
            sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1").fetch_optional(&mut lease.reader.connection).await;
        lease.release(answer.is_ok()).await;
        answer.map(drop).map_err(|error| from_sqlx(&error))
    }

    fn pool(&self) -> Option<PoolStatus> {
        Some(self.readers.status())
    }

    fn schema_notice(&self) -> Option<&SchemaNotice> {
        Some(&self.notice)
    }

    fn index_advice(&self) -> Option<&dyn IndexAdvice> {
        Some(self)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.writers.is_some().then_some(self)
    }
}

/// Scans in a relation, subqueries included.
fn scans(relation: &Relation) -> usize {
    let own = usize::from(matches!(relation, Relation::Scan { .. }));
    let inputs: usize = relation.inputs().into_iter().map(scans).sum();
    let scalars: usize = relation.scalars().into_iter().map(scans_of_scalar).sum();
    own + inputs + scalars
}

fn scans_of_scalar(expr: &ScalarExpr) -> usize {
    let children: usize = expr.children().into_iter().map(scans_of_scalar).sum();
    children + expr.subquery().map_or(0, scans)
}
