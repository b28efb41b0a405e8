//! Tables as versions of rows: what was committed, what a transaction that holds a row has made of it, and what is seen from where.

use super::cells::{Cells, bytes, key};
use super::prepared_transactions::PreparedTransactions;
use querygate_driver_api::value::{Value, ValueType};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A column as its table describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) value_type: ValueType,
}

/// Everything at one moment, and what transactions are about to make of it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Counts commits.
    pub(super) version: u64,
    pub(super) next_row: u64,
    pub(super) next_transaction: u64,
    pub(super) tables: BTreeMap<Arc<str>, Table>,
    /// Open transactions by the version that they see.
    pub(super) snapshots: BTreeMap<u64, usize>,
    /// Rows with versions that only an open transaction sees.
    pub(super) stale: BTreeSet<(Arc<str>, u64)>,
    pub(super) bytes: usize,
    /// Transactions that have done everything but end.
    pub(super) prepared: PreparedTransactions,
}

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Arc<[Column]>,
    /// Places of columns that no two rows have alike, those of the primary key first if there is one.
    pub(super) keys: Vec<Vec<usize>>,
    pub(super) has_primary: bool,
    pub(super) rows: BTreeMap<u64, Row>,
    /// Rows of each key by its values, those of all versions.
    index: Vec<HashMap<Vec<u8>, BTreeSet<u64>>>,
    /// The version of the last commit that changed it.
    pub(super) changed: u64,
}

/// One row through time.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) versions: Vec<Version>,
    /// The only transaction that may change the row.
    pub(super) holder: Option<u64>,
    /// What its holder has made of it, if anything: `Some(None)`, it is deleted.
    pub(super) pending: Option<Option<Cells>>,
    /// The version of the last commit that held it.
    pub(super) touched: u64,
}

#[derive(Debug)]
pub(super) struct Version {
    pub(super) since: u64,
    /// `None`: the row is gone.
    pub(super) cells: Option<Cells>,
}

/// From where rows are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum View {
    /// Outside of a transaction: what was committed last.
    Committed,
    /// By a transaction that began after this version.
    Of { transaction: u64, snapshot: u64 },
}

impl Row {
    /// The row from there; `None`: there is none.
    pub(super) fn seen(&self, view: View) -> Option<&Cells> {
        match view {
            View::Committed => self.versions.last()?.cells.as_ref(),
            View::Of { transaction, snapshot } => match &self.pending {
                Some(pending) if self.holder == Some(transaction) => pending.as_ref(),
                _ => self.versions.iter().rev().find(|version| version.since <= snapshot)?.cells.as_ref(),
            },
        }
    }

    /// Every cells that somebody may see now or after a commit.
    fn kept(&self) -> impl Iterator<Item = &Cells> {
        let pending = self.pending.iter().flatten();
        self.versions.iter().filter_map(|version| version.cells.as_ref()).chain(pending)
    }
}

/// Values of some places of a row.
pub(super) fn at<'a>(cells: &'a [Value], places: &[usize]) -> impl Iterator<Item = &'a Value> {
    places.iter().filter_map(|place| cells.get(*place))
}

impl Table {
    pub(super) fn new(columns: Arc<[Column]>, keys: Vec<Vec<usize>>, has_primary: bool) -> Self {
        let index = keys.iter().map(|_| HashMap::new()).collect();
        Self { columns, keys, has_primary, rows: BTreeMap::new(), index, changed: 0 }
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column.name == *name)
    }

    /// Rows that have, or had, these values of a key.
    pub(super) fn having(&self, at: usize, key: &[u8]) -> Vec<u64> {
        self.index.get(at).and_then(|index| index.get(key)).into_iter().flatten().copied().collect()
    }

    /// Enters a row under its keys.
    pub(super) fn enter(&mut self, row: u64, cells: &Cells) {
        for (index, places) in self.index.iter_mut().zip(&self.keys) {
            if let Some(key) = key(at(cells, places)) {
                index.entry(key).or_default().insert(row);
            }
        }
    }

    /// Takes a row from under the keys of values that it does not have any more.
    pub(super) fn leave(&mut self, row: u64, cells: &Cells) {
        for (index, places) in self.index.iter_mut().zip(&self.keys) {
            let Some(left) = key(at(cells, places)) else { continue };
            let mut kept = self.rows.get(&row).into_iter().flat_map(Row::kept);
            if kept.any(|kept| key(at(kept, places)).as_ref() == Some(&left)) {
                continue;
            }
            if let Some(rows) = index.get_mut(&left) {
                rows.remove(&row);
                if rows.is_empty() {
                    index.remove(&left);
                }
            }
        }
    }

    /// Forgets versions that no transaction sees any more: all before the one that is seen from `horizon`. Gives the bytes that they took, and
    /// whether others are left to be forgotten.
    pub(super) fn prune(&mut self, row: u64, horizon: u64) -> (usize, bool) {
        let Some(chain) = self.rows.get_mut(&row) else { return (0, false) };
        let first = chain.versions.iter().rposition(|version| version.since <= horizon).unwrap_or(0);
        let mut gone: Vec<Version> = chain.versions.drain(..first).collect();
        if let [Version { since, cells: None }] = chain.versions.as_slice()
            && *since <= horizon
            && chain.holder.is_none()
        {
            gone.append(&mut chain.versions);
        }
        let is_left = chain.versions.len() > 1 || matches!(chain.versions.as_slice(), [Version { cells: None, .. }]);
        if chain.versions.is_empty() && chain.holder.is_none() {
            self.rows.remove(&row);
        }
        let cells: Vec<Cells> = gone.into_iter().filter_map(|version| version.cells).collect();
        cells.iter().for_each(|cells| self.leave(row, cells));
        (cells.iter().map(bytes).sum(), is_left)
    }
}

impl State {
    /// The oldest version that anybody sees.
    pub(super) fn horizon(&self) -> u64 {
        self.snapshots.keys().next().copied().unwrap_or(self.version)
    }

    /// Forgets versions that no transaction sees any more, of all rows.
    pub(super) fn forget(&mut self) {
        let horizon = self.horizon();
        let stale = std::mem::take(&mut self.stale);
        for (name, row) in stale {
            let Some(table) = self.tables.get_mut(&name) else { continue };
            let (bytes, is_left) = table.prune(row, horizon);
            self.bytes = self.bytes.saturating_sub(bytes);
            if is_left {
                self.stale.insert((name, row));
            }
        }
    }

    /// Whether these rows fit in beside what is held, within `most` bytes.
    pub(super) fn has_room(&self, rows: &[Cells], most: usize) -> bool {
        rows.iter().map(bytes).fold(self.bytes, usize::saturating_add) <= most
    }

    /// Puts rows that are there from the beginning into a table.
    pub(super) fn seed(&mut self, name: &str, rows: Vec<Cells>) {
        let Self { tables, next_row, bytes: held, version, .. } = self;
        let Some(table) = tables.get_mut(name) else { return };
        for cells in rows {
            *held += bytes(&cells);
            table.enter(*next_row, &cells);
            let versions = vec![Version { since: *version, cells: Some(cells) }];
            table.rows.insert(*next_row, Row { versions, ..Row::default() });
            *next_row += 1;
        }
    }

    /// Gives a table other columns: rows keep the values of those that stay, and open transactions what they hold.
    pub(super) fn reshape(&mut self, name: &str, mut next: Table) {
        let Some(before) = self.tables.remove(name) else { return };
        let from: Vec<Option<usize>> =
            next.columns.iter().map(|column| before.columns.iter().position(|had| had == column)).collect();
        let shaped = |cells: Cells| -> Cells {
            let value = |(column, from): (&Column, &Option<usize>)| {
                let had = from.and_then(|place| cells.get(place)).cloned();
                had.unwrap_or(Value::Null(column.value_type))
            };
            next.columns.iter().zip(&from).map(value).collect()
        };
        let mut rows = before.rows;
        let held = |rows: &BTreeMap<u64, Row>| rows.values().flat_map(Row::kept).map(bytes).sum::<usize>();
        let held_before = held(&rows);
        for row in rows.values_mut() {
            for version in &mut row.versions {
                version.cells = version.cells.take().map(&shaped);
            }
            row.pending = row.pending.take().map(|pending| pending.map(&shaped));
        }
        for (id, row) in &rows {
            let kept: Vec<Cells> = row.kept().cloned().collect();
            kept.iter().for_each(|cells| next.enter(*id, cells));
        }
        self.bytes = self.bytes.saturating_sub(held_before).saturating_add(held(&rows));
        next.rows = rows;
        next.changed = before.changed;
        self.tables.insert(name.into(), next);
    }
}
