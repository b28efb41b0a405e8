//! Values of Arrow as ObjectStack writes them in JSON. Knows no question.

use crate::texts::{self, trimmed};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, LargeBinaryArray, ListArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float64Type, Int64Type, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use querygate_query_api::column::pg_type_of;
use querygate_query_api::own_texts::texts_of_own_types;
use querygate_query_api::requests::question::{AnswerColumn, JsonForm};
use querygate_query_api::values::wide_numeric::wide_numeric;
use querygate_types::json::print::quoted;
use querygate_types::{Error, Result, bytes};
use serde::de::IgnoredAny;
use std::sync::Arc;

/// Rows of one batch, ready to be printed.
pub(crate) struct Printer {
    pub(crate) columns: Arc<[AnswerColumn]>,
    cells: Vec<Cells>,
    /// The keys with their colons, as they stand in an object.
    keys: Vec<String>,
    pub(crate) rows: usize,
    /// Bytes of the batch in memory.
    pub(crate) bytes: usize,
}

/// A column by how it is printed.
pub(crate) enum Cells {
    Null,
    Text(StringArray),
    Bytes(BinaryArray),
    Json(StringArray),
    Boolean(BooleanArray),
    Signed(arrow::array::Int64Array),
    Unsigned(arrow::array::UInt64Array),
    Float(arrow::array::Float64Array),
    Decimal(arrow::array::Decimal128Array),
    WideDecimal(arrow::array::Decimal256Array),
    Numeric(LargeBinaryArray),
    Date(arrow::array::Date32Array),
    Instant(arrow::array::TimestampMicrosecondArray),
    Time(arrow::array::Time64MicrosecondArray),
    List(ListArray, JsonForm),
}

impl Printer {
    pub(crate) fn new(columns: &Arc<[AnswerColumn]>, batch: &RecordBatch) -> Result<Self> {
        if columns.len() != batch.num_columns() {
            return Err(Error::internal("an answer has other columns than its description"));
        }
        let schema = batch.schema();
        let cells = columns.iter().zip(schema.fields()).zip(batch.columns());
        let cells = cells.map(|((column, field), array)| match array.data_type() {
            // Times of day with a zone, and addresses: Arrow has none.
            DataType::FixedSizeBinary(_) => {
                let texts = texts_of_own_types(array, pg_type_of(field))?;
                Cells::of(texts.as_ref().unwrap_or(array), column.form)
            }
            _ => Cells::of(array, column.form),
        });
        let cells = cells.collect::<Result<_>>()?;
        let key = |column: &AnswerColumn| {
            let mut key = String::new();
            quoted(&column.name, &mut key);
            key.push(':');
            key
        };
        Ok(Self {
            columns: Arc::clone(columns),
            cells,
            keys: columns.iter().map(key).collect(),
            rows: batch.num_rows(),
            bytes: batch.get_array_memory_size(),
        })
    }

    /// The cells of a column.
    pub(crate) fn cells(&self, column: usize) -> Option<&Cells> {
        self.cells.get(column)
    }

    /// Prints a row as an object. `instead` may print a cell in its own way and says whether it did.
    pub(crate) fn print(
        &self,
        row: usize,
        out: &mut String,
        mut instead: impl FnMut(usize, usize, &mut String) -> Result<bool>,
        leaves_out: impl Fn(usize) -> bool,
    ) -> Result<()> {
        out.push('{');
        let mut first = true;
        for (column, (cells, key)) in self.cells.iter().zip(&self.keys).enumerate() {
            if leaves_out(column) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(key);
            if !instead(column, row, out)? {
                cells.print(row, out)?;
            }
        }
        out.push('}');
        Ok(())
    }
}

/// Rows of a batch as answers have them: objects, with commas between.
///
/// # Errors
/// The columns are not the batch's.
pub fn print_rows(columns: &Arc<[AnswerColumn]>, batch: &RecordBatch, out: &mut String) -> Result<()> {
    let printer = Printer::new(columns, batch)?;
    for row in 0..printer.rows {
        if row > 0 {
            out.push(',');
        }
        printer.print(row, out, |_, _, _| Ok(false), |_| false)?;
    }
    Ok(())
}

/// An array of the type; most are already.
fn of_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    cast(array, wanted).map_err(Error::internal)
}

impl Cells {
    pub(crate) fn of(array: &ArrayRef, form: JsonForm) -> Result<Self> {
        let cast_to = |to: &DataType| of_type(array, to);
        let text = || Ok::<_, Error>(cast_to(&DataType::Utf8)?.as_string::<i32>().clone());
        if *array.data_type() == DataType::Null {
            return Ok(Self::Null);
        }
        Ok(match form {
            JsonForm::Text => match array.data_type() {
                DataType::LargeBinary => Self::numbers(array)?,
                _ => Self::Text(text()?),
            },
            JsonForm::Bytes => match array.data_type() {
                // A mask is a text.
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text(text()?),
                _ => Self::Bytes(cast_to(&DataType::Binary)?.as_binary::<i32>().clone()),
            },
            JsonForm::Json => Self::Json(text()?),
            JsonForm::Boolean => Self::Boolean(cast_to(&DataType::Boolean)?.as_boolean().clone()),
            JsonForm::Number => Self::numbers(array)?,
            JsonForm::Date => Self::Date(cast_to(&DataType::Date32)?.as_primitive::<Date32Type>().clone()),
            JsonForm::Instant => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                Self::Instant(cast_to(&micros)?.as_primitive::<TimestampMicrosecondType>().clone())
            }
            JsonForm::Time => {
                let micros = DataType::Time64(TimeUnit::Microsecond);
                Self::Time(cast_to(&micros)?.as_primitive::<Time64MicrosecondType>().clone())
            }
            JsonForm::List => Self::list(array)?,
        })
    }

    fn numbers(array: &ArrayRef) -> Result<Self> {
        let cast_to = |to: &DataType| of_type(array, to);
        Ok(match array.data_type() {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => Self::Signed(cast_to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Float(cast_to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Decimal128(..) => Self::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            DataType::Decimal256(..) => Self::WideDecimal(array.as_primitive::<Decimal256Type>().clone()),
            DataType::LargeBinary => Self::Numeric(array.as_binary::<i64>().clone()),
            // A truth value that was aggregated is a number.
            DataType::Boolean => Self::Signed(cast_to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            _ => Self::Text(cast_to(&DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    /// A column of lists; a text that holds a list of JSON is one, too.
    fn list(array: &ArrayRef) -> Result<Self> {
        let (item, form) = match array.data_type() {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => (item.data_type().clone(), item_form(item.data_type())),
            _ => return Self::of(array, JsonForm::Json),
        };
        let list = cast(array, &DataType::List(Arc::new(Field::new("item", item, true)))).map_err(Error::internal)?;
        Ok(Self::List(list.as_list::<i32>().clone(), form))
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Text(array) | Self::Json(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Signed(array) => array.is_null(row),
            Self::Unsigned(array) => array.is_null(row),
            Self::Float(array) => array.is_null(row),
            Self::Decimal(array) => array.is_null(row),
            Self::WideDecimal(array) => array.is_null(row),
            Self::Numeric(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Instant(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::List(array, _) => array.is_null(row),
        }
    }

    /// Texts of a cell: of a text its own, of a list those of its members.
    pub(crate) fn texts(&self, row: usize) -> Vec<String> {
        match self {
            Self::Text(array) if array.is_valid(row) => vec![array.value(row).to_owned()],
            Self::Bytes(array) if array.is_valid(row) => vec![bytes::text(array.value(row))],
            Self::Signed(array) if array.is_valid(row) => vec![array.value(row).to_string()],
            Self::Unsigned(array) if array.is_valid(row) => vec![array.value(row).to_string()],
            Self::Float(array) if array.is_valid(row) => {
                let mut text = String::new();
                texts::float(array.value(row), &mut text);
                vec![text]
            }
            Self::Decimal(array) if array.is_valid(row) => {
                let mut text = String::new();
                decimal(array, row, &mut text);
                vec![text]
            }
            Self::List(array, _) if array.is_valid(row) => {
                let items = cast(&array.value(row), &DataType::Utf8).ok();
                let items = items.as_ref().and_then(|items| items.as_string_opt::<i32>());
                items.map_or_else(Vec::new, |items| items.iter().flatten().map(str::to_owned).collect())
            }
            _ => Vec::new(),
        }
    }

    /// Whether a cell is a list, printed in brackets.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List(..))
    }

    pub(crate) fn print(&self, row: usize, out: &mut String) -> Result<()> {
        if self.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        match self {
            Self::Null => out.push_str("null"),
            Self::Text(array) => quoted(array.value(row), out),
            Self::Bytes(array) => {
                out.push_str("\"\\\\x");
                bytes::push_digits(array.value(row), out);
                out.push('"');
            }
            Self::Json(array) => json(array.value(row), out),
            Self::Boolean(array) => out.push_str(if array.value(row) { "true" } else { "false" }),
            Self::Signed(array) => texts::signed(array.value(row), out),
            Self::Unsigned(array) => texts::unsigned(array.value(row), out),
            Self::Float(array) => texts::float(array.value(row), out),
            Self::Decimal(array) => decimal(array, row, out),
            Self::WideDecimal(array) => out.push_str(trimmed(&array.value_as_string(row))),
            Self::Numeric(array) => {
                let text = wide_numeric(array, row)?.to_string();
                // NaN and infinities are no numbers of JSON: a null that is written back would erase them.
                if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
                    quoted(&text, out);
                } else {
                    out.push_str(trimmed(&text));
                }
            }
            Self::Date(array) => {
                out.push('"');
                texts::date(array.value(row), out);
                out.push('"');
            }
            Self::Instant(array) => {
                out.push('"');
                texts::instant(array.value(row), out);
                out.push('"');
            }
            Self::Time(array) => {
                out.push('"');
                texts::time(array.value(row), out);
                out.push('"');
            }
            Self::List(array, form) => {
                let items = array.value(row);
                let cells = Self::of(&items, *form)?;
                out.push('[');
                for item in 0..items.len() {
                    if item > 0 {
                        out.push(',');
                    }
                    cells.print(item, out)?;
                }
                out.push(']');
            }
        }
        Ok(())
    }
}

/// A decimal without zeros after the last place that says something.
fn decimal(array: &arrow::array::Decimal128Array, row: usize, out: &mut String) {
    if texts::scaled(array.value(row), array.scale(), out).is_none() {
        out.push_str(trimmed(&array.value_as_string(row)));
    }
}

fn item_form(item: &DataType) -> JsonForm {
    match item {
        DataType::Boolean => JsonForm::Boolean,
        DataType::Binary | DataType::BinaryView => JsonForm::Bytes,
        DataType::Date32 | DataType::Date64 => JsonForm::Date,
        DataType::Timestamp(..) => JsonForm::Instant,
        DataType::Time32(_) | DataType::Time64(_) => JsonForm::Time,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => JsonForm::Text,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => JsonForm::List,
        _ => JsonForm::Number,
    }
}

/// A text of JSON as it is; a text that is none becomes a string.
fn json(text: &str, out: &mut String) {
    if serde_json::from_str::<IgnoredAny>(text).is_ok() { out.push_str(text) } else { quoted(text, out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, NullArray, Time64MicrosecondArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::Int32Type;

    fn printed(array: ArrayRef, form: JsonForm) -> String {
        let mut out = String::new();
        Cells::of(&array, form).unwrap().print(0, &mut out).unwrap();
        out
    }

    #[test]
    fn every_form_is_the_vendors() {
        let check = |array: ArrayRef, form, expected: &str| assert_eq!(printed(array, form), expected);
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        check(text("a\"b\n"), JsonForm::Text, r#""a\"b\n""#);
        check(text(r#"{"a":1}"#), JsonForm::Json, r#"{"a":1}"#);
        check(text("{bad"), JsonForm::Json, r#""{bad""#);
        check(text(r#"["x"]"#), JsonForm::List, r#"["x"]"#);
        check(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), JsonForm::Bytes, r#""\\x00ff""#);
        check(Arc::new(BinaryArray::from(vec![&b"A\xc3\xa9"[..]])), JsonForm::Bytes, r#""\\x41c3a9""#);
        check(Arc::new(BinaryArray::from(vec![&b""[..]])), JsonForm::Bytes, r#""\\x""#);
        check(text("\u{2022}"), JsonForm::Bytes, "\"\u{2022}\"");
        check(Arc::new(Int32Array::from(vec![7])), JsonForm::Number, "7");
        for (value, expected) in
            [(5.0, "5"), (0.1, "0.1"), (-0.0, "-0"), (1e300, "1e300"), (1e-9, "1e-9"), (f64::NAN, "\"NaN\"")]
        {
            check(Arc::new(Float64Array::from(vec![value])), JsonForm::Number, expected);
        }
        let decimal = |value| Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(18, 4).unwrap());
        check(decimal(1_234_500), JsonForm::Number, "123.45");
        check(decimal(-100_000), JsonForm::Number, "-10");
        check(decimal(0), JsonForm::Number, "0");
        check(Arc::new(BooleanArray::from(vec![true])), JsonForm::Boolean, "true");
        check(Arc::new(BooleanArray::from(vec![true])), JsonForm::Number, "1");
        check(Arc::new(Date32Array::from(vec![20_000])), JsonForm::Date, "\"2024-10-04\"");
        let at = TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC");
        check(Arc::new(at), JsonForm::Instant, "\"1970-01-01T00:00:01.500Z\"");
        check(Arc::new(Time64MicrosecondArray::from(vec![52_200_000_000])), JsonForm::Time, "\"14:30:00\"");
        check(Arc::new(Time64MicrosecondArray::from(vec![1_250_000])), JsonForm::Time, "\"00:00:01.250\"");
        check(Arc::new(Time64MicrosecondArray::from(vec![1_250_001])), JsonForm::Time, "\"00:00:01.250001\"");
        check(Arc::new(NullArray::new(1)), JsonForm::Text, "null");
        check(Arc::new(Int32Array::from(vec![None])), JsonForm::Number, "null");
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        check(Arc::new(list), JsonForm::List, "[1,null]");
        check(Arc::new(Float32Array::from(vec![0.5])), JsonForm::Number, "0.5");
    }
}
