//! The shop's deployment and its readers: what a gate makes of metadata and sources, without a gate. Knows no expectation.

use crate::bind::reader_rights::ReaderRights;
use crate::bind::statement::{Bound, bind};
use crate::bind::workspace::{Workspace, build_workspace, session_config, with_config};
use crate::dialect::subqueries::apply::SubplanRunner;
use crate::errors::{Stage, translate};
use crate::plan::executable::{Executable, Subplans};
use crate::plan::planning::{PlanOptions, Planning};
use crate::rules::list::{Logical, Physical};
use crate::sql::classify::Classified;
use crate::sql::parse::parse;
use crate::testing::lines_of;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, collect};
use querygate_catalog::Rescan;
use querygate_catalog::deployment::{Deployment, SourceTable};
use querygate_catalog::object_schema;
use querygate_catalog::remote::{DriverTable, RemoteField};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::value::ValueType;
use querygate_memory::{MemoryConfig, MemorySource, load_ndjson};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{Facts, Snapshot, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_rules::opener::RemoteColumn;
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use querygate_types::Result;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Objects whose rows lie in SQLite; all others lie in memory.
const IN_SQLITE: [&str; 2] = ["shop_accounts", "shop_orders"];

/// The runtime of all tests: SQLite's connections live as long as it does.
fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_stack_size(8 << 20).enable_all().build().unwrap()
    });
    &RUNTIME
}

/// Runs work on a thread with the stack that nested plans need.
pub(crate) fn on_runtime<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    runtime().block_on(async { runtime().spawn(work).await.unwrap() })
}

/// The shop: metadata, rows, and the folder of its database.
#[derive(Debug)]
pub(crate) struct Shop {
    deployment: Arc<Deployment>,
    _folder: TempDir,
}

impl Shop {
    /// The one of all tests; nothing changes it.
    pub(crate) fn open() -> &'static Self {
        static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::made(false, false));
        &SHOP
    }

    /// As [`open`](Self::open), with `mask_in_predicates = "refuse"`.
    pub(crate) fn refusing_masks() -> &'static Self {
        static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::made(true, false));
        &SHOP
    }

    /// As [`open`](Self::open), with `hidden_columns = "denied"`.
    pub(crate) fn denying() -> &'static Self {
        static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::made(false, true));
        &SHOP
    }

    fn made(refuse_masked_predicates: bool, deny_hidden_columns: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("crm.db");
        let shop: Value = serde_json::from_str(include_str!("shop.json")).unwrap();
        let options = LoadOptions { posture: TenancyPosture::Single, ..LoadOptions::default() };
        let mut snapshot = load_text("stack.json", &shop["stack"].to_string(), &options).unwrap();
        snapshot.version = 1;
        let snapshot = Arc::new(snapshot);
        let rows = shop["rows"].as_object().unwrap();
        let tables: Vec<(String, RecordBatch)> =
            rows.iter().map(|(object, rows)| (object.clone(), batch(&snapshot, object, rows))).collect();
        let tables = on_runtime(async move { place(&tables, &path).await });
        let deployment = Deployment {
            version: 1,
            database: "shop".to_owned(),
            policies: Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new())),
            snapshot,
            facts: Arc::new(Facts::from_rows(std::iter::empty()).unwrap()),
            tables,
            views: Vec::new(),
            sources: Vec::new(),
            schema_events: Vec::new(),
            refuse_masked_predicates,
            deny_hidden_columns,
        };
        Self { deployment: Arc::new(deployment), _folder: folder }
    }

    /// Sees all rows and all columns.
    pub(crate) fn owner(&self) -> Reader {
        self.reader("olga", "shop_owner", 2)
    }

    /// Sees accounts that are no secret and visits with a score of two or more, addresses masked.
    pub(crate) fn clerk(&self) -> Reader {
        self.reader("carl", "shop_clerk", 2)
    }

    /// A reader whose plans have so many partitions.
    pub(crate) fn reader(&self, login: &str, permission_set: &str, target_partitions: usize) -> Reader {
        let principal = Arc::new(Principal::builder(login).permission_set(permission_set).build());
        let deployment = Arc::clone(&self.deployment);
        let workspace = on_runtime(async move {
            let config = session_config(target_partitions, 1 << 30);
            let rights = Arc::new(ReaderRights::evaluate(&deployment, &principal, 0));
            build_workspace(rights, |_| Vec::new(), Arc::default(), config, None).await.unwrap()
        });
        let state = Arc::clone(workspace.catalog.state());
        Reader { workspace, state }
    }
}

/// One principal's catalog, and the state that statements are planned with.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) state: Arc<SessionState>,
}

impl Reader {
    /// Binds the one query of a text.
    pub(crate) fn bind(&self, sql: &str) -> Result<Bound> {
        let parsed = parse(sql)?;
        let [only] = parsed.as_slice() else { panic!("one statement: {sql}") };
        let Classified::Query(query) = only.class() else { panic!("a query: {sql}") };
        let (workspace, state, query) = (Arc::clone(&self.workspace), Arc::clone(&self.state), query.clone());
        on_runtime(async move { bind(&workspace, &state, &query, &[]).await })
    }

    /// Plans it, verified, with nothing chosen among valid plans.
    pub(crate) fn plan(&self, sql: &str) -> Result<Executable> {
        let (bound, state) = (self.bind(sql)?, Arc::clone(&self.state));
        on_runtime(async move { Planning::of(&bound, &state, &[], PlanOptions::default())?.plan(&bound, &state).await })
    }

    /// Runs it.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<String>> {
        let physical = Arc::clone(self.plan(sql)?.physical());
        self.run(physical)
    }

    /// Its bound plan as the logical rules leave it, with nothing given to sources.
    pub(crate) fn optimized(&self, sql: &str) -> LogicalPlan {
        self.state.optimize(self.bind(sql).unwrap().plan()).unwrap()
    }

    /// Its plan with nothing given to sources, planned once: what the engine's rules break is an error here.
    pub(crate) fn planned_once(&self, sql: &str) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let (bound, state) = (self.bind(sql).unwrap(), Arc::clone(&self.state));
        on_runtime(async move { state.create_physical_plan(bound.plan()).await })
    }

    /// Runs a plan that is made.
    pub(crate) fn run(&self, physical: Arc<dyn ExecutionPlan>) -> Result<Vec<String>> {
        let base = Arc::clone(&self.state);
        let subplans = Subplans { state: Arc::clone(&base), token: self.workspace.catalog.token().clone() };
        let state = with_config(&base, |config| config.set_extension(Arc::new(SubplanRunner(Arc::new(subplans)))));
        let ran = on_runtime(async move { collect(physical, state.task_ctx()).await });
        ran.map(|batches| lines_of(&batches)).map_err(|error| translate(&error, Stage::Execute))
    }

    /// This reader without a rule: DataFusion's own of that name stands where ours is around it, and where it is ours
    /// alone there is none. Panics where neither list has it, so that no test goes on without what it is about.
    pub(crate) fn without(&self, rule: &str) -> Self {
        let own_logical: HashMap<String, Logical> =
            Optimizer::new().rules.into_iter().map(|own| (own.name().to_owned(), own)).collect();
        let own_physical: Vec<Physical> = PhysicalOptimizer::new().rules;
        let logical = &self.state.optimizer().rules;
        let physical = self.state.physical_optimizers();
        let is_there = logical.iter().any(|r| r.name() == rule) || physical.iter().any(|r| r.name() == rule);
        assert!(is_there, "no rule {rule}");
        let logical = logical.iter().filter_map(|known| match own_logical.get(rule) {
            _ if known.name() != rule => Some(Arc::clone(known)),
            own => own.map(Arc::clone),
        });
        let mut plain = own_physical.into_iter().filter(|own| own.name() == rule);
        let physical = physical.iter().filter_map(|known| match known.name() == rule {
            false => Some(Arc::clone(known)),
            true => plain.next(),
        });
        let state = SessionStateBuilder::new_from_existing(SessionState::clone(&self.state))
            .with_optimizer_rules(logical.collect())
            .with_physical_optimizer_rules(physical.collect())
            .build();
        Self { workspace: Arc::clone(&self.workspace), state: Arc::new(state) }
    }
}

fn batch(snapshot: &Snapshot, object: &str, rows: &Value) -> RecordBatch {
    let schema = object_schema(snapshot.object(object).unwrap());
    let lines: Vec<String> = rows.as_array().unwrap().iter().map(Value::to_string).collect();
    load_ndjson(lines.join("\n").as_bytes(), &schema, 1 << 20).unwrap()
}

async fn place(tables: &[(String, RecordBatch)], path: &Path) -> HashMap<String, SourceTable> {
    let memory = MemorySource::new(MemoryConfig { name: "near".to_owned(), bytes_max: 1 << 20 });
    let mut writer = SqliteWriter::open(path).await.unwrap();
    for (object, batch) in tables.iter().filter(|(object, _)| IN_SQLITE.contains(&object.as_str())) {
        let spec = spec(object, &batch.schema());
        writer.create_table(&spec).await.unwrap();
        writer.insert(&spec, [Ok(batch.clone())]).await.unwrap();
    }
    writer.analyze().await.unwrap();
    writer.close().await.unwrap();
    let driver: Arc<dyn Driver> = Arc::new(SqliteDriver::new(SqliteOptions { readers: 2, ..SqliteOptions::new(path) }));
    let mut placed = HashMap::new();
    for (object, batch) in tables {
        let table = if IN_SQLITE.contains(&object.as_str()) {
            SourceTable::new("crm", Arc::new(remote(&driver, object, &batch.schema()).await))
        } else {
            // Two rows a batch: what is lost or mixed up between batches shows.
            let batches = (0..batch.num_rows()).step_by(2).map(|at| batch.slice(at, 2.min(batch.num_rows() - at)));
            memory.put(object, batch.schema(), batches.collect()).unwrap();
            SourceTable::new("near", memory.table(object).unwrap()).with_rescan(Rescan::of_fixed_rows())
        };
        placed.insert(object.clone(), table);
    }
    placed
}

fn spec(object: &str, schema: &SchemaRef) -> TableSpec {
    let columns = schema.fields().iter().map(|field| ColumnSpec {
        name: field.name().clone(),
        value_type: value_type(field.data_type()),
        nullable: field.is_nullable(),
    });
    TableSpec {
        name: object.to_owned(),
        columns: columns.collect(),
        primary_key: vec!["id".to_owned()],
        indexes: Vec::new(),
    }
}

pub(super) async fn remote(driver: &Arc<dyn Driver>, object: &str, schema: &SchemaRef) -> DriverTable {
    let reference = TableRef::new([object.to_owned()]).unwrap();
    let described = driver.describe(&reference).await.unwrap();
    let fields = schema.fields().iter().map(|field| {
        let column = described.columns.iter().find(|column| column.name.as_str() == field.name()).unwrap();
        let value_type = value_type(field.data_type());
        let column = RemoteColumn {
            name: column.name.clone(),
            value_type,
            nullable: field.is_nullable(),
            collation: column.collation.clone(),
            encoding: driver.read_as(column, value_type).unwrap(),
        };
        RemoteField { field: field.name().clone(), column }
    });
    let fields: Vec<RemoteField> = fields.collect();
    let key = fields.iter().position(|field| field.field == "id").map(|at| vec![at]);
    DriverTable::new(Arc::clone(driver), "crm".into(), reference, fields, key)
}

fn value_type(data_type: &DataType) -> ValueType {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => ValueType::Text,
        DataType::Int32 => ValueType::Int32,
        DataType::Int64 => ValueType::Int64,
        DataType::List(item) if *item.data_type() == DataType::Utf8 => ValueType::TextList,
        DataType::Float64 => ValueType::Float64,
        DataType::Boolean => ValueType::Boolean,
        DataType::Date32 => ValueType::Date,
        other => panic!("no column of a fixture is of type {other}"),
    }
}
