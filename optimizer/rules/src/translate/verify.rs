//! A second look at the finished relation, independent of how it was made: each scan under its policy, nothing that can fail between a policy and its fence. Changes nothing.

use super::{Leaf, conjunct};
use crate::outcome::NotPushed;
use querygate_driver_api::{ColumnId, Relation, ScalarExpr};
use std::collections::HashMap;

/// Proves the relation.
///
/// # Errors
/// `Invalid` if a policy is missing, or a restricted table meets an expression that can fail.
pub(super) fn verify(
    relation: &Relation,
    leaves: &[Leaf],
    leaf_of: &HashMap<ColumnId, usize>,
) -> Result<(), NotPushed> {
    Walk { leaves, leaf_of }.relation(relation, None, false)
}

struct Walk<'a> {
    leaves: &'a [Leaf],
    leaf_of: &'a HashMap<ColumnId, usize>,
}

impl Walk<'_> {
    fn relation(&self, relation: &Relation, filter: Option<&ScalarExpr>, danger: bool) -> Result<(), NotPushed> {
        if let Relation::Scan { columns, .. } = relation {
            let index = columns.first().and_then(|column| self.leaf_of.get(&column.id));
            let leaf = index.and_then(|index| self.leaves.get(*index));
            let leaf = leaf.ok_or_else(|| NotPushed::invalid("scan of a table that was not opened"))?;
            return check(leaf, filter, danger);
        }
        let policy = self.policy_of(relation);
        // Behind a fence only what stands below it counts.
        let is_fence = matches!(relation, Relation::Fence { .. });
        let danger = !is_fence && (danger || self.fails(relation, policy));
        for expr in relation.scalars() {
            self.subqueries(expr, policy, danger)?;
        }
        let filter = match relation {
            Relation::Filter { predicate, .. } => Some(predicate),
            _ => None,
        };
        relation.inputs().into_iter().try_for_each(|input| self.relation(input, filter, danger))
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
                parts(predicate, policy).into_iter().any(ScalarExpr::can_fail)
            }
            _ => conjunct::operator_can_fail(relation),
        }
    }

    fn subqueries(&self, expr: &ScalarExpr, policy: Option<&ScalarExpr>, danger: bool) -> Result<(), NotPushed> {
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

fn check(leaf: &Leaf, filter: Option<&ScalarExpr>, danger: bool) -> Result<(), NotPushed> {
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
    if leaf.restricted && (leaf.policy.is_none() || danger) {
        return Err(NotPushed::invalid("restricted table without its fence"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fence;
    use super::*;
    use querygate_driver_api::relation::{Collation, Encoding, ScanColumn};
    use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp};
    use querygate_driver_api::{Identifier, TableRef, ValueType};

    fn scan() -> Relation {
        let column = ScanColumn {
            id: ColumnId(0),
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
        let value_type = ValueType::Int64;
        let left = Box::new(ScalarExpr::Parameter(1, value_type));
        let right = Box::new(ScalarExpr::Column(ColumnId(0)));
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
            assert_eq!(verify(&relation, &leaves, &leaf_of).is_ok(), holds, "{what}");
        }
        assert!(verify(&filter(scan(), policy()), &[], &HashMap::new()).is_err(), "unknown scan");
    }

    #[test]
    fn lowering_accounts_for_every_conjunct() {
        let (leaves, leaf_of) = known();
        let safe = |parameter| equals(ScalarExpr::Column(ColumnId(0)), parameter);
        let all = ScalarExpr::And(vec![safe(2), failing(), safe(3), ScalarExpr::Not(Box::new(safe(4)))]);
        let relation = filter(filter(scan(), policy()), all);
        let before = conjunct::count(&relation);
        let (lowered, fences) = fence::lower(relation, &leaves, &leaf_of).unwrap();
        assert_eq!((before, conjunct::count(&lowered), fences), (5, 5, 1));
        verify(&lowered, &leaves, &leaf_of).unwrap();
        let inside = ScalarExpr::And(vec![policy(), safe(2), safe(3), ScalarExpr::Not(Box::new(safe(4)))]);
        let expected = filter(Relation::Fence { input: Box::new(filter(scan(), inside)) }, failing());
        assert_eq!(lowered, expected);
    }
}
