//! DataFusion as the gate sets it up: configuration, catalogs, states, and small pieces of plan and batch handling.

use crate::bind::reader_rights::ReaderRights;
use crate::bind::statement;
use crate::books::clock::now_ms;
use crate::dialect::subqueries::apply::ApplyPlanner;
use crate::dialect::{Blocks, Dialect};
use crate::rules::list;
use crate::rules::share_equal_inputs::{ComputeApart, SharedPlanner, share_equal_inputs};
use crate::settings::list::{SettingRow, Settings};
use crate::sql::classify::Classified;
use crate::sql::parse::parse;
use crate::sql::walk::{ON, Reader, Step, read, step};
use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::Session as DfSession;
use datafusion::catalog::view::ViewTable;
use datafusion::common::config::OptimizerOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Statement as Ast, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_catalog::deployment::ViewDefinition;
use querygate_catalog::image::{BoundView, TemporarySchema};
use querygate_catalog::leaf::GovernedExec;
use querygate_catalog::live::LiveTable;
use querygate_catalog::{CATALOG_NAME, CatalogBuilder, PrincipalCatalog};
use querygate_pg_catalog::LeafToken;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of keys of which a join makes a list for its other side.
const KEY_BYTES_MAX: usize = 4 << 20;

/// Share of the integers between a join's least and greatest key that must be keys for the join to find them in an array of these, with one
/// look instead of three. DataFusion's 0.15 leaves out joins whose array would be no larger than their hash table.
const KEY_DENSITY_LEAST: f64 = 0.1;

/// Rounds of the logical rules for statements that read the catalog alone.
const BRIEF_PASSES: usize = 1;

/// What each stream of a sort keeps for its merge: DataFusion's 10 MB, or so little that all streams together keep an eighth of what a
/// statement may hold.
fn merge_bytes(memory: usize, streams: usize) -> usize {
    (memory / 8 / streams.max(1)).clamp(1 << 20, 10 << 20)
}

/// Engine configuration that all sessions share. `memory`: bytes that a statement may hold.
pub(crate) fn session_config(target_partitions: usize, memory: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG_NAME, "public")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(target_partitions)
        .with_batch_size(limits::BATCH_ROWS);
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.execution.time_zone = Some("UTC".to_owned());
    options.optimizer.prefer_existing_sort = false;
    // Of `min(a), min(b + 1)` the engine makes a filter of `a` alone, and leaves out rows that hold the other's least value.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    options.execution.sort_spill_reservation_bytes = merge_bytes(memory, target_partitions);
    crate::bind::spill_files::close_after_each_batch(&mut options.execution);
    options.execution.perfect_hash_join_min_key_density = KEY_DENSITY_LEAST;
    // It compares metadata too, where both plans of a set operation keep another side's.
    options.execution.skip_physical_aggregate_schema_check = true;
    config
}

/// What a plan runs with whose fragments take the keys of joins as lists; more than is worth telling a fragment travel as their
/// range: a list costs its making, too. Others keep the engine's bounds: it walks a list again for each row group of a file.
pub(crate) fn with_key_lists(config: &SessionConfig, plan: &Arc<dyn ExecutionPlan>) -> SessionConfig {
    let (mut most, mut streams) = (0, 1);
    // A walk that only reads cannot fail.
    let _walked = plan.apply(|node| {
        if let Some(leaf) = node.downcast_ref::<GovernedExec>() {
            most = most.max(leaf.keys_max());
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && *join.partition_mode() == PartitionMode::Partitioned
        {
            streams = streams.max(join.left().output_partitioning().partition_count());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let mut config = config.clone();
    if most > 0 {
        let optimizer = &mut config.options_mut().optimizer;
        // Each stream makes a list of its own.
        let each = &mut optimizer.hash_join_inlist_pushdown_max_distinct_values;
        *each = most.div_ceil(streams).max(*each);
        optimizer.hash_join_inlist_pushdown_max_size = KEY_BYTES_MAX;
    }
    config
}

/// A principal's catalog with the dialect that binds statements on it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) catalog: PrincipalCatalog,
    pub(crate) dialect: Dialect,
    /// What its principal may read, which others share.
    pub(crate) rights: Arc<ReaderRights>,
    /// Views that its principal does not have, each with why.
    pub(crate) missing_views: Vec<(String, Error)>,
    /// Of one with tables of a session.
    _charge: Option<MemoryReservation>,
}

/// What a session adds to its principal's workspace.
#[derive(Debug, Default)]
pub(crate) struct OwnRelations {
    pub(crate) schema: Option<TemporarySchema>,
    pub(crate) views: Vec<ViewDefinition>,
    pub(crate) charge: Option<MemoryReservation>,
}

/// Makes a principal's catalog: governed tables, then views in their order, then the system catalog over all.
pub(crate) async fn build_workspace(
    rights: Arc<ReaderRights>,
    live: impl FnOnce(&LeafToken) -> Vec<(&'static str, Arc<LiveTable>)>,
    environment: Arc<RuntimeEnv>,
    config: SessionConfig,
    own: Option<OwnRelations>,
) -> Result<Arc<Workspace>> {
    let OwnRelations { schema, views, charge } = own.unwrap_or_default();
    let builder = CatalogBuilder::new(rights.shared(), live, now_ms()).with_settings(catalog_settings());
    let mut builder = builder.with_temporary(schema);
    let mut missing_views = Vec::new();
    for view in rights.deployment().views.iter().chain(&views) {
        match bind_view(&view.sql, &builder, Arc::clone(&environment), config.clone()).await {
            Ok(provider) => builder.add_view(BoundView {
                schema: view.schema.clone(),
                name: view.name.clone(),
                comment: view.comment.clone(),
                provider: Arc::new(provider),
            }),
            // A view over something hidden from this reader is hidden too.
            Err(error) => {
                tracing::debug!(view = view.name, login = rights.login().login, %error, "view left out");
                missing_views.push((view.name.clone(), error));
            }
        }
    }
    let pg = builder.pg_catalog();
    let dialect = Dialect::new(&pg);
    let state = state(&builder, &pg, &dialect, environment, config)?;
    Ok(Arc::new(Workspace { catalog: builder.finish(pg, state), dialect, rights, missing_views, _charge: charge }))
}

/// Rows of `pg_settings`; a session's own values replace these.
fn catalog_settings() -> Vec<querygate_pg_catalog::image::Setting> {
    let described = |row: SettingRow| querygate_pg_catalog::image::Setting {
        name: row.name.to_owned(),
        value: row.value,
        vartype: row.vartype.to_owned(),
        unit: None,
        category: "Querygate".to_owned(),
        description: row.help.to_owned(),
        context: row.context.to_owned(),
    };
    Settings::default().all().into_iter().map(described).collect()
}

/// Whether a text can be one of a view: a single query without parameters. Names in it are not looked up.
///
/// # Errors
/// As of a statement of such a text; 42601: it is another statement, or several; 42P02: a parameter, for which there is no value.
pub fn check_view(sql: &str) -> Result<()> {
    view_query(sql).map(drop)
}

fn view_query(sql: &str) -> Result<Query> {
    let parsed = parse(sql)?;
    let not_one = || Error::new(ErrorCode::SyntaxError, "it is not one query");
    let [only] = parsed.as_slice() else { return Err(not_one()) };
    let Classified::Query(query) = only.class() else { return Err(not_one()) };
    let query = Query::clone(query);
    read(&query, &mut NoParameters)?;
    Ok(query)
}

/// Refuses parameters: one of a view would be bound to a value of whatever statement reads it.
struct NoParameters;

impl Reader for NoParameters {
    fn expr(&mut self, expr: &Expr) -> Step {
        let Expr::Value(value) = expr else { return ON };
        let Value::Placeholder(name) = &value.value else { return ON };
        step(Err(Error::new(ErrorCode::UndefinedParameter, format!("there is no parameter {name}"))))
    }
}

async fn bind_view(
    sql: &str,
    builder: &CatalogBuilder,
    environment: Arc<RuntimeEnv>,
    config: SessionConfig,
) -> Result<ViewTable> {
    let pg = builder.pg_catalog();
    let dialect = Dialect::new(&pg);
    let state = state(builder, &pg, &dialect, environment, config)?;
    let plan = statement::plan_query(&view_query(sql)?, &state, &dialect, &[]).await?;
    crate::bind::verify::verify_bound(&plan, builder.token())?;
    Ok(ViewTable::new(statement::plainly_named(plan)?, Some(sql.to_owned())))
}

fn state(
    builder: &CatalogBuilder,
    pg: &Arc<querygate_pg_catalog::PgCatalog>,
    dialect: &Dialect,
    environment: Arc<RuntimeEnv>,
    config: SessionConfig,
) -> Result<SessionState> {
    let (schema, list) = builder.searched_list(pg)?;
    let mut config = config;
    if let Some(schema) = schema {
        schema.clone_into(&mut config.options_mut().catalog.default_schema);
    }
    let mut planners = vec![dialect.expr_planner()];
    planners.extend(SessionStateDefaults::default_expr_planners());
    // Files are read through sources only: no format, no table factory, no URL table.
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(environment)
        .with_catalog_list(list)
        .with_file_formats(Vec::new())
        .with_table_factories(HashMap::new())
        .with_expr_planners(planners)
        .with_type_planner(dialect.type_planner())
        .with_relation_planners(vec![Arc::new(Blocks)])
        .with_query_planner(Arc::new(ApplyingPlanner))
        .with_optimizer_rules(list::logical()?)
        .with_physical_optimizer_rules(list::physical()?)
        .build();
    let mut state = crate::bind::functions::restrict(state);
    dialect.register(&mut state).map_err(Error::internal)?;
    Ok(querygate_semantics::install(state))
}

/// For statements that read the catalog alone, whose few rows are in memory: more rounds of rules and several streams take longer than
/// they spare.
pub(crate) fn plan_briefly(config: &mut SessionConfig) {
    let options = config.options_mut();
    options.optimizer.max_passes = BRIEF_PASSES;
    options.execution.target_partitions = 1;
}

/// Whether plans of a state are made in fewer rounds than the engine wants.
pub(crate) fn is_brief(state: &SessionState) -> bool {
    state.config_options().optimizer.max_passes == BRIEF_PASSES
}

/// The state for a plan that the engine's own rules broke: without those that share parts of expressions and of plans, and that
/// divide work, after which it forgets by what its rows are sorted.
pub(crate) fn careful(state: &SessionState) -> SessionState {
    let rules = state.optimizer().rules.iter().filter(|rule| rule.name() != list::SHARING);
    let mut config = state.config().clone().with_target_partitions(1);
    config.options_mut().optimizer.max_passes = OptimizerOptions::default().max_passes;
    config.set_extension(Arc::new(ComputeApart));
    let rules = rules.cloned().collect();
    SessionStateBuilder::new_from_existing(state.clone()).with_config(config).with_optimizer_rules(rules).build()
}

/// DataFusion's planner, with our operators.
#[derive(Debug)]
struct ApplyingPlanner;

#[async_trait]
impl QueryPlanner for ApplyingPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn DfSession,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let plan = crate::bind::nulls::with_unions_as_inputs(plan.clone())?;
        crate::bind::nulls::check_optimized(&plan).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(ApplyPlanner), Arc::new(SharedPlanner)]);
        let plan = crate::rules::repairs::project_computed_keys::keys_as_columns(
            crate::rules::repairs::guard_failing_conditions::guard_failures(plan)?,
        )?;
        let plan = match state.config().get_extension::<ComputeApart>() {
            Some(_) => plan,
            None => share_equal_inputs(plan)?,
        };
        planner.create_physical_plan(&plan, state).await
    }
}

/// The state with a session's own configuration, in which the time zone stays: functions that know it are those of the state. Building
/// one from its parts registers every function again, which takes longer than most statements.
pub(crate) fn with_config(state: &SessionState, change: impl FnOnce(&mut SessionConfig)) -> SessionState {
    let mut own = state.clone();
    change(own.config_mut());
    debug_assert_eq!(own.config_options().execution.time_zone, state.config_options().execution.time_zone);
    own
}

/// A batch as its statement was described: under the names that the client asked for, of these types, without NULL where none was
/// promised. Anything else fails the statement rather than be written in a wrong form.
pub(crate) fn as_described(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Nullability and metadata of a plan's batches may be narrower than its schema says.
    let fits = |(column, field): (&ArrayRef, &FieldRef)| is_described(column.data_type(), field.data_type());
    let fits = batch.columns().iter().zip(schema.fields()).all(fits);
    if !fits || batch.num_columns() != schema.fields().len() {
        return Err(Error::internal("a batch does not have the types its statement was described with"));
    }
    let believed = schema.fields().iter().zip(batch.columns()).find(|(field, column)| {
        // Arrays count their NULLs when they are made.
        !field.is_nullable() && (column.null_count() > 0 || column.data_type().is_null() && !column.is_empty())
    });
    if let Some((field, _)) = believed {
        return Err(Error::internal(format!("NULL in column {}, which was described as never NULL", field.name())));
    }
    let schema = delivered(schema, batch);
    RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options).map_err(Error::internal)
}

/// Whether a column's type is the described one. A numeric's places may depend on a value: those of `round(x, $1)` do. The members of
/// a row lose their notes and what is said of NULL in them when a parameter among them gets its value.
fn is_described(found: &DataType, described: &DataType) -> bool {
    match (found, described) {
        (DataType::Decimal128(..), DataType::Decimal128(..)) => true,
        (DataType::List(found), DataType::List(described)) => is_described(found.data_type(), described.data_type()),
        (DataType::Struct(found), DataType::Struct(described)) => {
            let alike = |(found, described): (&FieldRef, &FieldRef)| {
                found.name() == described.name() && is_described(found.data_type(), described.data_type())
            };
            found.len() == described.len() && found.iter().zip(described).all(alike)
        }
        _ => found == described,
    }
}

fn delivered(schema: &SchemaRef, batch: &RecordBatch) -> SchemaRef {
    let same = |(field, column): (&FieldRef, &ArrayRef)| field.data_type() == column.data_type();
    let pairs = || schema.fields().iter().zip(batch.columns());
    if schema.fields().iter().all(|f| f.is_nullable()) && pairs().all(same) {
        return Arc::clone(schema);
    }
    let field = |(field, column): (&FieldRef, &ArrayRef)| {
        field.as_ref().clone().with_nullable(true).with_data_type(column.data_type().clone())
    };
    Arc::new(arrow::datatypes::Schema::new(pairs().map(field).collect::<Vec<_>>()))
}

/// `SELECT expressions`, built as a tree.
pub(crate) fn select_of(expressions: &[Expr]) -> Result<Query> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1").map_err(Error::internal)?;
    let Some(Ast::Query(mut query)) = parsed.into_iter().next() else { return Err(Error::internal("no query")) };
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = expressions.iter().cloned().map(SelectItem::UnnamedExpr).collect();
    }
    Ok(*query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int32Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    #[test]
    fn a_view_is_one_query_without_parameters() {
        for (sql, expected) in [
            ("SELECT 1", None),
            ("SELECT a, b FROM t UNION ALL SELECT 1, 2 ORDER BY 1 LIMIT 3;", None),
            ("VALUES (1)", None),
            ("SELECT '$1'", None),
            ("SELEC 1", Some(ErrorCode::SyntaxError)),
            ("", Some(ErrorCode::SyntaxError)),
            ("SELECT 1; SELECT 2", Some(ErrorCode::SyntaxError)),
            ("DELETE FROM t", Some(ErrorCode::SyntaxError)),
            ("SET a = 1", Some(ErrorCode::SyntaxError)),
            ("SELECT $1::int", Some(ErrorCode::UndefinedParameter)),
            ("SELECT 1 FROM (SELECT a FROM t WHERE a = $2) u", Some(ErrorCode::UndefinedParameter)),
            ("SELECT 1 LIMIT $1", Some(ErrorCode::UndefinedParameter)),
        ] {
            assert_eq!(check_view(sql).err().map(|error| error.code()), expected, "{sql}");
        }
    }

    #[test]
    fn a_batch_that_is_not_as_described_fails() {
        let described = |data_type: DataType, nullable: bool| -> SchemaRef {
            Arc::new(Schema::new(vec![Field::new("asked", data_type, nullable)]))
        };
        let numbers = |values: Vec<Option<i32>>| {
            RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(values)) as ArrayRef)]).unwrap()
        };
        let check = |batch: &RecordBatch, schema: SchemaRef, admitted: bool| match as_described(batch, &schema) {
            Ok(named) => assert!(admitted && named.schema().field(0).name() == "asked", "{schema}"),
            Err(error) => assert!(!admitted && error.code() == ErrorCode::Internal, "{schema}: {error}"),
        };
        check(&numbers(vec![Some(1)]), described(DataType::Int32, false), true);
        check(&numbers(vec![Some(1), None]), described(DataType::Int32, true), true);
        check(&numbers(vec![Some(1), None]), described(DataType::Int32, false), false);
        check(&numbers(vec![Some(1)]), described(DataType::Int64, true), false);
        check(&numbers(Vec::new()), described(DataType::Int32, false), true);
        let one_place = Decimal128Array::from(vec![15]).with_precision_and_scale(38, 1).unwrap();
        let numeric = RecordBatch::try_from_iter([("n", Arc::new(one_place) as ArrayRef)]).unwrap();
        check(&numeric, described(DataType::Decimal128(38, 10), true), true);
        check(&numeric, described(DataType::Float64, true), false);
        let texts = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
        check(&RecordBatch::try_from_iter([("n", texts)]).unwrap(), described(DataType::Int32, true), false);
        check(&RecordBatch::new_empty(Arc::new(Schema::empty())), described(DataType::Int32, true), false);
    }
}
