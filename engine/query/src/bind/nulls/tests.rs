//! Beliefs, right and wrong ones.

use super::{check, check_optimized, settled, with_unions_as_inputs};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::JoinType;
use datafusion::logical_expr::builder::LogicalTableSource;
use datafusion::logical_expr::{
    Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, Projection, Subquery, Union, col, lit,
};
use querygate_types::ErrorCode;
use std::sync::Arc;

fn table(name: &str) -> LogicalPlanBuilder {
    let schema = Schema::new(vec![Field::new("id", DataType::Int32, false), Field::new("n", DataType::Int32, true)]);
    LogicalPlanBuilder::scan(name, Arc::new(LogicalTableSource::new(Arc::new(schema))), None).unwrap()
}

fn scalar(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns: Vec::new(),
        spans: Default::default(),
    })
}

fn ids(name: &str) -> LogicalPlan {
    table(name).filter(col("id").eq(lit(7))).unwrap().project(vec![col("id")]).unwrap().build().unwrap()
}

fn is_nullable(plan: &LogicalPlan, at: usize) -> bool {
    plan.schema().field(at).is_nullable()
}

#[test]
fn a_subquery_that_may_find_no_row_may_be_null_and_so_is_what_is_made_of_it() {
    let inner = LogicalPlanBuilder::empty(true).project(vec![scalar(ids("t")).alias("x"), lit(1)]).unwrap();
    let outer =
        inner.clone().project(vec![col("x")]).unwrap().union(inner.project(vec![lit(1)]).unwrap().build().unwrap());
    let plan = outer.unwrap().build().unwrap();
    assert!(!is_nullable(&plan, 0), "the engine has learnt it: this is not needed any more");
    assert_eq!(check(&plan).unwrap_err().code(), ErrorCode::Internal);
    let plan = settled(plan).unwrap();
    assert!(is_nullable(&plan, 0));
    check(&plan).unwrap();
    assert_eq!(settled(plan.clone()).unwrap(), plan);
}

/// What is a constant once it is folded would be believed in then.
#[test]
fn a_subquery_of_a_constant_may_be_null_where_it_finds_no_row() {
    let reader = crate::testing::Shop::open().owner();
    for (sql, expected) in [
        ("SELECT (SELECT upper('x') FROM accounts WHERE id = 'none') IS NULL", "true"),
        ("SELECT coalesce((SELECT concat('a', 'b') FROM accounts WHERE id = 'none'), 'z')", "z"),
        ("SELECT (SELECT upper(x) FROM (SELECT 'x' AS x FROM accounts WHERE id = 'none') q) IS NULL", "true"),
        ("SELECT (SELECT rating > 1 AND false FROM accounts WHERE id = 'none') IS NULL", "true"),
        ("SELECT (SELECT CASE WHEN true THEN 1 ELSE rating END FROM accounts WHERE id = 'none') IS NULL", "true"),
        ("SELECT (SELECT upper('x')) IS NULL", "false"),
    ] {
        assert_eq!(reader.rows(sql).unwrap(), [expected], "{sql}");
    }
}

#[test]
fn a_subquery_that_has_a_row_keeps_what_is_known_of_it() {
    let one = LogicalPlanBuilder::empty(true).project(vec![lit(1)]).unwrap().build().unwrap();
    let plan = LogicalPlanBuilder::empty(true).project(vec![scalar(one).alias("x")]).unwrap().build().unwrap();
    let plan = settled(plan).unwrap();
    assert!(!is_nullable(&plan, 0));
    check(&plan).unwrap();
}

#[test]
fn a_column_around_is_as_it_is_there() {
    let outer = LogicalPlanBuilder::empty(true).project(vec![scalar(ids("t")).alias("x")]).unwrap().build().unwrap();
    let field = Arc::clone(outer.schema().field(0));
    let told = Expr::OuterReferenceColumn(field, Column::from_name("x"));
    let inner = LogicalPlanBuilder::empty(true).project(vec![told.alias("y")]).unwrap().build().unwrap();
    let plan = LogicalPlanBuilder::from(outer).project(vec![scalar(inner).alias("z")]).unwrap().build().unwrap();
    check(&plan).unwrap_err();
    let plan = settled(plan).unwrap();
    assert!(is_nullable(&plan, 0));
    check(&plan).unwrap();
}

#[test]
fn beliefs_without_a_reason_are_found() {
    let believed = |input: LogicalPlan, expr: Expr| {
        let field = Field::new("x", expr.get_type(input.schema().as_ref()).unwrap(), false);
        let schema = DFSchema::from_unqualified_fields(vec![field].into(), Default::default()).unwrap();
        LogicalPlan::Projection(Projection::try_new_with_schema(vec![expr], Arc::new(input), Arc::new(schema)).unwrap())
    };
    let t = || table("t").build().unwrap();
    check(&believed(t(), col("t.id"))).unwrap();
    check(&believed(t(), col("t.n"))).unwrap_err();
    let join = |kind| table("t").join_on(table("u").build().unwrap(), kind, vec![lit(true)]).unwrap().build().unwrap();
    check(&believed(join(JoinType::Inner), col("u.id"))).unwrap();
    for (kind, column) in [(JoinType::Left, "u.id"), (JoinType::Right, "t.id"), (JoinType::Full, "t.id")] {
        check(&believed(join(kind), col(column))).unwrap_err();
        // Further up, too.
        let above = believed(join(kind), col(column));
        check(&LogicalPlanBuilder::from(above).limit(0, Some(1)).unwrap().build().unwrap()).unwrap_err();
    }
}

#[test]
fn a_union_over_inputs_that_were_rewritten_believes_no_more_than_they_say() {
    let never = table("t").project(vec![col("id").alias("x")]).unwrap();
    let union = never.union(table("u").project(vec![col("id").alias("x")]).unwrap().build().unwrap()).unwrap();
    let above = union.project(vec![col("x").eq(lit(1))]).unwrap().build().unwrap();
    let rewritten = above
        .clone()
        .transform_up(|node| match node {
            LogicalPlan::Union(Union { mut inputs, schema }) => {
                inputs[1] = Arc::new(table("u").project(vec![col("n").alias("x")]).unwrap().build().unwrap());
                Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema })))
            }
            other => Ok(Transformed::no(other)),
        })
        .unwrap()
        .data;
    assert_eq!(check_optimized(&rewritten).unwrap_err().code(), ErrorCode::Internal);
    let mended = with_unions_as_inputs(rewritten).unwrap();
    check_optimized(&mended).unwrap();
    assert!(is_nullable(&mended, 0), "what stands above follows");
    assert_eq!(with_unions_as_inputs(above.clone()).unwrap(), above, "a plan without such a union stays as it is");
}
