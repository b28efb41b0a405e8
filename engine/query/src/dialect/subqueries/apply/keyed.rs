//! Subqueries on catalog relations that ask for rows equal to the outer row in some columns: they run once, for all outer
//! rows, and answer by looking up. Where more than that is asked, the run still says for which outer rows there is nothing.

use super::exec::SubplanRunner;
use super::node::ApplyKind;
use super::references::{free_references, subquery_of};
use super::{catalog_only, joinable};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::utils::normalize_float_zero_scalar;
use datafusion::common::{Column, ExprSchema as _, Result, ScalarValue};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, FetchType, Filter, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, lit,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that one such run may give; with more, subqueries run one by one.
const ROWS_MAX: usize = 200_000;

/// What an answer takes beside its key and value, estimated.
const ANSWER_BYTES: usize = 128;

/// A subquery of that shape.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    /// Key columns, then the value of a scalar subquery.
    plan: LogicalPlan,
    /// Which of the outer values each key is compared with, and as what type.
    keys: Vec<(usize, DataType)>,
    scalar: bool,
    /// Nothing else is asked of the outer row.
    exact: bool,
}

/// What looking up says.
pub(super) enum Found {
    Nothing,
    /// One row's value; without one for EXISTS.
    One(Option<ScalarValue>),
    Several,
    /// The subquery has to run for this row.
    Unknown,
}

/// The answers for all outer rows.
#[derive(Debug)]
pub(super) struct Answers {
    keyed: Keyed,
    rows: HashMap<Vec<ScalarValue>, (Option<ScalarValue>, bool)>,
}

impl Keyed {
    /// Whether a subquery has the shape; `outer` are the columns it reads.
    pub(super) fn find(kind: ApplyKind, subplan: &LogicalPlan, outer: &[(Column, FieldRef)]) -> Result<Option<Self>> {
        let scalar = match kind {
            ApplyKind::Exists => false,
            ApplyKind::Scalar => true,
            ApplyKind::Lateral | ApplyKind::LateralOuter => return Ok(None),
        };
        let Some((filter, value)) = rows_below(subplan, scalar) else { return Ok(None) };
        if !catalog_only(subplan)? || !free_references(&filter.input)?.is_empty() {
            return Ok(None);
        }
        let (mut own, mut keys, mut columns, mut exact) = (Vec::new(), Vec::new(), Vec::new(), true);
        for condition in split_conjunction(&filter.predicate) {
            if joinable::is_local(condition) {
                own.push(condition.clone());
            } else if let Some((column, place, data_type)) = equality(condition, filter, outer) {
                columns.push(Expr::Column(column).alias(format!("key_{place}_{}", keys.len())));
                keys.push((place, data_type));
            } else if has_subquery(condition)? {
                return Ok(None);
            } else {
                exact = false;
            }
        }
        columns.push(value.cloned().unwrap_or_else(|| lit(true)).alias("value"));
        let mut plan = LogicalPlanBuilder::from(filter.input.as_ref().clone());
        if let Some(own) = conjunction(own) {
            plan = plan.filter(own)?;
        }
        let plan = plan.project(columns)?.limit(0, Some(ROWS_MAX + 1))?.build()?;
        Ok(Some(Self { plan, keys, scalar, exact }))
    }

    /// Runs it. `None`: too many rows, or a row that no outer row asks for cannot be computed.
    pub(super) async fn answers(&self, runner: &SubplanRunner, context: &Arc<TaskContext>) -> Option<Answers> {
        let batches = runner.0.run(self.plan.clone(), Arc::clone(context)).await.ok()?;
        if batches.iter().map(RecordBatch::num_rows).sum::<usize>() > ROWS_MAX {
            return None;
        }
        let mut rows: HashMap<Vec<ScalarValue>, (Option<ScalarValue>, bool)> = HashMap::new();
        for batch in &batches {
            let keys = self.keys.iter().enumerate().map(|(place, (_, data_type))| cast(batch.column(place), data_type));
            let keys = keys.collect::<std::result::Result<Vec<_>, _>>().ok()?;
            let values = batch.column(self.keys.len());
            for row in 0..batch.num_rows() {
                let key = keys.iter().map(|key| ScalarValue::try_from_array(key, row).map(normalize_float_zero_scalar));
                let key = key.collect::<Result<Vec<_>>>().ok()?;
                if key.iter().any(ScalarValue::is_null) {
                    continue;
                }
                let value =
                    if self.scalar && self.exact { Some(ScalarValue::try_from_array(values, row).ok()?) } else { None };
                rows.entry(key).and_modify(|(_, several)| *several = true).or_insert((value, false));
            }
        }
        Some(Answers { keyed: self.clone(), rows })
    }
}

impl Answers {
    /// What they take of memory, estimated.
    pub(super) fn bytes(&self) -> usize {
        let of = |(key, (value, _)): (&Vec<ScalarValue>, &(Option<ScalarValue>, bool))| {
            let values = key.iter().chain(value).map(ScalarValue::size).fold(0, usize::saturating_add);
            ANSWER_BYTES.saturating_add(values)
        };
        self.rows.iter().map(of).fold(0, usize::saturating_add)
    }

    /// The answer for one set of outer values.
    pub(super) fn of(&self, outer: &[ScalarValue]) -> Found {
        let mut key = Vec::with_capacity(self.keyed.keys.len());
        for (place, data_type) in &self.keyed.keys {
            let Some(value) = outer.get(*place).and_then(|value| value.cast_to(data_type).ok()) else {
                return Found::Unknown;
            };
            if value.is_null() {
                return Found::Nothing;
            }
            // Zero is two floats.
            key.push(normalize_float_zero_scalar(value));
        }
        match self.rows.get(&key) {
            None => Found::Nothing,
            Some(_) if !self.keyed.exact => Found::Unknown,
            Some((_, true)) if self.keyed.scalar => Found::Several,
            Some((value, _)) => Found::One(value.clone()),
        }
    }
}

/// The filter that holds the conditions, and the value that a scalar subquery gives of its rows.
fn rows_below(subplan: &LogicalPlan, scalar: bool) -> Option<(&Filter, Option<&Expr>)> {
    let mut plan = subplan;
    loop {
        plan = match plan {
            LogicalPlan::Filter(filter) if !scalar => return Some((filter, None)),
            LogicalPlan::Projection(projection) if scalar => {
                let ([value], LogicalPlan::Filter(filter)) = (projection.expr.as_slice(), projection.input.as_ref())
                else {
                    return None;
                };
                return joinable::is_local(value).then_some((filter, Some(value)));
            }
            // What rows look like, and in which order they come, does not matter to EXISTS.
            LogicalPlan::Projection(projection) if projection.expr.iter().all(joinable::is_local) => &projection.input,
            LogicalPlan::Sort(sort) if !scalar && sort.fetch.is_none() => &sort.input,
            LogicalPlan::SubqueryAlias(alias) if !scalar => &alias.input,
            LogicalPlan::Limit(limit) if !scalar => match (limit.get_skip_type(), limit.get_fetch_type()) {
                (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(1..) | None))) => &limit.input,
                _ => return None,
            },
            _ => return None,
        };
    }
}

/// `column = outer`, both of one type.
pub(super) fn equality(
    condition: &Expr,
    filter: &Filter,
    outer: &[(Column, FieldRef)],
) -> Option<(Column, usize, DataType)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    let (column, field, reference) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::OuterReferenceColumn(field, reference))
        | (Expr::OuterReferenceColumn(field, reference), Expr::Column(column)) => (column, field, reference),
        _ => return None,
    };
    let own = filter.input.schema().field_from_column(column).ok()?;
    let place = outer.iter().position(|(name, _)| name == reference)?;
    (own.data_type() == field.data_type()).then(|| (column.clone(), place, field.data_type().clone()))
}

/// Whether an expression holds a subquery.
pub(super) fn has_subquery(expr: &Expr) -> Result<bool> {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|e| Ok(subquery_of(e).is_some()))
}
