//! Arrow values as PostgreSQL writes them: an independent reading of results, to compare doors with.

use crate::client::Table;
use crate::printed::{
    print_bytes, print_date, print_double, print_interval, print_list, print_single, print_time, print_timestamp,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type,
    UInt64Type,
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
        DataType::Float32 => print_single(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => print_double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).to_owned(),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => print_date(column.as_primitive::<Date32Type>().value(row).into()),
        DataType::Time64(TimeUnit::Microsecond) => {
            print_time(column.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            print_timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())
        }
        DataType::Timestamp(_, zone) => {
            let micros =
                cast(&column.slice(row, 1), &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).unwrap();
            return cell(&micros, 0);
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            print_interval(value.months, value.days, value.nanoseconds / 1_000)
        }
        DataType::Binary => print_bytes(column.as_binary::<i32>().value(row)),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            print_list(&(0..items.len()).map(|at| cell(&items, at)).collect::<Vec<_>>())
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
