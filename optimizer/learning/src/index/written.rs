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
    /// To be taken out of the store.
    gone: BTreeSet<String>,
}

impl AllWritten {
    /// Takes up what was kept. What a store has beyond the bound, which did not answer when that was to go, goes now.
    pub(super) fn load(&mut self, all: Vec<(String, Written)>) {
        self.all = all.into_iter().collect();
        while self.all.len() > TABLES_MAX {
            self.remove_oldest();
        }
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
                    if self.all.len() >= TABLES_MAX {
                        self.remove_oldest();
                    }
                    self.gone.remove(&id);
                    self.all.insert(id.clone(), Written { writes: one.clone(), first: seconds, last: seconds });
                }
            }
            self.changed.insert(id);
        }
    }

    /// The table that was not written to for longest goes.
    fn remove_oldest(&mut self) {
        let oldest = self.all.iter().min_by_key(|(_, written)| written.last).map(|(id, _)| id.clone());
        if let Some(oldest) = oldest {
            self.all.remove(&oldest);
            self.changed.remove(&oldest);
            self.is_gone(oldest);
        }
    }

    /// Where the store takes nothing for long, some of its documents stay until they are loaded again.
    fn is_gone(&mut self, id: String) {
        if self.gone.len() < TABLES_MAX {
            self.gone.insert(id);
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
        let gone = std::mem::take(&mut self.gone).into_iter().collect();
        (std::mem::take(&mut self.changed).into_iter().filter_map(document).collect(), gone)
    }

    /// Changes that were not written are changes still.
    pub(super) fn put_back(&mut self, documents: Vec<(String, Vec<u8>)>, gone: Vec<String>) {
        self.changed.extend(documents.into_iter().map(|(id, _)| id).filter(|id| self.all.contains_key(id)));
        for id in gone {
            if !self.all.contains_key(&id) {
                self.is_gone(id);
            }
        }
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
    fn what_a_store_is_to_lose_is_bounded_while_it_takes_nothing() {
        let mut all = AllWritten::default();
        let at = |number: usize| DAY + i64::try_from(number).unwrap();
        for number in 0..4 * TABLES_MAX {
            all.follow(&wrote(&number.to_string(), 1), at(number));
            if number % TABLES_MAX == 0 {
                let (documents, gone) = all.changes();
                all.put_back(documents, gone);
            }
        }
        assert_eq!((all.all.len(), all.gone.len()), (TABLES_MAX, TABLES_MAX));
        // A table that is written to again stays.
        let (_, gone) = all.changes();
        all.put_back(Vec::new(), gone.clone());
        all.follow(&wrote("0", 1), at(4 * TABLES_MAX));
        assert!(all.all.keys().all(|id| !all.gone.contains(id)) && gone.iter().any(|id| all.all.contains_key(id)));
    }

    #[test]
    fn a_store_with_more_than_is_followed_loses_the_oldest() {
        let path = |number: usize| vec![number.to_string()];
        let writes = |number| TableWrites { source: "crm".to_owned(), path: path(number), ..TableWrites::default() };
        let kept = |number| Written { writes: writes(number), first: DAY, last: DAY + i64::try_from(number).unwrap() };
        let mut all = AllWritten::default();
        all.load((0..TABLES_MAX + 3).map(|number| (id(&writes(number)), kept(number))).collect());
        assert_eq!(all.all.len(), TABLES_MAX);
        let (documents, gone) = all.changes();
        let oldest: BTreeSet<String> = (0..3).map(|number| id(&writes(number))).collect();
        assert_eq!((documents.len(), gone.into_iter().collect::<BTreeSet<_>>()), (0, oldest));
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
