//! How many rows a reader may expect of a leaf, for rules over finished plans. Of a table with a row policy only the magnitude is known
//! ([`querygate_rules::estimate::magnitude`]), so that a hidden row changes a plan only where the table crosses a power of two.

use crate::leaf::exec::GovernedExec;
use querygate_rules::estimate::TableEstimate;

/// An estimate from what a reader may know of the size of a leaf's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedRows {
    /// Rows that the leaf's conditions and its limit leave.
    pub rows: f64,
    /// Rows before conditions: no column has more distinct values.
    pub base: f64,
}

impl ExpectedRows {
    /// `None`: the size of the table is not known.
    pub(crate) fn of(told: &TableEstimate) -> Option<Self> {
        let rows = told.rows?;
        Some(Self { rows, base: told.base.unwrap_or(rows).max(rows) })
    }
}

impl GovernedExec {
    /// This leaf with how many rows may be expected of it.
    pub(crate) fn expecting(mut self, expected: Option<ExpectedRows>) -> Self {
        self.expected = expected;
        self
    }

    /// How many rows a reader may expect. `None`: nothing is known of the table's size.
    #[must_use]
    pub fn expected(&self) -> Option<ExpectedRows> {
        self.expected
    }
}
