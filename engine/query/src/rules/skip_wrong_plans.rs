//! Guards around rules of DataFusion that are wrong on some plans: those plans stay as they were.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rules of DataFusion that get a guard, and what it keeps.
pub(super) const GUARDED: [(&str, Keeps); 5] = [
    ("eliminate_cross_join", Keeps::Conditions),
    ("single_distinct_aggregation_to_group_by", Keeps::Types),
    ("push_down_filter", Keeps::GroupsAndSize),
    ("eliminate_group_by_constant", Keeps::Names),
    ("propagate_empty_relation", Keeps::Places),
];

/// The rules with their guards in place. Give them to every session state.
pub(crate) fn guarded(rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let guard = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        match GUARDED.iter().find(|(name, _)| *name == rule.name()) {
            Some((_, keeps)) => Arc::new(Guarded { rule, keeps: *keeps }),
            None => rule,
        }
    };
    rules.into_iter().map(guard).collect()
}

#[derive(Debug)]
struct Guarded {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
    keeps: Keeps,
}

/// What the rule must not lose.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeps {
    /// It flattens inner joins and joins them anew in another order; a key of an ON clause whose one side reads several
    /// relations (`c.z = a.x + b.y`) then fits no pair, and as it stands in no filter, it is dropped: too many rows, no error.
    Conditions,
    /// It takes count(DISTINCT x) beside sum(y) apart into two groupings, and the sum of sums of decimals is wider than the
    /// sum was.
    Types,
    /// It puts a condition without columns below a grouping, as one about its keys. A grouping over nothing has a row even
    /// where none is below, so that what is not true gave that row. Conditions on keys it puts there by the names of these, of
    /// which a column and its cast have one. And it puts the expressions of a projection in place of the columns that a
    /// condition reads: of projections on one another, which read a column twice, each doubles the condition.
    GroupsAndSize,
    /// Of a UNION ALL with one branch that has rows it leaves that branch, and asks it for columns by the names of the first
    /// branch, which may have been another.
    Places,
    /// It names the columns of a grouping anew, as the engine prints them, where a cast is not to be seen: a column and its
    /// cast (`GROUP BY n, n::text`) then have one name, which it refuses.
    Names,
}

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.rule.name()
    }
    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }
    fn supports_rewrite(&self) -> bool {
        true
    }
    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match self.keeps {
            Keeps::Conditions if loses_conditions(&plan)? => Ok(Transformed::no(plan)),
            Keeps::Types | Keeps::Names if is_ambiguous(&plan) => Ok(Transformed::no(plan)),
            Keeps::Types if matches!(plan, LogicalPlan::Aggregate(_)) => {
                let rewritten = self.rule.rewrite(plan.clone(), config)?;
                Ok(if types(&rewritten.data).eq(types(&plan)) { rewritten } else { Transformed::no(plan) })
            }
            Keeps::GroupsAndSize if takes_groups(&plan) || grows(&plan)? => Ok(Transformed::no(plan)),
            Keeps::Places => match only_branch(&plan)? {
                Some(branch) => Ok(Transformed::yes(branch)),
                None => self.rule.rewrite(plan, config),
            },
            Keeps::Conditions | Keeps::Types | Keeps::GroupsAndSize | Keeps::Names => self.rule.rewrite(plan, config),
        }
    }
}

/// The one branch of a union that has rows, its columns under the union's names by their places.
fn only_branch(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Union(union) = plan else { return Ok(None) };
    let has_rows = |input: &&Arc<LogicalPlan>| match input.as_ref() {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => true,
    };
    let mut branches = union.inputs.iter().filter(has_rows);
    let (Some(branch), None) = (branches.next(), branches.next()) else { return Ok(None) };
    if branch.schema() == &union.schema {
        return Ok(None);
    }
    let columns = branch
        .schema()
        .iter()
        .zip(union.schema.iter())
        .map(|(own, (qualifier, field))| Expr::from(own).alias_qualified(qualifier.cloned(), field.name()));
    let columns = columns.collect();
    let projection = Projection::try_new_with_schema(columns, Arc::clone(branch), Arc::clone(&union.schema))?;
    Ok(Some(LogicalPlan::Projection(projection)))
}

/// Whether a condition stands on a grouping whose keys its columns do not tell apart, or one without columns on a grouping
/// that has a row of no rows.
fn takes_groups(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Filter(filter) = plan else { return false };
    let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref() else { return false };
    if is_ambiguous(&filter.input) {
        return true;
    }
    let keyed = |expr: &Expr| !matches!(expr, Expr::GroupingSet(_));
    let rows_of_none = aggregate.group_expr.is_empty() || !aggregate.group_expr.iter().all(keyed);
    rows_of_none && split_conjunction(&filter.predicate).into_iter().any(|expr| expr.column_refs().is_empty())
}

/// Parts that a condition may gain on its way through a projection.
const GROWTH_MAX: usize = 1_000;

/// Whether a condition on a projection would become much longer below it.
fn grows(plan: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(false) };
    let LogicalPlan::Projection(projection) = filter.input.as_ref() else { return Ok(false) };
    let mut columns: HashMap<&Column, usize> = HashMap::new();
    let mut gained = 0_usize;
    filter.predicate.apply(|part| {
        if let Expr::Column(column) = part {
            let size = match columns.get(column) {
                Some(size) => *size,
                None => {
                    let place = projection.schema.maybe_index_of_column(column);
                    let size = place.and_then(|at| projection.expr.get(at)).map_or(Ok(1), size)?;
                    columns.insert(column, size);
                    size
                }
            };
            gained = gained.saturating_add(size.saturating_sub(1));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(gained > GROWTH_MAX)
}

fn size(expr: &Expr) -> Result<usize> {
    let mut parts = 0_usize;
    expr.apply(|_| {
        parts = parts.saturating_add(1);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(parts)
}

/// Whether two columns of a grouping print alike.
fn is_ambiguous(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else { return false };
    let mut names = HashSet::new();
    let mut columns = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    !columns.all(|column| names.insert(column.schema_name().to_string()))
}

fn types(plan: &LogicalPlan) -> impl Iterator<Item = &arrow::datatypes::DataType> {
    plan.schema().fields().iter().map(|field| field.data_type())
}

/// Whether a join key reads columns of more than one relation on one side, or an inner join counts null as equal to null:
/// the rule gives all the joins that it makes of several ones the same word about null.
fn loses_conditions(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found |= join.on.iter().any(|(left, right)| spans(left) || spans(right));
            found |= join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn spans(side: &Expr) -> bool {
    let columns = side.column_refs();
    let mut relations: Vec<Option<&TableReference>> = columns.iter().map(|c| c.relation.as_ref()).collect();
    relations.sort();
    relations.dedup();
    relations.len() > 1
}
