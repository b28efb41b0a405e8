//! Which autonumbers were of rows that are gone, by source and table: kept over reloads and, where the configuration names a file,
//! for longer than the process lives.

mod file;

use file::NumberFile;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_catalog::remote::{CounterName, FloorKeeper, NumberFloors};
use querygate_driver_api::identifier::TableRef;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A table: its source and its name there.
type TableName = (String, String);
/// The highest numbers of tables' rows that are gone.
type Floors = BTreeMap<TableName, BTreeMap<CounterName, u64>>;

/// What is known of the tables of all sources.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    tables: Mutex<BTreeMap<TableName, Arc<NumberFloors>>>,
    file: OnceLock<Arc<NumberFile>>,
}

impl Numbers {
    /// Takes up what a file holds, and keeps there what comes. Before a table is asked for.
    ///
    /// # Errors
    /// F0000: the file cannot be used, or another process uses it.
    pub(super) fn keep_in(&self, path: &Path) -> Result<()> {
        let (file, known) = NumberFile::open(path)?;
        let file = Arc::new(file);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, floors) in known {
            let keeper = TableNumbers { table: table.clone(), file: Arc::clone(&file) };
            tables.insert(table, Arc::new(NumberFloors::kept(floors, Arc::new(keeper))));
        }
        drop(tables);
        let _ = self.file.set(file);
        Ok(())
    }

    /// Those of one table.
    pub(super) fn of(&self, source: &str, table: &TableRef) -> Arc<NumberFloors> {
        let name = (source.to_owned(), table.to_string());
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables.get(&name) {
            return Arc::clone(known);
        }
        let made = match self.file.get() {
            Some(file) => {
                let keeper = TableNumbers { table: name.clone(), file: Arc::clone(file) };
                Arc::new(NumberFloors::kept(BTreeMap::new(), Arc::new(keeper)))
            }
            None => Arc::default(),
        };
        tables.insert(name, Arc::clone(&made));
        made
    }
}

/// Keeps the numbers of one table in the file.
#[derive(Debug)]
struct TableNumbers {
    table: TableName,
    file: Arc<NumberFile>,
}

impl FloorKeeper for TableNumbers {
    fn keep<'a>(&'a self, raised: &'a BTreeMap<CounterName, u64>) -> BoxFuture<'a, Result<()>> {
        let lines = file::lines(&self.table, raised);
        let file = Arc::clone(&self.file);
        async move {
            let written = tokio::task::spawn_blocking(move || file.append(&lines)).await.map_err(Error::internal)?;
            written.map_err(|error| {
                let text = "it cannot be kept which autonumbers were given, so that no row with one is deleted";
                Error::new(ErrorCode::DiskFull, text).with_cause(error)
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(prefix: &str, last: u64) -> BTreeMap<CounterName, u64> {
        BTreeMap::from([(("number".to_owned(), prefix.to_owned()), last)])
    }

    #[tokio::test]
    async fn what_is_known_outlives_the_process_where_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/numbers");
        let (orders, bills) = (TableRef::new(["main", "orders"]).unwrap(), TableRef::new(["bills"]).unwrap());
        let numbers = Numbers::default();
        numbers.keep_in(&path).unwrap();
        numbers.of("shop", &orders).raise(gone("T-", 7)).await.unwrap();
        numbers.of("shop", &orders).raise(gone("T-", 9)).await.unwrap();
        numbers.of("shop", &orders).raise(gone("é\"\n-", 3)).await.unwrap();
        numbers.of("crm", &bills).raise(gone("", 4)).await.unwrap();
        let second = Numbers::default().keep_in(&path).unwrap_err();
        assert!(second.to_string().contains("another process uses it"), "{second}");
        drop(numbers);

        let again = Numbers::default();
        again.keep_in(&path).unwrap();
        let floor = |source: &str, table, prefix: &str| again.of(source, table).of("number", prefix);
        assert_eq!((floor("shop", &orders, "T-"), floor("shop", &orders, "é\"\n-")), (9, 3));
        assert_eq!((floor("crm", &bills, ""), floor("crm", &orders, "T-"), floor("shop", &bills, "")), (4, 0, 0));
        // Without a file, for as long as there is a process.
        let passing = Numbers::default();
        passing.of("shop", &orders).raise(gone("T-", 7)).await.unwrap();
        assert_eq!(passing.of("shop", &orders).of("number", "T-"), 7);
    }
}
