//! One part: from its recipe to its rows. The leaf is planned by the same code as in the gate.

use super::files::{OpenFiles, PartFiles};
use super::service::Translate;
use crate::part::Verified;
use arrow::datatypes::SchemaRef;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use querygate_catalog::leaf::{GovernedExec, GovernedTable};
use querygate_pg_catalog::LeafToken;
use querygate_types::{Error, Result, limits};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

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

/// Plans a part.
pub(super) async fn open(
    verified: &Verified,
    files: &dyn OpenFiles,
    state: &SessionState,
    translate: Translate,
) -> Result<Opened> {
    let part = verified.part();
    let recipe = part.leaf.recipe()?;
    let opened =
        PartFiles { source: &recipe.source, table: &recipe.table, files: &recipe.files, versions: &part.files };
    let provider = files.open(opened).await?;
    let token = LeafToken { state_version: part.deployment, principal: 0, until_ms: None };
    let table = GovernedTable::of_recipe(token.clone(), &recipe, provider)?;
    let failed = |error| translate(&error);
    let plan = table.leaf(state, &recipe).await.map_err(failed)?;
    verify(&plan, &token)?;
    let rows = plan.execute(0, Arc::new(TaskContext::from(state))).map_err(failed)?;
    Ok(Opened { schema: plan.schema(), rows })
}

/// The only node is the governed leaf of this part, in one stream.
fn verify(plan: &Arc<dyn ExecutionPlan>, token: &LeafToken) -> Result<()> {
    let any: &dyn Any = plan.as_ref();
    let own = any.downcast_ref::<GovernedExec>().is_some_and(|leaf| leaf.token() == token);
    if own && plan.output_partitioning().partition_count() == 1 {
        Ok(())
    } else {
        Err(Error::internal("the plan of a part is not its governed leaf in one stream"))
    }
}
