//! Groupings that stand in a fragment more than once, as those of a view do that its statement names twice. Prints nothing.

use crate::affixes::is_shared_name;
use crate::narrowed::narrowed_columns;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::ScalarExpr;
use std::collections::{HashMap, HashSet};

/// Groupings that are compared with others; those that come after them are printed where they stand. Each is copied to be compared, and one
/// may hold the next.
const COMPARED_MAX: usize = 8;

/// Which groupings of a fragment are the same rows in the same columns, whatever ids their columns have, and are read whole: where a key is
/// compared with something, the source finds a few of the groups sooner than it computes all of them.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    /// A number for all that are the same, by where they lie.
    kinds: HashMap<usize, usize>,
}

impl Repeated {
    /// Of a fragment's relation, as long as that is not moved. None where a table could be taken for what the statement names itself.
    pub(crate) fn of(relation: &Relation) -> Self {
        // Most fragments, and all look-ups.
        if groupings(relation) < 2 {
            return Self::default();
        }
        let mut search = Search { narrowed: narrowed_columns(relation), ..Search::default() };
        search.relation(relation);
        if search.mistakable { Self::default() } else { Self { kinds: search.kinds } }
    }

    /// The number of a relation that stands in several places. `None`: it does not.
    pub(crate) fn kind(&self, relation: &Relation) -> Option<usize> {
        self.kinds.get(&place(relation)).copied()
    }
}

/// A query that a statement names, since it reads it in several places.
pub(crate) struct Named {
    pub(crate) kind: usize,
    /// Quoted.
    pub(crate) name: String,
    /// Its columns, by the ids of where it was printed.
    pub(crate) columns: Vec<ColumnId>,
    pub(crate) text: String,
}

/// How many groupings there are, those of subqueries among them.
fn groupings(relation: &Relation) -> usize {
    fn within(expr: &ScalarExpr) -> usize {
        let own = expr.subquery().map_or(0, groupings);
        own + expr.children().into_iter().map(within).sum::<usize>()
    }
    let own = usize::from(matches!(relation, Relation::Aggregate { .. } | Relation::Distinct { .. }));
    own + relation.inputs().into_iter().map(groupings).sum::<usize>()
        + relation.scalars().into_iter().map(within).sum::<usize>()
}

/// Where a relation lies, which tells it apart from its equals.
fn place(relation: &Relation) -> usize {
    std::ptr::from_ref(relation).addr()
}

#[derive(Default)]
struct Search<'a> {
    narrowed: HashSet<ColumnId>,
    compared: usize,
    seen: Vec<(Relation, &'a Relation)>,
    kinds: HashMap<usize, usize>,
    mistakable: bool,
}

impl<'a> Search<'a> {
    fn relation(&mut self, relation: &'a Relation) {
        if let Relation::Scan { table, .. } = relation {
            self.mistakable |= table.schema().is_none() && is_shared_name(table.name());
        }
        if self.is_read_whole(relation)
            && self.compared <= COMPARED_MAX
            && let Some(renumbered) = renumbered(relation)
        {
            match self.seen.iter().position(|(known, _)| *known == renumbered) {
                Some(kind) => {
                    if let Some((_, first)) = self.seen.get(kind) {
                        self.kinds.insert(place(first), kind);
                    }
                    self.kinds.insert(place(relation), kind);
                    // Nothing inside of it is printed again.
                    return;
                }
                None => self.seen.push((renumbered, relation)),
            }
        }
        relation.inputs().into_iter().for_each(|input| self.relation(input));
        relation.scalars().into_iter().for_each(|expr| self.scalar(expr));
    }

    /// Whether it is a grouping of which no key is compared with anything. What is no grouping is better planned with the query around it.
    fn is_read_whole(&mut self, relation: &Relation) -> bool {
        let keys: Vec<ColumnId> = match relation {
            Relation::Aggregate { group, .. } => group.iter().map(|(id, _)| *id).collect(),
            Relation::Distinct { input } => input.output(),
            _ => return false,
        };
        self.compared = self.compared.saturating_add(1);
        keys.iter().all(|key| !self.narrowed.contains(key))
    }

    fn scalar(&mut self, expr: &'a ScalarExpr) {
        expr.children().into_iter().for_each(|child| self.scalar(child));
        if let Some(relation) = expr.subquery() {
            self.relation(relation);
        }
    }
}

/// The relation with its columns numbered as they come. `None`: its rows depend on a block around it, or hold a window, which is not printed.
fn renumbered(relation: &Relation) -> Option<Relation> {
    let mut copy = relation.clone();
    let mut numbers = Numbers::default();
    numbers.relation(&mut copy);
    (!numbers.open && !copy.output().is_empty()).then_some(copy)
}

#[derive(Default)]
struct Numbers {
    known: HashMap<ColumnId, ColumnId>,
    /// It names a column that is defined elsewhere, or has a window.
    open: bool,
}

impl Numbers {
    fn defined(&mut self, id: &mut ColumnId) {
        let next = ColumnId(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
        *id = *self.known.entry(*id).or_insert(next);
    }

    fn relation(&mut self, relation: &mut Relation) {
        match relation {
            Relation::Scan { columns, .. } => columns.iter_mut().for_each(|column| self.defined(&mut column.id)),
            Relation::Filter { input, predicate } => {
                self.relation(input);
                self.scalar(predicate);
            }
            Relation::Project { input, exprs } => {
                self.relation(input);
                self.columns(exprs);
            }
            Relation::Join { left, right, on, .. } => {
                self.relation(left);
                self.relation(right);
                self.scalar(on);
            }
            Relation::Aggregate { input, group, aggregates } => {
                self.relation(input);
                self.columns(group);
                for (id, aggregate) in aggregates {
                    aggregate.args.iter_mut().chain(&mut aggregate.filter).for_each(|expr| self.scalar(expr));
                    self.defined(id);
                }
            }
            Relation::Distinct { input } | Relation::Limit { input, .. } | Relation::Fence { input } => {
                self.relation(input);
            }
            Relation::Sort { input, keys } => {
                self.relation(input);
                keys.iter_mut().for_each(|key| self.scalar(&mut key.expr));
            }
            Relation::SetOperation { columns, left, right, .. } => {
                self.relation(left);
                self.relation(right);
                columns.iter_mut().for_each(|id| self.defined(id));
            }
            Relation::Window { .. } => self.open = true,
            Relation::Values { columns, rows } => {
                rows.iter_mut().flatten().for_each(|expr| self.scalar(expr));
                columns.iter_mut().for_each(|(id, _)| self.defined(id));
            }
            Relation::EmptyRow => {}
        }
    }

    fn columns(&mut self, exprs: &mut [(ColumnId, ScalarExpr)]) {
        exprs.iter_mut().for_each(|(_, expr)| self.scalar(expr));
        exprs.iter_mut().for_each(|(id, _)| self.defined(id));
    }

    fn scalar(&mut self, expr: &mut ScalarExpr) {
        match expr {
            ScalarExpr::Column(id) => match self.known.get(id) {
                Some(number) => *id = *number,
                None => self.open = true,
            },
            ScalarExpr::Parameter(..) | ScalarExpr::Constant(_) => {}
            ScalarExpr::Comparison { left, right, .. } | ScalarExpr::Arithmetic { left, right, .. } => {
                self.scalar(left);
                self.scalar(right);
            }
            ScalarExpr::And(all) | ScalarExpr::Or(all) | ScalarExpr::Function { args: all, .. } => {
                all.iter_mut().for_each(|expr| self.scalar(expr));
            }
            ScalarExpr::Not(expr)
            | ScalarExpr::Negate(expr)
            | ScalarExpr::IsNull { expr, .. }
            | ScalarExpr::IsTruth { expr, .. }
            | ScalarExpr::Like { expr, .. }
            | ScalarExpr::Cast { expr, .. } => self.scalar(expr),
            ScalarExpr::Between { expr, low, high, .. } => {
                [expr, low, high].into_iter().for_each(|expr| self.scalar(expr));
            }
            ScalarExpr::InList { expr, list, .. } => {
                self.scalar(expr);
                list.iter_mut().for_each(|expr| self.scalar(expr));
            }
            ScalarExpr::Case { branches, otherwise } => {
                for (when, then) in branches {
                    self.scalar(when);
                    self.scalar(then);
                }
                otherwise.iter_mut().for_each(|expr| self.scalar(expr));
            }
            ScalarExpr::Exists { relation, .. } | ScalarExpr::ScalarSubquery { relation } => self.relation(relation),
            ScalarExpr::InSubquery { expr, relation, .. } => {
                self.scalar(expr);
                self.relation(relation);
            }
        }
    }
}
