//! The raw provider of a driver's table. What it can translate exactly goes down with projection and limit; it says so
//! per conjunct, and everything else stays with the governed leaf around it.

use super::counters::Counters;
use super::exec::{CompiledFragment, FragmentExec};
use super::floors::NumberFloors;
use super::open::OpenParameters;
use super::statistics::TableStats;
use super::worth::Expected;
use crate::arguments::Arguments;
use crate::metrics::FragmentFacts;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, Result, Statistics, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use querygate_driver_api::boxed_scan;
use querygate_driver_api::capability::Capabilities;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::remote::RemoteTable;
use querygate_driver_api::value::Value;
use querygate_rules::opener::{LeafColumn, LeafOpener, LocalReason, OpenedLeaf, RemoteColumn};
use querygate_rules::{NotPushed, Translation, translate};
use querygate_types::{Error, ErrorCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A column of a driver's table under the field name that statements use.
#[derive(Debug, Clone)]
pub struct RemoteField {
    pub field: String,
    pub column: RemoteColumn,
}

/// A column that the source no longer has as it was: it is there, and what reads it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostField {
    pub field: String,
    /// As it was served, or as metadata declares it.
    pub data_type: DataType,
    /// What became of it, in the words of types only: `was integer and is text`.
    pub change: String,
    /// Whether it was another one before; otherwise it never was what metadata declares.
    pub has_changed: bool,
}

/// A table of a driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DriverTable {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    driver: Arc<dyn Driver>,
    source: Arc<str>,
    table: TableRef,
    fields: Vec<RemoteField>,
    /// Behind the fields in the schema.
    lost: Vec<LostField>,
    /// Fields that are served as texts, though metadata declares something else.
    widened: Vec<LostField>,
    key: Option<Vec<usize>>,
    /// Whether the source gives a new row its key where a statement does not.
    gives_key: bool,
    schema: SchemaRef,
    stats: TableStats,
    described: Mutex<Option<(Instant, Arc<RemoteTable>)>>,
    counters: Counters,
    floors: Arc<NumberFloors>,
}

/// How long changes trust what the source said of a table's columns and keys. A column that changed in this time is noticed when the
/// change is applied: the source refuses it, or gives back other values than were stored.
const DESCRIBED_FOR: Duration = Duration::from_secs(5);

impl DriverTable {
    /// `key`: indexes of fields that together are unique and not null.
    #[must_use]
    pub fn new(
        driver: Arc<dyn Driver>,
        source: Arc<str>,
        table: TableRef,
        fields: Vec<RemoteField>,
        key: Option<Vec<usize>>,
    ) -> Self {
        Self::without(driver, source, table, fields, Vec::new(), Vec::new(), key)
    }

    /// As [`DriverTable::new`], with columns that cannot be read any more, and with what became of those that are served as
    /// texts instead: no policy may compare them.
    #[must_use]
    pub fn without(
        driver: Arc<dyn Driver>,
        source: Arc<str>,
        table: TableRef,
        fields: Vec<RemoteField>,
        lost: Vec<LostField>,
        widened: Vec<LostField>,
        key: Option<Vec<usize>>,
    ) -> Self {
        let served = fields.iter().map(|f| Field::new(&f.field, f.column.value_type.to_arrow(), f.column.nullable));
        let refused = lost.iter().map(|lost| Field::new(&lost.field, lost.data_type.clone(), true));
        let schema = Arc::new(Schema::new(served.chain(refused).collect::<Vec<_>>()));
        let stats = TableStats::default();
        let described = Mutex::new(None);
        Self {
            parts: Arc::new(Parts {
                driver,
                source,
                table,
                fields,
                lost,
                widened,
                key,
                gives_key: false,
                schema,
                stats,
                described,
                counters: Counters::default(),
                floors: Arc::default(),
            }),
        }
    }

    /// Columns and keys as the source has them, asked for again after some seconds.
    ///
    /// # Errors
    /// The source's.
    pub(crate) async fn described(&self) -> querygate_types::Result<Arc<RemoteTable>> {
        let known = || self.parts.described.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, described)) = known().as_ref()
            && since.elapsed() < DESCRIBED_FOR
        {
            return Ok(Arc::clone(described));
        }
        let described = Arc::new(self.parts.driver.describe(&self.parts.table).await?);
        *known() = Some((Instant::now(), Arc::clone(&described)));
        Ok(described)
    }

    /// The ends of its autonumbers' counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.parts.counters
    }

    /// The highest autonumbers of rows that are gone.
    pub(crate) fn floors(&self) -> &NumberFloors {
        &self.parts.floors
    }

    /// With what is known of autonumbers of rows that are gone, also from before a reload.
    #[must_use]
    pub fn numbered(mut self, floors: Arc<NumberFloors>) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.parts) {
            parts.floors = floors;
        }
        self
    }

    /// Whether the source gives a new row its key where a statement does not.
    #[must_use]
    pub fn giving_key(mut self, gives_key: bool) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.parts) {
            parts.gives_key = gives_key;
        }
        self
    }

    /// With the names of types that the object declares, where a source's own type does not say them: a text may be JSON.
    #[must_use]
    pub fn declared(mut self, object: &Schema) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.parts) {
            let named = |field: &Arc<Field>| match object.field_with_name(field.name()) {
                Ok(own) if own.data_type() == field.data_type() => {
                    field.as_ref().clone().with_metadata(own.metadata().clone())
                }
                Ok(_) | Err(_) => field.as_ref().clone(),
            };
            let fields: Vec<Field> = parts.schema.fields().iter().map(named).collect();
            parts.schema = Arc::new(Schema::new(fields));
        }
        self
    }

    /// Asks the source how large the table is, for later statements.
    ///
    /// # Errors
    /// The source's; what was known stays.
    pub async fn measure(&self) -> querygate_types::Result<()> {
        let found = self.parts.driver.statistics(&self.parts.table).await?;
        let names = self.parts.fields.iter().map(|field| Some(field.column.name.as_str()));
        let lost = self.parts.lost.iter().map(|_| None);
        self.parts.stats.keep(&found, &self.parts.schema, names.chain(lost));
        Ok(())
    }

    #[must_use]
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.parts.driver
    }

    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.parts.source
    }

    #[must_use]
    pub fn table(&self) -> &TableRef {
        &self.parts.table
    }

    pub(crate) fn fields(&self) -> &[RemoteField] {
        &self.parts.fields
    }

    #[must_use]
    pub fn key(&self) -> Option<&Vec<usize>> {
        self.parts.key.as_ref()
    }

    pub(crate) fn gives_key(&self) -> bool {
        self.parts.gives_key
    }

    /// The names that the key's columns have in the source.
    pub(crate) fn key_names(&self) -> Option<Vec<&str>> {
        let name = |at: &usize| self.parts.fields.get(*at).map(|field| field.column.name.as_str());
        self.parts.key.as_ref()?.iter().map(name).collect()
    }

    /// The remote column of a field.
    #[must_use]
    pub fn column(&self, field: &str) -> Option<&RemoteColumn> {
        self.parts.fields.iter().find(|f| f.field == field).map(|f| &f.column)
    }

    /// Whether nothing that these columns can hold fails to be read.
    #[must_use]
    pub fn reads_surely(&self, mut indices: impl Iterator<Item = usize>) -> bool {
        let column = |index: usize| self.parts.fields.get(index).map(|field| field.column.value_type);
        indices.all(|index| column(index).is_some_and(|value_type| self.parts.driver.reads_surely(value_type)))
    }

    /// The lost column at this place of the schema.
    #[must_use]
    pub fn lost(&self, index: usize) -> Option<&LostField> {
        index.checked_sub(self.parts.fields.len()).and_then(|at| self.parts.lost.get(at))
    }

    /// What became of a field that is served as text, though metadata declares something else. Its values do not compare as
    /// the policy's author meant (`'10' < '9'`), so nothing that reads it decides about rows.
    #[must_use]
    pub fn widened(&self, field: &str) -> Option<&LostField> {
        self.parts.widened.iter().find(|widened| widened.field == field)
    }

    /// Whether this field is a lost column.
    #[must_use]
    pub fn is_lost(&self, field: &str) -> bool {
        self.parts.lost.iter().any(|lost| lost.field == field)
    }

    /// The refusal of a statement that needs lost columns. `has_changed`: whether one of them was ever as declared. `changes`:
    /// what the reader may know of each. Asking for it has the source looked at again.
    #[must_use]
    pub fn refusal(&self, has_changed: bool, changes: &[String]) -> Error {
        if let Some(notice) = self.parts.driver.schema_notice() {
            notice.give();
        }
        let source = &self.parts.source;
        let error = if has_changed {
            let message = format!("source \"{source}\" no longer has what the statement needs as it was");
            Error::new(ErrorCode::SourceSchemaChanged, message)
                .with_hint("Ask an operator: querygate.schema_changes says what changed and what is done about it.")
        } else {
            let message =
                format!("source \"{source}\" does not have what the statement needs as the metadata declares it");
            Error::new(ErrorCode::SourceSchemaChanged, message).with_hint(
                "Ask an operator: querygate.schema_changes says which columns are of another type than their fields.",
            )
        };
        if changes.is_empty() { error } else { error.with_detail(changes.join("; ")) }
    }

    /// The leaf without policy, for translating the governed leaf's own conjuncts.
    fn open(&self) -> OpenedLeaf {
        OpenedLeaf {
            source: Arc::clone(&self.parts.source),
            table: self.parts.table.clone(),
            columns: self.leaf_columns(),
            key: self.parts.key.clone(),
            policy: None,
            restricted: false,
        }
    }

    fn leaf_columns(&self) -> Vec<LeafColumn> {
        let served = self.parts.fields.iter().map(|field| LeafColumn::Remote(field.column.clone()));
        let lost = self.parts.lost.iter().map(|_| LeafColumn::Local(LocalReason::Changed));
        served.chain(lost).collect()
    }

    /// Whether the source can be given the values with equal results.
    fn takes(&self, translation: &Translation, statement: &NativeStatement) -> bool {
        translation.values(&[]).is_ok_and(|values| self.parts.driver.accepts(statement, &values).is_ok())
    }

    fn translate(
        &self,
        projection: Option<&[usize]>,
        filters: &[Expr],
        limit: Option<usize>,
        context: &SimplifyContext,
    ) -> Result<std::result::Result<(Translation, Arc<NativeStatement>), NotPushed>> {
        let mut plan = LogicalPlanBuilder::scan("t", provider_as_source(Arc::new(self.clone())), None)?;
        // One node for all: the depth of what is translated has a bound.
        if let Some(all) = conjunction(filters.iter().cloned()) {
            plan = plan.filter(all)?;
        }
        if let Some(indices) = projection {
            let schema = &self.parts.schema;
            plan =
                plan.project(indices.iter().map(|i| Expr::Column(Column::new(Some("t"), schema.field(*i).name()))))?;
        }
        if limit.is_some() {
            plan = plan.limit(0, limit)?;
        }
        let translation = match translate(&plan.build()?, &RawOpener(self), context) {
            Ok(translation) => translation,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(match self.parts.driver.render(&translation.fragment) {
            Ok(native) => Ok((translation, native)),
            Err(refusal) => Err(refusal.into()),
        })
    }
}

struct RawOpener<'a>(&'a DriverTable);

impl LeafOpener for RawOpener<'_> {
    fn open(&self, _scan: &TableScan) -> std::result::Result<OpenedLeaf, NotPushed> {
        Ok(self.0.open())
    }

    fn capabilities(&self, _source: &str) -> Option<&dyn Capabilities> {
        Some(self.0.parts.driver.capabilities())
    }
}

impl DriverTable {
    fn scanned<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let all: Vec<usize> = (0..self.parts.schema.fields().len()).collect();
            let wanted: &[usize] = projection.map_or(&all, Vec::as_slice);
            // A statement has at least one column; a count needs none of it. A lost one is the first only if there is no other.
            let read: &[usize] = if wanted.is_empty() { all.get(..1).unwrap_or_default() } else { wanted };
            let mut lost = read.iter().filter_map(|index| self.lost(*index)).peekable();
            if lost.peek().is_some() {
                let has_changed = lost.any(|lost| lost.has_changed);
                return Err(DataFusionError::External(Box::new(self.refusal(has_changed, &[]))));
            }
            let translated = |limit| self.translate(Some(read), filters, limit, &SimplifyContext::default());
            // The limit is a hint, which not every source can follow: rows are counted above the scan.
            let translated = match translated(limit)? {
                Err(_) if limit.is_some() => translated(None)?,
                translated => translated,
            };
            let (translation, statement) = match translated {
                Ok(done) => done,
                Err(refusal) => return internal_err!("a scan that was promised cannot be translated: {refusal}"),
            };
            let (values, open) = values_of(&translation, state.config().get_extension::<Arguments>())?;
            if let Err(refusal) = self.parts.driver.accepts(&statement, &values) {
                return internal_err!("the source refuses the values of a scan: {}", refusal.text);
            }
            let schema = Arc::new(self.parts.schema.project(wanted)?);
            let columns =
                wanted.iter().enumerate().map(|(i, _)| (i, translation.casts.get(i).cloned().flatten())).collect();
            Ok(Arc::new(FragmentExec::new(CompiledFragment {
                driver: Arc::clone(&self.parts.driver),
                source: Arc::clone(&self.parts.source),
                fragment: Arc::new(translation.fragment),
                statement,
                values: values.into(),
                columns,
                schema,
                known: Arc::new(FragmentFacts::new(translation.size.rows, Vec::new())),
                expected: Arc::new(Expected::of(&translation.size)),
                part: false,
                share: None,
                setting: None,
                by_key: false,
                names_columns: false,
                reads: Arc::default(),
                open,
            })) as Arc<dyn ExecutionPlan>)
        })
    }
}

impl TableProvider for DriverTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.parts.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The statistics that the source gave last.
    fn statistics(&self) -> Option<Statistics> {
        self.parts.stats.last()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let context = SimplifyContext::default();
        let judge = |filter: &&Expr| {
            let tried = self.translate(None, std::slice::from_ref(*filter), None, &context);
            Ok(match tried {
                Ok(Ok((translation, statement))) if self.takes(&translation, &statement) => {
                    TableProviderFilterPushDown::Exact
                }
                Ok(Ok(_) | Err(_)) | Err(_) => TableProviderFilterPushDown::Unsupported,
            })
        };
        filters.iter().map(judge).collect()
    }

    boxed_scan!(scanned);
}

/// The values of a scan, and where they come from if other values are to take their place.
fn values_of(
    translation: &Translation,
    arguments: Option<Arc<Arguments>>,
) -> Result<(Vec<Value>, Option<Arc<OpenParameters>>)> {
    let Some(arguments) = arguments else {
        return Ok((translation.values(&[]).map_err(|e| DataFusionError::External(Box::new(e)))?, None));
    };
    let open = OpenParameters::of(translation);
    match open.values(&translation.fragment.parameters, &arguments) {
        Some(values) => Ok((values, Some(Arc::new(open)))),
        None => internal_err!("a scan is planned with values of other types"),
    }
}
