//! Values of catalog rows before they become Arrow arrays, and the reader of PostgreSQL's COPY text format.
//! Knows no relation.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBuilder, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListBuilder, PrimitiveBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalUnit, TimeUnit, UInt32Type,
};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// One value of a catalog row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970 UTC.
    Micros(i64),
    List(Vec<Cell>),
}

impl From<bool> for Cell {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<i16> for Cell {
    fn from(v: i16) -> Self {
        Self::Int(i64::from(v))
    }
}
impl From<i32> for Cell {
    fn from(v: i32) -> Self {
        Self::Int(i64::from(v))
    }
}
impl From<u32> for Cell {
    fn from(v: u32) -> Self {
        Self::Int(i64::from(v))
    }
}
impl From<&str> for Cell {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<String> for Cell {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}
impl From<&String> for Cell {
    fn from(v: &String) -> Self {
        Self::Text(v.clone())
    }
}
impl From<char> for Cell {
    fn from(v: char) -> Self {
        Self::Text(v.to_string())
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}
impl<T: Into<Cell>> From<Vec<T>> for Cell {
    fn from(v: Vec<T>) -> Self {
        Self::List(v.into_iter().map(Into::into).collect())
    }
}

/// Reads one COPY text line into cells of the given types.
pub(crate) fn read_copy_line(line: &str, types: &[DataType]) -> Result<Vec<Cell>> {
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() != types.len() {
        return Err(Error::internal(format!("{} fields where {} columns are", fields.len(), types.len())));
    }
    fields.iter().zip(types).map(|(field, data_type)| read_copy_field(field, data_type)).collect()
}

fn read_copy_field(field: &str, data_type: &DataType) -> Result<Cell> {
    if field == "\\N" { Ok(Cell::Null) } else { read_text(&unescape(field), data_type) }
}

/// Reads the text form of a value, as PostgreSQL's input functions take it (arrays and vectors of one dimension).
pub(crate) fn read_text(text: &str, data_type: &DataType) -> Result<Cell> {
    let bad = || Error::internal(format!("not a {data_type} in catalog data"));
    Ok(match data_type {
        DataType::Boolean => Cell::Bool(matches!(text, "t" | "true")),
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt32 => {
            Cell::Int(text.parse().map_err(|_| bad())?)
        }
        DataType::Float32 | DataType::Float64 => Cell::Float(text.parse().map_err(|_| bad())?),
        DataType::Utf8 => Cell::Text(text.to_owned()),
        DataType::List(item) => {
            let cells = split_array(text)
                .into_iter()
                .map(|part| part.map_or(Ok(Cell::Null), |p| read_text(&p, item.data_type())));
            Cell::List(cells.collect::<Result<_>>()?)
        }
        _ => return Err(bad()),
    })
}

/// Elements of `{a,"b c",NULL}` or of `a b`.
fn split_array(text: &str) -> Vec<Option<String>> {
    let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return text.split_ascii_whitespace().map(|part| Some(part.to_owned())).collect();
    };
    let mut parts = Vec::new();
    let (mut part, mut quoted, mut was_quoted, mut any) = (String::new(), false, false, false);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        any = true;
        match c {
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            '\\' => part.extend(chars.next()),
            ',' if !quoted => {
                parts.push(finish_part(&mut part, was_quoted));
                was_quoted = false;
            }
            other => part.push(other),
        }
    }
    if any {
        parts.push(finish_part(&mut part, was_quoted));
    }
    parts
}

fn finish_part(part: &mut String, was_quoted: bool) -> Option<String> {
    let text = std::mem::take(part);
    if !was_quoted && text == "NULL" { None } else { Some(text) }
}

fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

fn int(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(v) | Cell::Micros(v) => Some(*v),
        Cell::Bool(v) => Some(i64::from(*v)),
        Cell::Null | Cell::Float(_) | Cell::Text(_) | Cell::List(_) => None,
    }
}

fn float(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(v) => Some(*v),
        Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Micros(_) | Cell::Text(_) | Cell::List(_) => None,
    }
}

fn text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(v) => Some(v),
        Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Micros(_) | Cell::Float(_) | Cell::List(_) => None,
    }
}

fn boolean(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(v) => Some(*v),
        Cell::Null | Cell::Int(_) | Cell::Micros(_) | Cell::Float(_) | Cell::Text(_) | Cell::List(_) => None,
    }
}

/// An array of one column's cells; a cell that does not fit the type is NULL.
pub(crate) fn array_of(data_type: &DataType, cells: &[&Cell]) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Boolean => Arc::new(cells.iter().map(|c| boolean(c)).collect::<BooleanArray>()),
        DataType::Int16 => {
            Arc::new(cells.iter().map(|c| int(c).and_then(|v| i16::try_from(v).ok())).collect::<Int16Array>())
        }
        DataType::Int32 => {
            Arc::new(cells.iter().map(|c| int(c).and_then(|v| i32::try_from(v).ok())).collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(cells.iter().map(|c| int(c)).collect::<Int64Array>()),
        DataType::UInt32 => {
            Arc::new(cells.iter().map(|c| int(c).and_then(|v| u32::try_from(v).ok())).collect::<UInt32Array>())
        }
        #[allow(clippy::cast_possible_truncation, reason = "float4 columns hold estimates")]
        DataType::Float32 => Arc::new(cells.iter().map(|c| float(c).map(|v| v as f32)).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(cells.iter().map(|c| float(c)).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(cells.iter().map(|c| text(c)).collect::<StringArray>()),
        DataType::Binary => Arc::new(cells.iter().map(|c| text(c).map(str::as_bytes)).collect::<BinaryArray>()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Arc::new(
            cells.iter().map(|c| int(c)).collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()),
        ),
        // Microseconds, as of a time.
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let interval = |micros: i64| IntervalMonthDayNano::new(0, 0, micros.saturating_mul(1_000));
            Arc::new(cells.iter().map(|c| int(c).map(interval)).collect::<IntervalMonthDayNanoArray>())
        }
        DataType::List(item) => list_of(item, cells)?,
        other if cells.iter().all(|c| matches!(c, Cell::Null)) => new_null_array(other, cells.len()),
        other => return Err(Error::internal(format!("no catalog column has type {other}"))),
    })
}

fn list_of(item: &Arc<Field>, cells: &[&Cell]) -> Result<ArrayRef> {
    Ok(match item.data_type() {
        DataType::Utf8 => {
            let mut list = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item));
            for cell in cells {
                if let Cell::List(values) = cell {
                    values.iter().for_each(|v| list.values().append_option(text(v)));
                }
                list.append(matches!(cell, Cell::List(_)));
            }
            Arc::new(list.finish())
        }
        DataType::Boolean => {
            let mut list = ListBuilder::new(BooleanBuilder::new()).with_field(Arc::clone(item));
            for cell in cells {
                if let Cell::List(values) = cell {
                    values.iter().for_each(|v| list.values().append_option(boolean(v)));
                }
                list.append(matches!(cell, Cell::List(_)));
            }
            Arc::new(list.finish())
        }
        DataType::Int16 => primitives::<Int16Type>(item, cells, |c| int(c).and_then(|v| i16::try_from(v).ok())),
        DataType::Int32 => primitives::<Int32Type>(item, cells, |c| int(c).and_then(|v| i32::try_from(v).ok())),
        DataType::Int64 => primitives::<Int64Type>(item, cells, int),
        DataType::UInt32 => primitives::<UInt32Type>(item, cells, |c| int(c).and_then(|v| u32::try_from(v).ok())),
        #[allow(clippy::cast_possible_truncation, reason = "float4 columns hold estimates")]
        DataType::Float32 => primitives::<Float32Type>(item, cells, |c| float(c).map(|v| v as f32)),
        DataType::Float64 => primitives::<Float64Type>(item, cells, float),
        other => return Err(Error::internal(format!("no catalog column is a list of {other}"))),
    })
}

fn primitives<T: ArrowPrimitiveType>(
    item: &Arc<Field>,
    cells: &[&Cell],
    value: impl Fn(&Cell) -> Option<T::Native>,
) -> ArrayRef {
    let mut list = ListBuilder::new(PrimitiveBuilder::<T>::new()).with_field(Arc::clone(item));
    for cell in cells {
        if let Cell::List(values) = cell {
            values.iter().for_each(|v| list.values().append_option(value(v)));
        }
        list.append(matches!(cell, Cell::List(_)));
    }
    Arc::new(list.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_vectors_split_as_postgres_reads_them() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(split_array("{}"), vec![]);
        assert_eq!(split_array(""), vec![]);
        assert_eq!(split_array("1 22"), vec![some("1"), some("22")]);
        assert_eq!(
            split_array(r#"{a,"b, \"c\"",NULL,"NULL",""}"#),
            vec![some("a"), some("b, \"c\""), None, some("NULL"), some("")]
        );
    }

    #[test]
    fn copy_escapes_are_undone() {
        assert_eq!(unescape(r"a\nb\\c\td"), "a\nb\\c\td");
        assert!(matches!(read_copy_field(r"\N", &DataType::Utf8), Ok(Cell::Null)));
    }
}
