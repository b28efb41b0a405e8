//! What statements wrote to the tables of sources, a sum for each table and since when. Bounded. What others write there passes no gate
//! and is not in it.

use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_models::index::Table;
use querygate_telemetry_api::{StatementRecord, TableWrites};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tables that are followed, of all sources.
const TABLES_MAX: usize = 2_000;
/// Kind of the documents.
pub(super) const WRITES: &str = "index_writes";

/// Sums of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) writes: TableWrites,
    /// UTC seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Written {
    /// Whether it is of this table.
    pub(crate) fn is_of(&self, table: &TableRef) -> bool {
        table.parts().iter().map(Identifier::as_str).eq(self.writes.path.iter().map(String::as_str))
    }
}

/// All of them, by an id of source and path.
#[derive(Debug, Default)]
pub(super) struct AllWritten {
    all: BTreeMap<String, Written>,
    /// Not yet in the store.
    changed: BTreeSet<String>,
    gone: Vec<String>,
}

impl AllWritten {
    /// Takes up what was kept.
    pub(super) fn load(&mut self, all: Vec<(String, Written)>) {
        self.all = all.into_iter().collect();
    }

    pub(super) fn follow(&mut self, record: &StatementRecord, seconds: i64) {
        let further = record.more.iter().flat_map(|more| &more.writes);
        for one in record.writes.iter().chain(further) {
            let id = id(one);
            match self.all.get_mut(&id) {
                Some(known) => {
                    known.writes.add(one);
                    known.last = known.last.max(seconds);
                }
                None => {
                    self.make_room();
                    self.all.insert(id.clone(), Written { writes: one.clone(), first: seconds, last: seconds });
                }
            }
            self.changed.insert(id);
        }
    }

    /// The table that was not written to for longest goes.
    fn make_room(&mut self) {
        if self.all.len() < TABLES_MAX {
            return;
        }
        let oldest = self.all.iter().min_by_key(|(_, written)| written.last).map(|(id, _)| id.clone());
        if let Some(oldest) = oldest {
            self.all.remove(&oldest);
            self.changed.remove(&oldest);
            self.gone.push(oldest);
        }
    }

    /// The tables of a source.
    pub(super) fn of(&self, source: &str) -> Vec<Written> {
        self.all.values().filter(|written| written.writes.source == source).cloned().collect()
    }

    /// Documents for the store that changed since, and ids that are gone.
    pub(super) fn changes(&mut self) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let document = |id: String| {
            let bytes = postcard::to_allocvec(self.all.get(&id)?).ok()?;
            Some((id, bytes))
        };
        (std::mem::take(&mut self.changed).into_iter().filter_map(document).collect(), std::mem::take(&mut self.gone))
    }

    /// Changes that were not written are changes still.
    pub(super) fn put_back(&mut self, documents: Vec<(String, Vec<u8>)>, gone: Vec<String>) {
        self.changed.extend(documents.into_iter().map(|(id, _)| id).filter(|id| self.all.contains_key(id)));
        self.gone.extend(gone.into_iter().filter(|id| !self.all.contains_key(id)));
    }
}

/// Parts with their lengths: two tables have never the same.
fn id(writes: &TableWrites) -> String {
    let parts = std::iter::once(&writes.source).chain(&writes.path);
    parts.map(|part| format!("{}:{part}", part.len())).collect()
}

/// Where the writes of a table are known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The source counts all of them.
    BySource,
    /// Those that passed the gate.
    ByGate,
    /// Neither of them saw any.
    Assumed,
}

impl Counted {
    /// The words for people on the writes of a table in `days`, for an index on these columns.
    pub(crate) fn words(self, table: &Table, columns: impl Iterator<Item = usize>, days: f64) -> String {
        let a_day = |rows: f64| format!("{:.1}", rows / days.max(f64::MIN_POSITIVE));
        let updated = columns.filter_map(|column| table.updates.get(column)).copied().fold(0.0, f64::max);
        let rows = format!(
            "{} rows a day inserted or deleted, {} updated in the index's columns",
            a_day(table.inserts),
            a_day(updated)
        );
        match self {
            Self::BySource => format!("; writes as the source counts them: {rows}"),
            Self::ByGate => format!(
                "; writes as the gate saw them: {rows}; what others write at the source is not in it, because the source does not count"
            ),
            Self::Assumed => {
                "; writes are assumed (one to ten reads): the gate saw none, and the source does not count them"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};

    fn wrote(table: &str, inserted: u64) -> StatementRecord {
        let path = vec!["main".to_owned(), table.to_owned()];
        let writes = TableWrites { source: "crm".to_owned(), path, inserted, ..TableWrites::default() };
        StatementRecord { writes: vec![writes], ..statement("sam", 1, 0, DAY) }
    }

    #[test]
    fn tables_are_bounded_and_those_written_to_longest_ago_go() {
        let mut all = AllWritten::default();
        for number in 0..TABLES_MAX + 10 {
            all.follow(&wrote(&number.to_string(), 1), DAY + i64::try_from(number).unwrap());
        }
        assert_eq!((all.all.len(), all.gone.len()), (TABLES_MAX, 10));
        let left = all.of("crm");
        assert!(left.iter().all(|written| written.first >= DAY + 10));
        assert!(all.of("other").is_empty());
    }

    #[test]
    fn what_was_not_stored_is_stored_later_and_what_was_is_added_to() {
        let mut all = AllWritten::default();
        all.follow(&wrote("t", 3), DAY);
        let (documents, gone) = all.changes();
        assert!(all.changes().0.is_empty());
        all.put_back(documents, gone);
        let (documents, _) = all.changes();
        let kept = documents.into_iter().map(|(id, bytes)| (id, postcard::from_bytes(&bytes).unwrap()));
        let mut again = AllWritten::default();
        again.load(kept.collect());
        again.follow(&wrote("t", 4), DAY + 60);
        let [written] = &again.of("crm")[..] else { panic!("{again:?}") };
        assert_eq!((written.writes.inserted, written.first, written.last), (7, DAY, DAY + 60));
    }
}
