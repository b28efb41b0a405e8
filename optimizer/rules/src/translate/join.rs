//! Joins, each kind by its real NULL semantics. Knows no source.

use super::relation::Built;
use super::scope::{Scope, Slot};
use super::{Translator, conjunct};
use crate::not_pushed::NotPushed;
use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::logical_plan::Join;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use std::sync::Arc;

impl Translator<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Built, NotPushed> {
        if let Some(set) = self.set_operation(join)? {
            return Ok(set);
        }
        let left = self.relation(&join.left)?;
        let right = self.relation(&join.right)?;
        let on = self.join_condition(join, &left, &right)?;
        if join.null_aware {
            return self.not_in(join, left, right);
        }
        let (kind, left, right) = match join.join_type {
            JoinType::Inner => (JoinKind::Inner, left, right),
            JoinType::Left => (JoinKind::Left, left, right),
            JoinType::Right => (JoinKind::Right, left, right),
            JoinType::Full => (JoinKind::Full, left, right),
            JoinType::LeftSemi => (JoinKind::LeftSemi, left, right),
            JoinType::LeftAnti => (JoinKind::LeftAnti, left, right),
            JoinType::RightSemi => (JoinKind::LeftSemi, right, left),
            JoinType::RightAnti => (JoinKind::LeftAnti, right, left),
            JoinType::LeftMark | JoinType::RightMark => return Err(NotPushed::operator("mark join")),
        };
        let key = joined_key(kind, &left, &right);
        let slots: Vec<Slot> = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => left.slots,
            JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => {
                left.slots.into_iter().chain(right.slots).collect()
            }
        };
        let relation = Relation::Join { kind, left: Box::new(left.relation), right: Box::new(right.relation), on };
        self.define(&relation)?;
        Ok(Built { key, ..Built::new(relation, slots) })
    }

    /// Equalities of both sides and the rest of the ON condition.
    fn join_condition(&mut self, join: &Join, left: &Built, right: &Built) -> Result<ScalarExpr, NotPushed> {
        let left_scope = Scope::new(join.left.schema(), &left.slots);
        let right_scope = Scope::new(join.right.schema(), &right.slots);
        let equality = match join.null_equality {
            NullEquality::NullEqualsNothing => ComparisonOp::Eq,
            NullEquality::NullEqualsNull => ComparisonOp::IsNotDistinctFrom,
        };
        let mut all = Vec::new();
        for (l, r) in &join.on {
            let (l, r) = (self.fold(l)?, self.fold(r)?);
            all.push(self.compare(equality, (&l, &left_scope), (&r, &right_scope))?);
        }
        if let Some(filter) = &join.filter {
            let schema = join
                .left
                .schema()
                .join(join.right.schema())
                .map_err(|_| NotPushed::operator("both sides of the join have columns of one name"))?;
            let slots: Vec<Slot> = left.slots.iter().chain(&right.slots).cloned().collect();
            let scope = Scope::new(&Arc::new(schema), &slots);
            conjunct::split(self.condition(filter, &scope)?, &mut all);
        }
        Ok(conjunct::join(all))
    }

    /// `NOT IN` after decorrelation: an anti join for which an unknown match counts.
    fn not_in(&mut self, join: &Join, left: Built, right: Built) -> Result<Built, NotPushed> {
        let ([(outer, inner)], None, JoinType::LeftAnti, NullEquality::NullEqualsNothing) =
            (&join.on[..], &join.filter, join.join_type, join.null_equality)
        else {
            return Err(NotPushed::operator("NOT IN with further conditions"));
        };
        let left_scope = Scope::new(join.left.schema(), &left.slots);
        let right_scope = Scope::new(join.right.schema(), &right.slots);
        let expr = self.value(outer, &left_scope)?;
        let member = self.value(inner, &right_scope)?;
        if !self.type_of(&expr)?.comparable_with(self.type_of(&member)?) {
            return Err(NotPushed::kind("IN over different types"));
        }
        let id = self.column();
        let members = Relation::Project { input: Box::new(right.relation), exprs: vec![(id, member)] };
        self.define(&members)?;
        let predicate = ScalarExpr::InSubquery { expr: Box::new(expr), relation: Box::new(members), negated: true };
        Ok(Built { relation: Relation::Filter { input: Box::new(left.relation), predicate }, ..left })
    }
}

/// The columns that identify a joined row.
fn joined_key(kind: JoinKind, left: &Built, right: &Built) -> Option<Vec<ColumnId>> {
    match kind {
        JoinKind::LeftSemi | JoinKind::LeftAnti => left.key.clone(),
        JoinKind::Inner | JoinKind::Left => {
            Some(left.key.iter().flatten().chain(right.key.as_ref()?).copied().collect()).filter(|_| left.key.is_some())
        }
        JoinKind::Right | JoinKind::Full => None,
    }
}
