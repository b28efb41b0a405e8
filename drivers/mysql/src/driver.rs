//! The source: one schema of a MariaDB or MySQL server, read through a bounded set of connections that cannot write, changed through another.

use crate::compile::capabilities::MysqlCapabilities;
use crate::compile::columns::Learned;
use crate::compile::planner;
use crate::connect::options::MysqlOptions;
use crate::connect::pool::{Lease, Pool};
use crate::connect::session::{Flavor, Session};
use crate::introspect;
use crate::wire::bind;
use crate::wire::declared::{self, Declared};
use async_trait::async_trait;
use futures::future::BoxFuture;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::capability::{Capabilities, Refusal};
use querygate_driver_api::driver::{Driver, SchemaNotice};
use querygate_driver_api::execution::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::pool::PoolStatus;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::Writer;
use querygate_types::{Error, ErrorCode, PlannerSetting, Result};
use sqlx::mysql::MySqlArguments;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// A MariaDB or MySQL schema as a source. Connects to nothing before it is asked something.
#[derive(Debug)]
pub struct MysqlDriver {
    schema: Arc<str>,
    pool: Arc<Pool>,
    /// Connections of the user that may change rows. None: it is only read.
    writing: Option<Arc<Pool>>,
    answer_timeout: Duration,
    is_distributed: bool,
    capabilities: MysqlCapabilities,
    /// Declared types, as `describe` saw them last.
    learned: Arc<RwLock<Learned>>,
    notice: SchemaNotice,
}

impl MysqlDriver {
    /// A driver for a server that need not be there yet.
    #[must_use]
    pub fn new(options: &MysqlOptions) -> Self {
        let schema: Arc<str> = options.database.as_str().into();
        let pool = Pool::new(options);
        let learned = Arc::<RwLock<Learned>>::default();
        let capabilities =
            MysqlCapabilities { pool: Arc::clone(&pool), learned: Arc::clone(&learned), schema: Arc::clone(&schema) };
        let (answer_timeout, notice) = (options.answer_timeout, SchemaNotice::default());
        let writing = options.of_writer().map(|writer| Pool::new(&writer));
        let is_distributed = options.distributed;
        Self { schema, pool, writing, is_distributed, answer_timeout, capabilities, learned, notice }
    }

    /// An answer about the catalog. A server that accepts connections and never answers must not hold up a start or a reload.
    async fn answered<T>(&self, question: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = tokio::time::timeout(self.answer_timeout, question).await;
        answer.unwrap_or_else(|_| Err(crate::error::unreachable("source does not answer")))
    }

    /// Columns that are declared as truth values (`tinyint(1)`) and hold other numbers, by table and column.
    ///
    /// # Errors
    /// The source's.
    pub async fn loose_truths(&self) -> Result<BTreeSet<[String; 2]>> {
        let mut lease = self.lease().await?;
        let found = self.answered(introspect::loose_truths(&mut lease.session.connection, &self.schema)).await;
        lease.release(found.is_ok());
        found
    }

    /// The server's version, what its clock shows, and whether the login may do anything there.
    ///
    /// # Errors
    /// The source's.
    pub async fn vitals(&self) -> Result<(String, SystemTime, bool)> {
        let mut lease = self.lease().await?;
        let vitals = self.answered(introspect::vitals(&mut lease.session.connection)).await;
        lease.release(vitals.is_ok());
        vitals
    }

    pub(crate) async fn lease(&self) -> Result<Lease> {
        self.pool.lease(None, &CancellationToken::new()).await
    }

    /// A connection outside of the pool, which nobody else gets.
    pub(crate) async fn apart(&self) -> Result<Session> {
        self.pool.open().await
    }

    pub(crate) fn writing(&self) -> Option<&Arc<Pool>> {
        self.writing.as_ref()
    }

    /// Whether its transactions may be prepared.
    pub(crate) const fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    /// What prints its reads.
    pub(crate) fn rendering(&self) -> MysqlCapabilities {
        self.capabilities.clone()
    }

    /// Whose server it is, once it has answered.
    pub(crate) fn flavor(&self) -> Option<Flavor> {
        self.pool.flavor()
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    async fn batches(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        let arguments = arguments(statement, values)?;
        crate::execute::execute(&self.pool, Arc::clone(statement), arguments, context).await
    }
}

/// # Errors
/// 0A000: the values cannot be bound.
fn arguments(statement: &NativeStatement, values: &[Value]) -> Result<MySqlArguments> {
    Fragment::check_values(&statement.parameters, values)?;
    bind::arguments(statement, values).map_err(|refusal| {
        Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
    })
}

#[async_trait]
impl Driver for MysqlDriver {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.capabilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        let mut lease = self.lease().await?;
        let tables = self.answered(introspect::tables(&mut lease.session.connection, &self.schema)).await;
        lease.release(tables.is_ok());
        tables
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let mut lease = self.lease().await?;
        let described = self.answered(introspect::describe(&mut lease.session.connection, &self.schema, table)).await;
        let undefined = described.as_ref().is_err_and(|error| error.code() == ErrorCode::UndefinedTable);
        lease.release(described.is_ok() || undefined);
        let described = described?;
        let schema = table.schema().unwrap_or(&self.schema);
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        learned.insert(schema, table.name(), described.declared);
        Ok(described.remote)
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        declared::read_as(Declared::parse(&column.native_type, None).native, wanted)
    }

    fn read_or_null(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        declared::read_or_null(Declared::parse(&column.native_type, None).native, wanted)
    }

    fn reads_surely(&self, value_type: ValueType) -> bool {
        declared::reads_surely(value_type)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let mut lease = self.lease().await?;
        let statistics =
            self.answered(introspect::statistics(&mut lease.session.connection, &self.schema, table)).await;
        lease.release(statistics.is_ok());
        statistics
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.capabilities.rendered(fragment).map(Arc::new)
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

    fn planner_settings(&self) -> &'static [PlannerSetting] {
        planner::settings(self.pool.flavor())
    }

    async fn health(&self) -> Result<()> {
        let mut lease = self.lease().await?;
        let answers = lease.session.answers(Duration::from_secs(5)).await;
        lease.release(answers);
        if !answers {
            return Err(crate::error::unreachable("source does not answer"));
        }
        self.pool.answered();
        Ok(())
    }

    fn index_advice(&self) -> Option<&dyn IndexAdvice> {
        Some(self)
    }

    fn pool(&self) -> Option<PoolStatus> {
        Some(self.pool.status())
    }

    fn away(&self) -> Option<Error> {
        self.pool.away()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.writing.is_some().then_some(self)
    }

    fn schema_notice(&self) -> Option<&SchemaNotice> {
        Some(&self.notice)
    }
}
