//! CommandStatementIngest: a client's batches appended to a table as they come, all or none of them. Knows no statement.

use crate::calls::upload::Messages;
use crate::command::{Ingest, not_made};
use crate::messages::plain_bytes::pieces;
use crate::sessions::bind::refuse_compressed;
use crate::sessions::session::FlightSession;
use arrow::array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use querygate_query_api::column::arrow_type_of;
use querygate_query_api::requests::ingest::{IngestColumn, IngestTarget};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Bytes of rows that are handed on at once, when each value has room of its own.
const PLAIN_BYTES: usize = 8 << 20;

/// Stores the rows of a call and says how many.
pub(crate) async fn ingest(
    session: &FlightSession,
    command: Ingest,
    first: FlightData,
    messages: Messages,
) -> Result<u64> {
    let engine = session.engine(command.transaction.as_deref())?;
    let mut batches = decoded(first, messages);
    // The first batch says the columns; a call without one may have said its schema.
    let begun = batches.try_next().await.map_err(broken)?;
    let schema = match &begun {
        Some(batch) => batch.schema(),
        None => batches
            .schema()
            .map(Arc::clone)
            .ok_or_else(|| Error::new(ErrorCode::ProtocolViolation, "the call holds no schema"))?,
    };
    let columns = names(&schema)?;
    let creates = command.creates;
    let target = IngestTarget { catalog: command.catalog, schema: command.schema, table: command.table, columns };
    let stored = async {
        let missing = |error: Error| {
            if creates && error.code() == ErrorCode::UndefinedTable { not_made() } else { error }
        };
        let prepared = engine.prepare_ingest(&target).await.map_err(missing)?;
        let columns = prepared.ingested().ok_or_else(|| Error::internal("a statement takes no rows"))?;
        let rows = stream::iter(begun.map(Ok)).chain(batches.map_err(broken));
        let rows = rows.map_ok(|batch| stream::iter(pieces(&batch, PLAIN_BYTES).into_iter().map(Ok))).try_flatten();
        let rows = rows.map(move |batch: Result<_>| batch.and_then(|batch| assigned(&batch, &columns))).boxed();
        engine.ingest(&prepared, rows).await
    };
    stored.await.inspect_err(|_| engine.fail_transaction())
}

/// The batches of a call's messages, each decoded when it is asked for.
fn decoded(first: FlightData, messages: Messages) -> FlightRecordBatchStream {
    let rest = stream::try_unfold(messages, |messages| async move {
        let message = messages.lock().await.message().await;
        let message = message.map_err(|status| FlightError::Tonic(Box::new(status)))?;
        Ok(message.map(|message| (message, messages)))
    });
    let messages: BoxStream<'static, std::result::Result<FlightData, FlightError>> =
        stream::once(async { Ok(first) }).chain(rest).boxed();
    let checked = messages.try_filter_map(|message| async move {
        if message.data_header.is_empty() {
            return Ok(None);
        }
        refuse_compressed(&message).map_err(|error| FlightError::ExternalError(Box::new(error)))?;
        Ok(Some(message))
    });
    FlightRecordBatchStream::new_from_flight_data(checked)
}

fn broken(error: FlightError) -> Error {
    match error {
        FlightError::ExternalError(own) => match own.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => {
                Error::new(ErrorCode::ProtocolViolation, "the rows are not valid Arrow data").with_cause(other)
            }
        },
        FlightError::Tonic(status) => {
            let code = match status.code() {
                tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => ErrorCode::ProgramLimitExceeded,
                tonic::Code::Cancelled => ErrorCode::QueryCanceled,
                _ => ErrorCode::ProtocolViolation,
            };
            Error::new(code, "the client's stream broke off or a message is too large").with_cause(status)
        }
        other => Error::new(ErrorCode::ProtocolViolation, "the rows are not valid Arrow data").with_cause(other),
    }
}

fn names(schema: &SchemaRef) -> Result<Vec<String>> {
    if schema.fields().is_empty() {
        return Err(Error::new(ErrorCode::SyntaxError, "the rows have no column"));
    }
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}

/// A batch in types that the session casts to those of its columns as an assignment does.
fn assigned(batch: &RecordBatch, columns: &[IngestColumn]) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(batch.num_columns());
    for (array, column) in batch.columns().iter().zip(columns) {
        arrays.push(plain(array, column)?);
    }
    let fields =
        arrays.iter().zip(columns).map(|(array, column)| Field::new(&column.name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(Error::internal)
}

/// Types that Arrow has and SQL has not, as the SQL type that holds all their values. To the column's own type the session casts them.
fn plain(array: &ArrayRef, column: &IngestColumn) -> Result<ArrayRef> {
    let wanted = match array.data_type() {
        DataType::Dictionary(_, values) => {
            let values = as_type(array, values, column)?;
            return plain(&values, column);
        }
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Nanosecond, None) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        DataType::Timestamp(_, Some(_)) => match arrow_type_of(PgType::Timestamptz) {
            Some(wanted) => wanted,
            None => return Ok(Arc::clone(array)),
        },
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        _ => return Ok(Arc::clone(array)),
    };
    as_type(array, &wanted, column)
}

fn as_type(array: &ArrayRef, wanted: &DataType, column: &IngestColumn) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(array, wanted, &options).map_err(|error| misfit(column).with_cause(error))
}

fn misfit(column: &IngestColumn) -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("value is out of range for column \"{}\"", column.name))
}
