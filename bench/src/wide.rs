//! The wide table of the wire benches; `bench/run` makes the same rows in PostgreSQL.

use arrow::array::{
    ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use querygate_types::{Error, Result, limits};
use std::sync::Arc;

/// Microseconds from 1970 to 2024.
const YEAR_2024_MICROS: i64 = 1_704_067_200_000_000;

/// Columns of the wide table: int4, int8, text, numeric(15,2), timestamp.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("big", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("amount", DataType::Decimal128(15, 2), true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

/// All rows, in batches of the usual size.
///
/// # Errors
/// When the numbers do not fit their types.
pub fn batches(count: i32) -> Result<Vec<RecordBatch>> {
    let step = i32::try_from(limits::BATCH_ROWS).map_err(Error::internal)?;
    (0..count).step_by(limits::BATCH_ROWS).map(|from| batch(from, count.min(from + step))).collect()
}

fn batch(from: i32, to: i32) -> Result<RecordBatch> {
    let ids = || from..to;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(ids())),
        Arc::new(Int64Array::from_iter_values(ids().map(|i| i64::from(i) * 1_000_003))),
        Arc::new(StringArray::from_iter_values(ids().map(|i| format!("customer number {i}")))),
        Arc::new(
            Decimal128Array::from_iter_values(ids().map(|i| (i128::from(i) * 7_919) % 100_000_000))
                .with_precision_and_scale(15, 2)
                .map_err(Error::internal)?,
        ),
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            ids().map(|i| YEAR_2024_MICROS + i64::from(i) * 1_001_000),
        )),
    ];
    RecordBatch::try_new(schema(), columns).map_err(Error::internal)
}
