//! A group of inner joins taken apart: its inputs, and the conditions between them. Knows no sizes.

use crate::regroup::is_movable;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ExprSchema, JoinType, NullEquality};
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_driver_api::lossless::{is_lossless, wider};
use std::collections::HashSet;
use std::sync::Arc;

/// Most inputs whose order is searched for; one bit each.
pub(super) const LEAVES_MAX: usize = 40;

/// A set of leaves, a bit for each.
pub(super) type Set = u64;

/// Inputs of inner joins with what stands between them.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) leaves: Vec<LogicalPlan>,
    /// Columns that are equal in each row, at most one of each leaf: (leaf, column). Their types differ at most by a cast that
    /// keeps each value.
    pub(super) classes: Vec<Vec<(usize, Column)>>,
    /// Equalities of other expressions, each of leaves that the other does not read.
    pub(super) equalities: Vec<Equality>,
    /// Everything else.
    pub(super) others: Vec<(Expr, Set)>,
}

/// `left = right`.
#[derive(Debug)]
pub(super) struct Equality {
    pub(super) left: (Expr, Set),
    pub(super) right: (Expr, Set),
}

impl Group {
    /// The group whose topmost join this is. `None`: it is none, or one that stays as it is.
    pub(super) fn of(plan: &LogicalPlan) -> Option<Self> {
        if !matches!(plan, LogicalPlan::Join(join) if is_inner(join)) {
            return None;
        }
        let mut group = Self { leaves: Vec::new(), classes: Vec::new(), equalities: Vec::new(), others: Vec::new() };
        let mut conditions = Vec::new();
        group.collect(plan, &mut conditions);
        if group.leaves.len() > LEAVES_MAX || !group.names_are_unique() {
            return None;
        }
        for condition in conditions {
            group.add(condition)?;
        }
        Some(group)
    }

    fn collect(&mut self, plan: &LogicalPlan, conditions: &mut Vec<Condition>) {
        if self.leaves.len() > LEAVES_MAX {
            return;
        }
        match plan {
            LogicalPlan::Join(join) if is_inner(join) => {
                conditions.extend(join.on.iter().map(|(l, r)| Condition::Equal(l.clone(), r.clone())));
                conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned().map(Condition::Other));
                self.collect(&join.left, conditions);
                self.collect(&join.right, conditions);
            }
            LogicalPlan::Projection(projection)
                if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) && below(&projection.input) =>
            {
                self.collect(&projection.input, conditions);
            }
            LogicalPlan::Filter(filter) if below(&filter.input) && is_movable(&filter.predicate) => {
                conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned().map(Condition::Other));
                self.collect(&filter.input, conditions);
            }
            leaf => self.leaves.push(leaf.clone()),
        }
    }

    /// A column that one join below dropped may come back in another leaf under the same name.
    fn names_are_unique(&self) -> bool {
        let mut seen = HashSet::new();
        self.leaves.iter().flat_map(|leaf| leaf.schema().columns()).all(|column| seen.insert(column))
    }

    fn add(&mut self, condition: Condition) -> Option<()> {
        let (left, right) = match condition {
            Condition::Equal(left, right) if is_movable(&left) && is_movable(&right) => (left, right),
            Condition::Equal(..) => return None,
            Condition::Other(expr) => {
                if !is_movable(&expr) {
                    return None;
                }
                let set = self.leaves_of(&expr)?;
                self.others.push((expr, set));
                return Some(());
            }
        };
        let (l, r) = (self.leaves_of(&left)?, self.leaves_of(&right)?);
        if let (Some(a), Some(b)) = (self.kept(&left), self.kept(&right))
            && self.joins_a_class((l, &a), (r, &b))
        {
            return Some(());
        }
        if l != 0 && r != 0 && l & r == 0 {
            self.equalities.push(Equality { left: (left, l), right: (right, r) });
        } else {
            self.others.push((left.eq(right), l | r));
        }
        Some(())
    }

    /// The type in which two columns are equal where their values are the same.
    pub(super) fn common_type(&self, one: (usize, &Column), other: (usize, &Column)) -> Option<DataType> {
        let of = |(leaf, column): (usize, &Column)| {
            let field = self.leaves.get(leaf)?.schema().field_from_column(column).ok()?;
            // Two zeros are equal there, and not the same.
            (!field.data_type().is_floating()).then(|| field.data_type().clone())
        };
        wider(&of(one)?, &of(other)?).cloned()
    }

    /// The column whose values an expression has, if it has those of one.
    fn kept(&self, expr: &Expr) -> Option<Column> {
        match expr {
            Expr::Column(column) => Some(column.clone()),
            Expr::Cast(cast) => {
                let Expr::Column(column) = cast.expr.as_ref() else { return None };
                let field = self.leaves.iter().find_map(|leaf| leaf.schema().field_from_column(column).ok())?;
                is_lossless(field.data_type(), cast.field.data_type()).then(|| column.clone())
            }
            _ => None,
        }
    }

    /// Puts two equal columns into one class. Not where the class would hold two columns of one leaf: joins equate one
    /// column of each side only.
    fn joins_a_class(&mut self, (l, a): (Set, &Column), (r, b): (Set, &Column)) -> bool {
        let (left, right) = (l.trailing_zeros() as usize, r.trailing_zeros() as usize);
        if left == right || self.common_type((left, a), (right, b)).is_none() {
            return false;
        }
        let find = |leaf: usize, column: &Column| {
            self.classes.iter().position(|class| class.iter().any(|(at, known)| *at == leaf && known == column))
        };
        let (x, y) = (find(left, a), find(right, b));
        if x.is_some() && x == y {
            return true;
        }
        let members = |class: Option<usize>, own: (usize, &Column)| match class {
            Some(class) => self.classes.get(class).cloned().unwrap_or_default(),
            None => vec![(own.0, own.1.clone())],
        };
        let mut merged = members(x, (left, a));
        merged.extend(members(y, (right, b)));
        let distinct: HashSet<usize> = merged.iter().map(|(leaf, _)| *leaf).collect();
        let comparable = |(n, (leaf, column)): (usize, &(usize, Column))| {
            merged.iter().skip(n).all(|(at, other)| self.common_type((*leaf, column), (*at, other)).is_some())
        };
        if distinct.len() != merged.len() || !merged.iter().enumerate().all(comparable) {
            return false;
        }
        let mut gone: Vec<usize> = [x, y].into_iter().flatten().collect();
        gone.sort_unstable();
        for class in gone.into_iter().rev() {
            self.classes.swap_remove(class);
        }
        self.classes.push(merged);
        true
    }

    /// The leaves that an expression reads; `None` for a column that none has.
    fn leaves_of(&self, expr: &Expr) -> Option<Set> {
        expr.column_refs().into_iter().try_fold(0, |set, column| {
            let leaf = self.leaves.iter().position(|leaf| leaf.schema().has_column(column))?;
            Some(set | 1 << leaf)
        })
    }
}

enum Condition {
    Equal(Expr, Expr),
    Other(Expr),
}

/// An inner join whose NULLs are plain.
pub(super) fn is_inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing && !join.null_aware
}

/// Whether a chain of what [`Group::collect`] sees through ends in a join of the group.
fn below(plan: &Arc<LogicalPlan>) -> bool {
    match plan.as_ref() {
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) && below(&projection.input)
        }
        LogicalPlan::Filter(filter) => is_movable(&filter.predicate) && below(&filter.input),
        LogicalPlan::Join(join) => is_inner(join),
        _ => false,
    }
}
