//! Nodes of trees and the way down. Knows no training.

use serde::{Deserialize, Serialize};

/// A node; children come behind their parent in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Node {
    Leaf(f64),
    Split { feature: u32, threshold: f64, missing_left: bool, left: u32, right: u32 },
}

/// Where `row` ends: the leaf's value.
pub(crate) fn descend(nodes: &[Node], root: u32, row: &[f64]) -> f64 {
    let mut at = root as usize;
    loop {
        match nodes.get(at) {
            None => return 0.0,
            Some(Node::Leaf(value)) => return *value,
            Some(Node::Split { feature, threshold, missing_left, left, right }) => {
                let value = row.get(*feature as usize).copied().unwrap_or(f64::NAN);
                let goes_left = if value.is_nan() { *missing_left } else { value <= *threshold };
                at = if goes_left { *left as usize } else { *right as usize };
            }
        }
    }
}

/// Whether every way down ends, in numbers: children behind parents, features within `width`.
pub(crate) fn sound(nodes: &[Node], width: usize) -> bool {
    nodes.iter().enumerate().all(|(at, node)| match node {
        Node::Leaf(value) => value.is_finite(),
        Node::Split { feature, threshold, left, right, .. } => {
            let behind = |child: u32| (child as usize) > at && (child as usize) < nodes.len();
            !threshold.is_nan() && (*feature as usize) < width && behind(*left) && behind(*right)
        }
    })
}
