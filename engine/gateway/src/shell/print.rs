//! Prints result rows for people, for programs, or as plain lines. Holds a bounded number of rows.

use super::written;
use crate::output::Output;
use arrow::array::RecordBatch;
use querygate_pgwire_frontend::TextCells;
use querygate_query_api::column::Column;
use querygate_query_api::service::Session;
use querygate_types::{PgType, Result, TypeCategory};
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

    pub(super) fn batch(
        &mut self,
        batch: &RecordBatch,
        session: Option<&dyn Session>,
        output: &mut Output,
    ) -> Result<()> {
        let cells = TextCells::new(batch, &self.columns, session)?;
        for row in 0..batch.num_rows() {
            let values = (0..self.columns.len()).map(|column| cells.text(row, column));
            self.pending.push(values.collect::<Result<_>>()?);
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
    use arrow::array::{Array, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
    use querygate_query_api::column::column_of;

    fn check(format: Format, expected: &[&str]) {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(200)])) as Arc<dyn Array>),
            ("text", Arc::new(StringArray::from(vec![Some("a,\"b\""), None]))),
            ("d", Arc::new(Float64Array::from(vec![68.0, 1e20]))),
            ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![0, 1_500]).with_timezone("UTC"))),
        ])
        .unwrap();
        let columns: Arc<[Column]> = batch.schema().fields().iter().map(|field| column_of(field)).collect();
        let (mut output, captured) = Output::captured("");
        let mut printer = Printer::new(format, &columns);
        printer.batch(&batch, None, &mut output).unwrap();
        assert_eq!(printer.finish(&mut output).unwrap(), 2);
        let text = captured.text();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn rows_print_aligned_as_csv_and_plain() {
        check(
            Format::Table,
            &[
                "  n  | text  |   d   | ok |            at            ",
                "-----+-------+-------+----+--------------------------",
                "   1 | a,\"b\" |    68 | t  | 1970-01-01 00:00:00+00",
                " 200 |       | 1e+20 | f  | 1970-01-01 00:00:01.5+00",
            ],
        );
        check(
            Format::Csv,
            &[
                "n,text,d,ok,at",
                "1,\"a,\"\"b\"\"\",68,t,1970-01-01 00:00:00+00",
                "200,,1e+20,f,1970-01-01 00:00:01.5+00",
            ],
        );
        check(
            Format::Plain,
            &["1\ta,\"b\"\t68\tt\t1970-01-01 00:00:00+00", "200\t\t1e+20\tf\t1970-01-01 00:00:01.5+00"],
        );
    }
}
