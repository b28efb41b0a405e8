//! Plans with subqueries that are run more than once from one that is kept.

use super::*;
use crate::plan::renew::{Renewable, holds};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::physical_planning_context::SubqueryIndex;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

async fn planned(sql: &str) -> (SessionContext, Arc<dyn ExecutionPlan>) {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    (context, plan)
}

async fn rows(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> String {
    let batches = collect(plan, context.task_ctx()).await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

fn results_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<ScalarSubqueryResults> {
    let mut found = Vec::new();
    plan.apply(|node| {
        found.extend(node.downcast_ref::<ScalarSubqueryExec>().map(|node| node.results().clone()));
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found
}

/// The schema of each node, with what is noted of its columns.
fn schemas(plan: &Arc<dyn ExecutionPlan>) -> Vec<arrow::datatypes::SchemaRef> {
    let mut found = Vec::new();
    plan.apply(|node| {
        found.push(node.schema());
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found
}

/// Values in columns, in conditions, several of them, and one inside of another.
const KEPT: &[&str] = &[
    "SELECT (SELECT count(*) FROM (SELECT 1) v) + 1 AS x",
    "SELECT 1 AS one WHERE random() >= 0 AND 3 > (SELECT count(*) FROM (SELECT 1) v)",
    "SELECT (SELECT count(*) FROM (SELECT 1) a) AS x, (SELECT count(*) + 5 FROM (SELECT 2) b) AS y",
    "SELECT (SELECT count(*) + (SELECT count(*) + 1 FROM (SELECT 1) a) FROM (SELECT 2) b) AS x",
    "SELECT (SELECT CASE WHEN random() < 2 THEN 7 END WHERE random() < 0) AS nothing",
];

#[tokio::test]
async fn each_run_finds_its_own_values() {
    for sql in KEPT {
        let (context, plan) = planned(sql).await;
        let renewable = Renewable::of(Arc::clone(&plan)).unwrap().unwrap_or_else(|| panic!("{sql} is not kept"));
        let of_kept = results_of(&plan);
        assert!(!of_kept.is_empty(), "{sql} has no subquery in the end");
        let (filters, none) = (renewable.fresh_filters(), Arguments::new(Vec::new(), Vec::new()).unwrap());
        let runs = [
            renewable.over(Vec::new(), &filters, &none).unwrap(),
            renewable.over(Vec::new(), &filters, &none).unwrap(),
        ];
        let (first, second) = (results_of(&runs[0]), results_of(&runs[1]));
        assert_eq!((first.len(), second.len()), (of_kept.len(), of_kept.len()), "{sql}");
        assert_eq!(schemas(&runs[0]), schemas(&plan), "{sql}");
        // Before either has run, so that nothing can be read of the other.
        for (one, others) in first.iter().zip(second.iter().zip(&of_kept)) {
            assert!(one != others.0 && one != others.1 && others.0 != others.1, "{sql}");
        }
        let answers = [rows(&context, Arc::clone(&runs[0])).await, rows(&context, Arc::clone(&runs[1])).await];
        assert_eq!(answers[0], answers[1], "{sql}");
        assert_eq!(answers[0], rows(&context, planned(sql).await.1).await, "{sql}");
        for results in of_kept {
            assert_eq!(results.get(SubqueryIndex::new(0)), None, "{sql}: the kept plan holds a run's value");
        }
    }
}

/// A key of groups and of an order, and an aggregate's argument: their nodes cannot be made anew with other expressions.
#[tokio::test]
async fn a_value_that_other_nodes_read_is_not_kept() {
    for sql in [
        "SELECT count(*) FROM (SELECT 1 AS a UNION ALL SELECT 2) t GROUP BY a + (SELECT count(*) FROM (SELECT 1) v)",
        "SELECT sum(a * (SELECT count(*) FROM (SELECT 1) v)) FROM (SELECT 1 AS a UNION ALL SELECT 2) t",
        "SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2) t ORDER BY a * (SELECT count(*) FROM (SELECT 1) v)",
    ] {
        let (_, plan) = planned(sql).await;
        let mut read_elsewhere = false;
        plan.apply(|node| {
            read_elsewhere |= holds::<ScalarSubqueryExpr>(node)? && !is_rewritable(node);
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        assert!(read_elsewhere, "{sql} has no such node");
        assert!(Renewable::of(plan).unwrap().is_none(), "{sql}");
    }
}
