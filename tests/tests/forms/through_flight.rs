//! The same cases through Flight SQL: values bound as Arrow, results read as Arrow. Knows no PostgreSQL.

use crate::case::{Case, Value};
use crate::client::{Flight, packed};
use crate::text::cells;
use crate::wire::{Answer, Column};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::CommandPreparedStatementQuery;
use futures::{TryStreamExt as _, stream};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// The value as one cell of the Arrow type that a client has for it. `None`: the text is no such value.
fn cell(value: &Value) -> Option<ArrayRef> {
    let text = value.text.as_deref();
    let strings = || Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let by_cast = |to: DataType| cast(&strings(), &to).ok().filter(|cell| cell.is_null(0) == text.is_none());
    Some(match value.pg_type {
        Type::INT4 => Arc::new(Int32Array::from(vec![parsed(text)?])),
        Type::INT8 => Arc::new(Int64Array::from(vec![parsed(text)?])),
        Type::FLOAT8 => Arc::new(Float64Array::from(vec![parsed(text)?])),
        Type::BOOL => Arc::new(BooleanArray::from(vec![parsed(text)?])),
        Type::NUMERIC => return decimal(text),
        Type::DATE => by_cast(DataType::Date32)?,
        Type::TIMESTAMP => by_cast(DataType::Timestamp(TimeUnit::Microsecond, None))?,
        Type::TIMESTAMPTZ => by_cast(DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))?,
        Type::TIME => by_cast(DataType::Time64(TimeUnit::Microsecond))?,
        _ => strings(),
    })
}

/// A parsed value, or NULL; `None` when the text is not one.
fn parsed<T: std::str::FromStr>(text: Option<&str>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

/// With its own number of places, in 128 bits or 256.
fn decimal(text: Option<&str>) -> Option<ArrayRef> {
    let Some(text) = text else {
        return cast(&NullArray::new(1), &DataType::Decimal128(38, 0)).ok();
    };
    let digits = text.trim_start_matches('-');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let places = digits.split_once('.').map_or(0, |(_, places)| places.len());
    let scale = i8::try_from(places).ok()?;
    let whole = digits.len() - usize::from(digits.contains('.'));
    let to = match u8::try_from(whole.max(places).max(1)).ok()? {
        precision @ 0..=38 => DataType::Decimal128(precision, scale),
        precision @ 39..=76 => DataType::Decimal256(precision, scale),
        _ => return None,
    };
    cast(&StringArray::from(vec![text]), &to).ok().filter(|cell| !cell.is_null(0))
}

/// What PostgreSQL says, as far as Arrow can say it: no types of parameters and columns; floats as the client prints them, and of
/// values that the client has no text for, that they are there.
pub(crate) fn comparable(postgres: Answer, flight: &Answer) -> Answer {
    let (Answer::Rows { columns, mut rows, .. }, Answer::Rows { rows: ours, .. }) = (postgres.clone(), flight) else {
        return postgres;
    };
    for (row, our_row) in rows.iter_mut().zip(ours) {
        for ((cell, our), column) in row.iter_mut().zip(our_row).zip(&columns) {
            let (Some(their), Some(our)) = (cell.clone(), our) else { continue };
            let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<f64>().ok();
            let float = [Type::FLOAT4.oid(), Type::FLOAT8.oid()].contains(&column.oid);
            let untold = [Type::INTERVAL.oid(), Type::TIME.oid()].contains(&column.oid) || our.starts_with(b"Interval");
            if untold
                || (float
                    && number(&their).is_some_and(|their| number(our).is_some_and(|our| their.total_cmp(&our).is_eq())))
            {
                *cell = Some(our.clone());
            }
        }
    }
    let columns = columns.into_iter().map(|column| Column { oid: 0, modifier: -1, ..column }).collect();
    Answer::Rows { parameters: Vec::new(), columns, rows }
}

/// What the gate says through Flight; `None` where a value has no Arrow form.
pub(crate) async fn ask(flight: &Flight, case: &Case) -> Option<Answer> {
    let columns: Vec<ArrayRef> = case.values.iter().map(cell).collect::<Option<_>>()?;
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("${}", at + 1), column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
    Some(match run(flight, &case.sql, batch).await {
        Ok(answer) => answer,
        Err(failure) => Answer::Failed(if failure.sqlstate.is_empty() { "XX000".to_owned() } else { failure.sqlstate }),
    })
}

async fn run(flight: &Flight, sql: &str, batch: RecordBatch) -> Result<Answer, crate::client::Failure> {
    let prepared = flight.prepare(sql).await?;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle };
    let descriptor = FlightDescriptor::new_cmd(packed(&command));
    let builder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).with_schema(batch.schema());
    let messages = builder.build(stream::iter([Ok(batch)])).try_collect().await.unwrap();
    flight.put(messages).await?;
    let table = flight.all(&flight.info(&command).await?).await?;
    let column = |field: &Arc<arrow::datatypes::Field>| Column { name: field.name().clone(), oid: 0, modifier: -1 };
    let rows = cells(&table).into_iter();
    Ok(Answer::Rows {
        parameters: Vec::new(),
        columns: table.schema.fields().iter().map(column).collect(),
        rows: rows.map(|row| row.into_iter().map(|cell| cell.map(String::into_bytes)).collect()).collect(),
    })
}
