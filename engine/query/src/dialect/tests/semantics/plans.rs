//! What the semantics must not change: where filters run, what is folded, what is pruned.

use super::{answer, bound, context, run};
use arrow::datatypes::DataType;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use querygate_semantics::described;

async fn explained(context: &SessionContext, sql: &str) -> String {
    let batches = run(context, &format!("EXPLAIN {sql}")).await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn constants_fold_and_comparisons_stay() {
    let context = context().await;
    for (sql, part) in [
        ("SELECT id FROM t WHERE a > 2::int * 3::int", "t.a > Int32(6)"),
        ("SELECT 1 + 2 AS q", "Int32(3) AS q"),
        (
            "SELECT id FROM t WHERE ts > timestamp '2024-01-01' - interval '1 month'",
            "TimestampMicrosecond(1701388800000000",
        ),
        ("SELECT id FROM t WHERE a = '5'::text::int", "t.a = Int32(5)"),
        ("SELECT id FROM t WHERE a = 2.5::double precision::int", "t.a = Int32(2)"),
        ("SELECT id FROM t ORDER BY id LIMIT 1 + 1", "fetch=2"),
        ("SELECT id FROM t WHERE n = 2.35", "t.n = Decimal128(2.35,12,2)"),
        ("SELECT id FROM t WHERE b > 5", "t.b > Int64(5)"),
        // A column of views, beside which the pattern is cast to one.
        ("SELECT id FROM t WHERE x LIKE 'a%b%'", "t.x LIKE Utf8View(\"a%b%\")"),
        ("SELECT t.id FROM t JOIN l ON t.id + 1 = l.k", "HashJoinExec"),
        ("SELECT t.id FROM t JOIN l ON t.id = l.k WHERE l.k < 3 AND t.a + 1 > 2", "t.id < Int32(3)"),
    ] {
        let plan = explained(&context, sql).await;
        assert!(plan.contains(part), "{sql}\n{plan}");
    }
}

#[tokio::test]
async fn a_fault_in_a_constant_raises_only_where_it_is_reached() {
    let context = context().await;
    for (sql, expected) in [
        ("SELECT 9223372036854775807 + 1", "!22003"),
        ("SELECT 1 / 0", "!22012"),
        ("SELECT id FROM t WHERE a > 9223372036854775807 + 1", "!22003"),
        ("SELECT CASE WHEN false THEN 1 / 0 ELSE 2 END", "2"),
        ("SELECT CASE WHEN id = 0 THEN 1 / 0 ELSE 2 END FROM t WHERE id = 1", "2"),
        ("SELECT 1 / 0 FROM t WHERE id = 0", ""),
        ("SELECT count(DISTINCT a, b) FROM t", "!42883"),
    ] {
        assert_eq!(answer(&context, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn sums_are_described_with_their_final_types() {
    let context = context().await;
    let numeric = DataType::Decimal128(38, 0);
    for (sql, expected) in [
        ("SELECT sum(s) FROM t", DataType::Int64),
        ("SELECT sum(a) FROM t", DataType::Int64),
        ("SELECT sum(b) FROM t", numeric.clone()),
        ("SELECT sum(b) OVER () FROM t", numeric.clone()),
        ("SELECT sum(DISTINCT b) FROM t", numeric.clone()),
        ("SELECT sum(f) FROM t", DataType::Float64),
        ("SELECT sum(n) FROM t", DataType::Decimal128(22, 2)),
        ("SELECT avg(a) FROM t", DataType::LargeBinary),
        ("SELECT a + a FROM t", DataType::Int32),
        ("SELECT -s FROM t", DataType::Int16),
        ("SELECT n / n FROM t", DataType::Decimal128(38, 16)),
        ("SELECT a + 1 FROM t", DataType::Int32),
        ("SELECT a + 3000000000 FROM t", DataType::Int64),
        ("SELECT sum(CASE WHEN id > 1 THEN a ELSE 0 END) FROM t", DataType::Int64),
        ("SELECT sum(CASE WHEN id > 1 THEN 0 ELSE b END) FROM t", numeric.clone()),
        ("SELECT CASE WHEN id > 1 THEN 0 ELSE b END FROM t", DataType::Int64),
        ("SELECT sum(coalesce(a, 0)) FROM t", DataType::Int64),
        ("SELECT count(*) + 1 FROM t", DataType::Int64),
    ] {
        let plan = bound(&context, sql).await.unwrap();
        let described = described(&plan, context.state().config_options());
        assert_eq!(described.field(0).data_type(), &expected, "{sql}");
        let batches = run(&context, sql).await.unwrap();
        assert_eq!(batches[0].column(0).data_type(), &expected, "{sql}");
    }
}

#[tokio::test]
async fn files_are_pruned_by_comparisons_beside_arithmetic() {
    let folder = std::env::temp_dir().join(format!("querygate-semantics-{}", std::process::id()));
    let file = folder.join("numbers.parquet");
    std::fs::create_dir_all(&folder).unwrap();
    let context = context().await;
    let copy = format!(
        "COPY (SELECT value AS v FROM generate_series(1, 1000) ORDER BY value) TO '{}' STORED AS PARQUET \
         OPTIONS ('format.max_row_group_size' '100')",
        file.display()
    );
    run(&context, &copy).await.unwrap();
    context.register_parquet("numbers", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let sql = "SELECT sum(v * 2) FROM numbers WHERE v > 900 + 50 AND v % 2 = 0";
    assert_eq!(answer(&context, sql).await, "48800");
    let analyzed = run(&context, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&analyzed).unwrap().to_string();
    assert!(text.contains("v@0 > 950"), "{text}");
    let pruned = text.contains("row_groups_pruned_statistics=10 total → 1 matched");
    assert!(pruned, "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Runs where the gate runs statements: on a thread with the stack that nesting needs.
#[test]
fn long_chains_plan_in_bounded_time() {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let context = context().await;
            let chain =
                |term: &str, terms: usize| format!("SELECT {} FROM t WHERE id = 1", vec![term; terms].join(" + "));
            let began = std::time::Instant::now();
            assert_eq!(answer(&context, &chain("a", 300)).await, "3000");
            assert_eq!(answer(&context, &chain("n", 300)).await, "375.00");
            assert_eq!(answer(&context, &chain("a * 1", 100)).await, "1000");
            let nested = format!("SELECT {}a{} FROM t WHERE id = 1", "a - (".repeat(20), ")".repeat(20));
            assert_eq!(answer(&context, &nested).await, "10");
            assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
        });
    };
    std::thread::Builder::new().stack_size(128 << 20).spawn(work).unwrap().join().unwrap();
}
