//! A table of a test: a schema and JSON rows. Knows no source.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_memory::load_ndjson;
use serde_json::{Map, Value};

/// One row: column name to value; an absent column is null.
pub type Row = Map<String, Value>;

/// Rows of one object.
#[derive(Debug, Clone)]
pub struct Table {
    /// Full name of the object.
    pub object: String,
    pub schema: SchemaRef,
    pub rows: Vec<Row>,
    /// The rows instead, where they are many.
    given: Option<RecordBatch>,
}

impl Table {
    #[must_use]
    pub fn new(object: &str, schema: SchemaRef, rows: Vec<Row>) -> Self {
        Self { object: object.to_owned(), schema, rows, given: None }
    }

    /// A table of rows that are Arrow already.
    #[must_use]
    pub fn of(object: &str, batch: RecordBatch) -> Self {
        Self { given: Some(batch.clone()), ..Self::new(object, batch.schema(), Vec::new()) }
    }

    /// All rows in one batch.
    #[must_use]
    pub fn batch(&self) -> RecordBatch {
        if let Some(batch) = &self.given {
            return batch.clone();
        }
        let mut lines = String::new();
        for row in &self.rows {
            lines.push_str(&serde_json::to_string(row).unwrap());
            lines.push('\n');
        }
        load_ndjson(lines.as_bytes(), &self.schema, 1 << 28).unwrap_or_else(|e| panic!("{}: {e} {lines}", self.object))
    }

    /// The rows in small batches, so that plans have several partitions and batches to order.
    #[must_use]
    pub fn batches(&self, rows_per_batch: usize) -> Vec<RecordBatch> {
        let whole = self.batch();
        let starts = (0..whole.num_rows()).step_by(rows_per_batch.max(1));
        starts.map(|at| whole.slice(at, rows_per_batch.min(whole.num_rows() - at))).collect()
    }
}
