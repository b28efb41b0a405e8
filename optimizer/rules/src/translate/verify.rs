//! A second look at the finished relation, independent of how it was made: each scan under its policy, nothing that can fail between a policy and its fence, nor beside a policy that needs one. Changes nothing.

use super::{Danger, Leaf, conjunct};
use crate::not_pushed::NotPushed;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{Held, ScalarExpr};
use std::collections::HashMap;

/// Proves the relation.
///
/// # Errors
/// `Invalid` if a policy is missing, or a restricted table meets an expression that can fail.
pub(super) fn verify(
    relation: &Relation,
    leaves: &[Leaf],
    leaf_of: &HashMap<ColumnId, usize>,
    held: Held,
) -> Result<(), NotPushed> {
    Walk { leaves, leaf_of, held }.relation(relation, None, Danger::default())
}

struct Walk<'a> {
    leaves: &'a [Leaf],
    leaf_of: &'a HashMap<ColumnId, usize>,
    held: Held,
}

impl Walk<'_> {
    fn relation(&self, relation: &Relation, filter: Option<&ScalarExpr>, danger: Danger) -> Result<(), NotPushed> {
        if let Relation::Scan { columns, .. } = relation {
            let index = columns.first().and_then(|column| self.leaf_of.get(&column.id));
            let leaf = index.and_then(|index| self.leaves.get(*index));
            let leaf = leaf.ok_or_else(|| NotPushed::invalid("scan of a table that was not opened"))?;
            return check(leaf, filter, danger);
        }
        let policy = self.policy_of(relation);
        // Behind a fence only what stands below it counts.
        let is_fence = matches!(relation, Relation::Fence { .. });
        let danger = if is_fence { Danger::default() } else { danger.or_above(self.fails(relation, policy)) };
        let inputs = relation.inputs();
        let within = danger.or_beside(inputs.iter().any(|input| input.can_fail_over(self.held)));
        for expr in relation.scalars() {
            self.subqueries(expr, policy, within)?;
        }
        let filter = match relation {
            Relation::Filter { predicate, .. } => Some(predicate),
            _ => None,
        };
        let joins = matches!(relation, Relation::Join { .. });
        inputs.iter().enumerate().try_for_each(|(at, input)| {
            let beside = inputs
                .iter()
                .enumerate()
                .any(|(other, relation)| joins && other != at && relation.can_fail_over(self.held));
            self.relation(input, filter, danger.or_beside(beside))
        })
    }

    /// The policy of the scan directly below a filter: it may hold what it likes.
    fn policy_of(&self, relation: &Relation) -> Option<&ScalarExpr> {
        let Relation::Filter { input, .. } = relation else { return None };
        let Relation::Scan { columns, .. } = input.as_ref() else { return None };
        self.leaves.get(*self.leaf_of.get(&columns.first()?.id)?)?.policy.as_ref()
    }

    fn fails(&self, relation: &Relation, policy: Option<&ScalarExpr>) -> bool {
        match (relation, policy) {
            (Relation::Filter { predicate, .. }, Some(policy)) => {
                parts(predicate, policy).into_iter().any(|part| part.can_fail_over(self.held))
            }
            _ => conjunct::operator_can_fail(relation, self.held),
        }
    }

    fn subqueries(&self, expr: &ScalarExpr, policy: Option<&ScalarExpr>, danger: Danger) -> Result<(), NotPushed> {
        if policy == Some(expr) {
            return Ok(());
        }
        if let Some(relation) = expr.subquery() {
            self.relation(relation, None, danger)?;
        }
        expr.children().into_iter().try_for_each(|child| self.subqueries(child, policy, danger))
    }
}

/// The conjuncts beside a policy.
fn parts<'a>(predicate: &'a ScalarExpr, policy: &ScalarExpr) -> Vec<&'a ScalarExpr> {
    if predicate == policy {
        return Vec::new();
    }
    match predicate {
        ScalarExpr::And(all) => all.iter().filter(|one| *one != policy).collect(),
        other => vec![other],
    }
}

fn check(leaf: &Leaf, filter: Option<&ScalarExpr>, danger: Danger) -> Result<(), NotPushed> {
    if let Some(policy) = &leaf.policy {
        let stands = match filter {
            Some(filter) if filter == policy => true,
            Some(ScalarExpr::And(all)) => all.contains(policy),
            Some(_) | None => false,
        };
        if !stands {
            return Err(NotPushed::invalid("scan without its policy"));
        }
    }
    if leaf.restricted && (leaf.policy.is_none() || danger.meets(leaf)) {
        return Err(NotPushed::invalid("restricted table without its fence"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fence;
    use super::*;
    use querygate_driver_api::identifier::{Identifier, TableRef};
    use querygate_driver_api::relation::{Collation, Encoding, JoinKind, ScanColumn};
    use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp};
    use querygate_driver_api::value::ValueType;

    fn scan() -> Relation {
        scan_of(0)
    }

    fn scan_of(id: u32) -> Relation {
        let column = ScanColumn {
            id: ColumnId(id),
            name: Identifier::new("a").unwrap(),
            value_type: ValueType::Int64,
            nullable: true,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        Relation::Scan { table: TableRef::new(["t"]).unwrap(), columns: vec![column] }
    }

    fn equals(left: ScalarExpr, parameter: usize) -> ScalarExpr {
        ScalarExpr::compare(ComparisonOp::Eq, left, ScalarExpr::Parameter(parameter, ValueType::Int64))
    }

    fn policy() -> ScalarExpr {
        equals(ScalarExpr::Column(ColumnId(0)), 0)
    }

    fn failing() -> ScalarExpr {
        failing_of(0)
    }

    fn failing_of(id: u32) -> ScalarExpr {
        let value_type = ValueType::Int64;
        let left = Box::new(ScalarExpr::Parameter(1, value_type));
        let right = Box::new(ScalarExpr::Column(ColumnId(id)));
        equals(ScalarExpr::Arithmetic { op: ArithmeticOp::Divide, left, right, value_type }, 1)
    }

    fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
        Relation::Filter { input: Box::new(input), predicate }
    }

    fn known() -> (Vec<Leaf>, HashMap<ColumnId, usize>) {
        (vec![Leaf { policy: Some(policy()), restricted: true }], HashMap::from([(ColumnId(0), 0)]))
    }

    #[test]
    fn a_wrong_relation_is_found() {
        let (leaves, leaf_of) = known();
        let safe = || equals(ScalarExpr::Column(ColumnId(0)), 2);
        let fenced = || Relation::Fence { input: Box::new(filter(scan(), policy())) };
        for (what, relation, holds) in [
            ("under its policy", filter(scan(), policy()), true),
            ("policy beside a safe condition", filter(scan(), ScalarExpr::And(vec![policy(), safe()])), true),
            ("safe condition above", filter(filter(scan(), policy()), safe()), true),
            ("failing condition above a fence", filter(fenced(), failing()), true),
            ("no policy", scan(), false),
            ("another condition", filter(scan(), safe()), false),
            ("policy or something", filter(scan(), ScalarExpr::Or(vec![policy(), safe()])), false),
            ("failing condition without a fence", filter(filter(scan(), policy()), failing()), false),
            ("failing condition beside the policy", filter(scan(), ScalarExpr::And(vec![policy(), failing()])), false),
            (
                "failing condition inside the fence",
                Relation::Fence { input: Box::new(filter(filter(scan(), policy()), failing())) },
                false,
            ),
            ("policy above the fence", filter(Relation::Fence { input: Box::new(scan()) }, policy()), false),
        ] {
            assert_eq!(verify(&relation, &leaves, &leaf_of, Held::OfType).is_ok(), holds, "{what}");
        }
        assert!(verify(&filter(scan(), policy()), &[], &HashMap::new(), Held::OfType).is_err(), "unknown scan");
    }

    /// A table of everybody's rows beside one under a policy: hidden rows must not decide whether the other side fails.
    #[test]
    fn what_fails_beside_a_policy_that_is_joined_needs_a_fence() {
        let shared = |id: u32| {
            let expr = Box::new(ScalarExpr::Column(ColumnId(id)));
            ScalarExpr::InSubquery { expr, relation: Box::new(scan_of(20)), negated: false }
        };
        let leaf_of = HashMap::from([(ColumnId(0), 0), (ColumnId(10), 1)]);
        let leaves = |policy| vec![Leaf { policy, restricted: true }, Leaf { policy: None, restricted: false }];
        let join = |kind, left: Relation, right: Relation| Relation::Join {
            kind,
            left: Box::new(left),
            right: Box::new(right),
            on: ScalarExpr::always(),
        };
        let trap = || filter(scan_of(10), failing_of(10));
        let exists = |relation: Relation| ScalarExpr::Exists { relation: Box::new(relation), negated: false };
        for (policy, fences) in [(shared(0), 1), (policy(), 0)] {
            let table = || filter(scan(), policy.clone());
            for (what, relation) in [
                ("left of it", join(JoinKind::Inner, table(), trap())),
                ("right of it", join(JoinKind::Left, trap(), table())),
                ("in a semi join", join(JoinKind::LeftSemi, table(), trap())),
                ("far from it", join(JoinKind::Inner, join(JoinKind::Inner, scan_of(10), table()), trap())),
                ("below a subquery", filter(trap(), exists(table()))),
            ] {
                let leaves = leaves(Some(policy.clone()));
                assert_eq!(verify(&relation, &leaves, &leaf_of, Held::OfType).is_ok(), fences == 0, "{what}");
                let (lowered, made) = fence::lower(relation, &leaves, &leaf_of, Held::OfType).unwrap();
                assert_eq!(made, fences, "{what}");
                verify(&lowered, &leaves, &leaf_of, Held::OfType).unwrap_or_else(|_| panic!("{what}: {lowered:?}"));
            }
            let plain = join(JoinKind::Inner, table(), scan_of(10));
            let leaves = leaves(Some(policy.clone()));
            assert_eq!(fence::lower(plain, &leaves, &leaf_of, Held::OfType).unwrap().1, 0, "nothing fails");
        }
    }

    /// A conversion that fails for no value of its type does where a column may hold anything.
    #[test]
    fn conversions_need_a_fence_where_a_column_may_hold_anything() {
        let (leaves, leaf_of) = known();
        let cast =
            |to| ScalarExpr::Cast { expr: Box::new(ScalarExpr::Column(ColumnId(0))), from: ValueType::Int64, to };
        let text = |expr| ScalarExpr::compare(ComparisonOp::Eq, expr, ScalarExpr::Parameter(1, ValueType::Text));
        let above = |condition| filter(filter(scan(), policy()), condition);
        for (what, relation, needs) in [
            ("as text", above(text(cast(ValueType::Text))), true),
            ("as it is", above(equals(cast(ValueType::Int64), 1)), false),
            ("no conversion", above(equals(ScalarExpr::Column(ColumnId(0)), 1)), false),
        ] {
            for (held, needs) in [(Held::OfType, false), (Held::OfAnyType, needs)] {
                assert_eq!(verify(&relation, &leaves, &leaf_of, held).is_err(), needs, "{what} {held:?}");
                let (lowered, fences) = fence::lower(relation.clone(), &leaves, &leaf_of, held).unwrap();
                assert_eq!(fences > 0, needs, "{what} {held:?}");
                verify(&lowered, &leaves, &leaf_of, held).unwrap();
            }
        }
    }

    #[test]
    fn lowering_accounts_for_every_conjunct() {
        let (leaves, leaf_of) = known();
        let safe = |parameter| equals(ScalarExpr::Column(ColumnId(0)), parameter);
        let all = ScalarExpr::And(vec![safe(2), failing(), safe(3), ScalarExpr::Not(Box::new(safe(4)))]);
        let relation = filter(filter(scan(), policy()), all);
        let before = conjunct::count(&relation);
        let (lowered, fences) = fence::lower(relation, &leaves, &leaf_of, Held::OfType).unwrap();
        assert_eq!((before, conjunct::count(&lowered), fences), (5, 5, 1));
        verify(&lowered, &leaves, &leaf_of, Held::OfType).unwrap();
        let inside = ScalarExpr::And(vec![policy(), safe(2), safe(3), ScalarExpr::Not(Box::new(safe(4)))]);
        let expected = filter(Relation::Fence { input: Box::new(filter(scan(), inside)) }, failing());
        assert_eq!(lowered, expected);
    }
}
