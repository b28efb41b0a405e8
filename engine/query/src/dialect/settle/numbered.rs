//! LIMIT and OFFSET by what subqueries say, where the engine has constants alone: the rows get their numbers in the order, and those are
//! kept whose numbers are between the two.

use crate::dialect::rewrite::grouping::last_rank;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::{
    Cast, Expr, ExprFunctionExt as _, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, lit,
};
use std::sync::Arc;

/// Whether a subquery that reads nothing around it says how many rows there are.
pub(super) fn is_computed(limit: &Limit) -> bool {
    let is_computed = |count: &Expr| {
        // The closure never fails, so neither does the walk.
        let found = count
            .exists(|part| Ok(matches!(part, Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty())));
        found.unwrap_or_default()
    };
    [&limit.fetch, &limit.skip].into_iter().flatten().any(|count| is_computed(count))
}

/// The rows that such a limit leaves, in their order.
pub(super) fn by_number(limit: Limit) -> Result<LogicalPlan> {
    let Limit { skip, fetch, input } = limit;
    let bounds = Bounds { skip: skip.map(|skip| bigint(*skip)), fetch: fetch.map(|fetch| bigint(*fetch)) };
    match Arc::unwrap_or_clone(input) {
        LogicalPlan::Sort(sort) => sorted(sort, bounds),
        LogicalPlan::Projection(Projection { expr, input, .. }) if matches!(input.as_ref(), LogicalPlan::Sort(_)) => {
            let LogicalPlan::Sort(sort) = Arc::unwrap_or_clone(input) else {
                return internal_err!("a sort is none");
            };
            Projection::try_new(expr, Arc::new(sorted(sort, bounds)?)).map(LogicalPlan::Projection)
        }
        other => kept(other, Vec::new(), bounds),
    }
}

struct Bounds {
    skip: Option<Expr>,
    fetch: Option<Expr>,
}

fn bigint(count: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(count), DataType::Int64))
}

fn sorted(sort: Sort, bounds: Bounds) -> Result<LogicalPlan> {
    let Sort { expr, input, fetch } = sort;
    let rows = kept(Arc::unwrap_or_clone(input), expr.clone(), bounds)?;
    Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(rows), fetch }))
}

fn kept(rows: LogicalPlan, order: Vec<SortKey>, Bounds { skip, fetch }: Bounds) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = rows.schema().iter().map(Expr::from).collect();
    let number = Expr::from(WindowFunction::new(row_number_udwf(), Vec::new()));
    let number = if order.is_empty() { number } else { number.order_by(order).build()? };
    let numbered = LogicalPlanBuilder::from(rows).window(vec![number])?.build()?;
    let Some(number) = numbered.schema().columns().pop() else { return internal_err!("a window is a column") };
    let number = || bigint(Expr::Column(number.clone()));
    let unsaid = || lit(ScalarValue::Int64(None));
    let last = vec![fetch.unwrap_or_else(unsaid), skip.clone().unwrap_or_else(unsaid)];
    let mut wanted = number().lt_eq(last_rank::function().call(last));
    if let Some(skip) = skip {
        wanted = wanted.and(number().gt(coalesce(vec![skip, lit(0_i64)])));
    }
    LogicalPlanBuilder::from(numbered).filter(wanted)?.project(columns)?.build()
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn a_subquery_says_how_many_rows_there_are() {
        let reader = Shop::open().owner();
        let rows = |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (computed, constant) in [
            ("ORDER BY id LIMIT (SELECT 2)", "ORDER BY id LIMIT 2"),
            ("ORDER BY id DESC LIMIT (SELECT count(*) FROM regions) - 1 OFFSET 1", "ORDER BY id DESC LIMIT 3 OFFSET 1"),
            ("ORDER BY rank, id OFFSET (SELECT 1)", "ORDER BY rank, id OFFSET 1"),
            ("ORDER BY id LIMIT (SELECT max(rank) FROM regions WHERE id = 'none')", "ORDER BY id"),
            ("ORDER BY id LIMIT (SELECT 0)", "ORDER BY id LIMIT 0"),
        ] {
            let sql = |end: &str| format!("SELECT name FROM regions {end}");
            let regions = rows("SELECT count(*) FROM regions");
            assert_eq!(rows(&sql(computed)), rows(&sql(constant)), "{computed}, {regions:?} regions");
        }
        let negative = reader.rows("SELECT name FROM regions LIMIT (SELECT -1)").unwrap_err();
        assert_eq!(negative.code().sqlstate(), "2201W");
    }
}
