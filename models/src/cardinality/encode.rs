//! Sub-plans as rows of numbers. Knows the vocabulary of the training data; what is not in it is counted, not guessed.

use super::subplan::{ROWS_MAX, Range, Subplan};
use crate::numeric;
use crate::rng::mix;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tables, join columns and marks that are told apart; the rarest beyond are left out.
const TOKENS_MAX: usize = 256;
/// Pairs of columns that joins make equal that are told apart.
const PAIRS_MAX: usize = 512;
/// Columns whose ranges are told apart.
const COLUMNS_MAX: usize = 96;
/// Values kept of each column, to rank others among.
const VALUES_MAX: usize = 512;
/// Numbers that describe the shape of a join graph.
pub(crate) const SHAPE: usize = 3;
/// Narrowest share that a range of ranks is taken for.
const WIDTH_MIN: f64 = 0.02;

/// How sub-plans become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    /// Sorted ids of tables, join columns and marks.
    tables: Vec<u64>,
    tokens: Vec<u64>,
    /// Sorted ids of pairs of columns.
    pairs: Vec<u64>,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Column {
    id: u64,
    table: u64,
    /// Ends of ranges seen, ascending.
    values: Vec<f64>,
}

/// One sub-plan in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoded {
    /// Counts of tables and tokens, then the shape.
    pub(crate) graph: Vec<f64>,
    /// 1 for each pair of columns that joins make equal.
    pub(crate) pairs: Vec<f64>,
    /// Two ranks (0 to 1) per column.
    pub(crate) ranks: Vec<f64>,
    /// Logarithm of the source's estimate.
    pub(crate) estimate: f64,
    /// Everything that trees look at.
    pub(crate) features: Vec<f64>,
    /// Tables and joins that training never saw.
    pub(crate) unseen: usize,
    /// Whether training never saw a table, a join, a mark or a column with a range.
    pub(crate) is_new: bool,
}

fn most_frequent(ids: impl Iterator<Item = u64>, most: usize) -> Vec<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    ids.for_each(|id| *counts.entry(id).or_insert(0) += 1);
    let mut ids: Vec<(u64, usize)> = counts.into_iter().collect();
    ids.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    ids.truncate(most);
    let mut ids: Vec<u64> = ids.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids
}

/// Join columns and marks.
fn tokens_of(subplan: &Subplan) -> BTreeSet<u64> {
    subplan.joins.iter().flat_map(|(a, b)| [*a, *b]).chain(subplan.marks.iter().copied()).collect()
}

/// Pairs of columns that are equal to each other, directly or through others.
fn pairs_of(classes: &[Vec<u64>]) -> BTreeSet<u64> {
    let of = |class: &Vec<u64>| {
        let ordered = |a: &u64, b: &u64| mix(mix(*a.min(b)) ^ a.max(b));
        let pairs = class.iter().enumerate().flat_map(|(at, a)| class[..at].iter().map(move |b| ordered(a, b)));
        pairs.collect::<Vec<_>>()
    };
    classes.iter().flat_map(of).collect()
}

impl Encoder {
    pub(crate) fn learn<'a>(subplans: impl Iterator<Item = &'a Subplan> + Clone) -> Self {
        let tables = most_frequent(subplans.clone().flat_map(|s| s.tables.iter().copied()), TOKENS_MAX);
        let tokens = most_frequent(subplans.clone().flat_map(tokens_of), TOKENS_MAX);
        let pairs = most_frequent(subplans.clone().flat_map(|s| pairs_of(&s.classes())), PAIRS_MAX);
        let ids = most_frequent(subplans.clone().flat_map(|s| s.ranges.iter().map(|r| r.column)), COLUMNS_MAX);
        let columns = ids.iter().map(|id| {
            let ranges: Vec<&Range> = subplans.clone().flat_map(|s| &s.ranges).filter(|r| r.column == *id).collect();
            let mut values: Vec<f64> = ranges.iter().flat_map(|r| [r.low, r.high]).filter(|v| v.is_finite()).collect();
            numeric::sort(&mut values);
            values.dedup();
            if values.len() > VALUES_MAX {
                let step = |i: usize| values[i * (values.len() - 1) / (VALUES_MAX - 1)];
                values = (0..VALUES_MAX).map(step).collect();
            }
            Column { id: *id, table: ranges.first().map_or(0, |r| r.table), values }
        });
        Self { columns: columns.collect(), tables, tokens, pairs }
    }

    /// Numbers that describe tables, joins and their shape.
    pub(crate) fn graph_width(&self) -> usize {
        self.tables.len() + self.tokens.len() + SHAPE
    }

    pub(crate) fn pairs_width(&self) -> usize {
        self.pairs.len()
    }

    /// The columns of each table that is told apart.
    pub(crate) fn columns_of_tables(&self) -> Vec<Vec<u32>> {
        let of =
            |table: &u64| (0_u32..).zip(&self.columns).filter(|(_, c)| c.table == *table).map(|(at, _)| at).collect();
        self.tables.iter().map(of).collect()
    }

    pub(crate) fn ranks_width(&self) -> usize {
        2 * self.columns.len()
    }

    pub(crate) fn features_width(&self) -> usize {
        5 + self.graph_width() + 2 * self.columns.len() + self.tables.len()
    }

    pub(crate) fn is_sound(&self) -> bool {
        let sorted = |ids: &[u64]| ids.is_sorted_by(|a, b| a < b);
        let values = |c: &Column| c.values.iter().all(|v| v.is_finite()) && c.values.is_sorted();
        [&self.tables, &self.tokens, &self.pairs].iter().all(|ids| sorted(ids)) && self.columns.iter().all(values)
    }

    pub(crate) fn encode(&self, subplan: &Subplan) -> Encoded {
        let mut unseen = 0;
        let mut counts = vec![0.0; self.tables.len() + self.tokens.len()];
        for table in &subplan.tables {
            match self.tables.binary_search(table) {
                Ok(at) => counts[at] += 1.0,
                Err(_) => unseen += 1,
            }
        }
        for token in tokens_of(subplan) {
            match self.tokens.binary_search(&token) {
                Ok(at) => counts[self.tables.len() + at] += 1.0,
                Err(_) => unseen += 1,
            }
        }
        let classes = subplan.classes();
        let mut pairs = vec![0.0; self.pairs.len()];
        for at in pairs_of(&classes).iter().filter_map(|pair| self.pairs.binary_search(pair).ok()) {
            pairs[at] = 1.0;
        }
        let mut sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let size = |at: usize| sizes.get(at).copied().unwrap_or(0) as f64;
        let mut graph = counts;
        graph.extend([size(0), sizes.len() as f64, size(1)]);

        let mut ranks = Vec::with_capacity(self.ranks_width());
        let mut ends = Vec::with_capacity(self.ranks_width());
        let mut widths = vec![0.0; self.tables.len()];
        let mut narrowing = 0.0;
        for column in &self.columns {
            let range = subplan.ranges.iter().find(|r| r.column == column.id);
            let (low, high) = range.map_or((0.0, 1.0), |r| (column.rank(r.low, 0.0), column.rank(r.high, 1.0)));
            ranks.extend([low, high]);
            let known = |value: f64| if value.is_finite() { value } else { f64::NAN };
            ends.extend(range.map_or([f64::NAN; 2], |r| [known(r.low), known(r.high)]));
            if range.is_some() {
                let width = (high - low).max(WIDTH_MIN).ln();
                narrowing += width;
                if let Ok(at) = self.tables.binary_search(&column.table) {
                    widths[at] += width;
                }
            }
        }
        let is_known = |range: &Range| self.columns.iter().any(|column| column.id == range.column);
        let has_all_columns = self.columns.len() < COLUMNS_MAX;
        let has_all_tokens = self.tables.len() < TOKENS_MAX && self.tokens.len() < TOKENS_MAX;
        // Where training had more than there is a place for, one without a place may have been there.
        let is_new = unseen > 0 && has_all_tokens || has_all_columns && !subplan.ranges.iter().all(is_known);
        let estimate = numeric::log_of(subplan.estimate, 1.0).min(ROWS_MAX.ln());
        let (tables, joins, conditions) = (subplan.tables.len(), subplan.joins.len(), subplan.ranges.len());
        let mut features = Vec::with_capacity(self.features_width());
        features.extend([estimate, tables as f64, joins as f64, (conditions + subplan.marks.len()) as f64, narrowing]);
        features.extend(graph.iter().chain(&ends).chain(&widths));
        Encoded { graph, pairs, ranks, estimate, features, unseen, is_new }
    }
}

impl Column {
    /// Where a value lies among those seen, 0 to 1; `open` for an open end.
    fn rank(&self, value: f64, open: f64) -> f64 {
        if !value.is_finite() || self.values.is_empty() {
            return open;
        }
        let below = self.values.partition_point(|v| *v < value);
        let upto = self.values.partition_point(|v| *v <= value);
        (below + upto) as f64 / (2 * self.values.len()) as f64
    }
}
