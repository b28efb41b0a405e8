//! Searches for the cheapest tree of joins: all of them for few inputs, greedily for many. Knows sizes, no plan.

use super::group::{Group, Set};
use crate::estimate::{Cardinality, count};
use querygate_types::limits::KEY_LIST_MAX;
use std::collections::{BTreeMap, HashMap};

/// Most inputs of which every tree is looked at.
const EXHAUSTIVE_MAX: usize = 10;
/// What a row that crosses a wire costs, where one that is hashed costs 2 and one that is looked up 1.
const WIRE: f64 = 20.0;
/// Share of rows that a condition keeps which is no equality of columns.
const OTHER: f64 = 0.3;
const OTHER_EQUALITY: f64 = 0.001;

/// A tree of joins: each pair of sets that meet, the side that is read first before the other.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) joins: HashMap<Set, (Set, Set)>,
}

/// The best tree, or `None` where some input has no equality with the others.
pub(super) fn search(group: &Group, sizes: &[Cardinality]) -> Option<Order> {
    let problem = Problem::new(group, sizes);
    let n = sizes.len();
    if n < 2 {
        return None;
    }
    let joins = if n <= EXHAUSTIVE_MAX { problem.exhaustive(n) } else { problem.greedy(n) }?;
    Some(Order { joins })
}

/// A class of equal columns: which leaves have one, and how many values it has in each of all leaves; 0 where it has none.
struct Class {
    leaves: Set,
    values: Vec<f64>,
}

struct Problem<'a> {
    sizes: &'a [Cardinality],
    classes: Vec<Class>,
    /// Leaves of each side of other equalities.
    equalities: Vec<(Set, Set)>,
    others: Vec<Set>,
    /// Shares of pairs that several classes join: together they are no more than a key.
    corrections: Vec<(Set, f64)>,
}

/// The best tree found for a set.
#[derive(Debug, Clone)]
struct Best {
    /// Without the wire.
    cost: f64,
    /// Share of a remote leaf's rows that keys of a class leave.
    left: BTreeMap<(usize, usize), f64>,
    sides: (Set, Set),
}

fn members(set: Set) -> impl Iterator<Item = usize> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let leaf = usize::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
        rest &= rest - 1;
        Some(leaf)
    })
}

impl<'a> Problem<'a> {
    fn new(group: &Group, sizes: &'a [Cardinality]) -> Self {
        let classes: Vec<Class> = group.classes.iter().map(|class| class_of(class, group, sizes)).collect();
        let mut corrections = Vec::new();
        for (a, b) in (0..sizes.len()).flat_map(|a| (a + 1..sizes.len()).map(move |b| (a, b))) {
            let pair: Set = 1 << a | 1 << b;
            let shared: Vec<f64> =
                classes.iter().filter(|class| class.leaves & pair == pair).map(|c| c.most(pair)).collect();
            let key = sizes[a].base.min(sizes[b].base).max(1.0);
            let together: f64 = shared.iter().product();
            if shared.len() > 1 && together > key {
                corrections.push((pair, together / key));
            }
        }
        Self {
            sizes,
            classes,
            equalities: group.equalities.iter().map(|e| (e.left.1, e.right.1)).collect(),
            others: group.others.iter().map(|(_, set)| *set).collect(),
            corrections,
        }
    }

    /// Rows of a set's join, whatever its order.
    fn rows(&self, set: Set) -> f64 {
        let product: f64 = members(set).map(|leaf| self.sizes[leaf].rows).product();
        let classes: f64 = self.classes.iter().map(|class| class.share(set)).product();
        let inside = |part: &Set| *part != 0 && part & set == *part;
        let equalities = self.equalities.iter().filter(|(l, r)| inside(&(l | r))).count();
        let others = self.others.iter().filter(|part| inside(part) && part.count_ones() > 1).count();
        let corrected: f64 = self.corrections.iter().filter(|(pair, _)| inside(pair)).map(|(_, by)| by).product();
        let exponent = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let rest = OTHER_EQUALITY.powi(exponent(equalities)) * OTHER.powi(exponent(others));
        (product * classes * rest * corrected).max(1.0)
    }

    fn meet(&self, a: Set, b: Set) -> bool {
        self.classes.iter().any(|class| class.leaves & a != 0 && class.leaves & b != 0)
            || self.equalities.iter().any(|(l, r)| {
                let inside = |part: Set, set: Set| part & set == part;
                inside(*l, a) && inside(*r, b) || inside(*l, b) && inside(*r, a)
            })
    }

    fn leaf() -> Best {
        Best { cost: 0.0, left: BTreeMap::new(), sides: (0, 0) }
    }

    /// What two trees cost together without the wire, the first one read first.
    fn cost((a, first): (Set, &Best), (b, second): (Set, &Best), rows: &dyn Fn(Set) -> f64) -> f64 {
        first.cost + second.cost + 2.0 * rows(a) + rows(b) + rows(a | b)
    }

    /// Two trees joined, the first one read first.
    fn join(&self, (a, first): (Set, &Best), (b, second): (Set, &Best), rows: &dyn Fn(Set) -> f64) -> Best {
        let cost = Self::cost((a, first), (b, second), rows);
        let mut left = first.left.clone();
        left.extend(second.left.iter().map(|(key, share)| (*key, *share)));
        for (number, class) in self.classes.iter().enumerate() {
            let (met, told) = (class.leaves & a, class.leaves & b);
            if met == 0 {
                continue;
            }
            let keys = members(met).map(|leaf| class.values_in(leaf)).fold(rows(a), f64::min);
            if keys > count(KEY_LIST_MAX) {
                continue;
            }
            for leaf in members(told).filter(|leaf| self.sizes[*leaf].remote) {
                let share = left.entry((leaf, number)).or_insert(1.0);
                *share = share.min((keys / class.values_in(leaf)).min(1.0));
            }
        }
        Best { cost, left, sides: (a, b) }
    }

    /// The cost with the rows that cross a wire.
    fn total(&self, set: Set, best: &Best) -> f64 {
        let crossing = members(set).filter(|leaf| self.sizes[*leaf].remote).map(|leaf| {
            let shares = best.left.iter().filter(|((of, _), _)| *of == leaf).map(|(_, share)| share);
            self.sizes[leaf].rows * shares.product::<f64>()
        });
        best.cost + WIRE * crossing.sum::<f64>()
    }

    fn exhaustive(&self, n: usize) -> Option<HashMap<Set, (Set, Set)>> {
        let all: Set = (1 << n) - 1;
        let known: Vec<f64> = (0..=all).map(|set| if set == 0 { 0.0 } else { self.rows(set) }).collect();
        let rows = |set: Set| usize::try_from(set).ok().and_then(|set| known.get(set)).copied().unwrap_or(1.0);
        // Each set's at its own place; a set comes after all of its parts.
        let mut best: Vec<Option<Best>> = Vec::with_capacity(known.len());
        best.push(None);
        for set in 1..=all {
            let found = if set.count_ones() == 1 { Some(Self::leaf()) } else { self.best_of(set, &best, &rows) };
            best.push(found);
        }
        tree(all, &|set| Some(best_at(&best, set)?.sides))
    }

    /// The best of all pairs of parts, whose own best are known.
    fn best_of(&self, set: Set, best: &[Option<Best>], rows: &dyn Fn(Set) -> f64) -> Option<Best> {
        let mut found: Option<(f64, Best)> = None;
        // Every proper part, as the side that is read first.
        let mut part = (set - 1) & set;
        while part != 0 {
            let rest = set & !part;
            if let (Some(first), Some(second)) = (best_at(best, part), best_at(best, rest))
                && self.meet(part, rest)
            {
                let (first, second) = ((part, first), (rest, second));
                let least = found.as_ref().map_or(f64::INFINITY, |(least, _)| *least);
                // What crosses a wire only adds to it.
                if Self::cost(first, second, rows) < least {
                    let joined = self.join(first, second, rows);
                    let total = self.total(set, &joined);
                    if total < least {
                        found = Some((total, joined));
                    }
                }
            }
            part = (part - 1) & set;
        }
        found.map(|(_, joined)| joined)
    }

    /// The pair whose join is cheapest first, until one tree is left.
    fn greedy(&self, n: usize) -> Option<HashMap<Set, (Set, Set)>> {
        let rows = |set: Set| self.rows(set);
        let mut trees: Vec<(Set, Best)> = (0..n).map(|leaf| (1 << leaf, Self::leaf())).collect();
        let mut joins = HashMap::new();
        while trees.len() > 1 {
            let mut found: Option<(f64, usize, usize, Best)> = None;
            for (i, j) in (0..trees.len()).flat_map(|i| (0..trees.len()).map(move |j| (i, j))) {
                let ((a, first), (b, second)) = (&trees[i], &trees[j]);
                if i == j || !self.meet(*a, *b) {
                    continue;
                }
                let joined = self.join((*a, first), (*b, second), &rows);
                let more = self.total(a | b, &joined) - self.total(*a, first) - self.total(*b, second);
                if found.as_ref().is_none_or(|(least, ..)| more < *least) {
                    found = Some((more, i, j, joined));
                }
            }
            let (_, i, j, joined) = found?;
            let set = trees[i].0 | trees[j].0;
            joins.insert(set, joined.sides);
            trees.retain(|(part, _)| part & set == 0);
            trees.push((set, joined));
        }
        Some(joins)
    }
}

/// The joins of the tree over a set.
fn tree(set: Set, sides: &dyn Fn(Set) -> Option<(Set, Set)>) -> Option<HashMap<Set, (Set, Set)>> {
    let mut joins = HashMap::new();
    let mut open = vec![set];
    while let Some(set) = open.pop() {
        if set.count_ones() < 2 {
            continue;
        }
        let (a, b) = sides(set)?;
        joins.insert(set, (a, b));
        open.extend([a, b]);
    }
    Some(joins)
}

fn best_at(best: &[Option<Best>], set: Set) -> Option<&Best> {
    usize::try_from(set).ok().and_then(|set| best.get(set)?.as_ref())
}

fn class_of(class: &[(usize, datafusion::common::Column)], group: &Group, sizes: &[Cardinality]) -> Class {
    let known = class.iter().map(|(leaf, column)| {
        let size = &sizes[*leaf];
        (*leaf, size.column(group.leaves[*leaf].schema(), column), size.base)
    });
    let known: Vec<_> = known.collect();
    // Of the uncounted ones, one is a key of all the others.
    let least = known.iter().map(|(_, _, base)| *base).fold(f64::INFINITY, f64::min).max(1.0);
    let counted = known.iter().filter_map(|(_, column, _)| column.distinct).fold(0.0, f64::max);
    let mut values = vec![0.0; sizes.len()];
    for (leaf, column, base) in &known {
        let uncounted = if counted > 0.0 { counted.min(*base) } else { least };
        values[*leaf] = column.distinct.unwrap_or(uncounted).max(1.0);
    }
    Class { leaves: class.iter().map(|(leaf, _)| 1 << leaf).sum(), values }
}

impl Class {
    /// How many values one of its leaves has.
    fn values_in(&self, leaf: usize) -> f64 {
        self.values.get(leaf).copied().unwrap_or(1.0)
    }

    /// The most values that any of these leaves has.
    fn most(&self, set: Set) -> f64 {
        members(set & self.leaves).map(|leaf| self.values_in(leaf)).fold(1.0, f64::max)
    }

    /// The share of all combinations that this class keeps: one over the values of each member but the one with fewest.
    fn share(&self, set: Set) -> f64 {
        let mut values: Vec<f64> = members(set & self.leaves).map(|leaf| self.values_in(leaf)).collect();
        values.sort_by(f64::total_cmp);
        values.iter().skip(1).map(|values| 1.0 / values).product()
    }
}
