//! The cases: every operator, type and function over the suite's data, each compared with the reference.

mod expressions;
mod predicates;
mod relations;

use crate::driver::Driver;
use crate::execution::{Answer, Ask, ExecuteContext};
use crate::fragment::{Fragment, OutputColumn};
use crate::identifier::{ColumnId, TableRef};
use crate::relation::{Relation, ScanColumn};
use crate::remote::RemoteTable;
use crate::scalar::ScalarExpr;
use crate::testkit::dataset::{Limits, Table, tables};
use crate::testkit::reference::{evaluate, order};
use crate::value::{Value, ValueType};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Fragments that ran with the reference's rows.
    pub equal: usize,
    /// Sums of decimals that the source could not hold and raised 22003 for: an error, never another value.
    pub overflowed: usize,
    /// Fragments that the driver refused, by its words.
    pub refused: BTreeMap<String, usize>,
    /// Fragments that ran with other rows, or not at all.
    pub failures: Vec<String>,
}

/// Runs cases until one fails, and says which.
///
/// # Errors
/// As [`run`].
pub async fn first_failure(driver: &dyn Driver, schema: &[&str], limits: Limits) -> Result<Option<String>> {
    let mut suite = prepared(driver, schema, limits).await?;
    suite.first_only = true;
    suite.all().await;
    Ok(suite.report.failures.into_iter().next())
}

/// Runs every case. `schema` is the path above the suite's tables in the source.
///
/// # Errors
/// A table of the suite that cannot be described as it was loaded.
pub async fn run(driver: &dyn Driver, schema: &[&str], limits: Limits) -> Result<Report> {
    let mut suite = prepared(driver, schema, limits).await?;
    suite.all().await;
    Ok(suite.report)
}

async fn prepared<'a>(driver: &'a dyn Driver, schema: &[&str], limits: Limits) -> Result<Suite<'a>> {
    let data = tables(limits);
    let mut remotes = Vec::new();
    for table in &data {
        let path = schema.iter().copied().chain([table.name]).map(str::to_owned);
        remotes.push(described(driver, &TableRef::new(path)?, table).await?);
    }
    Ok(Suite { driver, data, remotes, limits, report: Report::default(), first_only: false })
}

pub(super) async fn described(driver: &dyn Driver, path: &TableRef, table: &Table) -> Result<RemoteTable> {
    let mut remote = driver.describe(path).await?;
    for (name, value_type) in &table.columns {
        let column = remote.columns.iter_mut().find(|column| column.name.as_str() == *name);
        let missing = || Error::internal(format_args!("column {name} is not described"));
        let column = column.ok_or_else(missing)?;
        column.encoding = driver.read_as(column, *value_type).map_err(Error::internal)?;
        column.value_type = Some(*value_type);
    }
    Ok(remote)
}

/// A fragment with its parameters while it is written.
#[derive(Debug, Clone, Default)]
struct Case {
    values: Vec<Value>,
}

impl Case {
    fn bind(&mut self, value: &Value) -> ScalarExpr {
        self.values.push(value.clone());
        ScalarExpr::Parameter(self.values.len() - 1, value.value_type())
    }
}

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Ordered,
    Bag,
    /// A bag whose floats may differ in the last digits, and whose sums a source may refuse to hold (22003).
    Approximate,
}

struct Suite<'a> {
    driver: &'a dyn Driver,
    data: Vec<Table>,
    remotes: Vec<RemoteTable>,
    limits: Limits,
    report: Report,
    /// Nothing runs after a failure.
    first_only: bool,
}

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

impl Suite<'_> {
    async fn all(&mut self) {
        self.predicates().await;
        self.patterns().await;
        self.orders().await;
        self.aggregates().await;
        self.functions().await;
        self.joins().await;
        self.sets().await;
        self.random().await;
    }

    /// All columns of a table, with ids from `base`.
    pub(super) fn scan(&self, name: &str, base: u32) -> Relation {
        let remote = self.remotes.iter().find(|remote| remote.table.name() == name);
        let columns = remote.into_iter().flat_map(|remote| &remote.columns).zip(base..);
        let columns = columns.filter_map(|(column, id)| {
            Some(ScanColumn {
                id: ColumnId(id),
                name: column.name.clone(),
                value_type: column.value_type?,
                nullable: column.nullable,
                collation: column.collation.clone(),
                encoding: column.encoding,
            })
        });
        let table = remote.map(|remote| remote.table.clone());
        match table {
            Some(table) => Relation::Scan { table, columns: columns.collect() },
            None => Relation::EmptyRow,
        }
    }

    /// Columns of `nasty`: id, name and type.
    pub(super) fn columns(&self) -> Vec<(u32, &'static str, ValueType)> {
        let nasty = self.data.iter().find(|table| table.name == "nasty");
        nasty.into_iter().flat_map(|table| &table.columns).zip(0..).map(|((name, t), id)| (id, *name, *t)).collect()
    }

    pub(super) async fn check(
        &mut self,
        name: &str,
        relation: Relation,
        output: &[(u32, ValueType)],
        case: &Case,
        rows: Rows,
    ) {
        if self.first_only && !self.report.failures.is_empty() {
            return;
        }
        let column = |(id, value_type): &(u32, ValueType)| OutputColumn {
            id: ColumnId(*id),
            name: format!("c{id}"),
            value_type: *value_type,
            nullable: true,
        };
        let fragment = Fragment {
            relation,
            output: output.iter().map(column).collect(),
            parameters: case.values.iter().map(Value::value_type).collect(),
        };
        if let Err(error) = fragment.check() {
            self.report.failures.push(format!("{name}: {error} ({:?})", error.cause()));
            return;
        }
        let statement = match self.driver.render(&fragment) {
            Ok(statement) => statement,
            Err(refusal) => return self.refused(&refusal.text),
        };
        if let Err(refusal) = self.driver.accepts(&statement, &case.values) {
            return self.refused(&refusal.text);
        }
        let expected = evaluate(&fragment, &self.data, &case.values);
        let asked = self.driver.run(&statement, &case.values, Ask::Batches(ExecuteContext::default()));
        let got = match asked.await.and_then(Answer::batches) {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.and_then(|batches| values_of(&batches)),
            Err(error) => Err(error),
        };
        if let (Ok(_), Err(error), Rows::Approximate) = (&expected, &got, rows)
            && error.code() == ErrorCode::NumericOutOfRange
            && output.iter().any(|(_, value_type)| value_type.is_decimal())
        {
            self.report.overflowed += 1;
            return;
        }
        let verdict = match (expected, got) {
            (Ok(expected), Ok(got)) => differs(expected, got, rows),
            (Err(fault), Err(error)) if error.code().sqlstate() == fault => None,
            (Err(fault), Ok(_)) => Some(format!("expected {fault}, got rows")),
            (Err(fault), Err(error)) => Some(format!("expected {fault}, got {error}")),
            (Ok(_), Err(error)) => Some(format!("{error} ({:?})", error.cause())),
        };
        match verdict {
            None => self.report.equal += 1,
            Some(why) => self.report.failures.push(format!("{name}: {why}\n  {}", statement.text)),
        }
    }

    fn refused(&mut self, text: &str) {
        *self.report.refused.entry(text.to_owned()).or_default() += 1;
    }

    pub(super) async fn keeps(&mut self, name: &str, predicate: ScalarExpr, case: &Case) {
        let relation = filter(self.scan("nasty", 0), predicate);
        self.check(name, relation, &[(0, ValueType::Int64)], case, Rows::Bag).await;
    }
}

/// Rows of batches as values.
///
/// # Errors
/// A column of a type without a [`ValueType`].
pub fn values_of(batches: &[RecordBatch]) -> Result<Vec<Vec<Value>>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|array| Value::from_array(array.as_ref(), row));
            rows.push(cells.collect::<Result<Vec<_>>>()?);
        }
    }
    if rows.len() > 1_000_000 {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows for the suite"));
    }
    Ok(rows)
}

fn differs(mut expected: Vec<Vec<Value>>, mut got: Vec<Vec<Value>>, rows: Rows) -> Option<String> {
    if expected.len() != got.len() {
        return Some(format!("expected {} rows, got {}", expected.len(), got.len()));
    }
    if rows != Rows::Ordered {
        let by_cells = |a: &Vec<Value>, b: &Vec<Value>| {
            a.iter().zip(b).map(|(a, b)| order(a, b)).find(|found| found.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        };
        expected.sort_by(by_cells);
        got.sort_by(by_cells);
    }
    for (expected, got) in expected.iter().zip(&got) {
        let equal = expected.len() == got.len()
            && expected.iter().zip(got).all(|(a, b)| a.is_null() == b.is_null() && close(a, b, rows));
        if !equal {
            return Some(format!("expected {expected:?}, got {got:?}"));
        }
    }
    None
}

fn close(expected: &Value, got: &Value, rows: Rows) -> bool {
    match (expected, got) {
        (Value::Float64(a), Value::Float64(b)) if rows == Rows::Approximate => {
            order(expected, got).is_eq() || (a - b).abs() <= a.abs().max(b.abs()) * 1e-12
        }
        // A decimal sum may be wider than its column.
        (Value::Decimal128 { value: a, .. }, Value::Decimal128 { value: b, .. }) => a == b,
        (a, b) if a.is_null() && b.is_null() => true,
        (a, b) => a.value_type() == b.value_type() && order(a, b).is_eq(),
    }
}
