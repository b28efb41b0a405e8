//! Conditions that a row is among a subquery's rows, or not among them, as joins with its distinct rows. A source that is asked
//! for each outer row whether there is an equal one reads the subquery's rows again and again; joined, they are sorted once.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, TableReference};
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, SubqueryAlias, lit,
};
use querygate_query_api::own_names::{FOUND, ROWS};
use std::sync::Arc;

/// The plan with such joins, in its subqueries too.
pub(crate) fn as_joins(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut joined = 0;
    let plan = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = node else {
            return Ok(Transformed::no(node));
        };
        filter_joined(filter, &mut joined)
    })?;
    Ok(plan.data)
}

fn filter_joined(filter: Filter, joined: &mut usize) -> Result<Transformed<LogicalPlan>> {
    let before = Arc::clone(filter.input.schema());
    let mut others = Vec::new();
    let mut tests = Vec::new();
    for condition in split_conjunction_owned(filter.predicate.clone()) {
        match test(&condition, &filter) {
            Some(test) => tests.push(test),
            None => others.push(condition),
        }
    }
    if tests.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let mut plan = filter.input.as_ref().clone();
    for condition in others {
        plan = LogicalPlanBuilder::from(plan).filter(condition)?.build()?;
    }
    for test in tests {
        *joined += 1;
        let name = TableReference::bare(format!("{ROWS}{joined}"));
        // Values that are compared in another type than the rows have may be equal to several of them.
        let alike = test.is_alike(plan.schema())?;
        let distinct = LogicalPlanBuilder::from(test.rows);
        let distinct = if alike || test.negated { distinct.distinct()? } else { distinct };
        let rows = if test.negated {
            let mut columns: Vec<Expr> = distinct.schema().columns().into_iter().map(Expr::Column).collect();
            columns.push(lit(true).alias(FOUND));
            distinct.project(columns)?.alias(name.clone())?.build()?
        } else {
            distinct.alias(name.clone())?.build()?
        };
        let on = test.pairs.into_iter().map(|(value, column)| {
            let column = Column::new(Some(name.clone()), column.name);
            value.eq(Expr::Column(column))
        });
        let kind = match (test.negated, alike) {
            (true, _) => JoinType::Left,
            (false, true) => JoinType::Inner,
            (false, false) => JoinType::LeftSemi,
        };
        let mut built = LogicalPlanBuilder::from(plan).join_on(rows, kind, on)?;
        if test.negated {
            built = built.filter(Expr::Column(Column::new(Some(name.clone()), FOUND)).is_null())?;
        }
        plan = built.build()?;
    }
    let columns: Vec<Expr> = before.columns().into_iter().map(Expr::Column).collect();
    Ok(Transformed::yes(LogicalPlanBuilder::from(plan).project(columns)?.build()?))
}

/// A condition that there is an equal row, or none.
struct Test {
    rows: LogicalPlan,
    /// Values of the outer row and the columns that they equal.
    pairs: Vec<(Expr, Column)>,
    negated: bool,
}

impl Test {
    /// Whether each value is of its column's type.
    fn is_alike(&self, around: &DFSchema) -> Result<bool> {
        for (value, column) in &self.pairs {
            if value.get_type(around)? != Expr::Column(column.clone()).get_type(self.rows.schema())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn test(condition: &Expr, filter: &Filter) -> Option<Test> {
    let (exists, negated) = match condition {
        Expr::Exists(exists) => (exists, exists.negated),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Exists(exists) => (exists, !exists.negated),
            _ => return None,
        },
        _ => return None,
    };
    let Exists { subquery, .. } = exists;
    let mut plan = subquery.subquery.as_ref();
    while let LogicalPlan::Projection(projection) = plan {
        plan = &projection.input;
    }
    let LogicalPlan::Filter(equal) = plan else { return None };
    let alias = match equal.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == ROWS => alias,
        _ => return None,
    };
    let alone = super::apply::reads_nothing_around(&equal.input);
    if !alone {
        return None;
    }
    let mut pairs = Vec::new();
    for pair in split_conjunction_owned(equal.predicate.clone()) {
        pairs.push(equality(pair, alias, filter)?);
    }
    Some(Test { rows: equal.input.as_ref().clone(), pairs, negated })
}

/// `value = column`, the value of the outer row alone.
fn equality(pair: Expr, alias: &SubqueryAlias, filter: &Filter) -> Option<(Expr, Column)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = pair else { return None };
    let Expr::Column(column) = *right else { return None };
    if column.relation.as_ref() != Some(&alias.alias) {
        return None;
    }
    let around = filter.input.schema();
    let mut own = true;
    let value = left.transform_down(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) if around.has_column(&column) => {
                Transformed::yes(Expr::Column(column))
            }
            other => {
                own &= !matches!(other, Expr::Column(_) | Expr::OuterReferenceColumn(..))
                    && super::apply::is_no_subquery(&other)
                    && !other.is_volatile();
                Transformed::no(other)
            }
        })
    });
    value.ok().filter(|_| own).map(|value| (value.data, column))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// Rows in subqueries, as joins: a NULL is equal to nothing, equal rows count once, other types are compared as wider ones.
    #[test]
    fn rows_are_among_rows_or_not() {
        let reader = Shop::open().owner();
        let pairs = "(VALUES (1, 'a'), (1, 'a'), (2, NULL)) m(n, s)";
        for (condition, expected) in [
            ("(x, t) IN (SELECT n, s FROM {})", ["1|a"].as_slice()),
            ("(x, t) NOT IN (SELECT n, s FROM {} WHERE s IS NOT NULL)", &["2|b", "3|c"]),
            ("EXISTS (SELECT 1 FROM {} WHERE n = x AND s = t)", &["1|a"]),
            ("NOT EXISTS (SELECT 1 FROM {} WHERE n = x AND s = t)", &["2|b", "3|c"]),
            ("(x::bigint, t) IN (SELECT n, s FROM {})", &["1|a"]),
            ("(x, t) IN (SELECT n, s FROM {}) AND x > 1", &[]),
            ("(x, t) IN (SELECT n, s FROM {}) OR x = 3", &["1|a", "3|c"]),
        ] {
            let sql = format!(
                "SELECT x, t FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) v(x, t) WHERE {} ORDER BY x",
                condition.replace("{}", pairs)
            );
            assert_eq!(reader.rows(&sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
        }
    }

    /// A source that has both sides gets one join, not a look into the subquery for each row.
    #[test]
    fn a_row_among_rows_is_a_join() {
        let reader = Shop::open().owner();
        let plan = |sql: &str| reader.bind(sql).unwrap().plan().display_indent().to_string();
        let joined =
            plan("SELECT id FROM orders WHERE (account_id, region_id) IN (SELECT id, region_id FROM accounts)");
        assert!(joined.contains("Join") && !joined.contains("EXISTS"), "{joined}");
        let around = plan("SELECT id FROM orders o WHERE (account_id, pieces) IN (SELECT id, o.pieces FROM accounts)");
        assert!(around.contains("EXISTS"), "rows that depend on the row around are no join: {around}");
    }
}
