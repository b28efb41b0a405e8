//! What is known of a sub-plan before it runs. Ids are hashes that the caller keeps stable; values are order-preserving codes.

use std::collections::BTreeMap;

/// More rows than any source has: what claims more does not get more weight.
pub(super) const ROWS_MAX: f64 = 1e18;

/// What a column is compared with, conjunctively: `low <= column <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Id of the column's table.
    pub table: u64,
    /// Id of the column.
    pub column: u64,
    /// Lower end; negative infinity when open.
    pub low: f64,
    /// Upper end; infinity when open. Equal to `low` for equality.
    pub high: f64,
}

/// A join of tables with conditions, as a source estimates it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subplan {
    /// Tables; one that occurs twice is there twice.
    pub tables: Vec<u64>,
    /// Pairs of columns that are equated.
    pub joins: Vec<(u64, u64)>,
    /// Ranges, at most one for each column.
    pub ranges: Vec<Range>,
    /// Other conditions by shape (a LIKE on this column, an IN of some length).
    pub marks: Vec<u64>,
    /// The source's own estimate in rows.
    pub estimate: f64,
    /// Rows that there cannot be more of, where somebody can tell.
    pub bound: Option<f64>,
}

impl Subplan {
    /// Columns that are equal to each other through joins.
    pub(crate) fn classes(&self) -> Vec<Vec<u64>> {
        let mut class: BTreeMap<u64, u64> = BTreeMap::new();
        for (a, b) in &self.joins {
            let a = *class.entry(*a).or_insert(*a);
            let b = *class.entry(*b).or_insert(*b);
            class.values_mut().filter(|c| **c == b).for_each(|c| *c = a);
        }
        let mut classes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        class.iter().for_each(|(column, class)| classes.entry(*class).or_default().push(*column));
        classes.into_values().collect()
    }
}

/// A sub-plan that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// What was known before.
    pub subplan: Subplan,
    /// Rows that came.
    pub rows: f64,
    /// What came together (statement or template): kept together when the model judges itself.
    pub group: u64,
}

/// A number that orders texts nearly as code points do: the first seven bytes.
#[must_use]
pub fn code_of_text(text: &str) -> f64 {
    text.bytes().take(7).zip(1..).map(|(byte, place)| f64::from(byte) / 256_f64.powi(place)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_columns_form_classes() {
        let subplan = Subplan { joins: vec![(1, 2), (3, 4), (2, 5), (5, 1)], ..Subplan::default() };
        assert_eq!(subplan.classes(), [vec![1, 2, 5], vec![3, 4]]);
        assert!(Subplan::default().classes().is_empty());
    }

    #[test]
    fn codes_of_texts_keep_their_order() {
        let texts = ["", "A", "AB", "B", "a", "ab", "b", "ß"];
        assert!(texts.map(code_of_text).is_sorted_by(|a, b| a < b));
    }
}
