//! UNION, and the joins that INTERSECT and EXCEPT become when they are bound. Knows no source.

use super::relation::{Built, plain_column};
use super::scope::Slot;
use super::{Translator, fault};
use crate::not_pushed::NotPushed;
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::logical_plan::{Distinct, Join, Union};
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, SetOp};

impl Translator<'_> {
    pub(super) fn union(&mut self, union: &Union) -> Result<Built, NotPushed> {
        let mut inputs = union.inputs.iter();
        let first = inputs.next().ok_or_else(|| NotPushed::invalid("union without inputs"))?;
        let mut built = self.relation(first)?;
        for input in inputs {
            let (left, left_ids) = self.shaped(built)?;
            let right = self.relation(input)?;
            let (right, right_ids) = self.shaped(right)?;
            if !self.same_types(&left_ids, &right_ids)? {
                return Err(NotPushed::kind("UNION over different types"));
            }
            built = self.set(SetOp::Union, true, left, right)?;
        }
        Ok(built)
    }

    /// INTERSECT and EXCEPT: a semi or anti join over all columns in which NULL equals NULL. `None`: some other join.
    pub(super) fn set_operation(&mut self, join: &Join) -> Result<Option<Built>, NotPushed> {
        let op = match join.join_type {
            JoinType::LeftSemi => SetOp::Intersect,
            JoinType::LeftAnti => SetOp::Except,
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::LeftMark
            | JoinType::RightMark => return Ok(None),
        };
        if join.null_equality != NullEquality::NullEqualsNull || join.filter.is_some() || join.null_aware {
            return Ok(None);
        }
        let (left, all) = match join.left.as_ref() {
            LogicalPlan::Distinct(Distinct::All(input)) => (input.as_ref(), false),
            other => (other, true),
        };
        let width = join.left.schema().fields().len();
        let in_place = |(position, (l, r)): (usize, &(Expr, Expr))| {
            is_column_at(l, join.left.schema(), position) && is_column_at(r, join.right.schema(), position)
        };
        let positional = join.on.len() == width
            && join.right.schema().fields().len() == width
            && join.on.iter().enumerate().all(in_place);
        if positional {
            let left = self.relation(left)?;
            let (left, left_ids) = self.shaped(left)?;
            let right = self.relation(&join.right)?;
            let (right, right_ids) = self.shaped(right)?;
            if self.same_types(&left_ids, &right_ids)? {
                return self.set(op, all, left, right).map(Some);
            }
        }
        // With distinct rows on the left, the join says the same; with duplicates it does not.
        if all { Err(NotPushed::kind("INTERSECT ALL or EXCEPT ALL over different types")) } else { Ok(None) }
    }

    fn set(&mut self, op: SetOp, all: bool, left: Relation, right: Relation) -> Result<Built, NotPushed> {
        let columns: Vec<ColumnId> = left.output().iter().map(|_| self.column()).collect();
        let slots = columns.iter().map(|id| Slot::Column(*id)).collect();
        let relation = Relation::SetOperation { op, all, columns, left: Box::new(left), right: Box::new(right) };
        self.define(&relation)?;
        Ok(Built::new(relation, slots))
    }

    fn same_types(&self, left: &[ColumnId], right: &[ColumnId]) -> Result<bool, NotPushed> {
        for (a, b) in left.iter().zip(right) {
            let (a, b) = (self.types.of(*a).map_err(fault)?, self.types.of(*b).map_err(fault)?);
            if a.value_type != b.value_type || a.encoding != b.encoding {
                return Ok(false);
            }
        }
        Ok(left.len() == right.len())
    }
}

/// Casts do not matter here: they are of no effect where the types are the same, which is checked.
fn is_column_at(expr: &Expr, schema: &DFSchema, position: usize) -> bool {
    let expr = match expr {
        Expr::Cast(cast) => &cast.expr,
        other => other,
    };
    plain_column(expr).is_some_and(|column| schema.maybe_index_of_column(column) == Some(position))
}
