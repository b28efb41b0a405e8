//! Puts a fence between a restricted table's policy and every expression above or beside it that can fail, and moves conditions that cannot fail inside. Accounts for every conjunct.

use super::{Danger, Leaf, conjunct};
use crate::not_pushed::NotPushed;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{Held, ScalarExpr};
use std::collections::{HashMap, HashSet};

/// The relation with its fences, and how many there are. Nothing moves when no fence is needed.
pub(super) fn lower(
    relation: Relation,
    leaves: &[Leaf],
    leaf_of: &HashMap<ColumnId, usize>,
    held: Held,
) -> Result<(Relation, usize), NotPushed> {
    let mut lowering = Lowering { leaves, leaf_of, held, fences: 0 };
    if !lowering.endangered(&relation, Danger::default()) {
        return Ok((relation, 0));
    }
    let before = conjunct::count(&relation);
    let lowered = lowering.relation(relation, Vec::new(), Danger::default())?;
    if conjunct::count(&lowered) != before {
        return Err(NotPushed::invalid("a condition was lost or doubled while fences were placed"));
    }
    Ok((lowered, lowering.fences))
}

struct Lowering<'a> {
    leaves: &'a [Leaf],
    leaf_of: &'a HashMap<ColumnId, usize>,
    held: Held,
    fences: usize,
}

impl Lowering<'_> {
    /// Whether some restricted table has an expression above it, or beside it, that can fail.
    fn endangered(&self, relation: &Relation, danger: Danger) -> bool {
        if let Some(leaf) = leaf(relation, self.leaves, self.leaf_of) {
            return danger.meets(leaf);
        }
        let danger = danger.or_above(conjunct::operator_can_fail(relation, self.held));
        let within = danger.or_beside(relation.inputs().into_iter().any(|input| input.can_fail_over(self.held)));
        if relation.scalars().into_iter().any(|expr| self.endangered_in(expr, within)) {
            return true;
        }
        match relation {
            Relation::Join { left, right, .. } => {
                self.endangered(left, danger.or_beside(right.can_fail_over(self.held)))
                    || self.endangered(right, danger.or_beside(left.can_fail_over(self.held)))
            }
            other => other.inputs().into_iter().any(|input| self.endangered(input, danger)),
        }
    }

    fn endangered_in(&self, expr: &ScalarExpr, danger: Danger) -> bool {
        expr.subquery().is_some_and(|relation| self.endangered(relation, danger))
            || expr.children().into_iter().any(|child| self.endangered_in(child, danger))
    }

    /// `pending`: conditions from above that can stand anywhere below, each over columns of this relation (or of blocks
    /// around). `danger`: what above and beside can fail.
    fn relation(
        &mut self,
        mut relation: Relation,
        pending: Vec<ScalarExpr>,
        danger: Danger,
    ) -> Result<Relation, NotPushed> {
        if leaf(&relation, self.leaves, self.leaf_of).is_some() {
            return Ok(self.leaf(relation, pending, danger));
        }
        let danger = danger.or_above(conjunct::operator_can_fail(&relation, self.held));
        let within = danger.or_beside(relation.inputs().into_iter().any(|input| input.can_fail_over(self.held)));
        self.subqueries(&mut relation, within)?;
        match relation {
            Relation::Filter { input, predicate } => {
                let mut all = Vec::new();
                conjunct::split(predicate, &mut all);
                let (mut sinking, staying): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|condition| self.sinks(condition));
                sinking.extend(pending);
                let input = self.relation(*input, sinking, danger)?;
                Ok(conjunct::filter(input, staying))
            }
            Relation::Join { kind, left, right, on } => self.join(kind, (*left, *right), on, pending, danger),
            Relation::Project { input, exprs } => {
                let output = exprs.iter().map(|(id, _)| *id).collect();
                let (below, above) = through(pending, &exprs, &output);
                let input = Box::new(self.relation(*input, below, danger)?);
                Ok(conjunct::filter(Relation::Project { input, exprs }, above))
            }
            Relation::Aggregate { input, group, aggregates } => {
                let output = group.iter().map(|(id, _)| *id).chain(aggregates.iter().map(|(id, _)| *id)).collect();
                let (below, above) = through(pending, &group, &output);
                let input = Box::new(self.relation(*input, below, danger)?);
                Ok(conjunct::filter(Relation::Aggregate { input, group, aggregates }, above))
            }
            Relation::Distinct { input } => {
                Ok(Relation::Distinct { input: Box::new(self.relation(*input, pending, danger)?) })
            }
            Relation::Sort { input, keys } => {
                Ok(Relation::Sort { input: Box::new(self.relation(*input, pending, danger)?), keys })
            }
            Relation::Limit { input, skip, fetch } => {
                let input = Box::new(self.relation(*input, Vec::new(), danger)?);
                Ok(conjunct::filter(Relation::Limit { input, skip, fetch }, pending))
            }
            Relation::SetOperation { op, all, columns, left, right } => {
                let left = Box::new(self.relation(*left, Vec::new(), danger)?);
                let right = Box::new(self.relation(*right, Vec::new(), danger)?);
                Ok(conjunct::filter(Relation::SetOperation { op, all, columns, left, right }, pending))
            }
            Relation::Window { input, exprs } => {
                let input = Box::new(self.relation(*input, Vec::new(), danger)?);
                Ok(conjunct::filter(Relation::Window { input, exprs }, pending))
            }
            Relation::Fence { input } => {
                let input = Box::new(self.relation(*input, Vec::new(), danger)?);
                Ok(conjunct::filter(Relation::Fence { input }, pending))
            }
            other @ (Relation::Scan { .. } | Relation::Values { .. } | Relation::EmptyRow) => {
                Ok(conjunct::filter(other, pending))
            }
        }
    }

    /// A scan with its policy: conditions from above stand beside the policy, all behind one fence if something can fail.
    fn leaf(&mut self, relation: Relation, pending: Vec<ScalarExpr>, danger: Danger) -> Relation {
        let endangered = leaf(&relation, self.leaves, self.leaf_of).is_some_and(|leaf| danger.meets(leaf));
        let (scan, mut all) = match relation {
            Relation::Filter { input, predicate } => (*input, vec![predicate]),
            scan => (scan, Vec::new()),
        };
        all.extend(pending);
        let filtered = conjunct::filter(scan, all);
        if endangered {
            self.fences += 1;
            return Relation::Fence { input: Box::new(filtered) };
        }
        filtered
    }

    fn join(
        &mut self,
        kind: JoinKind,
        (left, right): (Relation, Relation),
        on: ScalarExpr,
        pending: Vec<ScalarExpr>,
        danger: Danger,
    ) -> Result<Relation, NotPushed> {
        let of_left: HashSet<ColumnId> = left.output().into_iter().collect();
        let of_right: HashSet<ColumnId> = right.output().into_iter().collect();
        let side = |condition: &ScalarExpr| {
            let mut columns = HashSet::new();
            conjunct::columns(condition, &mut columns);
            match (columns.iter().any(|id| of_left.contains(id)), columns.iter().any(|id| of_right.contains(id))) {
                (_, false) => Side::Left,
                (false, true) => Side::Right,
                (true, true) => Side::Both,
            }
        };
        let (mut to_left, mut to_right, mut above) = (Vec::new(), Vec::new(), Vec::new());
        let (keeps_left, keeps_right) = conjunct::keeps(kind);
        for condition in pending {
            match side(&condition) {
                Side::Left if keeps_left => to_left.push(condition),
                Side::Right if keeps_right => to_right.push(condition),
                Side::Left | Side::Right | Side::Both => above.push(condition),
            }
        }
        let (sinks_left, sinks_right) = conjunct::on_sinks(kind);
        let (mut conditions, mut here) = (Vec::new(), Vec::new());
        conjunct::split(on, &mut conditions);
        for condition in conditions {
            match side(&condition) {
                Side::Left if sinks_left && self.sinks(&condition) => to_left.push(condition),
                Side::Right if sinks_right && self.sinks(&condition) => to_right.push(condition),
                Side::Left | Side::Right | Side::Both => here.push(condition),
            }
        }
        let (left_fails, right_fails) = (left.can_fail_over(self.held), right.can_fail_over(self.held));
        let left = Box::new(self.relation(left, to_left, danger.or_beside(right_fails))?);
        let right = Box::new(self.relation(right, to_right, danger.or_beside(left_fails))?);
        Ok(conjunct::filter(Relation::Join { kind, left, right, on: conjunct::join(here) }, above))
    }

    /// Lowers the relations of subqueries in an operator's expressions.
    fn subqueries(&mut self, relation: &mut Relation, danger: Danger) -> Result<(), NotPushed> {
        match relation {
            Relation::Filter { predicate, .. } => self.subqueries_in(predicate, danger),
            Relation::Join { on, .. } => self.subqueries_in(on, danger),
            Relation::Project { exprs, .. } => {
                exprs.iter_mut().try_for_each(|(_, expr)| self.subqueries_in(expr, danger))
            }
            Relation::Aggregate { group, aggregates, .. } => {
                group.iter_mut().try_for_each(|(_, expr)| self.subqueries_in(expr, danger))?;
                let args = aggregates.iter_mut().flat_map(|(_, call)| call.args.iter_mut().chain(&mut call.filter));
                args.into_iter().try_for_each(|expr| self.subqueries_in(expr, danger))
            }
            Relation::Sort { keys, .. } => {
                keys.iter_mut().try_for_each(|key| self.subqueries_in(&mut key.expr, danger))
            }
            Relation::Window { exprs, .. } => exprs.iter_mut().try_for_each(|(_, window)| {
                let order = window.order_by.iter_mut().map(|key| &mut key.expr);
                let mut all = window.args.iter_mut().chain(&mut window.partition_by).chain(order);
                all.try_for_each(|expr| self.subqueries_in(expr, danger))
            }),
            Relation::Values { rows, .. } => {
                rows.iter_mut().flatten().try_for_each(|expr| self.subqueries_in(expr, danger))
            }
            Relation::Scan { .. }
            | Relation::Distinct { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Fence { .. }
            | Relation::EmptyRow => Ok(()),
        }
    }

    fn subqueries_in(&mut self, expr: &mut ScalarExpr, danger: Danger) -> Result<(), NotPushed> {
        match expr {
            ScalarExpr::Column(_) | ScalarExpr::Parameter(..) | ScalarExpr::Constant(_) => Ok(()),
            ScalarExpr::Comparison { left, right, .. } | ScalarExpr::Arithmetic { left, right, .. } => {
                self.subqueries_in(left, danger)?;
                self.subqueries_in(right, danger)
            }
            ScalarExpr::And(all) | ScalarExpr::Or(all) | ScalarExpr::Function { args: all, .. } => {
                all.iter_mut().try_for_each(|one| self.subqueries_in(one, danger))
            }
            ScalarExpr::Not(inner) | ScalarExpr::Negate(inner) => self.subqueries_in(inner, danger),
            ScalarExpr::IsNull { expr, .. }
            | ScalarExpr::IsTruth { expr, .. }
            | ScalarExpr::Like { expr, .. }
            | ScalarExpr::Cast { expr, .. } => self.subqueries_in(expr, danger),
            ScalarExpr::Between { expr, low, high, .. } => {
                [expr, low, high].into_iter().try_for_each(|one| self.subqueries_in(one, danger))
            }
            ScalarExpr::InList { expr, list, .. } => {
                self.subqueries_in(expr, danger)?;
                list.iter_mut().try_for_each(|item| self.subqueries_in(item, danger))
            }
            ScalarExpr::Case { branches, otherwise } => {
                for (when, then) in branches {
                    self.subqueries_in(when, danger)?;
                    self.subqueries_in(then, danger)?;
                }
                otherwise.iter_mut().try_for_each(|expr| self.subqueries_in(expr, danger))
            }
            ScalarExpr::Exists { relation, .. } | ScalarExpr::ScalarSubquery { relation } => {
                self.inner(relation, danger)
            }
            ScalarExpr::InSubquery { expr, relation, .. } => {
                self.subqueries_in(expr, danger)?;
                self.inner(relation, danger)
            }
        }
    }

    /// Whether a condition may be evaluated on any row, and holds no query of its own.
    fn sinks(&self, condition: &ScalarExpr) -> bool {
        !condition.can_fail_over(self.held) && !conjunct::has_subquery(condition)
    }

    fn inner(&mut self, relation: &mut Relation, danger: Danger) -> Result<(), NotPushed> {
        let taken = std::mem::replace(relation, Relation::EmptyRow);
        *relation = self.relation(taken, Vec::new(), danger)?;
        Ok(())
    }
}

enum Side {
    Left,
    Right,
    Both,
}

/// A scan of ours, bare or under exactly its policy.
pub(super) fn leaf<'a>(
    relation: &Relation,
    leaves: &'a [Leaf],
    leaf_of: &HashMap<ColumnId, usize>,
) -> Option<&'a Leaf> {
    let of_scan = |relation: &Relation| match relation {
        Relation::Scan { columns, .. } => leaves.get(*leaf_of.get(&columns.first()?.id)?),
        _ => None,
    };
    match relation {
        Relation::Filter { input, predicate } => of_scan(input).filter(|leaf| leaf.policy.as_ref() == Some(predicate)),
        scan => of_scan(scan),
    }
}

/// Conditions over an operator's output, over its input where each column that they name is handed on as it is; the
/// others stay above.
fn through(
    pending: Vec<ScalarExpr>,
    exprs: &[(ColumnId, ScalarExpr)],
    output: &HashSet<ColumnId>,
) -> (Vec<ScalarExpr>, Vec<ScalarExpr>) {
    let (mut below, mut above) = (Vec::new(), Vec::new());
    let handed_on: HashMap<ColumnId, ColumnId> = exprs
        .iter()
        .filter_map(|(id, expr)| match expr {
            ScalarExpr::Column(from) => Some((*id, *from)),
            _ => None,
        })
        .collect();
    for mut condition in pending {
        let mut columns = HashSet::new();
        conjunct::columns(&condition, &mut columns);
        // Over nothing of ours (constants, columns of blocks around): beside the operator, so that a group of no rows
        // stays one.
        let names_ours = columns.iter().any(|id| output.contains(id));
        if names_ours && columns.iter().all(|id| handed_on.contains_key(id) || !output.contains(id)) {
            rename(&mut condition, &handed_on);
            below.push(condition);
        } else {
            above.push(condition);
        }
    }
    (below, above)
}

/// Renames columns of a condition without subqueries.
fn rename(expr: &mut ScalarExpr, names: &HashMap<ColumnId, ColumnId>) {
    match expr {
        ScalarExpr::Column(id) => *id = names.get(id).copied().unwrap_or(*id),
        ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::Exists { .. }
        | ScalarExpr::ScalarSubquery { .. } => {}
        ScalarExpr::Comparison { left, right, .. } | ScalarExpr::Arithmetic { left, right, .. } => {
            rename(left, names);
            rename(right, names);
        }
        ScalarExpr::And(all) | ScalarExpr::Or(all) | ScalarExpr::Function { args: all, .. } => {
            all.iter_mut().for_each(|one| rename(one, names));
        }
        ScalarExpr::Not(inner) | ScalarExpr::Negate(inner) => rename(inner, names),
        ScalarExpr::IsNull { expr, .. }
        | ScalarExpr::IsTruth { expr, .. }
        | ScalarExpr::Like { expr, .. }
        | ScalarExpr::Cast { expr, .. }
        | ScalarExpr::InSubquery { expr, .. } => rename(expr, names),
        ScalarExpr::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|one| rename(one, names));
        }
        ScalarExpr::InList { expr, list, .. } => {
            rename(expr, names);
            list.iter_mut().for_each(|item| rename(item, names));
        }
        ScalarExpr::Case { branches, otherwise } => {
            for (when, then) in branches {
                rename(when, names);
                rename(then, names);
            }
            otherwise.iter_mut().for_each(|expr| rename(expr, names));
        }
    }
}
