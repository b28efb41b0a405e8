//! Scalar subqueries that give a row found by columns of the row around, `(SELECT a.name FROM accounts a WHERE a.id = i.account_id)`, and
//! EXISTS and IN as values. The engine joins a subquery where it is an aggregate: such a row is the members of an array of one, and
//! whether there is a row is a count. What runs for each row is a statement to the source for each.

use super::catalog_only;
use super::joinable::{is_local, joinable};
use super::keyed::has_subquery;
use super::pulled::{below_first_rows, is_joined_wrongly};
use super::references::{free_references, subquery_of};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema as _, Result, ScalarValue};
use datafusion::functions_aggregate::array_agg::array_agg;
use datafusion::functions_aggregate::count::count;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{Exists, InSubquery, Sort as SortKey};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SkipType,
    Subquery, lit, when,
};
use querygate_query_api::own_names::at_place;
use querygate_rules::is_leak_proof;
use std::collections::HashMap;
use std::sync::Arc;

/// The plan with look-ups that the engine joins, in its subqueries too.
pub(super) fn with_lookups(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.exists(has_value_subquery)? {
        return Ok(plan);
    }
    Ok(plan.transform_up_with_subqueries(rewritten)?.data)
}

fn has_value_subquery(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = found || expr.exists(|part| Ok(subquery_of(part).is_some()))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !has_value_subquery(&node)? {
        return Ok(Transformed::no(node));
    }
    match node {
        LogicalPlan::Projection(projection) => {
            let around = Arc::clone(projection.input.schema());
            let names = NamePreserver::new_for_projection();
            let mut changed = false;
            let exprs = projection.expr.iter().cloned().map(|expr| {
                let saved = names.save(&expr);
                let value = expr.transform_down(|part| value(part, &around))?;
                changed |= value.transformed;
                Ok(if value.transformed { saved.restore(value.data) } else { value.data })
            });
            let exprs = exprs.collect::<Result<Vec<_>>>()?;
            if !changed {
                return Ok(Transformed::no(LogicalPlan::Projection(projection)));
            }
            let schema = Arc::clone(&projection.schema);
            let changed = Projection::try_new_with_schema(exprs, Arc::clone(&projection.input), schema)?;
            Ok(Transformed::yes(LogicalPlan::Projection(changed)))
        }
        LogicalPlan::Filter(filter) => {
            let Filter { predicate, input, .. } = filter;
            let changed = predicate.transform_down(|part| match part {
                Expr::ScalarSubquery(subquery) => looked_up(subquery),
                other => Ok(Transformed::no(other)),
            })?;
            Ok(Transformed::new_transformed(
                LogicalPlan::Filter(Filter::try_new(changed.data, input)?),
                changed.transformed,
            ))
        }
        LogicalPlan::Aggregate(_) | LogicalPlan::Sort(_) | LogicalPlan::Window(_) => below(node),
        other => Ok(Transformed::no(other)),
    }
}

/// A node whose subqueries stand in a projection below it, where the engine joins them.
fn below(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    let Some(input) = inputs.pop().filter(|_| inputs.is_empty()) else { return Ok(Transformed::no(node)) };
    // A key may read columns that the select list does not have.
    let (columns, input, all) = match input {
        LogicalPlan::Projection(list) if reads_below(&node, &list)? => (list.expr, list.input, true),
        other => (other.schema().columns().into_iter().map(Expr::Column).collect(), Arc::new(other), false),
    };
    let around = Arc::clone(input.schema());
    let mut added: Vec<Expr> = Vec::new();
    let names = NamePreserver::new(&node);
    let mut expressions = Vec::new();
    for expr in node.expressions() {
        let saved = names.save(&expr);
        let lifted = expr.transform_down(|part| {
            if subquery_of(&part).is_none() {
                return Ok(Transformed::no(part));
            }
            let joined = value(part, &around)?;
            if !all && !joined.transformed && !is_joined(&joined.data)? {
                return Ok(joined);
            }
            let name = at_place("subquery ", added.len());
            added.push(joined.data.alias(&name));
            Ok(Transformed::new(Expr::Column(Column::new_unqualified(name)), true, TreeNodeRecursion::Jump))
        })?;
        expressions.push(if lifted.transformed { saved.restore(lifted.data) } else { lifted.data });
    }
    if added.is_empty() {
        return Ok(Transformed::no(node));
    }
    let before = Arc::clone(node.schema());
    let projected = Projection::try_new(columns.into_iter().chain(added).collect(), input)?;
    let changed = node.with_new_exprs(expressions, vec![LogicalPlan::Projection(projected)])?;
    Ok(Transformed::yes(super::restore_columns(changed, &before)?))
}

/// Whether subqueries of a sort read columns of the rows that a select list is of, and does not give.
fn reads_below(node: &LogicalPlan, list: &Projection) -> Result<bool> {
    let LogicalPlan::Sort(sort) = node else { return Ok(false) };
    let (own, rows) = (&list.schema, list.input.schema());
    let mut below = false;
    for key in &sort.expr {
        key.expr.apply(|part| {
            let Some(subquery) = subquery_of(part) else { return Ok(TreeNodeRecursion::Continue) };
            let read = free_references(&subquery.subquery)?;
            below |= read.iter().any(|(column, _)| !own.has_column(column))
                && read.iter().all(|(column, _)| rows.has_column(column));
            Ok(TreeNodeRecursion::Jump)
        })?;
    }
    Ok(below)
}

/// Whether the engine joins a subquery as it is, where it stands in a projection.
fn is_joined(expr: &Expr) -> Result<bool> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(false) };
    Ok(!catalog_only(&subquery.subquery)? && joinable(&subquery.subquery)? && !is_joined_wrongly(expr)?)
}

/// A part of an expression whose value is wanted.
fn value(part: Expr, around: &DFSchema) -> Result<Transformed<Expr>> {
    match part {
        Expr::ScalarSubquery(subquery) => looked_up(subquery),
        Expr::Exists(exists) => there_is(exists),
        Expr::InSubquery(member) => member_of(member, around),
        other => Ok(Transformed::no(other)),
    }
}

/// A subquery that finds rows by columns that are equal to such of the row around, and what it gives of the first of them, or of the only one.
struct LookUp<'a> {
    item: Expr,
    rows: &'a Filter,
    /// The order of the rows where the first is wanted; `None`: there may be one alone.
    first: Option<Vec<SortKey>>,
}

impl<'a> LookUp<'a> {
    fn find(plan: &'a LogicalPlan) -> Option<Self> {
        let (mut node, first) = match plan {
            LogicalPlan::Limit(limit) => (limit.input.as_ref(), is_first(limit).then_some(true)?),
            LogicalPlan::Projection(node) => match node.input.as_ref() {
                LogicalPlan::Limit(limit) if is_first(limit) && node.expr.iter().all(is_plain) => (plan, true),
                _ => (plan, false),
            },
            _ => (plan, false),
        };
        let [(qualifier, field)] = node.schema().iter().collect::<Vec<_>>().try_into().ok()?;
        let mut item = Expr::from((qualifier, field));
        let mut keys: Vec<SortKey> = Vec::new();
        loop {
            node = match node {
                LogicalPlan::Projection(projection) if projection.expr.iter().all(is_local) => {
                    item = through(item, projection)?;
                    for key in &mut keys {
                        key.expr = through(std::mem::take(&mut key.expr), projection)?;
                    }
                    projection.input.as_ref()
                }
                LogicalPlan::Limit(limit) if first && is_first(limit) && keys.is_empty() => limit.input.as_ref(),
                LogicalPlan::Sort(sort) if sort.fetch.is_none() && sort.expr.iter().all(|key| is_local(&key.expr)) => {
                    // Of several orders the outermost one counts.
                    if first && keys.is_empty() {
                        keys.clone_from(&sort.expr);
                    }
                    sort.input.as_ref()
                }
                LogicalPlan::Filter(rows) => {
                    return Some(Self { item, rows, first: first.then_some(keys) });
                }
                _ => return None,
            };
        }
    }
}

fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_plain(&alias.expr),
        other => matches!(other, Expr::Column(_)),
    }
}

fn is_first(limit: &Limit) -> bool {
    matches!(
        (limit.get_skip_type(), limit.get_fetch_type()),
        (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(1))))
    )
}

/// An expression over the columns of a projection, over those of its input.
fn through(expr: Expr, projection: &Projection) -> Option<Expr> {
    let columns: HashMap<Column, &Expr> = projection.schema.columns().into_iter().zip(&projection.expr).collect();
    let below = expr.transform_up(|part| match part {
        Expr::Column(column) => match columns.get(&column) {
            Some(own) => Ok(Transformed::yes(Expr::clone(own).unalias_nested().data)),
            None => Ok(Transformed::no(Expr::Column(column))),
        },
        other => Ok(Transformed::no(other)),
    });
    below.ok().map(|below| below.data)
}

/// A look-up as an aggregate, which the engine joins.
fn looked_up(subquery: Subquery) -> Result<Transformed<Expr>> {
    match aggregated(&subquery)? {
        Some(value) => Ok(Transformed::new(value, true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(Expr::ScalarSubquery(subquery))),
    }
}

fn aggregated(subquery: &Subquery) -> Result<Option<Expr>> {
    let plan = subquery.subquery.as_ref();
    if free_references(plan)?.is_empty() || catalog_only(plan)? {
        return Ok(None);
    }
    let Some(LookUp { item, rows, first }) = LookUp::find(plan) else { return Ok(None) };
    // One that fails would fail for rows that no one asks for.
    if has_subquery(&item)? || item.is_volatile() || !is_leak_proof(&item, |_| true) {
        return Ok(None);
    }
    let field = Arc::clone(plan.schema().field(0));
    let (aggregate, of_array) = match first {
        Some(keys) => (first_value(item, keys), false),
        None if is_unique(rows) => (first_value(item, Vec::new()), false),
        None => (array_agg(item), true),
    };
    let name = at_place("found ", 0);
    let found = LogicalPlanBuilder::from(LogicalPlan::Filter(rows.clone()))
        .aggregate(Vec::<Expr>::new(), vec![aggregate.alias(&name)])?
        .project(vec![Expr::Column(Column::new_unqualified(&name))])?
        .build()?;
    if !joinable(&found)? {
        return Ok(None);
    }
    let own_type = found.schema().field(0);
    if !of_array && (own_type.data_type() != field.data_type() || own_type.metadata() != field.metadata()) {
        return Ok(None);
    }
    let joined = Expr::ScalarSubquery(with_plan(subquery, found));
    if is_joined_wrongly(&joined)? {
        return Ok(None);
    }
    Ok(Some(if of_array { crate::dialect::functions::only_row(joined, field) } else { joined }))
}

fn with_plan(subquery: &Subquery, plan: LogicalPlan) -> Subquery {
    let outer_ref_columns = plan.all_out_ref_exprs();
    Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans.clone() }
}

/// Whether the columns that are equal to such of the row around tell all rows apart.
fn is_unique(rows: &Filter) -> bool {
    let schema = rows.input.schema();
    let equal = split_conjunction(&rows.predicate).into_iter().filter_map(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(own), Expr::OuterReferenceColumn(..))
            | (Expr::OuterReferenceColumn(..), Expr::Column(own)) => schema.maybe_index_of_column(own),
            _ => None,
        },
        _ => None,
    });
    let equal: Vec<usize> = equal.collect();
    schema.functional_dependencies().iter().any(|dependency| {
        dependency.mode == datafusion::common::Dependency::Single
            && dependency.source_indices.iter().all(|place| equal.contains(place))
    })
}

/// EXISTS as whether a count is greater than zero.
fn there_is(exists: Exists) -> Result<Transformed<Expr>> {
    let plan = exists.subquery.subquery.as_ref();
    // One that reads nothing of the row around runs once.
    if free_references(plan)?.is_empty() || catalog_only(plan)? {
        return Ok(Transformed::no(Expr::Exists(exists)));
    }
    let counted = counted(below_first_rows(plan))?;
    if !joinable(&counted)? {
        return Ok(Transformed::no(Expr::Exists(exists)));
    }
    let joined = Expr::ScalarSubquery(with_plan(&exists.subquery, counted));
    if is_joined_wrongly(&joined)? {
        return Ok(Transformed::no(Expr::Exists(exists)));
    }
    let some = joined.gt(lit(0_i64));
    let found = if exists.negated { Expr::Not(Box::new(some)) } else { some };
    Ok(Transformed::new(found, true, TreeNodeRecursion::Jump))
}

fn counted(rows: &LogicalPlan) -> Result<LogicalPlan> {
    let name = at_place("counted ", 0);
    LogicalPlanBuilder::from(rows.clone())
        .aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias(&name)])?
        .project(vec![Expr::Column(Column::new_unqualified(name))])?
        .build()
}

/// IN over rows that do not depend on the row around: whether there is an equal one, and else whether there is one that might be.
fn member_of(member: InSubquery, around: &DFSchema) -> Result<Transformed<Expr>> {
    let plan = Arc::clone(&member.subquery.subquery);
    let Expr::Column(column) = member.expr.as_ref() else { return Ok(Transformed::no(Expr::InSubquery(member))) };
    let field = Arc::clone(around.field_from_column(column)?);
    let Some(item) = plan.schema().columns().into_iter().next() else {
        return Ok(Transformed::no(Expr::InSubquery(member)));
    };
    let own: FieldRef = Arc::clone(plan.schema().field(0));
    let plain = free_references(&plan)?.is_empty()
        && !catalog_only(&plan)?
        && own.data_type() == field.data_type()
        // Zero is two floats.
        && !own.data_type().is_floating()
        && !matches!(own.data_type(), DataType::List(_) | DataType::Struct(_));
    if !plain {
        return Ok(Transformed::no(Expr::InSubquery(member)));
    }
    let filtered = |condition: Expr| -> Result<Expr> {
        let rows = LogicalPlan::Filter(Filter::try_new(condition, Arc::clone(&plan))?);
        Ok(Expr::ScalarSubquery(with_plan(&member.subquery, counted(&rows)?)).gt(lit(0_i64)))
    };
    let value = Expr::Column(column.clone());
    let equal = Expr::Column(item.clone()).eq(Expr::OuterReferenceColumn(Arc::clone(&field), column.clone()));
    let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
    let mut cases = when(filtered(equal)?, lit(true));
    if field.is_nullable() {
        let some = Expr::ScalarSubquery(with_plan(&member.subquery, counted(&plan)?)).gt(lit(0_i64));
        cases = cases.when(value.is_null().and(some), unknown.clone());
    }
    if own.is_nullable() {
        cases = cases.when(filtered(Expr::Column(item).is_null())?, unknown);
    }
    let found = cases.otherwise(lit(false))?;
    let found = if member.negated { Expr::Not(Box::new(found)) } else { found };
    Ok(Transformed::new(found, true, TreeNodeRecursion::Jump))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, printed};

    #[test]
    fn look_ups_are_joined() {
        let reader = Shop::open().owner();
        for sql in [
            "SELECT v.id, (SELECT r.rank FROM regions r WHERE r.id = v.region_id) FROM visits v ORDER BY 1",
            "SELECT v.id, (SELECT a.name FROM accounts a WHERE a.id = v.account_id) FROM visits v ORDER BY 1",
            "SELECT (SELECT a.name FROM accounts a WHERE a.id = v.account_id) n, count(*) FROM visits v GROUP BY 1 ORDER BY 1",
            "SELECT v.id FROM visits v WHERE (SELECT a.region_id FROM accounts a WHERE a.id = v.account_id) = 'emea' ORDER BY 1",
            "SELECT sum((SELECT r.rank FROM regions r WHERE r.id = v.region_id)) FROM visits v",
            "SELECT sum((SELECT count(*) FROM orders o WHERE o.account_id = v.account_id)) FROM visits v",
            "SELECT v.id, v.region_id FROM visits v ORDER BY (SELECT r.rank FROM regions r WHERE r.id = v.region_id), 1",
            "SELECT v.id FROM visits v ORDER BY (SELECT r.rank FROM regions r WHERE r.id = v.region_id), 1 LIMIT 2",
            "SELECT v.id, EXISTS (SELECT 1 FROM orders o WHERE o.account_id = v.account_id) FROM visits v ORDER BY 1",
            "SELECT v.id, v.account_id IN (SELECT o.account_id FROM orders o), v.account_id NOT IN (SELECT o.account_id FROM orders o \
             WHERE o.account_id IS NOT NULL) FROM visits v ORDER BY 1",
            "SELECT v.id, v.account_id IN (SELECT o.account_id FROM orders o WHERE false) FROM visits v ORDER BY 1",
            "SELECT CASE WHEN v.score > 2 THEN (SELECT r.rank FROM regions r WHERE r.id = v.region_id) END FROM visits v ORDER BY v.id",
        ] {
            let plan = reader.plan(sql).unwrap();
            let plan = printed(plan.physical());
            assert!(!plan.contains("ApplyExec"), "{sql}\n{plan}");
            reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let several =
            reader.rows("SELECT (SELECT o.id FROM orders o WHERE o.region_id = r.id) FROM regions r").unwrap_err();
        assert_eq!(several.code().sqlstate(), "21000", "{several}");
        // Rows that no one asks for may be several.
        let one =
            "SELECT r.id, (SELECT o.id FROM orders o WHERE o.region_id = r.id) FROM regions r WHERE r.id = 'none'";
        assert!(reader.rows(one).unwrap().is_empty());
    }
}
