//! Tables in memory that can be changed, under the suites that every driver passes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::testkit::dataset::{Limits, Table, tables};
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::testkit::{changes, lifecycle, suite};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    Begin, CommitError, Fate, GateId, GlobalId, Isolation, PrepareError, Settled, Transaction, Writer,
};
use querygate_memory::{ChangingMemory, MemoryColumn, MemoryTableSpec};
use querygate_types::ErrorCode;
use std::sync::Arc;

const LIMITS: Limits = Limits { timestamp_step: 1, nan: true, infinite: true };

fn spec(table: &Table) -> MemoryTableSpec {
    let column = |(name, value_type): &(&str, _)| MemoryColumn { name: (*name).to_owned(), value_type: *value_type };
    MemoryTableSpec {
        name: table.name.to_owned(),
        columns: table.columns.iter().map(column).collect(),
        primary_key: vec!["id".to_owned()],
        unique: Vec::new(),
    }
}

fn driver() -> ChangingMemory {
    let memory = ChangingMemory::new(1 << 30);
    for table in tables(LIMITS) {
        let rows = || if table.rows.is_empty() { Ok(Vec::new()) } else { Ok(vec![table.batch()?]) };
        memory.put(&spec(&table), rows).unwrap();
    }
    memory
}

#[tokio::test]
async fn what_it_takes_it_answers_as_the_reference_does() {
    let report = suite::run(&driver(), &[], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!("equal {}, refused {refused}", report.equal);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.equal > 4_000, "{}", report.equal);
}

#[tokio::test]
async fn its_runs_end_as_those_of_any_driver() {
    assert_eq!(lifecycle::run(&driver(), &[]).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn changes_are_stored_or_refused_and_end_as_they_should() {
    let report = changes::run(Arc::new(driver()), &[], LIMITS).await.unwrap();
    eprintln!("stored {}, refused {:#?}", report.stored, report.refused);
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.stored > 190, "only {} values were stored", report.stored);
}

/// Reads the ids of a table.
async fn read(memory: &ChangingMemory, tx: &mut Transaction, table: &TableRef) {
    let (id, value_type) = (ColumnId(0), ValueType::Int64);
    let name = Identifier::new("id").unwrap();
    let (collation, encoding) = (Collation::Binary, Encoding::Canonical);
    let column = ScanColumn { id, name, value_type, nullable: false, collation, encoding };
    let fragment = Fragment {
        relation: Relation::Scan { table: table.clone(), columns: vec![column] },
        output: vec![OutputColumn { id, name: "id".to_owned(), value_type, nullable: false }],
        parameters: Vec::new(),
    };
    let statement = memory.render(&fragment).unwrap();
    let rows = tx.query(&statement, &[], ExecuteContext::default()).await.unwrap();
    rows.try_collect::<Vec<_>>().await.unwrap();
}

/// What waits for its end may still change what others have read.
#[tokio::test]
async fn a_transaction_that_runs_as_if_alone_hears_of_those_that_wait() {
    let memory = driver();
    let context = ExecuteContext::default();
    let (first, second) = (TableRef::new(["empty"]).unwrap(), TableRef::new(["nasty"]).unwrap());
    let begin = Begin::with(Isolation::Serializable);
    let id = GlobalId::new(GateId::new(1), 1, 0);
    let mut waits = memory.begin(begin.within(id), &context).await.unwrap();
    read(&memory, &mut waits, &second).await;
    insert_row(&memory, &mut waits, &first, &[("id", Value::Int64(1))]).await.unwrap();
    waits.prepare(&id).await.unwrap();
    let mut other = memory.begin(begin, &context).await.unwrap();
    read(&memory, &mut other, &first).await;
    insert_row(&memory, &mut other, &second, &[("id", Value::Int64(-1_000))]).await.unwrap();
    match other.commit().await {
        Err(CommitError::RolledBack(error)) => assert_eq!(error.code(), ErrorCode::SerializationFailure),
        other => panic!("{other:?}"),
    }
    assert_eq!(memory.prepared(GateId::new(1), &context).await.unwrap(), [id]);
    waits.commit_prepared().await.unwrap();
    // One that has read what another has changed since is not kept.
    let mut late = memory.begin(begin.within(id), &context).await.unwrap();
    read(&memory, &mut late, &first).await;
    let mut quick = memory.begin(Begin::default(), &context).await.unwrap();
    insert_row(&memory, &mut quick, &first, &[("id", Value::Int64(2))]).await.unwrap();
    quick.commit().await.unwrap();
    insert_row(&memory, &mut late, &second, &[("id", Value::Int64(-1_001))]).await.unwrap();
    match late.prepare(&id).await {
        Err(PrepareError::Refused(error)) => assert_eq!(error.code(), ErrorCode::SerializationFailure),
        other => panic!("{other:?}"),
    }
    late.rollback().await;
    assert_eq!(memory.settle(&id, Fate::Committed, &context).await.unwrap(), Settled::Absent);
}
