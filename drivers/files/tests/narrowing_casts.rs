//! Conditions on decimals that are cast to fewer places, over several groups of rows: each group may hold values that become the one
//! wanted, whether that lies between its least and greatest value or not.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use arrow::array::{Decimal128Array, Int64Array};
use arrow::datatypes::DataType;
use common::*;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast};
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionContext, col};
use querygate_files::FileFormat;
use std::sync::Arc;

/// Hundredths, in groups of rows. As `numeric(3, 1)` values of the first three are 5.4, and 5.40 lies within the third alone.
const GROUPS: [[i128; 4]; 4] = [[530, 535, 537, 538], [541, 543, 544, 545], [539, 540, 542, 546], [900, 901, 902, 910]];

/// The column as a decimal, and a constant of that type.
fn sides(precision: u8, scale: i8, value: i128) -> (Expr, Expr) {
    let constant = Expr::Literal(ScalarValue::Decimal128(Some(value), precision, scale), None);
    (cast(col("price"), DataType::Decimal128(precision, scale)), constant)
}

/// Ids of the rows that meet a condition, and how many groups were not read.
async fn found(context: &SessionContext, condition: &Expr) -> (String, usize) {
    let rows = context.table("t").await.unwrap().filter(condition.clone()).unwrap();
    let plan = rows.select_columns(&["id"]).unwrap().create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    (text(&batches), sum_metric(&plan, "row_groups_pruned_statistics"))
}

#[tokio::test]
async fn rows_of_all_groups_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let prices = Decimal128Array::from_iter_values(GROUPS.into_iter().flatten());
    let written = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(1..=16))),
        ("price", Arc::new(prices.with_precision_and_scale(10, 2).unwrap())),
    ]);
    write_parquet(&dir.path().join("t.parquet"), &written, GROUPS[0].len());
    let source = source(dir.path());
    let table = spec("t.parquet", FileFormat::Parquet, written.schema());
    let context = session(&source, &table, 1).await;
    // It takes the cast to the constant by itself, before the files are asked.
    assert!(context.remove_optimizer_rule("simplify_expressions"));

    let (price, wanted) = sides(3, 1, 54);
    let between = price.clone().gt_eq(wanted.clone()).and(price.clone().lt_eq(wanted.clone()));
    for (condition, want) in [
        (price.clone().eq(wanted.clone()), "2;3;4;5;6;7;9;10;11"),
        (wanted.clone().eq(price.clone()), "2;3;4;5;6;7;9;10;11"),
        (price.clone().in_list(vec![wanted.clone(), sides(3, 1, 99).1], false), "2;3;4;5;6;7;9;10;11"),
        (between, "2;3;4;5;6;7;9;10;11"),
        (price.clone().gt_eq(wanted.clone()), "2;3;4;5;6;7;8;9;10;11;12;13;14;15;16"),
        (price.clone().lt_eq(wanted.clone()), "1;2;3;4;5;6;7;9;10;11"),
    ] {
        assert_eq!(found(&context, &condition).await, (want.to_owned(), 0), "{condition}");
    }

    // To more places one value stays one, and groups that cannot hold it are not read.
    let (price, wanted) = sides(12, 4, 54_000);
    assert_eq!(found(&context, &price.eq(wanted)).await, ("10".to_owned(), 3));
}
