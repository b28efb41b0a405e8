//! How a table's declared columns map to its files: which are file columns, under which name, and which are hive partitions. Knows no store.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::table_schema::TableSchema;
use querygate_memory::{Cell, RowDecoder, UnknownKeys};
use std::sync::Arc;

/// The columns of one table as its scan sees them: file columns first, partition columns last.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Declared columns, in order, all nullable: a file cannot promise otherwise.
    pub(crate) declared: SchemaRef,
    /// Declared columns that come out of the files.
    pub(crate) file_schema: SchemaRef,
    /// What the files call them.
    pub(crate) file_names: Arc<[String]>,
    pub(crate) partitions: Vec<FieldRef>,
    /// Scan position of each declared column.
    scan_index: Vec<usize>,
}

impl Layout {
    /// Splits the declared columns by the hive keys that the listing shows. A key hides a file column of its name.
    pub(crate) fn new(declared: &SchemaRef, names: &[String], keys: &[String]) -> Self {
        let key_of = |i: usize| keys.iter().position(|k| k == &names[i]);
        let (in_folders, in_files): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(|&i| key_of(i).is_some());
        let mut scan_index = vec![0; names.len()];
        for (at, &i) in in_files.iter().chain(&in_folders).enumerate() {
            scan_index[i] = at;
        }
        let field = |i: &usize| Arc::clone(&declared.fields()[*i]);
        Self {
            declared: Arc::clone(declared),
            file_schema: Arc::new(Schema::new(in_files.iter().map(field).collect::<Vec<_>>())),
            file_names: in_files.iter().map(|&i| names[i].clone()).collect(),
            partitions: in_folders.iter().map(field).collect(),
            scan_index,
        }
    }

    /// The declared columns with every column nullable.
    pub(crate) fn nullable(schema: &SchemaRef) -> SchemaRef {
        let fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// Declared texts as views, which Parquet's decoder makes without copying each text. Not those under another name in the
    /// files: the decoder gives them as the files have them, and a column that is converted is pruned by fewer conditions. Nor
    /// those of which more is declared, such as json.
    pub(crate) fn viewed(schema: &SchemaRef, file_names: &[String]) -> SchemaRef {
        let fields = schema.fields().iter().zip(file_names).map(|(field, file_name)| {
            let plain = field.data_type() == &DataType::Utf8 && field.metadata().is_empty();
            if plain && field.name() == file_name {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
            } else {
                Arc::clone(field)
            }
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    pub(crate) fn table_schema(&self) -> TableSchema {
        TableSchema::builder(Arc::clone(&self.file_schema)).with_table_partition_cols(self.partitions.clone()).build()
    }

    /// Scan positions of a projection over the declared columns.
    pub(crate) fn scan_projection(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        match projection {
            Some(columns) => columns.iter().map(|&c| self.scan_index[c]).collect(),
            None => self.scan_index.clone(),
        }
    }

    /// One row per file with the typed values of the partition columns; the error names column and kind.
    pub(crate) fn partition_rows(
        &self,
        names: &[String],
        files: &[Vec<(String, Option<String>)>],
    ) -> Result<RecordBatch, String> {
        let schema = Arc::new(Schema::new(self.partitions.clone()));
        let keys: Vec<String> = self
            .partitions
            .iter()
            .filter_map(|p| self.declared.index_of(p.name()).ok().map(|i| names[i].clone()))
            .collect();
        let mut decoder = RowDecoder::new(schema, &keys, UnknownKeys::Refuse)?;
        for file in files {
            let cells = keys.iter().map(|key| {
                let value = file.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.as_deref());
                value.map_or(Cell::Null, Cell::Text)
            });
            decoder.push_cells(cells).map_err(|e| e.to_string())?;
        }
        decoder.flush().map_err(|e| e.to_string())
    }
}

/// The values of row `row`.
pub(crate) fn values(batch: &RecordBatch, row: usize) -> Result<Vec<ScalarValue>, String> {
    batch.columns().iter().map(|c| ScalarValue::try_from_array(c, row).map_err(|e| e.to_string())).collect()
}
