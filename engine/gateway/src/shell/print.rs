//! Prints result rows for people, for programs, or as plain lines. Holds a bounded number of rows.

use super::written;
use crate::output::Output;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use querygate_query_api::column::Column;
use querygate_query_api::own_texts::texts_of_own_types;
use querygate_types::{Error, PgType, Result, TypeCategory};
use std::sync::Arc;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned, with a head, as psql does.
    Table,
    /// RFC 4180, with a head.
    Csv,
    /// Values only, tab between; for EXPLAIN.
    Plain,
}

/// Rows that are measured together for aligned output.
const ROWS_ALIGNED: usize = 1_000;

/// Prints one result.
pub(super) struct Printer {
    format: Format,
    columns: Vec<Column>,
    pending: Vec<Vec<Option<String>>>,
    head_printed: bool,
    rows: u64,
}

impl Printer {
    pub(super) fn new(format: Format, columns: &Arc<[Column]>) -> Self {
        Self { format, columns: columns.to_vec(), pending: Vec::new(), head_printed: false, rows: 0 }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch, output: &mut Output) -> Result<()> {
        let options = FormatOptions::default();
        let shown = |(column, described): (&ArrayRef, &Column)| {
            Ok(texts_of_own_types(column, described.pg_type)?.unwrap_or_else(|| Arc::clone(column)))
        };
        let columns: Vec<ArrayRef> = batch.columns().iter().zip(&self.columns).map(shown).collect::<Result<_>>()?;
        let formatters: std::result::Result<Vec<_>, _> =
            columns.iter().map(|array| ArrayFormatter::try_new(array.as_ref(), &options)).collect();
        let formatters = formatters.map_err(Error::internal)?;
        for row in 0..batch.num_rows() {
            let mut values = Vec::with_capacity(formatters.len());
            for (array, formatter) in columns.iter().zip(&formatters) {
                values.push(value(array.as_ref(), formatter, row)?);
            }
            self.pending.push(values);
            if self.pending.len() >= ROWS_ALIGNED {
                self.flush(output)?;
            }
        }
        Ok(())
    }

    /// Prints what is left. Returns the number of rows.
    pub(super) fn finish(mut self, output: &mut Output) -> Result<u64> {
        self.flush(output)?;
        Ok(self.rows)
    }

    fn flush(&mut self, output: &mut Output) -> Result<()> {
        let rows = std::mem::take(&mut self.pending);
        self.rows += rows.len() as u64;
        let lines = match self.format {
            Format::Table => self.aligned(&rows),
            Format::Csv => self.csv(&rows),
            Format::Plain => rows.iter().map(|row| join(row, "\t")).collect(),
        };
        self.head_printed = true;
        lines.iter().try_for_each(|line| output.line(line)).map_err(written)
    }

    fn aligned(&self, rows: &[Vec<Option<String>>]) -> Vec<String> {
        let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let cells = rows.iter().map(|row| row[i].as_deref().map_or(0, |cell| cell.chars().count()));
                cells.max().unwrap_or(0).max(column.name.chars().count())
            })
            .collect();
        let mut lines = Vec::with_capacity(rows.len() + 2);
        if !self.head_printed {
            let head = self.columns.iter().zip(&widths).map(|(column, width)| {
                let room = width.saturating_sub(column.name.chars().count());
                format!(" {}{}{} ", " ".repeat(room / 2), column.name, " ".repeat(room - room / 2))
            });
            lines.push(head.collect::<Vec<_>>().join("|"));
            lines.push(widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+"));
        }
        for row in rows {
            let cells = row.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| {
                let cell = text(cell);
                // Not with a width of the format: it has 16 bits, and a text may be longer.
                let room = " ".repeat(width.saturating_sub(cell.chars().count()));
                if is_number(column.pg_type) { format!(" {room}{cell} ") } else { format!(" {cell}{room} ") }
            });
            lines.push(cells.collect::<Vec<_>>().join("|").trim_end().to_owned());
        }
        lines
    }

    fn csv(&self, rows: &[Vec<Option<String>>]) -> Vec<String> {
        let quoted = |text: &str| {
            if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.to_owned()
            }
        };
        let mut lines = Vec::with_capacity(rows.len() + 1);
        if !self.head_printed {
            lines.push(self.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(","));
        }
        for row in rows {
            let cells = row.iter().map(|cell| cell.as_deref().map(&quoted).unwrap_or_default());
            lines.push(cells.collect::<Vec<_>>().join(","));
        }
        lines
    }
}

fn is_number(pg_type: PgType) -> bool {
    pg_type.category() == TypeCategory::Numeric
}

fn join(row: &[Option<String>], separator: &str) -> String {
    row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect::<Vec<_>>().join(separator)
}

/// Postgres' text where Arrow's differs in ways that people notice.
fn value(array: &dyn Array, formatter: &ArrayFormatter<'_>, row: usize) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    if array.data_type() == &DataType::Boolean {
        return Ok(Some(if array.as_boolean().value(row) { "t" } else { "f" }.to_owned()));
    }
    if let Some(items) = array.as_list_opt::<i32>() {
        return list(items.value(row).as_ref()).map(Some);
    }
    let text = formatter.value(row).try_to_string().map_err(Error::internal)?;
    Ok(Some(match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let text = text.replacen('T', " ", 1);
            if zone.is_some() { text.strip_suffix('Z').map_or(text.clone(), |t| format!("{t}+00")) } else { text }
        }
        _ => text,
    }))
}

/// A list as PostgreSQL writes an array.
fn list(items: &dyn Array) -> Result<String> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(items, &options).map_err(Error::internal)?;
    let is_nested = matches!(items.data_type(), DataType::List(_));
    let mut texts = Vec::with_capacity(items.len());
    for row in 0..items.len() {
        texts.push(match value(items, &formatter, row)? {
            None => "NULL".to_owned(),
            Some(text) if is_nested || is_bare(&text) => text,
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        });
    }
    Ok(format!("{{{}}}", texts.join(",")))
}

/// Whether an item stands in an array without quotes.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'))
}

/// Left-aligned columns with two spaces between; the first row is the head.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::ListArray;
    use arrow::datatypes::Int32Type;

    #[test]
    fn lists_are_arrays_as_postgres_writes_them() {
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None, Some(3)])]);
        assert_eq!(list(numbers.value(0).as_ref()).unwrap(), "{1,NULL,3}");
        assert_eq!(list(&numbers).unwrap(), "{{1,NULL,3}}");
        let texts = StringArray::from(vec![Some("a"), Some("b c"), Some(""), Some("null"), Some("q\"\\"), None]);
        assert_eq!(list(&texts).unwrap(), r#"{a,"b c","","null","q\"\\",NULL}"#);
    }
    use arrow::array::{BooleanArray, Int64Array, StringArray, TimestampMillisecondArray};
    use querygate_query_api::column::column_of;

    fn check(format: Format, expected: &[&str]) {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(200)])) as Arc<dyn Array>),
            ("text", Arc::new(StringArray::from(vec![Some("a,\"b\""), None]))),
            ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![0, 1_500]).with_timezone("UTC"))),
        ])
        .unwrap();
        let columns: Arc<[Column]> = batch.schema().fields().iter().map(|field| column_of(field)).collect();
        let (mut output, captured) = Output::captured("");
        let mut printer = Printer::new(format, &columns);
        printer.batch(&batch, &mut output).unwrap();
        assert_eq!(printer.finish(&mut output).unwrap(), 2);
        let text = captured.text();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn rows_print_aligned_as_csv_and_plain() {
        check(
            Format::Table,
            &[
                "  n  | text  | ok |             at             ",
                "-----+-------+----+----------------------------",
                "   1 | a,\"b\" | t  | 1970-01-01 00:00:00+00",
                " 200 |       | f  | 1970-01-01 00:00:01.500+00",
            ],
        );
        check(
            Format::Csv,
            &["n,text,ok,at", "1,\"a,\"\"b\"\"\",t,1970-01-01 00:00:00+00", "200,,f,1970-01-01 00:00:01.500+00"],
        );
        check(Format::Plain, &["1\ta,\"b\"\tt\t1970-01-01 00:00:00+00", "200\t\tf\t1970-01-01 00:00:01.500+00"]);
    }
}
