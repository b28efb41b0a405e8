//! Grows one tree, best leaf first, on gradients. Knows codes and gradients, no loss.
//!
//! Gradients are whole numbers here, and a sum and its count share one word: a histogram is half as large, and a child's is
//! exactly its parent's less its sibling's.

use super::bins::{Binned, MISSING};
use super::tree::Node;

/// Low bits of a word, which count rows.
const COUNT_BITS: u32 = 24;
const COUNT: i64 = (1 << COUNT_BITS) - 1;
/// Most rows that can be counted.
pub(crate) const ROWS_MAX: usize = (1 << COUNT_BITS) - 1;
/// Largest sum of gradients, in bits.
const SUM_BITS: u32 = 38;
/// Rows from which on two copies of a histogram are filled in turn: additions to one bin wait for each other.
const TURNS_FROM: usize = 512;

/// Limits of one tree.
pub(crate) struct Limits<'a> {
    pub(crate) leaves: usize,
    pub(crate) min_leaf: usize,
    pub(crate) l2: f64,
    /// Features that this tree may use.
    pub(crate) features: &'a [usize],
    /// Per feature +1 (rising), -1 (falling) or 0.
    pub(crate) monotone: &'a [i8],
}

/// Gradients of all rows as whole numbers, each with a count of one.
pub(crate) struct Gradients {
    words: Vec<i64>,
    /// What one unit is worth.
    unit: f64,
}

impl Gradients {
    /// `rows` are the most that are summed.
    pub(crate) fn new(gradients: &[f64], rows: usize) -> Self {
        let most = gradients.iter().fold(f64::MIN_POSITIVE, |most, g| most.max(g.abs()));
        let bits = SUM_BITS - rows.clamp(1, ROWS_MAX).ilog2() - 1;
        let unit = most / (1_u64 << bits) as f64;
        let word = |gradient: &f64| (((gradient / unit) as i64) << COUNT_BITS) + 1;
        Self { words: gradients.iter().map(word).collect(), unit }
    }

    fn of(&self, row: u32) -> i64 {
        self.words[row as usize]
    }
}

fn count(word: i64) -> f64 {
    (word & COUNT) as f64
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    feature: usize,
    bin: u8,
    missing_left: bool,
    /// Where the children meet, for monotone features.
    middle: f64,
    /// Sum over the left side.
    left: i64,
}

struct Open {
    node: usize,
    rows: Vec<u32>,
    sum: i64,
    histogram: Vec<i64>,
    /// What monotone ancestors allow.
    bounds: (f64, f64),
    split: Option<Split>,
}

/// A grown tree: its nodes (indices from 0) and the rows of each leaf with the leaf's bounds.
pub(crate) struct Grown {
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<(usize, Vec<u32>, (f64, f64))>,
}

pub(crate) fn grow(x: &Binned, gradients: &Gradients, rows: Vec<u32>, limits: &Limits<'_>) -> Grown {
    let mut starts = vec![0];
    for feature in limits.features {
        starts.push(starts[starts.len() - 1] + x.bins(*feature));
    }
    Grower { x, gradients, limits, starts, nodes: vec![Node::Leaf(0.0)] }.grow(rows)
}

struct Grower<'a> {
    x: &'a Binned,
    gradients: &'a Gradients,
    limits: &'a Limits<'a>,
    /// Where the bins of each feature begin in a histogram, and where the last ends.
    starts: Vec<usize>,
    nodes: Vec<Node>,
}

impl Grower<'_> {
    fn grow(mut self, rows: Vec<u32>) -> Grown {
        let histogram = self.histogram(&rows);
        let sum = rows.iter().map(|row| self.gradients.of(*row)).sum();
        let mut root = Open { node: 0, rows, sum, histogram, bounds: (f64::NEG_INFINITY, f64::INFINITY), split: None };
        root.split = self.best(&root);
        let mut open = vec![root];
        let mut done = Vec::new();
        while open.len() + done.len() < self.limits.leaves {
            let gain = |leaf: &Open| leaf.split.map_or(f64::NEG_INFINITY, |s| s.gain);
            let Some(at) = (0..open.len()).max_by(|a, b| gain(&open[*a]).total_cmp(&gain(&open[*b]))) else { break };
            let leaf = open.swap_remove(at);
            let Some(split) = leaf.split else {
                done.push(leaf);
                continue;
            };
            let last = open.len() + done.len() + 2 >= self.limits.leaves;
            open.extend(self.divide(leaf, split, last));
        }
        done.extend(open);
        let leaves = done.into_iter().map(|leaf| (leaf.node, leaf.rows, leaf.bounds)).collect();
        Grown { nodes: self.nodes, leaves }
    }

    fn histogram(&self, rows: &[u32]) -> Vec<i64> {
        let words: Vec<i64> = rows.iter().map(|row| self.gradients.of(*row)).collect();
        let total: i64 = words.iter().sum();
        let mut sums = vec![0; self.starts.last().copied().unwrap_or(0)];
        for (feature, start) in self.limits.features.iter().zip(&self.starts) {
            let codes = self.x.codes(*feature);
            let bins = &mut sums[*start..*start + self.x.bins(*feature)];
            if self.x.is_binary(*feature) {
                // Codes are 1 and 2.
                let high = |(row, word): (&u32, &i64)| word & -i64::from(codes[*row as usize] >> 1);
                bins[2] = rows.iter().zip(&words).map(high).sum();
                bins[1] = total - bins[2];
            } else {
                fill(bins, codes, rows, &words);
            }
        }
        sums
    }

    fn score(&self, word: i64) -> f64 {
        let gradient = (word >> COUNT_BITS) as f64 * self.gradients.unit;
        gradient * gradient / (count(word) + self.limits.l2)
    }

    fn value(&self, word: i64) -> f64 {
        (word >> COUNT_BITS) as f64 * self.gradients.unit / (count(word) + self.limits.l2)
    }

    fn best(&self, leaf: &Open) -> Option<Split> {
        let least = i64::try_from(self.limits.min_leaf).unwrap_or(COUNT);
        let rows = leaf.sum & COUNT;
        if rows < 2 * least {
            return None;
        }
        let alone = self.score(leaf.sum);
        let mut best: Option<Split> = None;
        let mut most = alone + 1e-9;
        for (feature, start) in self.limits.features.iter().zip(&self.starts) {
            let bins = &leaf.histogram[*start..*start + self.x.bins(*feature)];
            let missing = bins[usize::from(MISSING)];
            let mut below = 0;
            for (bin, sum) in bins.iter().enumerate().take(bins.len() - 1).skip(1) {
                below += sum;
                if rows - (below & COUNT) < least {
                    break;
                }
                if sum & COUNT == 0 && bin > 1 {
                    continue;
                }
                for (missing_left, left) in [(false, below), (true, below + missing)] {
                    let count = left & COUNT;
                    if count < least || rows - count < least || (missing_left && missing & COUNT == 0) {
                        continue;
                    }
                    let right = leaf.sum - left;
                    let gain = self.score(left) + self.score(right);
                    if gain <= most {
                        continue;
                    }
                    let (low, high) = leaf.bounds;
                    let [a, b] = [left, right].map(|side| self.value(side).clamp(low, high));
                    let rising = f64::from(self.limits.monotone.get(*feature).copied().unwrap_or(0));
                    if rising * (b - a) >= 0.0 {
                        most = gain;
                        let (gain, bin, middle) =
                            (gain - alone, u8::try_from(bin).unwrap_or(u8::MAX), f64::midpoint(a, b));
                        best = Some(Split { gain, feature: *feature, bin, missing_left, middle, left });
                    }
                }
            }
        }
        best
    }

    /// The two children; after the last division none of them will be divided, so that nothing need be known of them.
    fn divide(&mut self, leaf: Open, split: Split, last: bool) -> [Open; 2] {
        let codes = self.x.codes(split.feature);
        let goes_left = |row: &u32| match codes[*row as usize] {
            MISSING => split.missing_left,
            code => code <= split.bin,
        };
        let (left_rows, right_rows): (Vec<u32>, Vec<u32>) = leaf.rows.iter().partition(|row| goes_left(row));
        let (left_sums, right_sums) = if last {
            (Vec::new(), Vec::new())
        } else {
            // The larger side is the parent less the smaller one: half the work.
            let left_is_less = left_rows.len() <= right_rows.len();
            let less = self.histogram(if left_is_less { &left_rows } else { &right_rows });
            let mut more = leaf.histogram;
            more.iter_mut().zip(&less).for_each(|(all, less)| *all -= less);
            if left_is_less { (less, more) } else { (more, less) }
        };
        let (mut left_bounds, mut right_bounds) = (leaf.bounds, leaf.bounds);
        match self.limits.monotone.get(split.feature).copied().unwrap_or(0).signum() {
            1 => (left_bounds.1, right_bounds.0) = (split.middle, split.middle),
            -1 => (left_bounds.0, right_bounds.1) = (split.middle, split.middle),
            _ => {}
        }
        let first = self.nodes.len();
        let threshold = self.x.edges[split.feature][usize::from(split.bin) - 1];
        let [feature, left] = [split.feature, first].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        self.nodes[leaf.node] = Node::Split { feature, threshold, missing_left: split.missing_left, left };
        self.nodes.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
        let open = |node, rows, sum, histogram, bounds| {
            let mut child = Open { node, rows, sum, histogram, bounds, split: None };
            if !last {
                child.split = self.best(&child);
            }
            child
        };
        [
            open(first, left_rows, split.left, left_sums, left_bounds),
            open(first + 1, right_rows, leaf.sum - split.left, right_sums, right_bounds),
        ]
    }
}

/// Adds each row's word to the bin of its code.
fn fill(bins: &mut [i64], codes: &[u8], rows: &[u32], words: &[i64]) {
    if rows.len() < TURNS_FROM {
        rows.iter().zip(words).for_each(|(row, word)| bins[usize::from(codes[*row as usize])] += word);
        return;
    }
    let (mut one, mut other) = ([0_i64; 256], [0_i64; 256]);
    let ((pairs, row), (word_pairs, word)) = (rows.as_chunks::<2>(), words.as_chunks::<2>());
    for (row, word) in row.iter().zip(word) {
        one[usize::from(codes[*row as usize])] += word;
    }
    for (rows, words) in pairs.iter().zip(word_pairs) {
        one[usize::from(codes[rows[0] as usize])] += words[0];
        other[usize::from(codes[rows[1] as usize])] += words[1];
    }
    bins.iter_mut().zip(one.iter().zip(&other)).for_each(|(bin, (one, other))| *bin = one + other);
}
