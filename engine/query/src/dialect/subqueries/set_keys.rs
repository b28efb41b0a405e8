//! Keys of ROLLUP, CUBE and GROUPING SETS that are subqueries, days added to a date, or made of parameters, as columns of a projection
//! below. DataFusion writes them in other words, and keeps the name that a key had; of sets of keys it keeps one name for all, so that
//! each key gets another one, and the columns above find none.
//! Needed with DataFusion 55.2.0.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Operator, Projection};
use querygate_query_api::own_names::at_place;
use std::collections::HashSet;
use std::sync::Arc;

/// The plan with such keys below, in its subqueries too. Output names stay.
pub(crate) fn with_set_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => below(aggregate),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

fn below(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let schema = Arc::clone(aggregate.input.schema());
    let mut moved: Vec<Expr> = Vec::new();
    for key in sets.distinct_expr() {
        if is_rewritten(key, &schema)? {
            moved.push(key.clone());
        }
    }
    if moved.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let column = |key: &Expr| {
        let at = moved.iter().position(|known| known == key)?;
        let (relation, name) = key.qualified_name();
        Some(Expr::Column(Column::new_unqualified(at_place("key ", at))).alias_qualified(relation, name))
    };
    let each =
        |keys: &Vec<Expr>| -> Vec<Expr> { keys.iter().map(|key| column(key).unwrap_or_else(|| key.clone())).collect() };
    let sets = match sets {
        GroupingSet::Rollup(keys) => GroupingSet::Rollup(each(keys)),
        GroupingSet::Cube(keys) => GroupingSet::Cube(each(keys)),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.iter().map(each).collect()),
    };
    let aggr_expr = aggregate.aggr_expr.iter().cloned().map(|expr| grouping_by(expr, &column));
    let aggr_expr = aggr_expr.collect::<Result<Vec<_>>>()?;
    let read = read(&sets, &aggr_expr, &schema)?;
    let passed = schema.columns().into_iter().enumerate().filter(|(at, _)| read.contains(at));
    let keys = moved.iter().enumerate().map(|(at, key)| key.clone().unalias().alias(at_place("key ", at)));
    let columns = passed.map(|(_, column)| Expr::Column(column)).chain(keys).collect();
    let input = Projection::try_new(columns, aggregate.input)?;
    let group_expr = vec![Expr::GroupingSet(sets)];
    let regrouped = Aggregate::try_new(Arc::new(LogicalPlan::Projection(input)), group_expr, aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(regrouped)))
}

/// Whether DataFusion writes a key in other words.
fn is_rewritten(key: &Expr, schema: &DFSchema) -> Result<bool> {
    let is_date = |expr: &Expr| expr.get_type(schema).is_ok_and(|of| of == DataType::Date32);
    let is_whole = |expr: &Expr| expr.get_type(schema).is_ok_and(|of| of.is_integer());
    key.exists(|part| {
        Ok(match part {
            Expr::BinaryExpr(sum) if matches!(sum.op, Operator::Plus | Operator::Minus) => {
                is_date(&sum.left) && is_whole(&sum.right) || is_whole(&sum.left) && is_date(&sum.right)
            }
            Expr::Placeholder(_) => true,
            other => is_subquery(other),
        })
    })
}

const fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

/// An aggregate with the same columns in GROUPING: its arguments are to equal keys.
fn grouping_by(expr: Expr, column: &dyn Fn(&Expr) -> Option<Expr>) -> Result<Expr> {
    let changed = expr.transform_down(|part| {
        Ok(match part {
            Expr::AggregateFunction(mut call) if call.func.name() == "grouping" => {
                for argument in &mut call.params.args {
                    if let Some(key) = column(argument) {
                        *argument = key;
                    }
                }
                Transformed::new(Expr::AggregateFunction(call), true, TreeNodeRecursion::Jump)
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(changed.data)
}

/// The places of the input's columns that are read above: all where a subquery may read any.
fn read(sets: &GroupingSet, aggregates: &[Expr], schema: &DFSchema) -> Result<HashSet<usize>> {
    let mut columns = HashSet::new();
    for expr in sets.distinct_expr().into_iter().chain(aggregates) {
        if expr.exists(|part| Ok(is_subquery(part)))? {
            return Ok((0..schema.fields().len()).collect());
        }
        expr.add_column_refs(&mut columns);
    }
    Ok(columns.into_iter().filter_map(|column| schema.index_of_column(column).ok()).collect())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, Yard};

    /// Each is refused without the projection.
    #[test]
    fn keys_of_sets_are_subqueries_and_moved_dates() {
        let reader = Shop::open().owner();
        const DAYS: &str = "(VALUES ('2024-01-01'::date, 1), ('2024-02-01', 1)) v(d, n)";
        const NUMBERS: &str = "(VALUES (1), (3), (8)) v(n)";
        for (sql, expected) in [
            (
                format!("SELECT d + n, count(*) FROM {DAYS} GROUP BY ROLLUP (1) ORDER BY 1"),
                vec!["2024-01-02|1", "2024-02-02|1", "NULL|2"],
            ),
            (format!("SELECT count(*) FROM {DAYS} GROUP BY ROLLUP (d + n) ORDER BY 1"), vec!["1", "1", "2"]),
            (
                format!(
                    "SELECT d - n, n, grouping(d - n, n), count(*) FROM {DAYS} \
                     GROUP BY GROUPING SETS ((d - n, n), (d - n), ()) ORDER BY 3, 1"
                ),
                vec![
                    "2023-12-31|1|0|1",
                    "2024-01-31|1|0|1",
                    "2023-12-31|NULL|1|1",
                    "2024-01-31|NULL|1|1",
                    "NULL|NULL|3|2",
                ],
            ),
            (
                format!(
                    "SELECT EXISTS (SELECT 1 FROM (VALUES (1)) u(m) WHERE m = n), count(*), sum(n) FROM {NUMBERS} \
                     GROUP BY ROLLUP (1) ORDER BY 1"
                ),
                vec!["false|2|11", "true|1|1", "NULL|3|12"],
            ),
            (
                format!(
                    "SELECT n IN (SELECT m FROM (VALUES (1), (3)) u(m)), count(*) FROM {NUMBERS} \
                     GROUP BY CUBE (1) ORDER BY 1"
                ),
                vec!["false|1", "true|2", "NULL|3"],
            ),
            (
                format!(
                    "SELECT (SELECT max(m) FROM (VALUES (1), (7)) u(m) WHERE m > n), count(*), \
                     sum((SELECT m FROM (VALUES (1, 5)) w(k, m) WHERE k = n)) FROM {NUMBERS} \
                     GROUP BY ROLLUP (1) ORDER BY 1, 2"
                ),
                vec!["7|2|5", "NULL|1|NULL", "NULL|3|5"],
            ),
        ] {
            assert_eq!(reader.rows(&sql).unwrap(), expected, "{sql}");
        }
    }

    /// A value has another name than its parameter.
    #[test]
    fn keys_of_sets_are_parameters() {
        let yard = Yard::new();
        let seat = yard.owner();
        const NUMBERS: &str = "FROM (VALUES (1), (3), (8)) v(n)";
        for (sql, expected) in [
            ("SELECT $1::varchar(1) AS a, count(*) {} GROUP BY ROLLUP (1) ORDER BY 1", "3|3; NULL|3"),
            ("SELECT $1::int AS a, count(*) {} GROUP BY ROLLUP (1) ORDER BY 1", "3|3; NULL|3"),
            ("SELECT $1 AS a, count(*) {} GROUP BY ROLLUP (1) ORDER BY 1", "3|3; NULL|3"),
            (
                "SELECT n > 1, $1::int AS a, count(*) {} GROUP BY n > 1, ROLLUP (2) ORDER BY 1, 2",
                "false|3|1; false|NULL|1; true|3|2; true|NULL|2",
            ),
        ] {
            let prepared = seat.prepare(&sql.replace("{}", NUMBERS)).unwrap();
            assert_eq!(seat.execute(&prepared, &[Some("3")]), expected, "{sql}");
        }
    }

    /// What is a column, or computed under its own name, stays where it is.
    #[test]
    fn other_keys_stay() {
        let reader = Shop::open().owner();
        let text = |sql: &str| reader.bind(sql).unwrap().plan().display_indent().to_string();
        let other = text("SELECT n % 2, s, count(*) FROM (VALUES (1, 'a')) v(n, s) GROUP BY ROLLUP (n % 2, s)");
        assert!(!other.contains("key 0"), "{other}");
        let moved = text("SELECT count(*) FROM (VALUES ('2024-01-01'::date, 1)) v(d, n) GROUP BY ROLLUP (d + n)");
        assert!(moved.contains("key 0"), "{moved}");
    }
}
