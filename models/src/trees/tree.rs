//! Nodes of trees, as they are grown, walked and kept, and the ways down. Knows no training.

use crate::matrix::Matrix;
use serde::{Deserialize, Serialize};

/// A node as it is grown. Children come behind their parent in the list, the right one behind the left one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Leaf(f64),
    Split { feature: u32, threshold: f64, missing_left: bool, left: u32 },
}

/// A node as it is kept.
#[derive(Serialize, Deserialize)]
enum Kept {
    Leaf(f64),
    Split { feature: u32, threshold: f64, missing_left: bool, left: u32, right: u32 },
}

/// Ways that are walked at a time: while one waits for memory, the others go on.
const LANES: usize = 8;
/// In the number of a feature: missing values go left.
const MISSING_LEFT: u32 = 1 << 31;

/// A node as it is walked, four to a cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    /// Threshold of a split, or value of a leaf.
    number: f64,
    feature: u32,
    /// The left child; 0, which is no child, in a leaf.
    left: u32,
}

/// Nodes of all trees of an ensemble.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Kept>", into = "Vec<Kept>")]
pub(crate) struct Nodes(Vec<Step>);

impl Nodes {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a tree behind the others.
    pub(crate) fn add(&mut self, tree: &[Node]) {
        let root = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.extend(tree.iter().map(|node| match *node {
            Node::Leaf(value) => Step { number: value, feature: 0, left: 0 },
            Node::Split { feature, threshold, missing_left, left } => {
                let marked = if missing_left { feature | MISSING_LEFT } else { feature & !MISSING_LEFT };
                Step { number: threshold, feature: marked, left: left.saturating_add(root) }
            }
        }));
    }

    /// Where `row` goes from a node; a leaf, and what is no node, leads to itself. Without a branch: which way a row goes
    /// cannot be foreseen.
    fn next(&self, at: usize, row: &[f64]) -> usize {
        let Some(step) = self.0.get(at) else { return at };
        let value = row.get((step.feature & !MISSING_LEFT) as usize).copied().unwrap_or(f64::NAN);
        let left = (value <= step.number) | (value.is_nan() & (step.feature & MISSING_LEFT != 0));
        let child = step.left as usize + usize::from(!left);
        if step.left == 0 { at } else { child }
    }

    fn value(&self, at: usize) -> f64 {
        self.0.get(at).filter(|step| step.left == 0).map_or(0.0, |step| step.number)
    }

    /// Walks to the ends of all ways, each with a row of its own.
    fn walk<'r>(&self, places: &mut [usize; LANES], row: impl Fn(usize) -> &'r [f64]) {
        loop {
            let mut moved = false;
            for (lane, place) in places.iter_mut().enumerate() {
                let next = self.next(*place, row(lane));
                moved |= next != *place;
                *place = next;
            }
            if !moved {
                return;
            }
        }
    }

    /// The sum of where `row` ends in all trees, in their order.
    pub(crate) fn sum(&self, roots: &[u32], row: &[f64]) -> f64 {
        let mut sum = 0.0;
        for some in roots.chunks(LANES) {
            let mut places = [usize::MAX; LANES];
            places.iter_mut().zip(some).for_each(|(place, root)| *place = *root as usize);
            self.walk(&mut places, |_| row);
            sum = places.iter().take(some.len()).fold(sum, |sum, place| sum + self.value(*place));
        }
        sum
    }

    /// Adds to the sums of `rows` where these end in one tree.
    pub(crate) fn add_to(&self, sums: &mut [f64], x: &Matrix, rows: &[u32], root: u32) {
        for rows in rows.chunks(LANES) {
            let mut places = [usize::MAX; LANES];
            places.iter_mut().zip(rows).for_each(|(place, _)| *place = root as usize);
            let last = rows.len() - 1;
            self.walk(&mut places, |lane| x.row(rows[lane.min(last)] as usize));
            rows.iter().zip(places).for_each(|(row, place)| sums[*row as usize] += self.value(place));
        }
    }

    /// Whether every way down ends, in numbers: children behind parents, features within `width`.
    pub(crate) fn sound(&self, width: usize) -> bool {
        self.0.iter().enumerate().all(|(at, step)| {
            if step.left == 0 {
                return step.number.is_finite();
            }
            let behind = step.left as usize > at && (step.left as usize) < self.0.len() - 1;
            behind && !step.number.is_nan() && ((step.feature & !MISSING_LEFT) as usize) < width
        })
    }
}

impl From<Nodes> for Vec<Kept> {
    fn from(nodes: Nodes) -> Self {
        let kept = |step: Step| match step.left {
            0 => Kept::Leaf(step.number),
            left => Kept::Split {
                feature: step.feature & !MISSING_LEFT,
                threshold: step.number,
                missing_left: step.feature & MISSING_LEFT != 0,
                left,
                right: left.saturating_add(1),
            },
        };
        nodes.0.into_iter().map(kept).collect()
    }
}

impl TryFrom<Vec<Kept>> for Nodes {
    type Error = &'static str;

    fn try_from(kept: Vec<Kept>) -> Result<Self, Self::Error> {
        let node = |kept: Kept| match kept {
            Kept::Leaf(value) => Ok(Node::Leaf(value)),
            Kept::Split { feature, threshold, missing_left, left, right }
                if left > 0 && left.checked_add(1) == Some(right) && feature < MISSING_LEFT =>
            {
                Ok(Node::Split { feature, threshold, missing_left, left })
            }
            Kept::Split { .. } => Err("a split that no tree grows"),
        };
        let tree = kept.into_iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let mut nodes = Self::default();
        nodes.add(&tree);
        Ok(nodes)
    }
}
