//! What statements wrote to tables of sources, in rows. Holds no value of a row.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tables that one statement writes to, at most, cascades and summaries with it: more are not counted.
const TABLES_MAX: usize = 64;

/// Rows of one table that were written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableWrites {
    pub source: String,
    /// Path of the table in its source, outermost first.
    pub path: Vec<String>,
    pub inserted: u64,
    pub deleted: u64,
    pub updated: u64,
    /// Updated rows in which each column got a value.
    pub columns: BTreeMap<String, u64>,
}

impl TableWrites {
    /// Whether both are of one table.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.path == other.path && self.source == other.source
    }

    /// Adds what was written to the same table.
    pub fn add(&mut self, other: &Self) {
        self.inserted = self.inserted.saturating_add(other.inserted);
        self.deleted = self.deleted.saturating_add(other.deleted);
        self.updated = self.updated.saturating_add(other.updated);
        for (column, rows) in &other.columns {
            match self.columns.get_mut(column) {
                Some(known) => *known = known.saturating_add(*rows),
                None => drop(self.columns.insert(column.clone(), *rows)),
            }
        }
    }

    /// Adds writes to those of each table.
    pub fn join(all: &mut Vec<Self>, further: &[Self]) {
        for one in further {
            let is_full = all.len() >= TABLES_MAX;
            match all.iter_mut().find(|known| known.is_of(one)) {
                Some(known) => known.add(one),
                None if !is_full => all.push(one.clone()),
                None => {}
            }
        }
    }
}
