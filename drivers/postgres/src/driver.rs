//! The PostgreSQL source: a database read through a bounded set of connections that cannot write, and changed through another.

use crate::compile::capabilities::PostgresCapabilities;
use crate::compile::dialect::PostgresDialect;
use crate::compile::planner;
use crate::connect::connection::{Connection, Connector};
use crate::connect::options::PostgresOptions;
use crate::connect::passthrough::Copying;
use crate::connect::pool::Pool;
use crate::connect::shared_pool;
use crate::error::{from_postgres, unavailable};
use crate::introspect::{self, NumericSample};
use crate::run::bulk::{self, Asked};
use crate::run::execute::execute;
use crate::run::snapshot;
use crate::run::table_reads::TableReads;
use crate::wire::bind::Parameters;
use crate::wire::declared;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::capability::{Capabilities, Refusal};
use querygate_driver_api::driver::{Driver, SchemaNotice};
use querygate_driver_api::execution::{
    Answer, Ask, BatchStream, BindingForm, DeclineReason, ExecuteContext, NativeStatement, SnapshotAnswer,
};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::pool::PoolStatus;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::Writer;
use querygate_types::{Error, ErrorCode, PlannerSetting, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Longest time for an answer about the catalog.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A PostgreSQL database as a source. Connects to nothing before it is asked something.
#[derive(Debug)]
pub struct PostgresDriver {
    pool: Arc<Pool>,
    /// Connections of the user that may change rows. None: it is only read.
    writing: Option<Arc<Pool>>,
    is_distributed: bool,
    capabilities: PostgresCapabilities,
    table_reads: TableReads,
    bulk_bytes: u64,
    notice: SchemaNotice,
    /// Opens connections that may change indexes.
    advisor: Connector,
}

impl PostgresDriver {
    /// A driver for one database, whose server need not run yet.
    ///
    /// # Errors
    /// F0000 for a file of certificates that cannot be used.
    pub fn new(options: &PostgresOptions) -> Result<Self> {
        let advisor = Connector::new(&options.of_advisor())?;
        Ok(Self {
            pool: Pool::new(options)?,
            writing: options.of_writer().map(|writer| Pool::new(&writer)).transpose()?,
            is_distributed: options.distributed,
            capabilities: PostgresCapabilities,
            table_reads: TableReads::new(options.bulk_rows),
            bulk_bytes: options.bulk_bytes,
            notice: SchemaNotice::default(),
            advisor,
        })
    }

    pub(crate) fn connections(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn writing(&self) -> Option<&Arc<Pool>> {
        self.writing.as_ref()
    }

    /// Whether its transactions may be prepared.
    pub(crate) const fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    pub(crate) fn advisor(&self) -> &Connector {
        &self.advisor
    }

    /// Labels of every enum type in their order, by the type's name as columns show it.
    ///
    /// # Errors
    /// The source's.
    pub async fn enums(&self) -> Result<BTreeMap<String, Vec<String>>> {
        self.ask(|source, connection| introspect::enums(source, connection).boxed()).await
    }

    /// The server's version, what its clock shows, and whether the login may do anything there.
    ///
    /// # Errors
    /// The source's.
    pub async fn vitals(&self) -> Result<(String, SystemTime, bool)> {
        self.ask(|source, connection| introspect::vitals(source, connection).boxed()).await
    }

    /// The domains of columns, by schema, table and column.
    ///
    /// # Errors
    /// The source's.
    pub async fn domains(&self) -> Result<BTreeMap<[String; 3], String>> {
        self.ask(|source, connection| introspect::domains(source, connection).boxed()).await
    }

    /// What the numerics without a precision hold in each table's first rows, by schema, table and column.
    ///
    /// # Errors
    /// The source's.
    pub async fn unbounded_numerics(&self) -> Result<BTreeMap<[String; 3], NumericSample>> {
        self.ask(|source, connection| introspect::unbounded_numerics(source, connection).boxed()).await
    }

    async fn batches(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        let parameters = parameters(statement, values)?;
        if context.setting.is_some() {
            return execute(&self.pool, Arc::clone(statement), parameters, context, None).await;
        }
        if let Some(pages) = context.share.as_ref().and_then(|share| share.pages) {
            // It was divided by pages because it reads a table whole. So many others may have come since that it is forgotten.
            let whole = self.table_reads.of(statement, 0).and_then(|read| Asked::whole(&read, statement));
            let whole = whole.ok_or_else(|| snapshot::gone(self.pool.source()))?;
            return bulk::execute_pages(&self.pool, statement, whole, pages, &context).await;
        }
        let read = self.table_reads.of(statement, self.bulk_bytes);
        if let Some(read) = read.as_ref().filter(|_| context.share.is_none())
            && let Some(asked) = Asked::of(read, statement, &parameters)
            && let Some(batches) = bulk::execute(&self.pool, statement, asked, &context).await?
        {
            return Ok(batches);
        }
        execute(&self.pool, Arc::clone(statement), parameters, context, read).await
    }

    /// Asks a short question; a second time if the connection had been lost behind our back.
    pub(crate) async fn ask<T>(
        &self,
        question: impl for<'a> Fn(&'a str, &'a Connection) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let mut again = true;
        loop {
            let lease = self.pool.lease(None, &CancellationToken::new()).await?;
            let answer = tokio::time::timeout(ANSWER_MAX, question(self.pool.source(), &lease.connection)).await;
            match answer {
                Err(_) => return Err(unavailable(self.pool.source(), "does not answer")),
                Ok(Err(error)) if again && error.code() == ErrorCode::SourceLost => again = false,
                Ok(answer) => {
                    lease.give_back();
                    return answer;
                }
            }
        }
    }
}

/// # Errors
/// 0A000: the values cannot be bound.
fn parameters(statement: &NativeStatement, values: &[Value]) -> Result<Parameters> {
    Fragment::check_values(&statement.parameters, values)?;
    Parameters::of(statement, values).map_err(|refusal| {
        Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
    })
}

/// The values of a look-up, or why there is none with them: what else is wrong with them is said where the statement is run.
///
/// # Errors
/// XX000: they are not of the statement's types.
fn looked_up_values(
    statement: &NativeStatement,
    values: &[Value],
) -> Result<std::result::Result<Parameters, DeclineReason>> {
    Fragment::check_values(&statement.parameters, values)?;
    if statement.bindings.iter().any(|binding| matches!(binding.form, BindingForm::List(_))) {
        return Ok(Err(DeclineReason::ValueList));
    }
    Ok(Parameters::of(statement, values).map_err(|_| DeclineReason::Values))
}

#[async_trait]
impl Driver for PostgresDriver {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.capabilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        self.ask(|source, connection| introspect::tables(source, connection).boxed()).await
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let table = table.clone();
        self.ask(move |source, connection| {
            let table = table.clone();
            async move { introspect::describe(source, connection, &table).await }.boxed()
        })
        .await
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        declared::read_as(&column.native_type, wanted)
    }

    fn read_or_null(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        declared::read_or_null(&column.native_type, wanted)
    }

    fn reads_surely(&self, value_type: ValueType) -> bool {
        declared::reads_surely(value_type)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let asked = table.clone();
        let statistics = self
            .ask(move |source, connection| {
                let table = asked.clone();
                async move { introspect::statistics(source, connection, &table).await }.boxed()
            })
            .await?;
        self.table_reads.measured(table, &statistics);
        Ok(statistics)
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        let types = self.capabilities.supports_fragment(fragment)?;
        let statement = querygate_sql::print(fragment, types, &PostgresDialect::new(&fragment.relation))?;
        self.table_reads.rendered(&fragment.relation, &statement);
        Ok(Arc::new(statement))
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal> {
        Parameters::of(statement, values).map(drop)
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        match ask {
            Ask::Batches(context) => {
                Box::pin(async move { self.batches(statement, values, context).await.map(Answer::Batches) })
            }
            Ask::LookUp => Box::pin(async move {
                match looked_up_values(statement, values)? {
                    Ok(parameters) => shared_pool::look_up(&self.pool, statement, &parameters).await,
                    Err(reason) => Ok(Answer::Declined(reason)),
                }
            }),
            Ask::WireRows(wanted) => Box::pin(async move {
                match looked_up_values(statement, values)? {
                    Ok(parameters) => {
                        let copying = Copying { statement, wanted };
                        shared_pool::look_up_wire_rows(&self.pool, &parameters, copying).await
                    }
                    Err(reason) => Ok(Answer::Declined(reason)),
                }
            }),
        }
    }

    fn planner_settings(&self) -> &'static [PlannerSetting] {
        planner::SETTINGS
    }

    fn looks_up(&self) -> bool {
        true
    }

    async fn keep(&self, statement: &NativeStatement) -> Result<SnapshotAnswer> {
        let read = self.table_reads.of(statement, self.bulk_bytes);
        snapshot::keep(&self.pool, read.and_then(|read| read.paged_whole(statement))).await
    }

    async fn health(&self) -> Result<()> {
        self.ask(|source, connection| {
            async move { connection.client.check_connection().await.map_err(|error| from_postgres(source, &error)) }
                .boxed()
        })
        .await?;
        self.pool.answered();
        Ok(())
    }

    fn pool(&self) -> Option<PoolStatus> {
        Some(self.pool.status())
    }

    fn away(&self) -> Option<Error> {
        self.pool.away()
    }

    fn schema_notice(&self) -> Option<&SchemaNotice> {
        Some(&self.notice)
    }

    fn index_advice(&self) -> Option<&dyn IndexAdvice> {
        Some(self)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.writing.is_some().then_some(self)
    }
}
