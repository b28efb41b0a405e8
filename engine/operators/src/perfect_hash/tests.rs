//! Statements with the operator and without it give the same, over keys of each type: dense, sparse and both in turn.

use super::AggregateByPerfectHash;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::display::array_value_to_string;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use std::sync::Arc;

/// Accumulators of one state and of several, of texts, of distinct values, and behind a filter.
const SUMMARY: &str = "SELECT k, count(*), count(v), sum(v), avg(v), min(v), max(t), count(DISTINCT v), \
    sum(v) FILTER (WHERE v > 0), bool_or(v > 5) FROM rows GROUP BY k";

/// A table of batches of keys, which are dealt out to three partitions.
struct Rows {
    batches: Vec<Vec<Option<i64>>>,
    key: DataType,
}

impl Rows {
    fn of(batches: Vec<Vec<Option<i64>>>) -> Self {
        Self { batches, key: DataType::Int64 }
    }

    /// `batches` batches of `length` keys; `key` makes each of its place among all.
    fn made(batches: i64, length: i64, key: impl Fn(i64) -> i64) -> Self {
        let batch = |at: i64| (0..length).map(|row| Some(key(at * length + row))).collect();
        Self::of((0..batches).map(batch).collect())
    }

    fn context(&self, config: SessionConfig, memory: Option<usize>) -> SessionContext {
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", self.key.clone(), true),
            Field::new("v", DataType::Int32, true),
            Field::new("t", DataType::Utf8, true),
        ]));
        let mut partitions = vec![Vec::new(), Vec::new(), Vec::new()];
        for (at, keys) in self.batches.iter().enumerate() {
            let key: ArrayRef = Arc::new(keys.iter().copied().collect::<Int64Array>());
            let value = |row: usize| (!row.is_multiple_of(7)).then(|| i32::try_from((row * 31 + at) % 23).unwrap() - 9);
            let values = (0..keys.len()).map(value).collect::<Int32Array>();
            let texts = (0..keys.len()).map(|row| Some(format!("{}", row % 11))).collect::<StringArray>();
            let columns = vec![cast(&key, &self.key).unwrap(), Arc::new(values), Arc::new(texts)];
            partitions[at % 3].push(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
        }
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = memory {
            runtime = runtime.with_memory_limit(bytes, 1.0);
        }
        let context = SessionContext::new_with_config_rt(config, runtime.build_arc().unwrap());
        context.register_table("rows", Arc::new(MemTable::try_new(schema, partitions).unwrap())).unwrap();
        context
    }
}

/// What a statement gives, sorted, and rows that the operator added to its groups.
fn answers(context: &SessionContext, sql: &str, with_rule: bool) -> (Vec<String>, usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let plan = if with_rule { ours(plan) } else { plan };
        let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
        let row = |batch: &RecordBatch, row: usize| {
            let columns = batch.columns().iter();
            columns.map(|column| array_value_to_string(column, row).unwrap()).collect::<Vec<_>>().join("|")
        };
        let mut lines: Vec<String> = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>())
            .collect();
        lines.sort();
        if let Some(rows) = top(&plan).and_then(|node| node.metrics()).and_then(|metrics| metrics.output_rows()) {
            assert_eq!(rows, lines.len(), "{sql}: rows for the aggregate that took over are no output");
        }
        (lines, added(&plan))
    })
}

/// The operator that makes the statement's groups.
fn top(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if plan.name() == "PerfectHashAggregateExec" {
        return Some(Arc::clone(plan));
    }
    plan.children().into_iter().find_map(top)
}

fn ours(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    AggregateByPerfectHash.optimize(plan, &ConfigOptions::new()).unwrap()
}

fn added(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own =
        plan.metrics().and_then(|metrics| metrics.sum_by_name("perfect_hash_rows")).map_or(0, |sum| sum.as_usize());
    own + plan.children().into_iter().map(added).sum::<usize>()
}

fn config() -> SessionConfig {
    SessionConfig::new().with_target_partitions(3).with_batch_size(64)
}

/// Checks one statement, and gives the rows that were added here.
fn same(rows: &Rows, config: &SessionConfig, memory: Option<usize>, sql: &str) -> usize {
    let (expected, _) = answers(&rows.context(config.clone(), memory), sql, false);
    let (found, added) = answers(&rows.context(config.clone(), memory), sql, true);
    assert_eq!(found, expected, "{sql}");
    added
}

#[test]
fn dense_keys_are_grouped_here_in_both_stages() {
    let rows = Rows::made(12, 500, |at| at * 7_919 % 300);
    // Three streams pass on 300 groups each.
    assert_eq!(same(&rows, &config(), None, SUMMARY), 6_000 + 900);
    assert_eq!(same(&rows, &config(), None, "SELECT k FROM rows GROUP BY k"), 6_000 + 900);
    assert_eq!(same(&rows, &config(), None, "SELECT k % 10 AS k, sum(v) FROM rows GROUP BY k % 10"), 6_000 + 30);
    for sql in ["SELECT k, t, sum(v) FROM rows GROUP BY k, t", "SELECT t, sum(v) FROM rows GROUP BY t"] {
        assert_eq!(same(&rows, &config(), None, sql), 0, "{sql}");
    }
}

#[test]
fn all_key_types_are_grouped() {
    let zone = Some("+02:00".into());
    for key in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, zone),
    ] {
        let rows = Rows { key, ..Rows::made(9, 200, |at| at * 31 % 90) };
        assert_eq!(same(&rows, &config(), None, SUMMARY), 1_800 + 270);
    }
    let rows = Rows { key: DataType::UInt64, ..Rows::made(3, 200, |at| at % 9) };
    assert_eq!(same(&rows, &config(), None, SUMMARY), 0);
}

#[test]
fn no_rows_and_nulls_alone_are_grouped() {
    same(&Rows::of(Vec::new()), &config(), None, SUMMARY);
    same(&Rows::of(vec![Vec::new(), Vec::new()]), &config(), None, SUMMARY);
    assert!(same(&Rows::of(vec![vec![None; 5], vec![None; 7], vec![Some(1)]]), &config(), None, SUMMARY) > 0);
}

#[test]
fn keys_far_apart_are_handed_over() {
    assert_eq!(same(&Rows::made(6, 300, |at| at * 1_000_003), &config(), None, SUMMARY), 0);
    // At first they are close.
    let sparse_later = |at| if at < 1_500 { at % 40 } else { at * 1_000_003 };
    assert!(same(&Rows::made(12, 300, sparse_later), &config(), None, SUMMARY) > 1_000);
    let ends = [i64::MIN, i64::MAX, 0].map(Some);
    same(&Rows::of(vec![ends.to_vec(), ends.to_vec(), ends.to_vec(), vec![None]]), &config(), None, SUMMARY);
}

/// Keys of one batch are too few for the array that they need, those of several are not.
#[test]
fn batches_wait_until_their_rows_pay_for_the_array() {
    let rows = Rows::made(30, 500, |at| at * 7_919 % 100_000);
    let whole = config().set_u64("datafusion.execution.skip_partial_aggregation_probe_rows_threshold", 1 << 40);
    assert!(same(&rows, &whole, None, "SELECT k, sum(v) FROM rows GROUP BY k") > 15_000);
}

#[test]
fn rows_that_are_groups_of_their_own_are_passed_on() {
    let rows = Rows::made(30, 500, |at| at);
    let eager = config().set_u64("datafusion.execution.skip_partial_aggregation_probe_rows_threshold", 1_000);
    let added = same(&rows, &eager, None, "SELECT k, sum(v) FROM rows GROUP BY k");
    // Of each stream the first rows, and all of them in the second stage.
    assert!((15_000 + 3_000..15_000 + 6_000).contains(&added), "{added}");
}

#[test]
fn short_memory_hands_over_and_the_answer_stays() {
    let rows = Rows::made(60, 500, |at| at * 7_919 % 9_973);
    let sql = "SELECT k, count(*), sum(v), avg(v) FROM rows GROUP BY k";
    let all = same(&rows, &config(), None, sql);
    let (expected, _) = answers(&rows.context(config(), None), sql, false);
    let (found, added) = answers(&rows.context(config(), Some(700_000)), sql, true);
    assert_eq!(found, expected);
    assert!(added < all, "{added} of {all}");
}

#[test]
fn the_node_stands_for_its_aggregate() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let context = Rows::made(3, 10, |at| at).context(config(), None);
    let plan = |sql: &'static str| {
        runtime.block_on(async { context.sql(sql).await.unwrap().create_physical_plan().await.unwrap() })
    };
    let shown = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(false).to_string();
    let before = plan("SELECT k, sum(v) FROM rows GROUP BY k");
    let after = ours(Arc::clone(&before));
    assert_eq!(shown(&after), shown(&before).replace("AggregateExec", "PerfectHashAggregateExec"));
    // Once more, and over the same inputs, it is the same.
    assert_eq!(shown(&ours(Arc::clone(&after))), shown(&after));
    for unchanged in [
        "SELECT k FROM rows GROUP BY k LIMIT 3",
        "SELECT sum(v) FROM rows",
        "SELECT k, t FROM rows GROUP BY GROUPING SETS ((k), (t))",
    ] {
        let plan = plan(unchanged);
        assert_eq!(shown(&ours(Arc::clone(&plan))), shown(&plan), "{unchanged}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_keys_give_the_same(
        batches in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, -300_i64..3_000), 0..90), 0..12),
        stretch in prop::sample::select(vec![1_i64, 3, 1 << 10, 1 << 30, 1 << 50]),
        shift in prop::sample::select(vec![0, i64::MIN, i64::MAX, -1_000]),
        memory in prop::option::of(400_000_usize..2_000_000),
    ) {
        let moved = |key: Option<i64>| key.map(|key| key.wrapping_mul(stretch).wrapping_add(shift));
        let rows = Rows::of(batches.into_iter().map(|batch| batch.into_iter().map(moved).collect()).collect());
        let (expected, _) = answers(&rows.context(config(), None), SUMMARY, false);
        prop_assert_eq!(answers(&rows.context(config(), memory), SUMMARY, true).0, expected);
    }
}
