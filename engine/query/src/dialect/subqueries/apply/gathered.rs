//! Subqueries that ask a source's rows to be equal to the outer row in some columns, run for many outer rows at once: what is
//! equal becomes a list of values, and the first rows of each outer row are found by numbering the rows of each. For a source,
//! a thousand small questions cost more than one that names a thousand values.

use super::joinable::is_local;
use super::keyed::equality;
use super::references::free_references;
use arrow::datatypes::FieldRef;
use datafusion::common::{Column, Result, ScalarValue, TableReference};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt as _, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, SkipType,
    SubqueryAlias, lit,
};
use querygate_query_api::own_names::{RANK, at_place};
use std::collections::HashSet;
use std::sync::Arc;

/// Outer rows of one run: what every source takes as a list.
pub(super) const AT_ONCE: usize = 1_000;
/// Fewer are asked for one by one.
pub(super) const LEAST: usize = 4;
/// Qualifier of the columns that such a plan hands up.
const QUALIFIER: &str = "__apply_key";

/// A subquery of that shape.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    subplan: Arc<LogicalPlan>,
    outer: Vec<(Column, FieldRef)>,
}

/// A plan for many outer rows.
pub(super) struct Many {
    /// The subquery's columns, then the keys.
    pub(super) plan: LogicalPlan,
    /// Which of the outer values each key is equal to.
    pub(super) keys: Vec<usize>,
}

/// A part of it.
struct Part {
    plan: LogicalPlan,
    keys: Vec<(usize, Column)>,
    /// Numbers the rows of each outer row in their order.
    rank: Option<Column>,
    /// Rows were left out by their number: what is asked above is not asked of all rows.
    cut: bool,
}

impl Gathered {
    /// Whether a subquery has the shape; `outer` are the columns it reads.
    pub(super) fn find(subplan: &Arc<LogicalPlan>, outer: &[(Column, FieldRef)]) -> Option<Self> {
        let gathered = Self { subplan: Arc::clone(subplan), outer: outer.to_vec() };
        // A plan that cannot be made is not of the shape.
        let many = gathered.many(&[]).ok()??;
        // Each outer value is asked for: rows are distinguished by all of them.
        (0..outer.len()).all(|place| many.keys.contains(&place)).then_some(gathered)
    }

    /// The plan for some outer rows.
    pub(super) fn many(&self, rows: &[&Vec<ScalarValue>]) -> Result<Option<Many>> {
        let Some(part) = self.part(&self.subplan, rows, false)? else { return Ok(None) };
        let mut columns: Vec<Expr> = self.subplan.schema().columns().into_iter().map(Expr::Column).collect();
        columns.extend(handed_up(&part.keys));
        let plan = LogicalPlanBuilder::from(part.plan).project(columns)?.build()?;
        Ok(Some(Many { plan, keys: part.keys.into_iter().map(|(place, _)| place).collect() }))
    }

    fn part(&self, plan: &LogicalPlan, rows: &[&Vec<ScalarValue>], numbered: bool) -> Result<Option<Part>> {
        match plan {
            LogicalPlan::Filter(filter) => self.filter(filter, rows, numbered),
            LogicalPlan::Projection(node) if node.expr.iter().all(is_local) => {
                let Some(part) = self.part(&node.input, rows, numbered)? else { return Ok(None) };
                let mut columns = node.expr.clone();
                columns.extend(handed_up(&part.keys));
                let keys = part.keys.iter().enumerate().map(|(at, (place, _))| (*place, key_column(at)));
                let keys = keys.collect();
                let rank = part.rank.map(|rank| {
                    columns.push(Expr::Column(rank).alias_qualified(Some(QUALIFIER), RANK));
                    Column::new(Some(QUALIFIER), RANK)
                });
                let plan = Projection::try_new(columns, Arc::new(part.plan))?;
                Ok(Some(Part { plan: LogicalPlan::Projection(plan), keys, rank, cut: part.cut }))
            }
            LogicalPlan::SubqueryAlias(node) => {
                let Some(part) = self.part(&node.input, rows, numbered)? else { return Ok(None) };
                let renamed = |column: Column| Column::new(Some(node.alias.clone()), column.name);
                let keys = part.keys.into_iter().map(|(place, column)| (place, renamed(column))).collect();
                let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(part.plan), node.alias.clone())?);
                Ok(Some(Part { plan, keys, rank: part.rank.map(renamed), cut: part.cut }))
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() && node.expr.iter().all(|key| is_local(&key.expr)) => {
                let Some(part) = self.part(&node.input, rows, false)? else { return Ok(None) };
                if numbered { number(part, node.expr.clone()) } else { Ok(Some(part)) }
            }
            LogicalPlan::Limit(node) => self.limit(node, rows),
            _ => Ok(None),
        }
    }

    fn filter(&self, filter: &Filter, rows: &[&Vec<ScalarValue>], numbered: bool) -> Result<Option<Part>> {
        let below = if free_references(&filter.input)?.is_empty() {
            Part { plan: filter.input.as_ref().clone(), keys: Vec::new(), rank: None, cut: false }
        } else {
            let Some(part) = self.part(&filter.input, rows, numbered)? else { return Ok(None) };
            part
        };
        if below.rank.is_some() {
            return Ok(None);
        }
        let (mut conditions, mut keys) = (Vec::new(), below.keys);
        for condition in split_conjunction(&filter.predicate) {
            if is_local(condition) {
                conditions.push(condition.clone());
            } else if let Some((column, place, data_type)) = equality(condition, filter, &self.outer)
                && !below.cut
                // Values are looked up by what they are, and zero is two floats.
                && !data_type.is_floating()
            {
                let mut seen = HashSet::new();
                let values = rows
                    .iter()
                    .filter_map(|row| row.get(place))
                    .filter(|value| !value.is_null() && seen.insert(*value));
                let values = values.map(|value| Expr::Literal(value.clone(), None)).collect::<Vec<_>>();
                conditions.push(if values.is_empty() {
                    lit(false)
                } else {
                    Expr::Column(column.clone()).in_list(values, false)
                });
                keys.push((place, column));
            } else {
                return Ok(None);
            }
        }
        let plan = LogicalPlanBuilder::from(below.plan);
        let plan = match conjunction(conditions) {
            Some(condition) => plan.filter(condition)?.build()?,
            None => plan.build()?,
        };
        Ok(Some(Part { plan, keys, rank: None, cut: below.cut }))
    }

    fn limit(&self, limit: &Limit, rows: &[&Vec<ScalarValue>]) -> Result<Option<Part>> {
        let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) =
            (limit.get_skip_type(), limit.get_fetch_type())
        else {
            return Ok(None);
        };
        let Some(part) = self.part(&limit.input, rows, true)? else { return Ok(None) };
        let part = if part.rank.is_some() { Some(part) } else { number(part, Vec::new())? };
        let Some(Part { plan, keys, rank: Some(rank), .. }) = part else { return Ok(None) };
        let mut wanted = Expr::Column(rank.clone()).gt(lit(skip as u64));
        if let Some(fetch) = fetch {
            wanted = wanted.and(Expr::Column(rank).lt_eq(lit(skip.saturating_add(fetch) as u64)));
        }
        let plan = LogicalPlanBuilder::from(plan).filter(wanted)?.build()?;
        Ok(Some(Part { plan, keys, rank: None, cut: true }))
    }
}

/// Numbers the rows of each outer row.
fn number(part: Part, order: Vec<SortKey>) -> Result<Option<Part>> {
    if part.keys.is_empty() {
        return Ok(None);
    }
    let by = part.keys.iter().map(|(_, column)| Expr::Column(column.clone())).collect();
    let number = Expr::from(WindowFunction::new(row_number_udwf(), Vec::new())).partition_by(by);
    let number = if order.is_empty() { number.build()? } else { number.order_by(order).build()? };
    let plan = LogicalPlanBuilder::from(part.plan).window(vec![number])?.build()?;
    let rank = plan.schema().columns().pop();
    Ok(Some(Part { plan, rank, ..part }))
}

fn key_column(at: usize) -> Column {
    Column::new(Some(TableReference::bare(QUALIFIER)), at_place("key_", at))
}

fn handed_up(keys: &[(usize, Column)]) -> Vec<Expr> {
    let each = keys.iter().enumerate();
    each.map(|(at, (_, column))| {
        let handed = key_column(at);
        Expr::Column(column.clone()).alias_qualified(handed.relation, handed.name)
    })
    .collect()
}
