//! Grows one tree, best leaf first, on gradients. Knows codes and gradients, no loss.

use super::bins::{Binned, MISSING};
use super::tree::Node;

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

#[derive(Clone, Copy, Default)]
struct Sum {
    gradient: f64,
    count: f64,
}

impl Sum {
    fn of(gradients: &[f64], rows: &[u32]) -> Self {
        Self { gradient: rows.iter().map(|r| gradients[*r as usize]).sum(), count: rows.len() as f64 }
    }

    fn plus(self, other: Self) -> Self {
        Self { gradient: self.gradient + other.gradient, count: self.count + other.count }
    }

    fn minus(self, other: Self) -> Self {
        Self { gradient: self.gradient - other.gradient, count: self.count - other.count }
    }

    fn value(self, l2: f64) -> f64 {
        self.gradient / (self.count + l2)
    }
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    feature: usize,
    bin: u8,
    missing_left: bool,
    /// Where the children meet, for monotone features.
    middle: f64,
}

struct Open {
    node: usize,
    rows: Vec<u32>,
    histogram: Vec<Sum>,
    /// What monotone ancestors allow.
    bounds: (f64, f64),
    split: Option<Split>,
}

/// A grown tree: its nodes (indices from 0) and the rows of each leaf with the leaf's bounds.
pub(crate) struct Grown {
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<(usize, Vec<u32>, (f64, f64))>,
}

pub(crate) fn grow(x: &Binned, gradients: &[f64], rows: Vec<u32>, limits: &Limits<'_>) -> Grown {
    let starts = starts(x, limits.features);
    let histogram = histogram(x, gradients, &rows, limits.features, &starts);
    let mut root = Open { node: 0, rows, histogram, bounds: (f64::NEG_INFINITY, f64::INFINITY), split: None };
    root.split = best(x, gradients, &root, limits, &starts);
    let mut nodes = vec![Node::Leaf(0.0)];
    let mut open = vec![root];
    let mut done = Vec::new();
    while open.len() + done.len() < limits.leaves {
        let gain = |leaf: &Open| leaf.split.map_or(f64::NEG_INFINITY, |s| s.gain);
        let Some(at) = (0..open.len()).max_by(|a, b| gain(&open[*a]).total_cmp(&gain(&open[*b]))) else { break };
        let leaf = open.swap_remove(at);
        let Some(split) = leaf.split else {
            done.push(leaf);
            continue;
        };
        let (left, right) = divide(x, gradients, leaf, split, limits, &starts, &mut nodes);
        open.extend([left, right]);
    }
    done.extend(open);
    let leaves = done.into_iter().map(|leaf| (leaf.node, leaf.rows, leaf.bounds)).collect();
    Grown { nodes, leaves }
}

fn starts(x: &Binned, features: &[usize]) -> Vec<usize> {
    let mut starts = vec![0];
    for feature in features {
        starts.push(starts[starts.len() - 1] + x.bins(*feature));
    }
    starts
}

fn histogram(x: &Binned, gradients: &[f64], rows: &[u32], features: &[usize], starts: &[usize]) -> Vec<Sum> {
    let mut sums = vec![Sum::default(); starts.last().copied().unwrap_or(0)];
    for (feature, start) in features.iter().zip(starts) {
        let codes = x.codes(*feature);
        let bins = &mut sums[*start..*start + x.bins(*feature)];
        for row in rows {
            let bin = &mut bins[usize::from(codes[*row as usize])];
            bin.gradient += gradients[*row as usize];
            bin.count += 1.0;
        }
    }
    sums
}

fn best(x: &Binned, gradients: &[f64], leaf: &Open, limits: &Limits<'_>, starts: &[usize]) -> Option<Split> {
    let total = Sum::of(gradients, &leaf.rows);
    if leaf.rows.len() < 2 * limits.min_leaf {
        return None;
    }
    let score = |sum: Sum| sum.gradient * sum.gradient / (sum.count + limits.l2);
    let least = limits.min_leaf as f64;
    let mut best: Option<Split> = None;
    for (feature, start) in limits.features.iter().zip(starts) {
        let bins = &leaf.histogram[*start..*start + x.bins(*feature)];
        let missing = bins[usize::from(MISSING)];
        let mut below = Sum::default();
        for (bin, sum) in bins.iter().enumerate().take(bins.len() - 1).skip(1) {
            below = below.plus(*sum);
            if sum.count == 0.0 && bin > 1 {
                continue;
            }
            for missing_left in [false, true] {
                if missing_left && missing.count == 0.0 {
                    continue;
                }
                let left = if missing_left { below.plus(missing) } else { below };
                let right = total.minus(left);
                if left.count < least || right.count < least {
                    continue;
                }
                let gain = score(left) + score(right) - score(total);
                let (low, high) = leaf.bounds;
                let [a, b] = [left, right].map(|side| side.value(limits.l2).clamp(low, high));
                let rising = f64::from(limits.monotone.get(*feature).copied().unwrap_or(0));
                if gain > best.map_or(1e-9, |b| b.gain) && rising * (b - a) >= 0.0 {
                    let bin = u8::try_from(bin).unwrap_or(u8::MAX);
                    best = Some(Split { gain, feature: *feature, bin, missing_left, middle: f64::midpoint(a, b) });
                }
            }
        }
    }
    best
}

fn divide(
    x: &Binned,
    gradients: &[f64],
    leaf: Open,
    split: Split,
    limits: &Limits<'_>,
    starts: &[usize],
    nodes: &mut Vec<Node>,
) -> (Open, Open) {
    let codes = x.codes(split.feature);
    let goes_left = |row: &u32| match codes[*row as usize] {
        MISSING => split.missing_left,
        code => code <= split.bin,
    };
    let (left_rows, right_rows): (Vec<u32>, Vec<u32>) = leaf.rows.iter().partition(|row| goes_left(row));
    // The larger side is the parent less the smaller one: half the work.
    let left_is_less = left_rows.len() <= right_rows.len();
    let less_rows = if left_is_less { &left_rows } else { &right_rows };
    let less = histogram(x, gradients, less_rows, limits.features, starts);
    let more: Vec<Sum> = leaf.histogram.iter().zip(&less).map(|(all, less)| all.minus(*less)).collect();
    let (left_sums, right_sums) = if left_is_less { (less, more) } else { (more, less) };
    let (mut left_bounds, mut right_bounds) = (leaf.bounds, leaf.bounds);
    match limits.monotone.get(split.feature).copied().unwrap_or(0).signum() {
        1 => (left_bounds.1, right_bounds.0) = (split.middle, split.middle),
        -1 => (left_bounds.0, right_bounds.1) = (split.middle, split.middle),
        _ => {}
    }
    let first = nodes.len();
    let threshold = x.edges[split.feature][usize::from(split.bin) - 1];
    let [feature, left] = [split.feature, first].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
    nodes[leaf.node] = Node::Split { feature, threshold, missing_left: split.missing_left, left };
    nodes.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
    let open = |node, rows, histogram, bounds| {
        let mut child = Open { node, rows, histogram, bounds, split: None };
        child.split = best(x, gradients, &child, limits, starts);
        child
    };
    (open(first, left_rows, left_sums, left_bounds), open(first + 1, right_rows, right_sums, right_bounds))
}
