//! Subqueries that ask a source's rows to be equal to the outer row in some columns, run for many outer rows at once: what is
//! equal becomes a list of values, the first rows of each outer row are found by numbering the rows of each, and an aggregate
//! groups by the outer row. For a source, a thousand small questions cost more than one that names a thousand values.

use super::joinable::is_local;
use super::keyed::equality;
use super::references::free_references;
use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result, ScalarValue, TableReference};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprFunctionExt as _, FetchType, Filter, Join, Limit, LogicalPlan, LogicalPlanBuilder, Projection,
    SkipType, SubqueryAlias, lit,
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
    /// Whether the subquery gives a row where none is found for an outer row: the same one for each of them.
    pub(super) gives_of_none: bool,
}

/// A part of it.
struct Part {
    plan: LogicalPlan,
    keys: Vec<(usize, Column)>,
    /// Numbers the rows of each outer row in their order.
    rank: Option<Column>,
    /// Rows of one number may be several.
    is_repeated: bool,
    /// Rows were left out by their number, or became one: what is asked above is not asked of all rows.
    cut: bool,
    /// An aggregate without GROUP BY: a row of no rows, too.
    gives_of_none: bool,
}

impl Part {
    /// Rows of a relation that reads no outer row.
    fn of(plan: LogicalPlan) -> Self {
        Self { plan, keys: Vec::new(), rank: None, is_repeated: false, cut: false, gives_of_none: false }
    }
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
        let keys = part.keys.into_iter().map(|(place, _)| place).collect();
        Ok(Some(Many { plan, keys, gives_of_none: part.gives_of_none }))
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
                let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(part.plan))?);
                Ok(Some(Part { plan, keys, rank, ..part }))
            }
            LogicalPlan::SubqueryAlias(node) => {
                let Some(part) = self.part(&node.input, rows, numbered)? else { return Ok(None) };
                let renamed = |column: Column| Column::new(Some(node.alias.clone()), column.name);
                let keys = part.keys.into_iter().map(|(place, column)| (place, renamed(column))).collect();
                let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(part.plan), node.alias.clone())?);
                Ok(Some(Part { plan, keys, rank: part.rank.map(renamed), ..part }))
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() && node.expr.iter().all(|key| is_local(&key.expr)) => {
                let Some(part) = self.part(&node.input, rows, false)? else { return Ok(None) };
                if numbered { number(part, node.expr.clone()) } else { Ok(Some(part)) }
            }
            LogicalPlan::Limit(node) => self.limit(node, rows, numbered),
            LogicalPlan::Aggregate(node) => self.aggregate(node, rows),
            LogicalPlan::Join(node) => self.join(node, rows, numbered),
            _ => Ok(None),
        }
    }

    /// An aggregate of each outer row: one that depends on the order of its rows takes them in the order in which they are numbered.
    fn aggregate(&self, node: &Aggregate, rows: &[&Vec<ScalarValue>]) -> Result<Option<Part>> {
        let mut all = node.group_expr.iter().chain(&node.aggr_expr);
        if !all.all(|expr| is_local(expr) && !matches!(expr, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let Some(part) = self.part(&node.input, rows, true)? else { return Ok(None) };
        if part.gives_of_none || part.keys.is_empty() {
            return Ok(None);
        }
        let mut groups = node.group_expr.clone();
        for (_, column) in &part.keys {
            let key = Expr::Column(column.clone());
            if !groups.contains(&key) {
                groups.push(key);
            }
        }
        let added = groups.len() - node.group_expr.len();
        let aggregates = node.aggr_expr.iter().map(|expr| in_order(expr.clone(), part.rank.as_ref()));
        let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(part.plan), groups, aggregates)?);
        let found = plan.schema().columns();
        let own = (0..).zip(node.schema.iter()).filter_map(|(place, (qualifier, field))| {
            let place = if place < node.group_expr.len() { place } else { place + added };
            let found = found.get(place)?;
            Some(Expr::Column(found.clone()).alias_qualified(qualifier.cloned(), field.name()))
        });
        let columns = own.chain(handed_up(&part.keys)).collect();
        let keys = part.keys.iter().enumerate().map(|(at, (place, _))| (*place, key_column(at))).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?);
        let gives_of_none = node.group_expr.is_empty();
        Ok(Some(Part { keys, cut: true, gives_of_none, ..Part::of(plan) }))
    }

    /// Rows that are found for outer rows, with what is beside each of them: that reads these rows, and none around.
    fn join(&self, node: &Join, rows: &[&Vec<ScalarValue>], numbered: bool) -> Result<Option<Part>> {
        let beside = free_references(&node.right)?;
        let mut conditions = node.on.iter().flat_map(|(left, right)| [left, right]).chain(&node.filter);
        if !matches!(node.join_type, JoinType::Inner | JoinType::Left)
            || !beside.iter().all(|(column, _)| node.left.schema().has_column(column))
            || !conditions.all(is_local)
        {
            return Ok(None);
        }
        let Some(part) = self.part(&node.left, rows, numbered)? else { return Ok(None) };
        if part.gives_of_none {
            return Ok(None);
        }
        let joined = Join::try_new(
            Arc::new(part.plan),
            Arc::clone(&node.right),
            node.on.clone(),
            node.filter.clone(),
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        )?;
        Ok(Some(Part { plan: LogicalPlan::Join(joined), is_repeated: true, ..part }))
    }

    fn filter(&self, filter: &Filter, rows: &[&Vec<ScalarValue>], numbered: bool) -> Result<Option<Part>> {
        let below = if free_references(&filter.input)?.is_empty() {
            Part::of(filter.input.as_ref().clone())
        } else {
            let Some(part) = self.part(&filter.input, rows, numbered)? else { return Ok(None) };
            part
        };
        // A row that a condition leaves out is not one that was not found.
        if below.rank.is_some() || below.gives_of_none {
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
        Ok(Some(Part { keys, cut: below.cut, ..Part::of(plan) }))
    }

    fn limit(&self, limit: &Limit, rows: &[&Vec<ScalarValue>], numbered: bool) -> Result<Option<Part>> {
        let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) =
            (limit.get_skip_type(), limit.get_fetch_type())
        else {
            return Ok(None);
        };
        let Some(part) = self.part(&limit.input, rows, true)? else { return Ok(None) };
        if part.gives_of_none {
            let keeps = skip == 0 && fetch != Some(0);
            return Ok(keeps.then_some(part));
        }
        let part = match &part.rank {
            Some(_) if !part.is_repeated => Some(part),
            Some(rank) => {
                let order = vec![Expr::Column(rank.clone()).sort(true, false)];
                number(part, order)?
            }
            None => number(part, Vec::new())?,
        };
        let Some(Part { plan, keys, rank: Some(rank), .. }) = part else { return Ok(None) };
        let mut wanted = Expr::Column(rank.clone()).gt(lit(skip as u64));
        if let Some(fetch) = fetch {
            wanted = wanted.and(Expr::Column(rank.clone()).lt_eq(lit(skip.saturating_add(fetch) as u64)));
        }
        let plan = LogicalPlanBuilder::from(plan).filter(wanted)?.build()?;
        Ok(Some(Part { keys, rank: numbered.then_some(rank), cut: true, ..Part::of(plan) }))
    }
}

/// An aggregate that takes its rows by their number, where it depends on their order and names none.
fn in_order(expr: Expr, rank: Option<&Column>) -> Result<Expr> {
    let Some(rank) = rank else { return Ok(expr) };
    let ordered = expr.transform_up(|mut part| match &mut part {
        Expr::AggregateFunction(call)
            if call.params.order_by.is_empty()
                && !call.params.distinct
                && !call.func.order_sensitivity().is_insensitive() =>
        {
            call.params.order_by = vec![Expr::Column(rank.clone()).sort(true, false)];
            Ok(Transformed::yes(part))
        }
        _ => Ok(Transformed::no(part)),
    })?;
    Ok(ordered.data)
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
    Ok(Some(Part { plan, rank, is_repeated: false, ..part }))
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
