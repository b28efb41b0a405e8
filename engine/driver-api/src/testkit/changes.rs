//! How sources that can be changed behave: what is stored and read back, what is refused, how transactions end. Every driver with a writer behaves the same.

mod endings;
mod locks;
mod markers;
mod prepared_transactions;
mod rules;
mod values;

use crate::driver::Driver;
use crate::execution::{Ask, ExecuteContext, NativeStatement};
use crate::fragment::{Fragment, OutputColumn};
use crate::identifier::{ColumnId, TableRef};
use crate::relation::{Relation, ScanColumn};
use crate::remote::{RemoteColumn, RemoteTable};
use crate::scalar::{ComparisonOp, ScalarExpr};
use crate::testkit::dataset::{Limits, tables};
use crate::testkit::reference::order;
use crate::testkit::suite::{described, values_of};
use crate::value::{Value, ValueType};
use crate::write::{
    Applied, Begin, ChangeOp, ChangeSet, ChangeShape, Fate, GateId, GlobalId, Lock, NativeChange, Prepare,
    TargetColumn, Transaction, Writer,
};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{Field, Schema};
use futures::TryStreamExt;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Longest time in which a source must hear of a cancel, or be at rest after one.
const REACTION: Duration = Duration::from_secs(5);

/// Whose transactions those of several sources are.
const GATE: GateId = GateId::new(0x7e57_0001);

/// What came of a run.
#[derive(Debug, Default)]
pub struct ChangeReport {
    /// Values that were written and read back the same.
    pub stored: usize,
    /// Values that were refused, by their column's type and the words of the refusal.
    pub refused: BTreeMap<String, usize>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Runs the cases on the suite's table `empty`, whose `id` is its key, until one fails. Leaves it empty otherwise.
///
/// # Errors
/// The table cannot be described as it was loaded, or the source fails where no case expects it to.
pub async fn run(driver: Arc<dyn Driver>, schema: &[&str], limits: Limits) -> Result<ChangeReport> {
    let data = tables(limits);
    let table = data.iter().find(|table| table.name == "empty");
    let table = table.ok_or_else(|| Error::internal("the suite has no such table"))?;
    let path = schema.iter().copied().chain([table.name]).map(str::to_owned);
    let remote = described(driver.as_ref(), &TableRef::new(path)?, table).await?;
    let mut changes = Changes { driver, remote, limits, numbers: 0, report: ChangeReport::default() };
    changes.clear().await?;
    changes.values().await?;
    // What stands on rows that are not there as they should be would only fail for the same reason.
    if changes.report.failures.is_empty() {
        changes.rules().await?;
    }
    if changes.report.failures.is_empty() {
        changes.endings().await?;
    }
    if changes.report.failures.is_empty() {
        changes.locks().await?;
    }
    if changes.report.failures.is_empty() {
        match changes.writer()?.capabilities().prepare {
            Prepare::No => changes.alone().await?,
            Prepare::Prepared => changes.prepared().await?,
            Prepare::Marker => changes.markers().await?,
        }
    }
    Ok(changes.report)
}

struct Changes {
    driver: Arc<dyn Driver>,
    remote: RemoteTable,
    limits: Limits,
    /// Of the last transaction of several sources.
    numbers: u64,
    report: ChangeReport,
}

/// A batch of rows, whose columns have these types.
fn batch(types: &[ValueType], rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, value_type) in types.iter().enumerate() {
        let mut cells = vec![arrow::array::new_empty_array(&value_type.to_arrow())];
        for row in rows {
            let value = row.get(index).ok_or_else(|| Error::internal("row of another width"))?;
            cells.push(value.to_array()?);
        }
        let parts: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
        arrays.push(concat(&parts).map_err(Error::internal)?);
    }
    let field = |(index, value_type): (usize, &ValueType)| Field::new(format!("c{index}"), value_type.to_arrow(), true);
    let schema = Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), arrays).map_err(Error::internal)
}

/// Rows of an id and a number, by which cases know them.
fn numbered(rows: &[(i64, i32)]) -> Vec<Vec<Value>> {
    rows.iter().map(|(id, number)| vec![Value::Int64(*id), Value::Int32(*number)]).collect()
}

fn same(expected: &Value, got: &Value) -> bool {
    expected.is_null() == got.is_null() && order(expected, got).is_eq()
}

/// Rows in the order of their first column.
fn sorted(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    rows.sort_by(|a, b| match (a.first(), b.first()) {
        (Some(a), Some(b)) => order(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    rows
}

fn unlike(expected: &[Vec<Value>], got: &[Vec<Value>]) -> bool {
    let cells = |(a, b): (&Vec<Value>, &Vec<Value>)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    expected.len() != got.len() || !expected.iter().zip(got).all(cells)
}

impl Changes {
    fn writer(&self) -> Result<&dyn Writer> {
        self.driver.writer().ok_or_else(|| Error::internal("the driver has no writer"))
    }

    fn column(&self, name: &str) -> Result<&RemoteColumn> {
        let column = self.remote.columns.iter().find(|column| column.name.as_str() == name);
        column.ok_or_else(|| Error::internal(format_args!("column {name} is not described")))
    }

    fn scanned(&self, name: &str, id: u32) -> Result<ScanColumn> {
        let column = self.column(name)?;
        let value_type = column.value_type.ok_or_else(|| Error::internal("a column without a type"))?;
        Ok(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    }

    /// A change that finds rows by `id`, stores these columns, and wants both back.
    fn change(&self, op: ChangeOp, assigned: &[&str]) -> Result<Arc<NativeChange>> {
        let writer = self.writer()?;
        let target = |name: &str| {
            let column = self.column(name)?;
            let value_type = column.value_type.ok_or_else(|| Error::internal("a column without a type"))?;
            let encoding = writer.writable_as(column, value_type).map_err(Error::internal)?;
            Ok(TargetColumn::new(column, value_type, encoding))
        };
        let returned = ["id"].iter().chain(assigned).zip(0..).map(|(name, id)| self.scanned(name, id));
        let shape = ChangeShape {
            table: self.remote.table.clone(),
            op,
            key: vec![target("id")?],
            assigned: assigned.iter().map(|name| target(name)).collect::<Result<_>>()?,
            returning: returned.collect::<Result<_>>()?,
        };
        writer.render_change(&shape).map_err(Error::internal)
    }

    fn set(change: &NativeChange, rows: &[Vec<Value>]) -> Result<ChangeSet> {
        let types: Vec<ValueType> = change.shape.columns().map(|column| column.value_type).collect();
        ChangeSet::new(&change.shape, batch(&types, rows)?)
    }

    async fn begin(&self) -> Result<Transaction> {
        self.writer()?.begin(Begin::default(), &ExecuteContext::default()).await
    }

    /// A transaction that may become a part of one of several sources.
    async fn begin_part(&self, id: GlobalId) -> Result<Transaction> {
        self.writer()?.begin(Begin::default().within(id), &ExecuteContext::default()).await
    }

    /// A source that is changed alone refuses to be a part of anything.
    async fn alone(&mut self) -> Result<()> {
        let (id, context) = (self.part(), ExecuteContext::default());
        let mut tx = self.begin_part(id).await?;
        let prepared = tx.prepare(&id).await.map_err(|error| error.error().clone());
        self.expect_error("a source that is changed alone", &prepared, ErrorCode::FeatureNotSupported);
        tx.rollback().await;
        let mut tx = self.begin_part(id).await?;
        let marked = tx.write_marker(&id).await;
        self.expect_error("a source that is changed alone", &marked, ErrorCode::FeatureNotSupported);
        tx.rollback().await;
        let listed = self.writer()?.prepared(id.gate, &context).await;
        self.expect_error("a source that is changed alone", &listed, ErrorCode::FeatureNotSupported);
        let settled = self.writer()?.settle(&id, Fate::RolledBack, &context).await;
        self.expect_error("a source that is changed alone", &settled, ErrorCode::FeatureNotSupported);
        let fate = self.writer()?.marker_fate(&id, &context).await;
        self.expect_error("a source that is changed alone", &fate, ErrorCode::FeatureNotSupported);
        Ok(())
    }

    /// The next part of a transaction of several sources, each of a number of its own.
    fn part(&mut self) -> GlobalId {
        self.numbers += 1;
        GlobalId::new(GATE, self.numbers, 0)
    }

    async fn apply(&self, tx: &mut Transaction, op: ChangeOp, rows: &[(i64, i32)]) -> Result<Applied> {
        let assigned: &[&str] = if op == ChangeOp::Delete { &[] } else { &["medium"] };
        let change = self.change(op, assigned)?;
        let mut rows = numbered(rows);
        rows.iter_mut().for_each(|row| row.truncate(1 + assigned.len()));
        tx.apply(&change, &Self::set(&change, &rows)?, &ExecuteContext::default()).await
    }

    /// All rows, of these columns; `found`: only the row of this id.
    fn fragment(&self, names: &[&str], found: Option<i64>) -> Result<Fragment> {
        let columns = names.iter().zip(0..).map(|(name, id)| self.scanned(name, id)).collect::<Result<Vec<_>>>()?;
        let output = columns.iter().map(|column| OutputColumn {
            id: column.id,
            name: column.name.as_str().to_owned(),
            value_type: column.value_type,
            nullable: true,
        });
        let output = output.collect();
        let mut relation = Relation::Scan { table: self.remote.table.clone(), columns };
        if found.is_some() {
            let value = ScalarExpr::Parameter(0, ValueType::Int64);
            let predicate = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), value);
            relation = Relation::Filter { input: Box::new(relation), predicate };
        }
        Ok(Fragment { relation, output, parameters: found.map(|_| ValueType::Int64).into_iter().collect() })
    }

    /// What another session sees, in the order of ids.
    async fn committed(&self, names: &[&str]) -> Result<Vec<Vec<Value>>> {
        let statement = self.driver.render(&self.fragment(names, None)?).map_err(Error::internal)?;
        let ask = Ask::Batches(ExecuteContext::default());
        let rows = self.driver.run(&statement, &[], ask).await?.batches()?;
        Ok(sorted(values_of(&rows.try_collect::<Vec<_>>().await?)?))
    }

    /// What the transaction itself sees, in the order of ids.
    async fn seen(&self, tx: &mut Transaction, names: &[&str]) -> Result<Vec<Vec<Value>>> {
        let statement = self.driver.render(&self.fragment(names, None)?).map_err(Error::internal)?;
        Self::read(tx, &statement, &[]).await
    }

    /// One row, locked.
    async fn locked(&self, tx: &mut Transaction, id: i64, lock: Lock) -> Result<Vec<Vec<Value>>> {
        let fragment = self.fragment(&["id", "medium"], Some(id))?;
        let statement = self.writer()?.render_locked(&fragment, lock).map_err(Error::internal)?;
        Self::read(tx, &statement, &[Value::Int64(id)]).await
    }

    async fn read(tx: &mut Transaction, statement: &Arc<NativeStatement>, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let rows = tx.query(statement, values, ExecuteContext::default()).await?;
        Ok(sorted(values_of(&rows.try_collect::<Vec<_>>().await?)?))
    }

    fn expect(&mut self, what: &str, holds: bool) {
        if !holds {
            self.report.failures.push(what.to_owned());
        }
    }

    /// Committed rows by id and number.
    async fn expect_rows(&mut self, what: &str, expected: &[(i64, i32)]) -> Result<()> {
        let got = self.committed(&["id", "medium"]).await?;
        let unlike = unlike(&numbered(expected), &got);
        self.expect(&format!("{what}: {expected:?} are stored, got {got:?}"), !unlike);
        Ok(())
    }

    fn expect_error<T>(&mut self, what: &str, result: &Result<T>, code: ErrorCode) {
        match result {
            Err(error) if error.code() == code => {}
            Err(error) => {
                let text = format!("{what}: {:?} instead of {code:?}: {error} ({:?})", error.code(), error.cause());
                self.report.failures.push(text);
            }
            Ok(_) => self.report.failures.push(format!("{what}: no error instead of {code:?}")),
        }
    }

    async fn commit(&mut self, what: &str, tx: Transaction) {
        if let Err(error) = tx.commit().await {
            let cause = error.error().cause().map(str::to_owned);
            self.report.failures.push(format!("{what}: not committed: {error} ({cause:?})"));
        }
    }

    /// Stores these rows and no others.
    async fn reset(&mut self, rows: &[(i64, i32)]) -> Result<()> {
        self.clear().await?;
        let mut tx = self.begin().await?;
        self.apply(&mut tx, ChangeOp::Insert, rows).await?;
        self.commit("reset", tx).await;
        Ok(())
    }

    /// Deletes what is there.
    async fn clear(&mut self) -> Result<()> {
        let ids = self.committed(&["id"]).await?;
        let mut tx = self.begin().await?;
        let change = self.change(ChangeOp::Delete, &[])?;
        for part in ids.chunks(crate::write::change::ROWS_MAX) {
            tx.apply(&change, &Self::set(&change, part)?, &ExecuteContext::default()).await?;
        }
        self.commit("clear", tx).await;
        Ok(())
    }
}
