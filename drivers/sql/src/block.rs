//! One SELECT while it is being put together. Knows clauses, no dialect.

use querygate_driver_api::identifier::ColumnId;
use std::collections::HashMap;

/// A query block: what is visible, and the clauses so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// Text after FROM; none for a row without a table.
    pub(crate) from: Option<String>,
    /// More than one table in FROM.
    pub(crate) is_join: bool,
    /// Visible columns in order.
    pub(crate) order: Vec<ColumnId>,
    /// Their texts; a column may be known and no longer visible.
    pub(crate) columns: HashMap<ColumnId, String>,
    /// Some visible column is more than a name.
    pub(crate) computed: bool,
    pub(crate) filters: Vec<String>,
    pub(crate) aggregated: bool,
    pub(crate) group_by: Vec<String>,
    pub(crate) having: Vec<String>,
    pub(crate) distinct: bool,
    pub(crate) order_by: Vec<String>,
    /// Rows skipped and fetched.
    pub(crate) limit: Option<(u64, Option<u64>)>,
    pub(crate) fenced: bool,
    /// It names a column of a block around it.
    pub(crate) looks_out: bool,
}

impl Block {
    /// Only FROM and WHERE so far, so that it can be joined or filtered further.
    pub(crate) fn is_plain(&self) -> bool {
        self.from.is_some() && !self.aggregated && !self.distinct && !self.is_cut()
    }

    /// Its rows are decided: nothing may be added below LIMIT or a fence.
    pub(crate) fn is_cut(&self) -> bool {
        self.limit.is_some() || self.fenced
    }
}

/// Columns in reach of an expression: of its block, then of the blocks around it.
pub(crate) struct Scope<'a> {
    pub(crate) block: &'a HashMap<ColumnId, String>,
    pub(crate) outer: Option<&'a Scope<'a>>,
}

/// How many blocks stand around a block whose surroundings these are.
pub(crate) fn depth(outer: Option<&Scope<'_>>) -> usize {
    outer.map_or(0, |outer| 1 + depth(outer.outer))
}

impl Scope<'_> {
    /// The text of a column, and the depth of the block that it belongs to.
    pub(crate) fn text(&self, id: ColumnId) -> Option<(&str, usize)> {
        match self.block.get(&id) {
            Some(text) => Some((text, depth(self.outer))),
            None => self.outer.and_then(|outer| outer.text(id)),
        }
    }
}
