//! Values that a client binds: decoded from its Arrow messages and cast to what the statement takes. Knows no statement.

use crate::command::unsupported;
use crate::messages::plain_bytes::batch_bytes;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::ipc::{MessageHeader, root_as_message};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::{FutureExt as _, TryStreamExt as _, stream};
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::network::Inet;
use querygate_types::{Error, ErrorCode, PgType, Result, limits};
use std::sync::Arc;

/// What a value counts for at least, in bytes: nulls take no room in a message, and take some once they are of their parameter's type.
const VALUE_BYTES_MIN: usize = 16;
/// What a value counts for at least that may share its room in the message with others, and has its own once it is of its parameter's type.
const SHARED_VALUE_BYTES_MIN: usize = 1024;

/// The rows of a client's messages; `None` when they hold no schema, so nothing to bind. `bytes_max` bounds the number of values, too.
pub(crate) fn decode(messages: Vec<FlightData>, bytes_max: usize) -> Result<Option<RecordBatch>> {
    let messages: Vec<FlightData> = messages.into_iter().filter(|m| !m.data_header.is_empty()).collect();
    if messages.is_empty() {
        return Ok(None);
    }
    messages.iter().try_for_each(refuse_compressed)?;
    let stream = FlightRecordBatchStream::new_from_flight_data(stream::iter(messages.into_iter().map(Ok)));
    // Everything is here already: the stream never waits.
    let decoded = collected(stream, bytes_max).now_or_never();
    decoded.ok_or_else(|| Error::internal("a decoder waits for nothing"))?
}

async fn collected(mut stream: FlightRecordBatchStream, bytes_max: usize) -> Result<Option<RecordBatch>> {
    let broken = |error: &dyn std::fmt::Display| {
        Error::new(ErrorCode::ProtocolViolation, "the parameters are not valid Arrow data").with_cause(error)
    };
    let mut batches = Vec::new();
    let mut bytes: usize = 0;
    while let Some(batch) = stream.try_next().await.map_err(|error| broken(&error))? {
        let row: usize = batch.columns().iter().map(|column| value_bytes_min(column.data_type())).sum();
        let least = batch.num_rows().saturating_mul(row.max(VALUE_BYTES_MIN));
        bytes = least.max(batch_bytes(&batch)).saturating_add(bytes);
        if bytes > bytes_max {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows of parameters")
                .with_hint("Bind fewer rows at a time."));
        }
        batches.push(batch);
    }
    match stream.schema() {
        Some(schema) => concat_batches(schema, &batches).and_then(plain).map(Some).map_err(|error| broken(&error)),
        None => Ok(None),
    }
}

/// The rows with values in the place of keys of dictionaries.
fn plain(rows: RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    if !rows.columns().iter().any(|column| matches!(column.data_type(), DataType::Dictionary(..))) {
        return Ok(rows);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let mut columns = Vec::with_capacity(rows.num_columns());
    for column in rows.columns() {
        columns.push(match column.data_type() {
            DataType::Dictionary(_, values) => cast_with_options(column, values, &options)?,
            _ => Arc::clone(column),
        });
    }
    let schema = rows.schema();
    let fields = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns, &options)
}

const fn value_bytes_min(given: &DataType) -> usize {
    match given {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_)
        | DataType::Utf8
        | DataType::LargeUtf8 => VALUE_BYTES_MIN,
        _ => SHARED_VALUE_BYTES_MIN,
    }
}

/// A compressed body says how large it becomes, and a false number would be reserved; parameters need no compression.
pub(crate) fn refuse_compressed(message: &FlightData) -> Result<()> {
    let header = root_as_message(&message.data_header).map_err(|error| {
        Error::new(ErrorCode::ProtocolViolation, "the parameters are not valid Arrow data").with_cause(error)
    })?;
    let compressed = match header.header_type() {
        MessageHeader::RecordBatch => header.header_as_record_batch().and_then(|b| b.compression()).is_some(),
        MessageHeader::DictionaryBatch => {
            header.header_as_dictionary_batch().and_then(|b| b.data()).and_then(|b| b.compression()).is_some()
        }
        _ => false,
    };
    if compressed { Err(unsupported("a compressed batch of values")) } else { Ok(()) }
}

/// Values of a statement's parameters: a column for each, a row for each execution.
#[derive(Debug, Clone)]
pub(crate) struct Bindings {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Bindings {
    /// One execution without values.
    pub(crate) fn none() -> Self {
        Self { columns: Vec::new(), rows: 1 }
    }

    /// Executions.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The one-value arrays of an execution.
    pub(crate) fn row(&self, row: usize) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| column.slice(row, 1)).collect()
    }

    /// Values of all executions.
    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.get_array_memory_size()).sum()
    }
}

/// The types to describe a statement with for values whose types have no place in those that it inferred: fractions in whole
/// numbers, decimals in doubles, numbers and moments in texts, moments without a zone where some with one are wanted. The statement casts
/// them then as any other expression of their type. `None`: all have.
pub(crate) fn declared_by_values(inferred: &[PgType], values: &RecordBatch) -> Option<Vec<Option<PgType>>> {
    let declared = |(inferred, column): (&PgType, &ArrayRef)| {
        let own = own_type(column.data_type())?;
        let integers = matches!(own, PgType::Int2 | PgType::Int4 | PgType::Int8);
        let has_place = match inferred {
            PgType::Text | PgType::Varchar => false,
            PgType::Int2 | PgType::Int4 | PgType::Int8 => {
                integers || matches!(column.data_type(), DataType::Decimal128(_, ..=0) | DataType::Decimal256(_, ..=0))
            }
            PgType::Float4 | PgType::Float8 => integers || matches!(own, PgType::Float4 | PgType::Float8),
            PgType::Numeric => integers || own == PgType::Numeric,
            PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz => own == *inferred,
            // Its own rules convert it, or refuse it by name.
            _ => true,
        };
        (!has_place).then_some(own)
    };
    let declared: Vec<Option<PgType>> = inferred.iter().zip(values.columns()).map(declared).collect();
    declared.iter().any(Option::is_some).then_some(declared)
}

/// The type that an Arrow type says. `None`: a text, which may be one of any type, or a type without a word here.
const fn own_type(given: &DataType) -> Option<PgType> {
    match given {
        DataType::Boolean => Some(PgType::Bool),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Some(PgType::Int2),
        DataType::Int32 | DataType::UInt16 => Some(PgType::Int4),
        DataType::Int64 | DataType::UInt32 => Some(PgType::Int8),
        DataType::Float16 | DataType::Float32 => Some(PgType::Float4),
        DataType::Float64 => Some(PgType::Float8),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::UInt64 => Some(PgType::Numeric),
        DataType::Date32 | DataType::Date64 => Some(PgType::Date),
        DataType::Time32(_) | DataType::Time64(_) => Some(PgType::Time),
        DataType::Timestamp(_, None) => Some(PgType::Timestamp),
        DataType::Timestamp(_, Some(_)) => Some(PgType::Timestamptz),
        DataType::Interval(_) => Some(PgType::Interval),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Some(PgType::Bytea)
        }
        DataType::Null
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Duration(_)
        | DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(..)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(..)
        | DataType::Dictionary(..)
        | DataType::Map(..)
        | DataType::RunEndEncoded(..) => None,
    }
}

/// Casts each column to its parameter's type.
pub(crate) fn bind(values: &RecordBatch, types: &[PgType]) -> Result<Bindings> {
    if values.num_columns() > limits::PARAMETERS_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many parameters"));
    }
    let columns: Vec<ArrayRef> = values
        .columns()
        .iter()
        .enumerate()
        .map(|(index, column)| match types.get(index) {
            Some(pg_type) => convert(column, *pg_type, index + 1),
            // One too many: the engine's own error says so.
            None => Ok(Arc::clone(column)),
        })
        .collect::<Result<_>>()?;
    Ok(Bindings { columns, rows: values.num_rows() })
}

fn convert(column: &ArrayRef, pg_type: PgType, number: usize) -> Result<ArrayRef> {
    let wanted =
        arrow_type_of(pg_type).ok_or_else(|| unsupported(&format!("a parameter of type {}", pg_type.sql_name())))?;
    let given = column.data_type();
    if given == &wanted {
        if wanted == TimeTz::ARROW || wanted == NETWORK {
            keys(column, pg_type, number)?;
        }
        return Ok(Arc::clone(column));
    }
    if pg_type == PgType::Numeric && keeps_places(given) {
        return Ok(Arc::clone(column));
    }
    // Read by the rules of the type's texts, as through any door.
    if matches!(given, DataType::Utf8) {
        return Ok(Arc::clone(column));
    }
    if matches!(given, DataType::LargeUtf8 | DataType::Utf8View) {
        return cast_with_options(column, &DataType::Utf8, &CastOptions { safe: false, ..CastOptions::default() })
            .map_err(|error| refused(&error, given, pg_type, number));
    }
    let mismatch = || {
        Error::new(
            ErrorCode::DatatypeMismatch,
            format!("parameter ${number} is of type {} but the value is of Arrow type {given}", pg_type.sql_name()),
        )
    };
    if !can_cast_types(given, &wanted) {
        return Err(mismatch());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, &wanted, &options).map_err(|error| refused(&error, given, pg_type, number))
}

/// Bytes of the length of a key may be no time of day with a zone, or no address.
fn keys(column: &ArrayRef, pg_type: PgType, number: usize) -> Result<()> {
    let keys = column.as_fixed_size_binary();
    let is_key = |key: &[u8]| {
        if pg_type == PgType::Timetz { TimeTz::of_key(key).is_some() } else { Inet::of_key(key).is_some() }
    };
    if keys.iter().flatten().all(is_key) {
        return Ok(());
    }
    let pg_type = pg_type.sql_name();
    let message = format!("invalid binary value for parameter ${number} of type {pg_type}");
    Err(Error::new(ErrorCode::InvalidTextRepresentation, message).with_hint("Bind its text."))
}

/// Numerics in the types that the engine takes them in with their own places.
const fn keeps_places(given: &DataType) -> bool {
    matches!(given, DataType::Decimal128(_, 0..) | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Utf8)
}

fn refused(error: &ArrowError, given: &DataType, pg_type: PgType, number: usize) -> Error {
    let is_text = matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let (code, what) = if is_text {
        (ErrorCode::InvalidTextRepresentation, "invalid input syntax")
    } else {
        (ErrorCode::NumericOutOfRange, "value out of range")
    };
    Error::new(code, format!("{what} for parameter ${number} of type {}", pg_type.sql_name())).with_cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::FixedSizeBinaryArray;

    #[test]
    fn bytes_that_are_no_time_are_refused() {
        let column = |key: &[u8]| -> ArrayRef {
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size([None, Some(key)].into_iter(), 12).unwrap())
        };
        assert!(keys(&column(&TimeTz { micros: 1, east: 3_600 }.key()), PgType::Timetz, 1).is_ok());
        assert_eq!(
            keys(&column(&[7; 12]), PgType::Timetz, 1).unwrap_err().code(),
            ErrorCode::InvalidTextRepresentation
        );
    }
}
