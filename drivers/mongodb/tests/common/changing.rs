//! Changes as tests write them: a driver that writes, columns by name, rows as values.

use super::options;
use super::server::{PASSWORD, Server, WRITER};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Begin, ChangeOp, ChangeSet, ChangeShape, Lock, LockStrength, LockWait, NativeChange, TargetColumn, Transaction,
    Writer,
};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_types::Result;
use std::sync::Arc;

/// A driver whose readers and writers are different users.
pub(crate) fn writing(server: &Server, database: &str) -> MongoDriver {
    MongoDriver::new(&writing_options(server, database))
}

pub(crate) fn writing_options(server: &Server, database: &str) -> MongoOptions {
    let writer = Some((WRITER.to_owned(), Some(PASSWORD.to_owned())));
    MongoOptions { writer, ..options(server, database) }
}

/// The same, of a database whose operator has made a collection for markers.
pub(crate) fn marking(server: &Server, database: &str) -> MongoDriver {
    MongoDriver::new(&MongoOptions { distributed: true, ..writing_options(server, database) })
}

/// A collection, as it was described, and columns of it as they are wanted.
pub(crate) struct Target<'a> {
    pub(crate) driver: &'a MongoDriver,
    pub(crate) remote: RemoteTable,
}

impl<'a> Target<'a> {
    pub(crate) async fn of(driver: &'a MongoDriver, collection: &str) -> Self {
        Self { driver, remote: driver.describe(&TableRef::new([collection]).unwrap()).await.unwrap() }
    }

    pub(crate) fn column(&self, name: &str) -> &RemoteColumn {
        let found = self.remote.columns.iter().find(|column| column.name.as_str() == name);
        found.unwrap_or_else(|| panic!("{name} is not described"))
    }

    /// A column as the key or as what is stored, in its own type.
    fn target(&self, name: &str) -> TargetColumn {
        let column = self.column(name);
        self.target_as(name, column.value_type.unwrap())
    }

    fn target_as(&self, name: &str, value_type: ValueType) -> TargetColumn {
        let column = self.column(name);
        TargetColumn::new(column, value_type, self.driver.writable_as(column, value_type).unwrap())
    }

    fn scanned(&self, (id, name, value_type): (u32, &str, ValueType)) -> ScanColumn {
        let column = self.column(name);
        ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type,
            nullable: true,
            collation: column.collation.clone(),
            encoding: self.driver.read_as(column, value_type).unwrap(),
        }
    }

    /// A change by `_id`, which gives back what it stored.
    pub(crate) fn change(&self, op: ChangeOp, assigned: &[&str]) -> Arc<NativeChange> {
        let typed: Vec<_> = assigned.iter().map(|name| (*name, self.column(name).value_type.unwrap())).collect();
        self.change_as(op, &typed)
    }

    /// The same with types.
    pub(crate) fn change_as(&self, op: ChangeOp, assigned: &[(&str, ValueType)]) -> Arc<NativeChange> {
        let key = self.column("_id").value_type.unwrap();
        let returned = [("_id", key)].into_iter().chain(assigned.iter().copied()).zip(0..);
        let shape = ChangeShape {
            table: self.remote.table.clone(),
            op,
            key: vec![self.target("_id")],
            assigned: assigned.iter().map(|(name, value_type)| self.target_as(name, *value_type)).collect(),
            returning: returned.map(|((name, value_type), id)| self.scanned((id, name, value_type))).collect(),
        };
        self.driver.render_change(&shape).unwrap()
    }

    pub(crate) async fn begin(&self) -> Transaction {
        self.driver.begin(Begin::default(), &ExecuteContext::default()).await.unwrap()
    }

    /// Applies a change of one row, and gives what was stored.
    pub(crate) async fn apply(tx: &mut Transaction, change: &NativeChange, row: &[Value]) -> Result<Vec<Vec<Value>>> {
        Self::apply_within(tx, change, &[row.to_vec()], &ExecuteContext::default()).await
    }

    pub(crate) async fn apply_within(
        tx: &mut Transaction,
        change: &NativeChange,
        rows: &[Vec<Value>],
        context: &ExecuteContext,
    ) -> Result<Vec<Vec<Value>>> {
        let batches: Vec<RecordBatch> = rows.iter().map(|row| batch(row)).collect();
        let all = concat_batches(&batches[0].schema(), &batches).unwrap();
        let applied = tx.apply(change, &ChangeSet::new(&change.shape, all)?, context).await?;
        values_of(&applied.stored)
    }

    /// One row by its key, locked.
    pub(crate) async fn locked(&self, tx: &mut Transaction, id: Value, column: &str) -> Result<Vec<Vec<Value>>> {
        let (key, other) = (id.value_type(), self.column(column).value_type.unwrap());
        let columns = vec![self.scanned((0, "_id", key)), self.scanned((1, column, other))];
        let output = columns.iter().map(|column| OutputColumn {
            id: column.id,
            name: column.name.as_str().to_owned(),
            value_type: column.value_type,
            nullable: true,
        });
        let output = output.collect();
        let equal =
            ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, key));
        let scan = Relation::Scan { table: self.remote.table.clone(), columns };
        let relation = Relation::Filter { input: Box::new(scan), predicate: equal };
        let fragment = Fragment { relation, output, parameters: vec![key] };
        let lock = Lock { strength: LockStrength::Update, wait: LockWait::Wait };
        let statement = self.driver.render_locked(&fragment, lock).unwrap();
        let rows = tx.query(&statement, &[id], ExecuteContext::default()).await?;
        values_of(&rows.try_collect::<Vec<_>>().await?)
    }
}

fn batch(row: &[Value]) -> RecordBatch {
    let column = |(index, value): (usize, &Value)| (format!("c{index}"), value.to_array().unwrap(), true);
    RecordBatch::try_from_iter_with_nullable(row.iter().enumerate().map(column)).unwrap()
}
