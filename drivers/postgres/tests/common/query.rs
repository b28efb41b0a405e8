//! Fragments over described tables, and their rows.

use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::Error;

pub(crate) fn table(name: &str) -> TableRef {
    TableRef::new(["public", name]).unwrap()
}

/// All columns as they describe themselves, ids from 0 in order of declaration.
pub(crate) async fn scan(driver: &dyn Driver, name: &str) -> Relation {
    let remote = driver.describe(&table(name)).await.unwrap();
    let columns = remote.columns.iter().zip(0..).filter_map(|(column, id)| {
        Some(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type?,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    });
    Relation::Scan { table: remote.table, columns: columns.collect() }
}

pub(crate) fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

pub(crate) fn filter(input: Relation, op: ComparisonOp, id: u32, value_type: ValueType) -> Relation {
    let predicate = ScalarExpr::compare(op, column(id), ScalarExpr::Parameter(0, value_type));
    Relation::Filter { input: Box::new(input), predicate }
}

/// A fragment that delivers columns of the relation.
pub(crate) fn fragment(relation: Relation, output: &[(u32, ValueType)], values: &[Value]) -> Fragment {
    let column = |(id, value_type): &(u32, ValueType)| OutputColumn {
        id: ColumnId(*id),
        name: format!("any \" name {id}; --"),
        value_type: *value_type,
        nullable: true,
    };
    Fragment {
        relation,
        output: output.iter().map(column).collect(),
        parameters: values.iter().map(Value::value_type).collect(),
    }
}

pub(crate) async fn rows(
    driver: &dyn Driver,
    relation: Relation,
    output: &[(u32, ValueType)],
    values: &[Value],
) -> Result<Vec<Vec<Value>>, Error> {
    run(driver, &fragment(relation, output, values), values, ExecuteContext::default()).await
}

pub(crate) async fn run(
    driver: &dyn Driver,
    fragment: &Fragment,
    values: &[Value],
    context: ExecuteContext,
) -> Result<Vec<Vec<Value>>, Error> {
    let statement = driver.render(fragment).unwrap();
    let batches: Vec<_> = driver.run(&statement, values, Ask::Batches(context)).await?.batches()?.try_collect().await?;
    values_of(&batches)
}

pub(crate) fn integers(rows: &[Vec<Value>]) -> Vec<i64> {
    let integer = |row: &Vec<Value>| match row[0] {
        Value::Int16(value) => Some(i64::from(value)),
        Value::Int32(value) => Some(i64::from(value)),
        Value::Int64(value) => Some(value),
        _ => None,
    };
    rows.iter().filter_map(integer).collect()
}
