//! Builds the joins of an order: each condition once, at the first join that has all it reads. Chooses no order.

use super::group::{Group, Set, is_inner};
use super::search::Order;
use crate::estimate::Cardinality;
use datafusion::common::{
    Column, DFSchemaRef, DataFusionError, JoinType, NullEquality, Result, internal_datafusion_err,
};
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, ExprSchemable, JoinConstraint, LogicalPlan, LogicalPlanBuilder};
use std::collections::HashSet;
use std::sync::Arc;

/// The group in this order, with the columns of `schema`.
pub(super) fn build(group: &Group, order: &Order, sizes: &[Cardinality], schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let all: Set = (1 << group.leaves.len()) - 1;
    let wanted = schema.columns();
    let builder = Builder { group, order, sizes, wanted: wanted.iter().cloned().collect() };
    let plan = builder.set(all)?;
    // What reads nothing holds or does not, for all rows alike.
    let constant = group.others.iter().filter(|(_, set)| set.count_ones() == 0).map(|(expr, _)| expr.clone());
    let plan = match conjunction(constant) {
        Some(predicate) => LogicalPlanBuilder::from(plan).filter(predicate)?.build()?,
        None => plan,
    };
    if plan.schema().columns() == wanted {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(wanted.into_iter().map(Expr::Column))?.build()
}

/// Whether two plans have the same joins over the same inputs, whichever columns they hand on in between.
pub(super) fn joins_alike(one: &LogicalPlan, other: &LogicalPlan) -> bool {
    match (below_columns(one), below_columns(other)) {
        (LogicalPlan::Join(one), LogicalPlan::Join(other)) if is_inner(one) && is_inner(other) => {
            let filters = |join: &Join| join.filter.iter().flat_map(split_conjunction).cloned().collect::<Vec<_>>();
            are_alike(&one.on, &other.on)
                && are_alike(&filters(one), &filters(other))
                && joins_alike(&one.left, &other.left)
                && joins_alike(&one.right, &other.right)
        }
        (LogicalPlan::Filter(one), LogicalPlan::Filter(other)) => {
            are_alike(&split_conjunction(&one.predicate), &split_conjunction(&other.predicate))
                && joins_alike(&one.input, &other.input)
        }
        (one, other) => one == other,
    }
}

/// Whether two lists have the same members, in whichever order.
fn are_alike<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|member| other.contains(member))
}

fn below_columns(mut plan: &LogicalPlan) -> &LogicalPlan {
    while let LogicalPlan::Projection(projection) = plan
        && projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)))
    {
        plan = &projection.input;
    }
    plan
}

struct Builder<'a> {
    group: &'a Group,
    order: &'a Order,
    sizes: &'a [Cardinality],
    wanted: HashSet<Column>,
}

fn lost() -> DataFusionError {
    internal_datafusion_err!("an order of joins that does not cover its inputs")
}

impl Builder<'_> {
    fn set(&self, set: Set) -> Result<LogicalPlan> {
        if set.count_ones() == 1 {
            return self.leaf(set);
        }
        let (first, second) = *self.order.joins.get(&set).ok_or_else(lost)?;
        let (left, right) = (self.set(first)?, self.set(second)?);
        let mut keys = Vec::new();
        for class in &self.group.classes {
            if let (Some(a), Some(b)) = (self.member(class, first), self.member(class, second)) {
                keys.push(self.equal(a, b)?);
            }
        }
        let inside = |part: Set, set: Set| part & set == part;
        let mut rest = Vec::new();
        for equality in &self.group.equalities {
            let ((a, l), (b, r)) = (&equality.left, &equality.right);
            if inside(*l, first) && inside(*r, second) {
                keys.push((a.clone(), b.clone()));
            } else if inside(*r, first) && inside(*l, second) {
                keys.push((b.clone(), a.clone()));
            } else if inside(l | r, set) && !inside(l | r, first) && !inside(l | r, second) {
                rest.push(a.clone().eq(b.clone()));
            }
        }
        let now =
            |part: Set| part.count_ones() > 1 && inside(part, set) && !inside(part, first) && !inside(part, second);
        rest.extend(self.group.others.iter().filter(|(_, part)| now(*part)).map(|(expr, _)| expr.clone()));
        let join = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            keys,
            conjunction(rest),
            JoinType::Inner,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        self.narrowed(LogicalPlan::Join(join), set)
    }

    /// A leaf with the conditions that read nothing else.
    fn leaf(&self, set: Set) -> Result<LogicalPlan> {
        let leaf = self.group.leaves.get(set.trailing_zeros() as usize).ok_or_else(lost)?.clone();
        let own = self.group.others.iter().filter(|(_, part)| *part == set).map(|(expr, _)| expr.clone());
        match conjunction(own) {
            Some(predicate) => LogicalPlanBuilder::from(leaf).filter(predicate)?.build(),
            None => Ok(leaf),
        }
    }

    /// Two columns of a class as the keys of a join, in one type.
    fn equal(&self, (a, one): &(usize, Column), (b, other): &(usize, Column)) -> Result<(Expr, Expr)> {
        let common = self.group.common_type((*a, one), (*b, other)).ok_or_else(lost)?;
        let key = |leaf: usize, column: &Column| {
            let schema = self.group.leaves.get(leaf).ok_or_else(lost)?.schema();
            Expr::Column(column.clone()).cast_to(&common, schema.as_ref())
        };
        Ok((key(*a, one)?, key(*b, other)?))
    }

    /// The column that stands for a class on one side of a join: one that crosses a wire, if there is one, so that the
    /// keys of the other side reach it.
    fn member<'c>(&self, class: &'c [(usize, Column)], side: Set) -> Option<&'c (usize, Column)> {
        let own = class.iter().filter(|(leaf, _)| side >> leaf & 1 == 1);
        let weight = |leaf: usize| self.sizes.get(leaf).filter(|size| size.remote).map_or(0.0, |size| size.rows);
        own.max_by(|(a, _), (b, _)| weight(*a).total_cmp(&weight(*b)).then(b.cmp(a)))
    }

    /// A join with the columns that something above it reads.
    fn narrowed(&self, plan: LogicalPlan, set: Set) -> Result<LogicalPlan> {
        let mut read: HashSet<&Column> = self.wanted.iter().collect();
        for class in &self.group.classes {
            if class.iter().any(|(leaf, _)| set >> leaf & 1 == 0) {
                read.extend(class.iter().map(|(_, column)| column));
            }
        }
        for equality in &self.group.equalities {
            if (equality.left.1 | equality.right.1) & !set != 0 {
                read.extend(equality.left.0.column_refs());
                read.extend(equality.right.0.column_refs());
            }
        }
        for (expr, part) in &self.group.others {
            if part & !set != 0 {
                read.extend(expr.column_refs());
            }
        }
        let columns = plan.schema().columns();
        let kept: Vec<Expr> = columns.iter().filter(|c| read.contains(c)).cloned().map(Expr::Column).collect();
        if kept.is_empty() || kept.len() == columns.len() {
            return Ok(plan);
        }
        LogicalPlanBuilder::from(plan).project(kept)?.build()
    }
}
