//! One part: from its recipe to its rows. The leaf is planned by the same code as in the gate, and steps stand above it.

use super::files::{OpenFiles, PartFiles};
use super::service::Translate;
use crate::part::Verified;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use querygate_catalog::leaf::{GovernedExec, GovernedTable};
use querygate_pg_catalog::LeafToken;
use querygate_resources::{MeteredExec, Stop};
use querygate_types::{Error, Result, limits};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The rows of a part, which begin when they are asked for.
pub(super) struct Opened {
    pub(super) schema: SchemaRef,
    pub(super) rows: SendableRecordBatchStream,
}

/// What all parts are planned with: one stream each, no catalog, no format that a name could reach.
pub(super) fn state(environment: &Arc<RuntimeEnv>) -> SessionState {
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(limits::BATCH_ROWS);
    SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(Arc::clone(environment))
        .with_file_formats(Vec::new())
        .with_table_factories(HashMap::new())
        .build()
}

/// Plans a part. `over`: its gate does not wait for it any more.
pub(super) async fn open(
    verified: &Verified,
    files: &dyn OpenFiles,
    state: &SessionState,
    translate: Translate,
    over: CancellationToken,
) -> Result<Opened> {
    let part = verified.part();
    let recipe = part.leaf.recipe()?;
    let opened =
        PartFiles { source: &recipe.source, table: &recipe.table, files: &recipe.files, versions: &part.files };
    let provider = files.open(opened).await?;
    let token = LeafToken { state_version: part.deployment, principal: 0, until_ms: None };
    let table = GovernedTable::of_recipe(token.clone(), &recipe, provider)?;
    let failed = |error| translate(&error);
    let leaf = table.leaf(state, &recipe).await.map_err(failed)?;
    verify(&leaf, &token)?;
    let plan = match &part.steps {
        Some(steps) => steps.over(leaf, state.config_options(), &part.sides)?,
        None => leaf,
    };
    verify(&plan, &token)?;
    let config = state.config().clone().with_extension(Stop::new(over, None));
    let context = TaskContext::from(state).with_session_config(config);
    let rows = plan.execute(0, Arc::new(context)).map_err(failed)?;
    Ok(Opened { schema: plan.schema(), rows })
}

/// The only leaf is the governed one of this part, in one stream, and what is above it is a step.
fn verify(plan: &Arc<dyn ExecutionPlan>, token: &LeafToken) -> Result<()> {
    let mut node = plan;
    loop {
        let any: &dyn Any = node.as_ref();
        if let Some(leaf) = any.downcast_ref::<GovernedExec>() {
            let one_stream = |node: &Arc<dyn ExecutionPlan>| node.output_partitioning().partition_count() == 1;
            return if leaf.token() == token && one_stream(plan) && one_stream(node) {
                Ok(())
            } else {
                Err(Error::internal("the leaf of a part is another one, or has several streams"))
            };
        }
        let states = |aggregate: &AggregateExec| *aggregate.mode() == AggregateMode::Partial;
        let is_step = any.is::<FilterExec>()
            || any.is::<ProjectionExec>()
            || any.is::<MeteredExec>()
            || any.downcast_ref::<AggregateExec>().is_some_and(states)
            || any.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some());
        let side = any.downcast_ref::<HashJoinExec>().map(HashJoinExec::left);
        if let (Some(side), [_, below]) = (side, node.children().as_slice()) {
            if !is_memory(side) {
                return Err(Error::internal("a part joins with what was not sent along"));
            }
            node = below;
            continue;
        }
        node = match node.children().as_slice() {
            [below] if is_step => below,
            _ => return Err(Error::internal("the plan of a part is not its governed leaf under steps")),
        };
    }
}

/// Rows that came with the part.
fn is_memory(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let any: &dyn Any = plan.as_ref();
    let source = any.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    source.is_some_and(|source| {
        let any: &dyn Any = source.as_ref();
        any.is::<MemorySourceConfig>()
    })
}
