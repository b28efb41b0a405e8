//! Arrow values as PostgreSQL writes them: an independent reading of results, to compare doors with.

use crate::client::Table;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Every cell as text; `None` for NULL.
pub(crate) fn cells(table: &Table) -> Vec<Vec<Option<String>>> {
    let row = |batch: &arrow::record_batch::RecordBatch, row: usize| {
        batch.columns().iter().map(|column| cell(column, row)).collect()
    };
    table.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

fn cell(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => if column.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).to_owned(),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => column.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let moment = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row).unwrap();
            let mut text = moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
            if zone.is_some() { text + "+00" } else { text }
        }
        DataType::Timestamp(_, zone) => {
            let micros =
                cast(&column.slice(row, 1), &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).unwrap();
            return cell(&micros, 0);
        }
        DataType::Binary => column
            .as_binary::<i32>()
            .value(row)
            .iter()
            .fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let items: Vec<String> = (0..items.len()).map(|at| item(cell(&items, at))).collect();
            format!("{{{}}}", items.join(","))
        }
        DataType::Dictionary(..) => {
            let values = column.as_any_dictionary();
            return cell(values.values(), values.normalized_keys()[row]);
        }
        other => {
            let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
            format!("{other}: {}", formatter.value(row))
        }
    })
}

/// An element of an array, quoted where PostgreSQL quotes it.
fn item(cell: Option<String>) -> String {
    let Some(text) = cell else { return "NULL".to_owned() };
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || c.is_whitespace();
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}
