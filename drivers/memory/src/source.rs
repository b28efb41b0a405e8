//! The named tables of one memory source, swapped as a whole. Knows no SQL and no policy.

use crate::table::MemoryTable;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Configuration of a memory source.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// Name of the source, as errors show it.
    pub name: String,
    /// Cap of all tables together, in bytes of Arrow buffers.
    pub bytes_max: usize,
}

/// Tables of record batches. A provider handed out keeps the rows it was made from: a swap reaches the next snapshot only.
#[derive(Debug)]
pub struct MemorySource {
    config: MemoryConfig,
    tables: RwLock<Arc<BTreeMap<String, Arc<MemoryTable>>>>,
}

impl MemorySource {
    /// An empty source.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        Self { config, tables: RwLock::default() }
    }

    /// Name of the source.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Replaces all tables at once, or none of them when one does not fit.
    pub fn swap(&self, tables: Vec<(String, SchemaRef, Vec<RecordBatch>)>) -> Result<()> {
        let mut next = BTreeMap::new();
        for (name, schema, batches) in tables {
            let table = Arc::new(MemoryTable::new(&name, schema, batches)?);
            if next.insert(name.clone(), table).is_some() {
                return Err(Error::new(ErrorCode::ConfigInvalid, format!("table \"{name}\" is given twice")));
            }
        }
        self.install(next)
    }

    /// Adds or replaces one table.
    pub fn put(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<()> {
        let table = Arc::new(MemoryTable::new(name, schema, batches)?);
        // Read and write under one lock, so that two puts do not lose one another.
        let mut current = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::clone(&current);
        next.insert(name.to_owned(), table);
        self.check_size(&next)?;
        *current = Arc::new(next);
        Ok(())
    }

    /// Names of the tables, sorted.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.current().keys().cloned().collect()
    }

    /// The table as it is now.
    pub fn table(&self, name: &str) -> Result<Arc<MemoryTable>> {
        self.current().get(name).cloned().ok_or_else(|| {
            Error::new(ErrorCode::UndefinedTable, format!("source \"{}\" has no table \"{name}\"", self.config.name))
        })
    }

    /// Bytes of Arrow buffers held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.current().values().map(|t| t.bytes()).sum()
    }

    fn current(&self) -> Arc<BTreeMap<String, Arc<MemoryTable>>> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn install(&self, next: BTreeMap<String, Arc<MemoryTable>>) -> Result<()> {
        self.check_size(&next)?;
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    fn check_size(&self, tables: &BTreeMap<String, Arc<MemoryTable>>) -> Result<()> {
        let bytes: usize = tables.values().map(|t| t.bytes()).sum();
        if bytes <= self.config.bytes_max {
            return Ok(());
        }
        let message = format!("tables of source \"{}\" exceed its size limit", self.config.name);
        Err(Error::new(ErrorCode::ProgramLimitExceeded, message)
            .with_detail(format!("They hold {bytes} bytes, {} are allowed.", self.config.bytes_max)))
    }
}
