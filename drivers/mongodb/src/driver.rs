//! The source: one database of a MongoDB deployment, read through a bounded set of connections by commands that cannot write, changed through another.

use crate::compile::capabilities::MongoCapabilities;
use crate::connect::options::MongoOptions;
use crate::connect::pool::{Lease, Pool};
use crate::documents::bind::{self, Command};
use crate::documents::decode::Decoder;
use crate::documents::fetch::{KnownFields, Question};
use crate::documents::introspect;
use crate::documents::kinds::Kinds;
use crate::execute::Asked;
use async_trait::async_trait;
use futures::future::BoxFuture;
use mongodb::bson::doc;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::capability::{Capabilities, Refusal};
use querygate_driver_api::driver::{Driver, SchemaNotice};
use querygate_driver_api::execution::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::pool::PoolStatus;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{LookedFor, RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::Writer;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Longest wait for a sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// A MongoDB database as a source. Connects to nothing before it is asked something.
#[derive(Debug)]
pub struct MongoDriver {
    pool: Arc<Pool>,
    /// Connections of the user that may change documents. None: it is only read.
    writing: Option<Arc<Pool>>,
    is_distributed: bool,
    answer_timeout: Duration,
    capabilities: MongoCapabilities,
    known: KnownFields,
    notice: SchemaNotice,
}

impl MongoDriver {
    /// A driver for a deployment that need not be there yet.
    #[must_use]
    pub fn new(options: &MongoOptions) -> Self {
        let database: Arc<str> = options.database.as_str().into();
        let (pool, answer_timeout) = (Pool::new(options), options.answer_timeout);
        let (capabilities, known) = (MongoCapabilities { database }, KnownFields::default());
        let writing = options.of_writer().map(|writer| Pool::new(&writer));
        let (is_distributed, notice) = (options.distributed, SchemaNotice::default());
        Self { pool, writing, is_distributed, answer_timeout, capabilities, known, notice }
    }

    /// An answer about the catalog. A deployment that accepts connections and never answers must not hold up a start or a reload.
    async fn answered<T>(&self, question: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.answer_timeout, question).await {
            Ok(answer) => answer,
            Err(_) => {
                let silent = crate::error::unreachable("source does not answer");
                self.pool.note_answer(Some(&silent));
                Err(silent)
            }
        }
    }

    /// The server's version, what its clock shows, and whether the login may do anything there.
    ///
    /// # Errors
    /// The source's.
    pub async fn vitals(&self) -> Result<(String, SystemTime, bool)> {
        let lease = self.lease().await?;
        self.answered(introspect::vitals(&lease)).await
    }

    pub(crate) async fn lease(&self) -> Result<Lease> {
        self.pool.lease(None, &CancellationToken::new()).await
    }

    pub(crate) const fn connections(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) const fn writing(&self) -> Option<&Arc<Pool>> {
        self.writing.as_ref()
    }

    /// Whether its transactions may leave markers.
    pub(crate) const fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    pub(crate) fn database(&self) -> &str {
        &self.capabilities.database
    }

    /// The collection of a table that is one of this database.
    pub(crate) fn owned<'a>(&self, table: &'a TableRef) -> Result<&'a str, Refusal> {
        self.capabilities.collection(table)
    }

    pub(crate) fn collection<'a>(&self, table: &'a TableRef) -> Result<&'a str> {
        let unknown = |_| Error::new(ErrorCode::UndefinedTable, "collection does not exist in the source");
        self.capabilities.collection(table).map_err(unknown)
    }

    async fn batches(
        &self,
        statement: &Arc<NativeStatement>,
        values: &[Value],
        context: ExecuteContext,
    ) -> Result<BatchStream> {
        check_setting(self, context.setting)?;
        Fragment::check_values(&statement.parameters, values)?;
        let command = bind::command(statement, values).map_err(|refusal| {
            Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
        })?;
        let Command { collection, stages, stored, locks } = command;
        if locks {
            return Err(Error::internal("rows are locked in a transaction only"));
        }
        let question = Question::new(&collection, stages, stored.as_ref(), &self.known);
        let decoder = Decoder::new(statement, stored.as_ref(), context.batch_rows)?;
        crate::execute::execute(&self.pool, Asked { collection, question, decoder }, context).await
    }
}

#[async_trait]
impl Driver for MongoDriver {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.capabilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        let lease = self.lease().await?;
        self.answered(introspect::tables(&lease, &self.capabilities.database)).await
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let collection = self.collection(table)?;
        let lease = self.lease().await?;
        let described = introspect::describe(&lease, &self.capabilities.database, collection);
        let (table, complete) = self.answered(described).await?;
        let fields = || table.columns.iter().map(|column| column.name.as_str().to_owned()).collect();
        self.known.note(collection, complete.then(fields));
        Ok(table)
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        Kinds::parse(&column.native_type).read_as(wanted)
    }

    fn read_or_null(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        let mixed = |refusal| Kinds::read_whatever(wanted).ok_or(refusal);
        self.read_as(column, wanted).or_else(mixed).map(Encoding::or_null)
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let (lease, collection) = (self.lease().await?, self.collection(table)?);
        self.answered(introspect::statistics(&lease, collection)).await
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.capabilities.rendered(fragment).map(Arc::new)
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<(), Refusal> {
        bind::command(statement, values).map(drop)
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
        let lease = self.lease().await?;
        let answer = tokio::time::timeout(HEALTH_TIMEOUT, lease.command(doc! { "ping": 1 })).await;
        let silent = || Err(crate::error::unreachable("source does not answer"));
        let answer = answer.unwrap_or_else(|_| silent());
        lease.note_answer(answer.as_ref().err());
        // A connection that broke a moment ago is the same to who asks for health.
        answer.map(drop).map_err(|error| match error.code() {
            ErrorCode::SourceLost => crate::error::unreachable("source cannot be reached").with_cause(error),
            _ => error,
        })
    }

    fn schema_notice(&self) -> Option<&SchemaNotice> {
        Some(&self.notice)
    }

    fn samples(&self) -> bool {
        true
    }

    async fn look_for(&self, table: &TableRef, names: &[String]) -> Result<LookedFor> {
        let (lease, collection) = (self.lease().await?, self.collection(table)?);
        self.answered(introspect::look_for(&lease, collection, names)).await
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.writing.is_some().then_some(self)
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
}
