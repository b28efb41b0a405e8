//! A session over an image alone: what the gate's own path does, without sources and policies.

use crate::dialect::subqueries::apply;
use crate::dialect::{Dialect, rewrite};
use crate::rules::repairs::skip_wrong_plans::guarded;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, Session};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::MemTable;
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionStateDefaults, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::future::BoxFuture;
use querygate_pg_catalog::LeafToken;
use querygate_pg_catalog::PgCatalog;
use querygate_pg_catalog::image::CatalogImage;
use querygate_pg_catalog::session::{SessionVars, SetSetting, SettingsWriter};
use querygate_query_api::column::{PG_TYPE_KEY, arrow_type_of};
use querygate_query_api::own_names::output_name;
use std::sync::{Arc, Weak};

pub(super) struct TestSession {
    state: SessionState,
    dialect: Dialect,
    pub(super) catalog: Arc<PgCatalog>,
}

/// What a statement gave.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) columns: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// Where it failed.
#[derive(Debug)]
pub(super) enum Failure {
    Parse(String),
    Bind(String),
    Run(String),
}

impl Failure {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Parse(t) | Self::Bind(t) | Self::Run(t) => t,
        }
    }
}

#[derive(Debug)]
struct WithApply;

#[async_trait]
impl QueryPlanner for WithApply {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(apply::ApplyPlanner)]);
        planner.create_physical_plan(plan, state).await
    }
}

/// Settings that say yes to everything.
#[derive(Debug)]
struct Settings;

impl SetSetting for Settings {
    fn cancel(&self, _: i64) -> bool {
        false
    }

    fn set(&self, _: &str, value: Option<&str>, _: bool) -> querygate_types::Result<String> {
        Ok(value.unwrap_or_default().to_owned())
    }
}

fn vars() -> SessionVars {
    SessionVars { backend_pid: 42, writer: Some(SettingsWriter(Arc::new(Settings))), ..Default::default() }
}

struct Runner(Weak<TestSession>);

impl apply::RunSubplan for Runner {
    fn run(&self, plan: LogicalPlan, _: Arc<TaskContext>) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        Box::pin(async move {
            let session = self.0.upgrade().ok_or_else(|| DataFusionError::Internal("no session".to_owned()))?;
            session.run_plan(plan).await
        })
    }
}

impl TestSession {
    pub(super) fn new(image: CatalogImage) -> Arc<Self> {
        let catalog = PgCatalog::new(LeafToken { state_version: 1, principal: 1, until_ms: None }, image);
        let dialect = Dialect::new(&catalog);
        Arc::new_cyclic(|me: &Weak<Self>| {
            let runner = apply::SubplanRunner(Arc::new(Runner(Weak::clone(me))));
            let mut config = SessionConfig::new()
                .with_target_partitions(1)
                .with_default_catalog_and_schema("shop", "public")
                .with_create_default_catalog_and_schema(false);
            config.options_mut().sql_parser.parse_float_as_decimal = true;
            config.set_extension(Arc::new(runner));
            config.options_mut().extensions.insert(vars());
            let mut planners = vec![dialect.expr_planner()];
            planners.extend(SessionStateDefaults::default_expr_planners());
            let mut state = SessionStateBuilder::new()
                .with_config(config)
                .with_default_features()
                .with_expr_planners(planners)
                .with_type_planner(dialect.type_planner())
                .with_optimizer_rules(guarded(Optimizer::new().rules))
                .with_query_planner(Arc::new(WithApply))
                .build();
            dialect.register(&mut state).unwrap();
            state.catalog_list().register_catalog("shop".to_owned(), provider(&catalog));
            let state = querygate_semantics::install(state);
            Self { state, dialect, catalog }
        })
    }

    pub(super) async fn query(&self, sql: &str) -> std::result::Result<Answer, Failure> {
        let mut statements =
            Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|e| Failure::Parse(e.to_string()))?;
        let statement = statements.pop().ok_or_else(|| Failure::Parse("no statement".to_owned()))?;
        self.statement(statement).await
    }

    pub(super) async fn statement(&self, mut statement: Statement) -> std::result::Result<Answer, Failure> {
        rewrite(&mut statement, &self.catalog, &[]).map_err(|e| Failure::Bind(e.to_string()))?;
        let parsed = datafusion::sql::parser::Statement::Statement(Box::new(statement));
        let plan = self.state.statement_to_plan(parsed).await.map_err(|e| Failure::Bind(e.to_string()))?;
        let plan = self.dialect.settler.settle(plan).map_err(|e| Failure::Bind(e.to_string()))?;
        let options = self.state.config_options();
        let plan = querygate_semantics::bound(plan, options).map_err(|e| Failure::Bind(e.to_string()))?;
        let schema = querygate_semantics::described(&plan, options);
        let batches = self.run_plan(plan).await.map_err(|e| Failure::Run(e.to_string()))?;
        let fields = schema.fields();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                rows.push(batch.columns().iter().zip(fields).map(|(c, f)| text_of(c, f, row)).collect());
            }
        }
        Ok(Answer {
            columns: fields.iter().map(|f| output_name(f.name()).to_owned()).collect(),
            types: fields.iter().map(|f| querygate_query_api::column::column_of(f).pg_type.name().to_owned()).collect(),
            rows,
        })
    }

    async fn run_plan(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        let first = apply::expand(plan.clone(), apply::Scope::CatalogOnly)?;
        let physical = match self.state.create_physical_plan(&first).await {
            Ok(physical) => physical,
            Err(error) if apply::has_work(&plan, apply::Scope::Everything)? => {
                let all = apply::expand(plan, apply::Scope::Everything).map_err(|_| error)?;
                self.state.create_physical_plan(&all).await?
            }
            Err(error) => return Err(error),
        };
        collect(physical, self.state.task_ctx()).await
    }
}

fn provider(catalog: &Arc<PgCatalog>) -> Arc<dyn CatalogProvider> {
    let provider = MemoryCatalogProvider::new();
    for schema in &catalog.image().schemas {
        let tables = MemorySchemaProvider::new();
        for relation in &schema.relations {
            let fields = relation.columns.iter().map(|c| {
                let metadata = [(PG_TYPE_KEY.to_owned(), c.pg_type.name().to_owned())].into();
                Field::new(&c.name, arrow_type_of(c.pg_type).unwrap(), !c.not_null).with_metadata(metadata)
            });
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            tables
                .register_table(relation.name.clone(), Arc::new(MemTable::try_new(schema, vec![vec![]]).unwrap()))
                .unwrap();
        }
        provider.register_schema(&schema.name, Arc::new(tables)).unwrap();
    }
    for name in ["pg_catalog", "information_schema"] {
        provider.register_schema(name, catalog.schema_provider(name).unwrap()).unwrap();
    }
    Arc::new(provider)
}

/// A value as PostgreSQL prints it, for the types that catalogs have.
fn text_of(array: &ArrayRef, field: &Field, row: usize) -> Option<String> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return None;
    }
    let named = field.metadata().get(PG_TYPE_KEY).map(String::as_str);
    Some(match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::List(item) => {
            let values = array.as_list::<i32>().value(row);
            let parts = (0..values.len()).map(|i| text_of(&values, item, i));
            if matches!(named, Some("int2vector" | "oidvector")) {
                parts.map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ")
            } else {
                let quoted = parts.map(|p| match p {
                    None => "NULL".to_owned(),
                    Some(p) if p.is_empty() || p.contains([',', '"', '{', '}', ' ', '\\']) => {
                        format!("\"{}\"", p.replace('\\', "\\\\").replace('"', "\\\""))
                    }
                    Some(p) => p,
                });
                format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
            }
        }
        DataType::Float32 | DataType::Float64 => {
            let text = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(row).to_string();
            text.strip_suffix(".0").unwrap_or(&text).to_owned()
        }
        _ => ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(row).to_string(),
    })
}
