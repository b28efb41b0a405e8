//! Schemas and values inside a part, as Arrow's own stream format writes them.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::ScalarValue;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// The bytes of a schema.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    writer.into_inner().map_err(Error::internal)
}

/// The schema of these bytes.
pub(super) fn schema_of(bytes: &[u8]) -> Result<SchemaRef> {
    Ok(StreamReader::try_new(bytes, None).map_err(Error::internal)?.schema())
}

/// The bytes of some values.
pub(super) fn value_bytes(values: &[ScalarValue]) -> Result<Vec<u8>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let columns =
        values.iter().map(|value| value.to_array().map_err(Error::internal)).collect::<Result<Vec<ArrayRef>>>()?;
    let fields: Vec<Field> = columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(Error::internal)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(Error::internal)?;
    writer.write(&batch).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    writer.into_inner().map_err(Error::internal)
}

/// The values of these bytes.
pub(super) fn values_of(bytes: &[u8]) -> Result<Vec<ScalarValue>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = StreamReader::try_new(bytes, None).map_err(Error::internal)?;
    let batch = reader.next().ok_or_else(|| Error::internal("a part has no values"))?.map_err(Error::internal)?;
    if batch.num_rows() != 1 {
        return Err(Error::internal("the values of a part are not one row"));
    }
    batch.columns().iter().map(|column| ScalarValue::try_from_array(column, 0).map_err(Error::internal)).collect()
}
