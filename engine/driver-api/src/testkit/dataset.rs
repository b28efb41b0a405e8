//! The suite's data: values that sources are known to treat in their own way. Knows types, no source.

use crate::value::{Value, ValueType};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{Field, Schema};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// What a source can hold; the suite leaves out what it cannot.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Smallest step of a time stamp, in microseconds.
    pub timestamp_step: i64,
    /// It holds NaN.
    pub nan: bool,
    /// It holds infinities.
    pub infinite: bool,
}

/// A table of the suite.
#[derive(Debug, Clone)]
pub struct Table {
    /// What the source calls it.
    pub name: &'static str,
    /// Names and types; all are nullable.
    pub columns: Vec<(&'static str, ValueType)>,
    /// One value for each column.
    pub rows: Vec<Vec<Value>>,
}

/// Rows of the large table.
pub const MANY_ROWS: i64 = 60_000;

impl Table {
    /// All rows as one batch.
    ///
    /// # Errors
    /// A fault of the suite itself.
    pub fn batch(&self) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for index in 0..self.columns.len() {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(Value::to_array);
            let cells = cells.collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
            arrays.push(concat(&parts).map_err(Error::internal)?);
        }
        let field = |(name, value_type): &(&str, ValueType)| Field::new(*name, value_type.to_arrow(), true);
        let schema = Schema::new(self.columns.iter().map(field).collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), arrays).map_err(Error::internal)
    }
}

/// Every table of the suite: `nasty` (each type), `other` (for joins; keys repeat, miss and are NULL), `empty`, `many`.
#[must_use]
pub fn tables(limits: Limits) -> Vec<Table> {
    let columns = columns();
    let values: Vec<Vec<Value>> = columns.iter().map(|(_, value_type)| values(*value_type, limits)).collect();
    let longest = values.iter().map(Vec::len).max().unwrap_or(0) + 1;
    let rows = (0..longest)
        .map(|row| {
            let cell = |(column, all): (usize, &Vec<Value>)| {
                let value_type = columns.get(column).map_or(ValueType::Int64, |(_, value_type)| *value_type);
                if column == 0 {
                    return Value::Int64(i64::try_from(row).unwrap_or(0));
                }
                // Each column has its own period, so that values meet in many combinations; one place is NULL.
                all.get((row * (column + 1) + column) % (all.len() + 1)).cloned().unwrap_or(Value::Null(value_type))
            };
            values.iter().enumerate().map(cell).collect()
        })
        .collect();
    let nasty = Table { name: "nasty", columns, rows };
    let empty = Table { name: "empty", columns: nasty.columns.clone(), rows: Vec::new() };
    vec![nasty, other(), empty, many()]
}

fn other() -> Table {
    let rows = (0..40_i64)
        .map(|id| {
            let reference = if id % 7 == 0 { Value::Null(ValueType::Int64) } else { Value::Int64(id * 3 % 50) };
            let label = match id % 5 {
                0 => Value::Null(ValueType::Text),
                1 => Value::text(""),
                2 => Value::text("a"),
                3 => Value::text("A"),
                _ => Value::text("a "),
            };
            vec![Value::Int64(id), reference, label]
        })
        .collect();
    let columns = vec![("id", ValueType::Int64), ("reference", ValueType::Int64), ("label", ValueType::Text)];
    Table { name: "other", columns, rows }
}

fn many() -> Table {
    let rows = (0..MANY_ROWS).map(|id| vec![Value::Int64(id), Value::text(format!("row {}", id % 97))]).collect();
    Table { name: "many", columns: vec![("id", ValueType::Int64), ("label", ValueType::Text)], rows }
}

fn columns() -> Vec<(&'static str, ValueType)> {
    vec![
        ("id", ValueType::Int64),
        ("flag", ValueType::Boolean),
        ("small", ValueType::Int16),
        ("medium", ValueType::Int32),
        ("large", ValueType::Int64),
        ("number", ValueType::Float64),
        ("money", ValueType::Decimal128 { precision: 18, scale: 4 }),
        ("wide", ValueType::Decimal128 { precision: 38, scale: 10 }),
        ("words", ValueType::Text),
        ("bytes", ValueType::Binary),
        ("day", ValueType::Date),
        ("clock", ValueType::Time),
        ("moment", ValueType::Timestamp { utc: false }),
        ("instant", ValueType::Timestamp { utc: true }),
        ("tags", ValueType::TextList),
    ]
}

/// Values of a type at and around its edges; no NULL.
#[must_use]
pub fn values(value_type: ValueType, limits: Limits) -> Vec<Value> {
    match value_type {
        ValueType::Boolean => vec![Value::Boolean(true), Value::Boolean(false)],
        ValueType::Int16 => [0, 1, -1, i16::MAX, i16::MIN].map(Value::Int16).to_vec(),
        ValueType::Int32 => [0, 1, -1, i32::MAX, i32::MIN].map(Value::Int32).to_vec(),
        ValueType::Int64 => [0, 1, -1, 2, 7, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN].map(Value::Int64).to_vec(),
        ValueType::Float32 => [0.0, -1.5, f32::MAX].map(Value::Float32).to_vec(),
        ValueType::Float64 => {
            let mut all = vec![0.0, -0.0, 0.1, 1.5, -1.5, 2.5, 0.5, 1e300, -1e300, 5e-324, 9_007_199_254_740_993.0];
            if limits.infinite {
                all.extend([f64::INFINITY, f64::NEG_INFINITY]);
            }
            all.extend(limits.nan.then_some(f64::NAN));
            all.into_iter().map(Value::Float64).collect()
        }
        ValueType::Decimal128 { precision, scale } => {
            let greatest = 10_i128.saturating_pow(u32::from(precision)) - 1;
            let decimal = |value| Value::Decimal128 { value, precision, scale };
            [0, 1, -1, 10_000, 12_345, -12_345, greatest, -greatest].map(decimal).to_vec()
        }
        ValueType::Text => texts().iter().map(|text| Value::text(*text)).collect(),
        ValueType::Binary => {
            [&b""[..], b"\0", b"a", b"a\0", b"\xff\xfe", b"'\"\\"].map(|bytes| Value::Binary(bytes.into())).to_vec()
        }
        // 0001-01-01, 1899-12-31, 1900-01-01, 1969-12-31, the epoch, 2024-02-29, 2024-12-30, 9999-12-31.
        ValueType::Date => [-719_162, -25_568, -25_567, -1, 0, 19_782, 20_087, 2_932_896].map(Value::Date).to_vec(),
        ValueType::Time => times(limits).into_iter().map(Value::Time).collect(),
        ValueType::Timestamp { utc } => {
            let days = [-719_162_i64, -25_568, -25_567, -1, 0, 19_782, 2_932_896];
            let times = times(limits);
            let moment = |(i, day): (usize, &i64)| {
                let time = times.get(i % times.len().max(1)).copied().unwrap_or(0);
                Value::Timestamp { micros: day * 86_400_000_000 + time, utc }
            };
            let mut all: Vec<Value> = days.iter().enumerate().map(moment).collect();
            all.extend(days.iter().map(|day| Value::Timestamp { micros: day * 86_400_000_000, utc }));
            all
        }
        ValueType::TextList => {
            let list = |items: &[Option<&str>]| Value::TextList(items.iter().map(|item| item.map(Arc::from)).collect());
            vec![list(&[]), list(&[Some("a")]), list(&[Some(""), None, Some("\"\\,[]😀\n")])]
        }
        // No value of a statement is one.
        ValueType::List(_) => Vec::new(),
    }
}

fn times(limits: Limits) -> Vec<i64> {
    let step = limits.timestamp_step.max(1);
    [0, step, 1_000_000 - step, 1_000_000, 45_296_789_000, 86_400_000_000 - step]
        .into_iter()
        .map(|micros: i64| micros / step * step)
        .collect()
}

/// Texts that sources compare, fold, pad, quote or cut in their own way.
fn texts() -> &'static [&'static str] {
    &[
        "",
        " ",
        "  ",
        "a",
        "A",
        "a ",
        " a",
        "a\t",
        "b",
        "ab",
        "aB",
        "Ab",
        "abc",
        "ABC",
        "a%c",
        "a_c",
        "a\\c",
        "%",
        "_",
        "\\",
        "\\%",
        "*",
        "?",
        "[",
        "]",
        "[a]",
        "^",
        "-",
        "'",
        "''",
        "\"",
        "`",
        "--",
        "/*",
        ";",
        "$1",
        "?1",
        ":a",
        "é",
        "e\u{301}",
        "É",
        "ß",
        "ss",
        "SS",
        "ı",
        "I",
        "i",
        "İ",
        "ſ",
        "s",
        "K",
        "k",
        "\u{212a}",
        "ﬁ",
        "ς",
        "σ",
        "Σ",
        "😀",
        "\u{ffff}",
        "\u{fffd}",
        "\u{e000}",
        "\u{10ffff}",
        "z",
        "\u{200b}",
        "a\nb",
        "\n",
        "\r\n",
        "0",
        "00",
        "1",
        "1e0",
        "NULL",
        "null",
        "true",
        "日本",
        "ﾊ",
        "ハ",
        "Ａ",
    ]
}
