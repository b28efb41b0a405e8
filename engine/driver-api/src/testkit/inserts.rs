//! How sources behave that take new rows and nothing else: what is stored and read back, what is refused, how transactions end. Their
//! rows are read past the driver, by a function of the test.

use crate::driver::Driver;
use crate::execution::{ExecuteContext, Uncommitted};
use crate::identifier::ColumnId;
use crate::relation::ScanColumn;
use crate::remote::RemoteTable;
use crate::testkit::changes::ChangeReport;
use crate::testkit::dataset::{Limits, values};
use crate::testkit::reference::order;
use crate::testkit::suite::values_of;
use crate::value::{Value, ValueType};
use crate::write::{
    Applied, Begin, ChangeOp, ChangeSet, ChangeShape, CommitError, Isolation, NativeChange, TargetColumn, Transaction,
    Violation, Writer,
};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads these columns of all rows, with what a transaction shows.
pub type Read<'a> =
    &'a (dyn Fn(Option<Arc<Uncommitted>>, Vec<String>) -> BoxFuture<'static, Result<Vec<RecordBatch>>> + Sync);

/// Longest time in which another writer must be let in.
const REACTION: Duration = Duration::from_secs(5);
/// More than one batch.
const LOADED: i64 = 20_000;

/// Runs the cases on a table whose `id` is unique and which has a column of numbers called `medium`, until one fails.
///
/// # Errors
/// The source fails where no case expects it to.
pub async fn run(driver: &dyn Driver, limits: Limits, read: Read<'_>) -> Result<ChangeReport> {
    let name = driver.tables().await?.pop().ok_or_else(|| Error::internal("the driver has no table"))?;
    let table = driver.describe(&name).await?;
    let writer = driver.writer().filter(|writer| writer.only_inserts());
    let writer = writer.ok_or_else(|| Error::internal("the driver has no such writer"))?;
    let mut inserts = Inserts { writer, table, limits, read, next: 0, report: ChangeReport::default() };
    inserts.refusals().await?;
    inserts.values().await?;
    inserts.unique().await?;
    inserts.savepoints().await?;
    inserts.endings().await?;
    inserts.loads().await?;
    Ok(inserts.report)
}

struct Inserts<'a> {
    writer: &'a dyn Writer,
    table: RemoteTable,
    limits: Limits,
    read: Read<'a>,
    /// An id that no row has.
    next: i64,
    report: ChangeReport,
}

/// A transaction, and what it shows to reads of its own.
struct Open {
    transaction: Transaction,
    shown: Arc<Uncommitted>,
}

fn same(expected: &Value, got: &Value) -> bool {
    expected.is_null() == got.is_null() && order(expected, got).is_eq()
}

fn batch(types: &[ValueType], rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let mut named: Vec<(String, ArrayRef)> = Vec::new();
    for (at, value_type) in types.iter().enumerate() {
        let mut cells = vec![arrow::array::new_empty_array(&value_type.to_arrow())];
        for row in rows {
            cells.push(row.get(at).ok_or_else(|| Error::internal("row of another width"))?.to_array()?);
        }
        let parts: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
        named.push((format!("c{at}"), concat(&parts).map_err(Error::internal)?));
    }
    let named = named.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(named).map_err(Error::internal)
}

fn numbered(ids: impl IntoIterator<Item = i64>) -> Vec<Vec<Value>> {
    ids.into_iter().map(|id| vec![Value::Int64(id), Value::Int32(1)]).collect()
}

impl Inserts<'_> {
    fn expect(&mut self, what: &str, holds: bool) {
        if !holds {
            self.report.failures.push(what.to_owned());
        }
    }

    fn expect_error<T>(&mut self, what: &str, result: &Result<T>, code: ErrorCode) {
        let found = result.as_ref().err().map(Error::code);
        self.expect(&format!("{what}: {found:?} instead of {code:?}"), found == Some(code));
    }

    /// Ids that no row has.
    fn ids<const N: usize>(&mut self) -> [i64; N] {
        std::array::from_fn(|_| {
            self.next += 1;
            self.next - 1
        })
    }

    fn shape(&self, op: ChangeOp, assigned: &[&str]) -> Result<ChangeShape> {
        let column = |name: &&str| {
            let column = self.table.columns.iter().find(|column| column.name.as_str() == *name);
            let column = column.ok_or_else(|| Error::internal("a column that the table lacks"))?;
            let value_type = column.value_type.ok_or_else(|| Error::internal("a column without a type"))?;
            let encoding = self.writer.writable_as(column, value_type).map_err(Error::internal)?;
            Ok(TargetColumn::new(column, value_type, encoding))
        };
        let id = column(&"id")?;
        let assigned = assigned.iter().map(column).collect::<Result<Vec<_>>>()?;
        let scan = |(column, id): (&TargetColumn, u32)| ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type,
            nullable: true,
            collation: column.collation.clone(),
            encoding: column.encoding,
        };
        let returning = std::iter::once(&id).chain(&assigned).zip(0..).map(scan).collect();
        Ok(ChangeShape { table: self.table.table.clone(), op, key: vec![id], assigned, returning })
    }

    fn change(&self, assigned: &[&str]) -> Result<Arc<NativeChange>> {
        self.writer.render_change(&self.shape(ChangeOp::Insert, assigned)?).map_err(Error::internal)
    }

    async fn begin(&self) -> Result<Open> {
        let shown = Arc::<Uncommitted>::default();
        let context = ExecuteContext { uncommitted: Some(Arc::clone(&shown)), ..ExecuteContext::default() };
        Ok(Open { transaction: self.writer.begin(Begin::default(), &context).await?, shown })
    }

    async fn insert(&self, open: &mut Open, assigned: &str, rows: &[Vec<Value>]) -> Result<Applied> {
        let change = self.change(&[assigned])?;
        let types: Vec<ValueType> = change.shape.columns().map(|column| column.value_type).collect();
        let set = ChangeSet::new(&change.shape, batch(&types, rows)?)?;
        open.transaction.apply(&change, &set, &ExecuteContext::default()).await
    }

    async fn add(&self, open: &mut Open, ids: &[i64]) -> Result<Applied> {
        self.insert(open, "medium", &numbered(ids.iter().copied())).await
    }

    /// Rows of some ids and one more column, in the order of ids. `open`: as its own transaction reads them.
    async fn rows(&self, open: Option<&Open>, name: &str, ids: &[i64]) -> Result<Vec<Vec<Value>>> {
        let names = vec!["id".to_owned(), name.to_owned()];
        let rows = values_of(&(self.read)(open.map(|open| Arc::clone(&open.shown)), names).await?)?;
        let is_wanted = |row: &Vec<Value>| matches!(row.first(), Some(Value::Int64(id)) if ids.contains(id));
        let mut rows: Vec<_> = rows.into_iter().filter(is_wanted).collect();
        rows.sort_by_key(|row| match row.first() {
            Some(Value::Int64(id)) => *id,
            _ => i64::MIN,
        });
        Ok(rows)
    }

    async fn count(&self, open: Option<&Open>, ids: &[i64]) -> Result<usize> {
        Ok(self.rows(open, "medium", ids).await?.len())
    }

    async fn commit(&mut self, what: &str, open: Open) {
        if let Err(error) = open.transaction.commit().await {
            self.report.failures.push(format!("{what}: not committed: {error} ({:?})", error.error().cause()));
        }
    }

    async fn refusals(&mut self) -> Result<()> {
        for (op, assigned) in [(ChangeOp::Update, &["medium"][..]), (ChangeOp::Delete, &[])] {
            let rendered = self.writer.render_change(&self.shape(op, assigned)?);
            self.expect(&format!("{op:?} is not printed"), rendered.is_err());
        }
        for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
            if !self.writer.capabilities().isolation.contains(&isolation) {
                let begun = self.writer.begin(Begin::with(isolation), &ExecuteContext::default()).await;
                self.expect_error("a level that it lacks", &begun, ErrorCode::FeatureNotSupported);
            }
        }
        let empty = self.begin().await?;
        self.commit("a transaction of nothing", empty).await;
        Ok(())
    }

    /// Every type, NULL and the extremes.
    async fn values(&mut self) -> Result<()> {
        let typed =
            self.table.columns.iter().filter_map(|column| Some((column.name.as_str().to_owned(), column.value_type?)));
        for (name, value_type) in typed.filter(|(name, _)| name != "id").collect::<Vec<_>>() {
            let column = self.table.columns.iter().find(|column| column.name.as_str() == name);
            let mut all = values(value_type, self.limits);
            all.push(Value::Null(value_type));
            if let Some(Err(refusal)) = column.map(|column| self.writer.writable_as(column, value_type)) {
                *self.report.refused.entry(format!("{}: {refusal}", value_type.name())).or_default() += all.len();
                continue;
            }
            let (mut open, mut kept) = (self.begin().await?, Vec::new());
            for (value, place) in all.into_iter().zip(0..) {
                let row = vec![Value::Int64(self.next), value.clone()];
                open.transaction.savepoint(place).await?;
                match self.insert(&mut open, &name, std::slice::from_ref(&row)).await {
                    Ok(applied) => {
                        let given = values_of(&applied.stored)?;
                        let is_same = given.iter().flatten().nth(1).is_some_and(|given| same(&value, given));
                        self.expect(&format!("{name}: {value:?} is given back as {given:?}"), is_same);
                        self.next += 1;
                        self.report.stored += 1;
                        kept.push(row);
                    }
                    Err(error) if error.code().sqlstate().starts_with("22") => {
                        *self.report.refused.entry(format!("{}: {error}", value_type.name())).or_default() += 1;
                        open.transaction.rollback_to(place).await?;
                    }
                    Err(error) => self.report.failures.push(format!("{name} {value:?}: {error} ({:?})", error.cause())),
                }
            }
            let first = self.next - i64::try_from(kept.len()).map_err(Error::internal)?;
            let ids: Vec<i64> = (first..self.next).collect();
            let unlike = |rows: &[Vec<Value>]| {
                let cells = |(a, b): (&Vec<Value>, &Vec<Value>)| a.iter().zip(b).all(|(a, b)| same(a, b));
                rows.len() != kept.len() || !kept.iter().zip(rows).all(cells)
            };
            let seen = self.rows(Some(&open), &name, &ids).await?;
            self.expect(&format!("{name}: its transaction reads {seen:?}"), !unlike(&seen));
            let early = self.count(None, &ids).await?;
            self.expect(&format!("{name}: others read {early} rows before the commit"), early == 0);
            self.commit(&name, open).await;
            let stored = self.rows(None, &name, &ids).await?;
            self.expect(&format!("{name}: stored {stored:?} instead of {kept:?}"), !unlike(&stored));
        }
        Ok(())
    }

    async fn unique(&mut self) -> Result<()> {
        let ids @ [first, second, third, fourth] = self.ids();
        let mut open = self.begin().await?;
        self.add(&mut open, &[first, second]).await?;
        open.transaction.savepoint(1).await?;
        let again = self.add(&mut open, &ids).await;
        self.expect_error("a key that the transaction stored", &again, ErrorCode::UniqueViolation);
        open.transaction.rollback_to(1).await?;
        self.commit("unique", open).await;
        for twice in [[first, third], [fourth, second], [third, third]] {
            let mut open = self.begin().await?;
            let refused = self.add(&mut open, &twice).await;
            self.expect_error("a key that is there", &refused, ErrorCode::UniqueViolation);
            if let Err(error) = &refused {
                let plain = Violation::Unique.error();
                self.expect("it names nothing", (error.message(), error.detail()) == (plain.message(), None));
            }
            let ended = open.transaction.commit().await;
            self.expect("nothing of it is committed", matches!(ended, Err(CommitError::RolledBack(_))));
        }
        let stored = self.count(None, &ids).await?;
        self.expect("two rows are stored", stored == 2);
        Ok(())
    }

    async fn savepoints(&mut self) -> Result<()> {
        let ids @ [a, b, c, d, e, f] = self.ids();
        let mut open = self.begin().await?;
        open.transaction.savepoint(1).await?;
        self.add(&mut open, &[a, b]).await?;
        open.transaction.savepoint(2).await?;
        self.add(&mut open, &[c]).await?;
        open.transaction.rollback_to(2).await?;
        let seen = self.count(Some(&open), &ids).await?;
        self.expect("a savepoint undoes what came after it", seen == 2);
        self.add(&mut open, &[d]).await?;
        // Behind a read, its rows are in a file that is complete.
        self.count(Some(&open), &ids).await?;
        open.transaction.savepoint(3).await?;
        self.add(&mut open, &[e]).await?;
        self.count(Some(&open), &ids).await?;
        open.transaction.rollback_to(3).await?;
        self.add(&mut open, &[f]).await?;
        open.transaction.release(1).await?;
        self.commit("savepoints", open).await;
        let stored = self.rows(None, "medium", &ids).await?;
        let expected = numbered([a, b, d, f]);
        self.expect(&format!("after savepoints: {stored:?}"), stored == expected);
        let mut open = self.begin().await?;
        open.transaction.savepoint(1).await?;
        let all: [i64; 2] = self.ids();
        self.add(&mut open, &all).await?;
        open.transaction.rollback_to(1).await?;
        self.commit("all undone", open).await;
        let stored = self.count(None, &all).await?;
        self.expect("nothing of it is stored", stored == 0);
        Ok(())
    }

    /// Rolled back, dropped and cancelled transactions leave nothing, and let the next writer in.
    async fn endings(&mut self) -> Result<()> {
        let ids: [i64; 1] = self.ids();
        for dropped in [false, true] {
            let mut open = self.begin().await?;
            self.add(&mut open, &ids).await?;
            if dropped {
                drop(open);
            } else {
                open.transaction.rollback().await;
            }
            let stored = self.count(None, &ids).await?;
            self.expect("nothing of an undone transaction is stored", stored == 0);
            let mut next = self.begin().await?;
            let entered = tokio::time::timeout(REACTION, self.add(&mut next, &ids)).await;
            self.expect("the next writer is let in", matches!(entered, Ok(Ok(_))));
            next.transaction.rollback().await;
        }
        let context = ExecuteContext::default();
        context.cancel.cancel();
        let change = self.change(&["medium"])?;
        let types = [ValueType::Int64, ValueType::Int32];
        let set = ChangeSet::new(&change.shape, batch(&types, &numbered(ids.iter().copied()))?)?;
        let mut open = self.begin().await?;
        let cancelled = open.transaction.apply(&change, &set, &context).await;
        self.expect_error("a cancelled insert", &cancelled, ErrorCode::QueryCanceled);
        let ended = open.transaction.commit().await;
        self.expect("nothing of it is committed", matches!(ended, Err(CommitError::RolledBack(_))));
        Ok(())
    }

    async fn loads(&mut self) -> Result<()> {
        let ids: Vec<i64> = (self.next..self.next + LOADED).collect();
        self.next += LOADED;
        let change = self.change(&["medium"])?;
        let types = [ValueType::Int64, ValueType::Int32];
        let parts = |ids: &[i64]| -> Vec<_> {
            ids.chunks(3_000).map(|part| batch(&types, &numbered(part.iter().copied()))).collect()
        };
        let context = ExecuteContext::default();
        let mut open = self.begin().await?;
        let loaded = open.transaction.load(&change, stream::iter(parts(&ids)).boxed(), &context).await?;
        self.expect("a load counts its rows", i64::try_from(loaded) == Ok(LOADED));
        let early = self.count(None, &ids).await?;
        self.expect("a load is not seen before its commit", early == 0);
        self.commit("load", open).await;
        let stored = self.count(None, &ids).await?;
        self.expect("a load stores its rows", stored == ids.len());
        let fresh @ [new] = self.ids();
        let known = self.next - 7;
        let mut broken = parts(&fresh);
        broken.push(Err(Violation::Check.error()));
        let deadline = Some(Instant::now() + Duration::from_millis(50));
        let late = ExecuteContext { deadline, ..ExecuteContext::default() };
        let cases = [
            ("a key that is there", stream::iter(parts(&[new, known])).boxed(), &context, ErrorCode::UniqueViolation),
            ("an error at the end", stream::iter(broken).boxed(), &context, ErrorCode::CheckViolation),
            ("rows that do not come", stream::pending().boxed(), &late, ErrorCode::StatementTimeout),
        ];
        for (what, rows, context, code) in cases {
            let mut open = self.begin().await?;
            let failed = open.transaction.load(&change, rows, context).await;
            self.expect_error(&format!("a load with {what}"), &failed, code);
            open.transaction.rollback().await;
        }
        let stored = self.count(None, &fresh).await?;
        self.expect("nothing of a failed load is stored", stored == 0);
        Ok(())
    }
}
