//! Reads through the user's own session, so that the pages show what the user may see and nothing else. Fixed statements with
//! bound values; knows no page.

use super::wish::Procedure;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, QueryService, Session};
use querygate_types::principal::Principal;
use querygate_types::{Error, PgType, Result};
use std::net::SocketAddr;
use std::sync::Arc;

/// Rows of one result; the statements have limits of their own below this.
const ROWS_MAX: usize = 20_000;
/// A page is no report: what takes longer is shown as an error.
const TIMEOUT: &str = "15s";
const RELATION: &str = "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'querygate' AND c.relname = $1";

/// A value of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    /// Microseconds since 1970.
    Time(i64),
}

/// One row; a missing column is NULL.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Row {
    fn cell(&self, column: usize) -> &Cell {
        self.0.get(column).unwrap_or(&Cell::Null)
    }

    /// Text; empty for NULL.
    pub(crate) fn text(&self, column: usize) -> String {
        match self.cell(column) {
            Cell::Text(text) => text.clone(),
            Cell::Integer(number) => number.to_string(),
            Cell::Float(number) => number.to_string(),
            Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Cell::Null | Cell::Time(_) => String::new(),
        }
    }

    /// A number, where there is one.
    #[allow(clippy::cast_precision_loss, reason = "numbers are shown with few digits")]
    pub(crate) fn number(&self, column: usize) -> Option<f64> {
        match self.cell(column) {
            Cell::Integer(number) => Some(*number as f64),
            Cell::Float(number) => Some(*number).filter(|number| number.is_finite()),
            Cell::Null | Cell::Text(_) | Cell::Flag(_) | Cell::Time(_) => None,
        }
    }

    /// Microseconds since 1970.
    pub(crate) fn time(&self, column: usize) -> Option<i64> {
        match self.cell(column) {
            Cell::Time(micros) => Some(*micros),
            Cell::Null | Cell::Text(_) | Cell::Integer(_) | Cell::Float(_) | Cell::Flag(_) => None,
        }
    }

    pub(crate) fn flag(&self, column: usize) -> Option<bool> {
        match self.cell(column) {
            Cell::Flag(flag) => Some(*flag),
            Cell::Null | Cell::Text(_) | Cell::Integer(_) | Cell::Float(_) | Cell::Time(_) => None,
        }
    }
}

/// One session for the statements of one page.
pub(crate) struct Reader {
    session: Arc<dyn Session>,
    pub(crate) operator: bool,
}

impl Reader {
    pub(crate) async fn open(
        service: &dyn QueryService,
        principal: Arc<Principal>,
        database: &str,
        peer: Option<SocketAddr>,
    ) -> Result<Self> {
        let operator = principal.operator;
        let settings = [
            ("application_name", "querygate pages"),
            ("statement_timeout", TIMEOUT),
            // What the pages read is nobody's workload.
            ("querygate.learning", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let client = ClientInfo { door: Door::Http, database: database.to_owned(), peer, settings };
        Ok(Self { session: service.open(principal, client).await?, operator })
    }

    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    /// Rows of a statement; `values` are its `$1…`, all text.
    pub(crate) async fn rows(&self, sql: &'static str, values: &[&str]) -> Result<Vec<Row>> {
        match self.run(sql, values).await? {
            Outcome::Rows(mut rows) => {
                let mut found = Vec::new();
                while let Some(batch) = rows.batches.next().await {
                    let batch = batch?;
                    let columns = batch.columns().iter().map(normal).collect::<Result<Vec<_>>>()?;
                    for row in 0..batch.num_rows() {
                        if found.len() >= ROWS_MAX {
                            return Ok(found);
                        }
                        found.push(Row(columns.iter().map(|column| cell(column, row)).collect()));
                    }
                }
                Ok(found)
            }
            Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
                Err(Error::internal("a page read no rows"))
            }
        }
    }

    /// Rows of a relation of schema `querygate` that this gate may not have; `None` without it. It is looked for first: a statement that
    /// fails would be one of the reader's own.
    pub(crate) async fn rows_if_any(
        &self,
        relation: &str,
        sql: &'static str,
        values: &[&str],
    ) -> Result<Option<Vec<Row>>> {
        if self.rows(RELATION, &[relation]).await?.is_empty() {
            tracing::debug!(relation, "a page goes without a relation");
            return Ok(None);
        }
        self.rows(sql, values).await.map(Some)
    }

    /// Runs a procedure.
    pub(crate) async fn call(&self, procedure: &Procedure) -> Result<()> {
        match self.run(procedure.text(), &[]).await? {
            Outcome::Rows(mut rows) => {
                while let Some(batch) = rows.batches.next().await {
                    batch?;
                }
                Ok(())
            }
            Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
                Ok(())
            }
        }
    }

    async fn run(&self, sql: &str, values: &[&str]) -> Result<Outcome> {
        let statements = self.session.split(sql)?;
        let [statement] = statements.as_slice() else {
            return Err(Error::internal("a page sends one statement"));
        };
        let types = vec![Some(PgType::Text); values.len()];
        let prepared = self.session.prepare(statement, &types).await?;
        let values: Vec<ArrayRef> =
            values.iter().map(|value| Arc::new(StringArray::from(vec![*value])) as ArrayRef).collect();
        self.session.run(&prepared, &values, Delivery::Batches).await
    }
}

/// A column as one of the few types that pages know.
fn normal(column: &ArrayRef) -> Result<ArrayRef> {
    let target = match column.data_type() {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => DataType::Int64,
        DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => DataType::Float64,
        DataType::Timestamp(..) | DataType::Date32 => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => DataType::Utf8,
    };
    cast(column, &target).map_err(Error::internal)
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Boolean => Cell::Flag(column.as_boolean().value(row)),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        _ => column.as_string_opt::<i32>().map_or(Cell::Null, |texts| Cell::Text(texts.value(row).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Decimal128Array, Int32Array, NullArray, TimestampMillisecondArray};

    #[test]
    fn every_type_of_a_result_becomes_a_cell() {
        let check = |array: ArrayRef, expected: Cell| assert_eq!(cell(&normal(&array).unwrap(), 0), expected);
        check(Arc::new(Int32Array::from(vec![7])), Cell::Integer(7));
        check(Arc::new(Int32Array::from(vec![None])), Cell::Null);
        check(Arc::new(BooleanArray::from(vec![true])), Cell::Flag(true));
        let decimal = Decimal128Array::from(vec![12_345]).with_precision_and_scale(10, 2).unwrap();
        check(Arc::new(decimal), Cell::Float(123.45));
        let time = TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC");
        check(Arc::new(time), Cell::Time(1_500_000));
        check(Arc::new(StringArray::from(vec!["x"])), Cell::Text("x".to_owned()));
        check(Arc::new(NullArray::new(1)), Cell::Null);
        assert_eq!(Row(vec![Cell::Float(f64::NAN)]).number(0), None);
        assert_eq!(Row::default().text(3), "");
    }
}
