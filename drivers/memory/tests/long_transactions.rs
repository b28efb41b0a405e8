//! What a long transaction may go back to is held in memory, and is not what it was before where the table has other columns since.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests panic")]

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::testkit::single::insert_row;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{Begin, ChangeOp, ChangeSet, ChangeShape, TargetColumn, Transaction, Writer};
use querygate_memory::{ChangingMemory, MemoryColumn, MemoryTableSpec};
use querygate_types::{ErrorCode, Result};

const HELD_MAX: usize = 1 << 20;
const LONG: usize = 10_000;

fn memory(columns: &[&str]) -> ChangingMemory {
    let memory = ChangingMemory::new(HELD_MAX);
    memory.put(&spec(columns), || Ok(Vec::new())).unwrap();
    memory
}

fn spec(columns: &[&str]) -> MemoryTableSpec {
    let column = |name: &&str| MemoryColumn { name: (*name).to_owned(), value_type: ValueType::Text };
    MemoryTableSpec {
        name: "t".to_owned(),
        columns: columns.iter().map(column).collect(),
        primary_key: vec!["id".to_owned()],
        unique: Vec::new(),
    }
}

fn table() -> TableRef {
    TableRef::new(["t"]).unwrap()
}

async fn begin(memory: &ChangingMemory) -> Transaction {
    memory.begin(Begin::default(), &ExecuteContext::default()).await.unwrap()
}

/// Gives the row `a` another title.
async fn rename(memory: &ChangingMemory, tx: &mut Transaction, title: &str) -> Result<()> {
    let remote = memory.describe(&table()).await?;
    let target = |name: &str| {
        let column = remote.columns.iter().find(|column| column.name.as_str() == name).unwrap();
        TargetColumn::new(column, ValueType::Text, Encoding::Canonical)
    };
    let (key, assigned) = (vec![target("id")], vec![target("title")]);
    let shape = ChangeShape { table: table(), op: ChangeOp::Update, key, assigned, returning: Vec::new() };
    let change = memory.render_change(&shape).unwrap();
    let arrays =
        [("id", "a"), ("title", title)].map(|(name, text)| (name, Value::text(text).to_array().unwrap(), true));
    let rows = ChangeSet::new(&shape, RecordBatch::try_from_iter_with_nullable(arrays).unwrap())?;
    tx.apply(&change, &rows, &ExecuteContext::default()).await.map(drop)
}

/// The values of a column of the table, as the transaction reads them.
async fn read(memory: &ChangingMemory, tx: &mut Transaction, column: &str) -> Result<String> {
    let (id, value_type) = (ColumnId(0), ValueType::Text);
    let name = Identifier::new(column).unwrap();
    let (collation, encoding) = (Collation::Binary, Encoding::Canonical);
    let scanned = ScanColumn { id, name, value_type, nullable: true, collation, encoding };
    let fragment = Fragment {
        relation: Relation::Scan { table: table(), columns: vec![scanned] },
        output: vec![OutputColumn { id, name: column.to_owned(), value_type, nullable: true }],
        parameters: Vec::new(),
    };
    let statement = memory.render(&fragment).unwrap();
    let rows = tx.query(&statement, &[], ExecuteContext::default()).await?;
    Ok(format!("{:?}", rows.try_collect::<Vec<_>>().await?))
}

#[tokio::test]
async fn what_a_transaction_may_go_back_to_is_held_until_it_ends() {
    let memory = memory(&["id", "title"]);
    let text = |text: &str| Value::text(text);
    for _ in 0..3 {
        let mut tx = begin(&memory).await;
        insert_row(&memory, &mut tx, &table(), &[("id", text("a")), ("title", text(""))]).await.unwrap();
        let mut stored = 0;
        let error = loop {
            match rename(&memory, &mut tx, &"x".repeat(LONG)).await {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
            assert!(stored * LONG < 2 * HELD_MAX, "one row takes any memory");
        };
        assert_eq!(error.code(), ErrorCode::DiskFull);
        assert!(stored * LONG > HELD_MAX / 2, "{stored}");
        // It is all given back.
        tx.rollback().await;
    }
}

#[tokio::test]
async fn a_row_does_not_go_back_to_values_of_other_columns() {
    let memory = memory(&["id", "secret", "title"]);
    let text = |text: &str| Value::text(text);
    let mut tx = begin(&memory).await;
    let row = [("id", text("a")), ("secret", text("hush")), ("title", text("one"))];
    insert_row(&memory, &mut tx, &table(), &row).await.unwrap();
    tx.savepoint(1).await.unwrap();
    rename(&memory, &mut tx, "two").await.unwrap();
    // Metadata without the secret is loaded meanwhile.
    memory.put(&spec(&["id", "title"]), || Ok(Vec::new())).unwrap();
    let back = tx.rollback_to(1).await;
    let read = read(&memory, &mut tx, "title").await;
    assert!(!format!("{read:?}").contains("hush"), "{read:?}");
    assert_eq!(back.unwrap_err().code(), ErrorCode::SerializationFailure);
    assert!(tx.commit().await.is_err());
    let mut after = begin(&memory).await;
    let row = [("id", text("a")), ("title", text("three"))];
    insert_row(&memory, &mut after, &table(), &row).await.unwrap();
    after.commit().await.unwrap();
}
