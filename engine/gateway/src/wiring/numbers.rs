//! Which autonumbers were of rows that are gone, by source and table: kept over reloads.

use querygate_catalog::remote::NumberFloors;
use querygate_driver_api::identifier::TableRef;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of the tables of all sources.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    tables: Mutex<BTreeMap<(String, String), Arc<NumberFloors>>>,
}

impl Numbers {
    /// Those of one table.
    pub(super) fn of(&self, source: &str, table: &TableRef) -> Arc<NumberFloors> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry((source.to_owned(), table.to_string())).or_default())
    }
}
