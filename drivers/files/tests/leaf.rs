//! The provider used as a governed leaf uses it: scan, repartition, filter, and the two push-down rules on the small inner plan.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::*;
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::col as physical_col;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, SortOrderPushdownResult, collect};
use datafusion::prelude::SessionContext;
use querygate_files::FileFormat;
use std::sync::Arc;

#[tokio::test]
async fn policy_and_projection_reach_the_files_through_the_inner_rules() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t.parquet"), &rows(0, 100_000), 10_000);
    let table = source(dir.path()).table(&spec("t.parquet", FileFormat::Parquet, base_schema())).await.unwrap();
    let context = SessionContext::new();
    let state = context.state();
    let config = state.config_options();
    let policy = col("id").between(lit(25_000_i64), lit(25_099_i64));
    let leaf = table.scan(&state, Some(&vec![0, 2]), std::slice::from_ref(&policy), None).await.unwrap();
    let leaf = leaf.repartitioned(4, config).unwrap().unwrap_or(leaf);
    let schema = DFSchema::try_from(leaf.schema()).unwrap();
    let predicate = state.create_physical_expr(policy, &schema).unwrap();
    let filter: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(predicate, Arc::clone(&leaf)).unwrap());
    let plan = FilterPushdown::new().optimize(filter, config).unwrap();
    let value = physical_col("v", plan.schema().as_ref()).unwrap();
    let masked: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new([(value, "v".to_owned())], plan).unwrap());
    let plan = ProjectionPushdown::new().optimize(masked, config).unwrap();
    let got = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    assert_eq!(got.iter().map(|b| b.num_rows()).sum::<usize>(), 100);
    assert_eq!(sum_metric(&plan, "row_groups_pruned_statistics"), 9);
    let order = [PhysicalSortExpr::new_default(physical_col("id", leaf.schema().as_ref()).unwrap()).desc()];
    let pushed = leaf.try_pushdown_sort(&order).unwrap();
    assert!(!matches!(pushed, SortOrderPushdownResult::Unsupported), "an order is forwarded");
}
