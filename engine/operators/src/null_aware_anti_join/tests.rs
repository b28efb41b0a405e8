//! The operator gives what DataFusion's own join gives, over rows with and without NULL, and over none.

use super::NullAwareAntiJoinExec;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, collect};
use proptest::prelude::*;
use std::sync::Arc;

type Keys = Vec<Vec<Option<i64>>>;

/// A table of texts, or of numbers, whose batches are dealt out to partitions, with the place of each row beside its key.
fn table(batches: &Keys, partitions: usize, text: bool) -> Arc<dyn ExecutionPlan> {
    let kind = if text { DataType::Utf8 } else { DataType::Int64 };
    let fields = vec![Field::new("key", kind, true), Field::new("place", DataType::Int64, false)];
    let schema = Arc::new(Schema::new(fields));
    let mut dealt = vec![Vec::new(); partitions];
    for (at, keys) in batches.iter().enumerate() {
        let key: ArrayRef = if text {
            Arc::new(keys.iter().map(|key| key.map(|key| format!("k{key}"))).collect::<StringArray>())
        } else {
            Arc::new(keys.iter().copied().collect::<Int64Array>())
        };
        let places = (0..keys.len()).map(|row| i64::try_from(at * 100 + row).unwrap()).collect::<Int64Array>();
        dealt[at % partitions].push(RecordBatch::try_new(Arc::clone(&schema), vec![key, Arc::new(places)]).unwrap());
    }
    MemorySourceConfig::try_new_exec(&dealt, schema, None).unwrap()
}

/// DataFusion's own.
fn own(rows: &Keys, members: &Keys, text: bool) -> HashJoinExec {
    let rows = Arc::new(CoalescePartitionsExec::new(table(rows, 2, text)));
    let on = vec![(Arc::new(Column::new("key", 0)) as _, Arc::new(Column::new("key", 0)) as _)];
    let mode = PartitionMode::CollectLeft;
    let equality = NullEquality::NullEqualsNothing;
    let members = table(members, 1, text);
    HashJoinExec::try_new(rows, members, on, None, &JoinType::LeftAnti, None, mode, equality, true).unwrap()
}

fn ours(rows: &Keys, members: &Keys, text: bool, partitions: usize) -> Arc<dyn ExecutionPlan> {
    let key = || Arc::new(Column::new("key", 0));
    let (members, rows) = (table(members, 1, text), table(rows, partitions, text));
    Arc::new(NullAwareAntiJoinExec::over(members, key(), rows, key()).unwrap())
}

fn places(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> datafusion::common::Result<Vec<i64>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let batches = runtime.block_on(collect(plan, context))?;
    let of = |batch: &RecordBatch| batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    let mut places: Vec<i64> = batches.iter().flat_map(of).collect();
    places.sort_unstable();
    Ok(places)
}

fn keys(null: u32) -> impl Strategy<Value = Keys> {
    let key = prop_oneof![null => Just(None), 20 => (0_i64..12).prop_map(Some)];
    prop::collection::vec(prop::collection::vec(key, 0..9), 0..4)
}

proptest! {
    #[test]
    fn rows_are_those_of_datafusions_own(
        (rows, members) in (keys(2), prop_oneof![keys(0), keys(1)]),
        text in any::<bool>(),
        partitions in 1_usize..4,
    ) {
        let context = || Arc::new(TaskContext::default());
        let expected = places(Arc::new(own(&rows, &members, text)), context()).unwrap();
        prop_assert_eq!(places(ours(&rows, &members, text, partitions), context()).unwrap(), expected);
    }
}

/// The count is of rows that it gives, not of those that its join gives it.
#[test]
fn rows_are_counted() {
    let rows = || vec![vec![Some(1), None, Some(2)]];
    for (members, expected) in [(vec![Some(1)], 1), (vec![None], 0), (vec![], 3)] {
        let plan = ours(&rows(), &vec![members], false, 1);
        places(Arc::clone(&plan), Arc::new(TaskContext::default())).unwrap();
        assert_eq!(plan.metrics().and_then(|metrics| metrics.output_rows()), Some(expected));
    }
}

#[test]
fn null_means_what_it_means_for_not_in() {
    let found = |rows: &[Option<i64>], members: &[Option<i64>]| {
        let (rows, members) = (vec![rows.to_vec()], vec![members.to_vec()]);
        places(ours(&rows, &members, false, 1), Arc::new(TaskContext::default())).unwrap()
    };
    let rows = [Some(1), None, Some(2)];
    assert_eq!(found(&rows, &[]), [0, 1, 2]);
    assert_eq!(found(&rows, &[Some(1)]), [2]);
    assert_eq!(found(&rows, &[Some(1), None]), [] as [i64; 0]);
    assert_eq!(found(&[], &[None]), [] as [i64; 0]);
}

/// What is made anew over the same inputs knows nothing of the run before.
#[test]
fn each_plan_sees_its_own_rows() {
    let plan = ours(&vec![vec![Some(1)]], &vec![vec![None]], false, 1);
    let context = || Arc::new(TaskContext::default());
    assert_eq!(places(Arc::clone(&plan), context()).unwrap(), [] as [i64; 0]);
    let rows = table(&vec![vec![Some(1)]], 1, false);
    let inputs = vec![table(&vec![vec![Some(2)]], 1, false), rows];
    let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    let next = plan.replace_children(inputs, keep).unwrap();
    assert_eq!(places(next, context()).unwrap(), [0]);
}

/// The collected rows are charged, and what does not fit is an error.
#[test]
fn what_is_collected_is_charged() {
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(10_000, 1.0).build_arc().unwrap();
    let context = Arc::new(TaskContext::default().with_runtime(runtime));
    let members: Keys = (0..100).map(|batch| (0..100).map(|key| Some(batch * 100 + key)).collect()).collect();
    assert!(places(ours(&vec![vec![Some(1)]], &members, true, 1), context).is_err());
}

/// Only the join of NOT IN is replaced.
#[test]
fn other_joins_stay() {
    let join = own(&vec![vec![Some(1)]], &vec![vec![Some(1)]], false);
    assert!(NullAwareAntiJoinExec::replaces(&join));
    assert!(!NullAwareAntiJoinExec::replaces(&join.builder().with_null_aware(false).build().unwrap()));
    assert!(!NullAwareAntiJoinExec::replaces(&join.builder().with_projection(Some(vec![1])).build().unwrap()));
}
