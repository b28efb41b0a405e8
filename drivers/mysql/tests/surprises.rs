//! What MariaDB is known to answer in its own way, shown first on the server itself and then through the driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{administrator, driver, ids, output, rows, scan};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation, SortKey};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::MysqlDriver;
use querygate_types::ErrorCode;
use sqlx::{AssertSqlSafe, Row};

const TEXT: ValueType = ValueType::Text;
const INT: ValueType = ValueType::Int64;

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

fn compared(op: ComparisonOp, id: u32, value_type: ValueType) -> ScalarExpr {
    ScalarExpr::compare(op, column(id), ScalarExpr::Parameter(0, value_type))
}

/// Ids of the rows of a table for which the predicate is true.
async fn kept(driver: &MysqlDriver, table: &str, predicate: ScalarExpr, values: &[Value]) -> Vec<i64> {
    let relation = filter(scan(driver, table, 0).await, predicate);
    ids(&rows(driver, relation, vec![output(0, INT)], values).await.unwrap())
}

fn count(server: &Server, sql: &str) -> i64 {
    let collated = format!("SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin; USE test_db; {sql}");
    server.sql(&collated).trim().parse().unwrap()
}

fn schema(server: &Server, sql: &str) {
    server.sql(&format!("CREATE DATABASE IF NOT EXISTS test_db; USE test_db; {sql}"));
}

#[tokio::test]
async fn an_index_does_not_change_the_answer() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE with_index (id BIGINT PRIMARY KEY, n INT, t DATETIME, d DECIMAL(10,2), u INT UNSIGNED,
             KEY (n), KEY (t), KEY (d), KEY (u));
         INSERT INTO with_index SELECT seq, seq, '2024-01-01' + INTERVAL seq SECOND, seq / 100, seq FROM seq_1_to_500;
         CREATE TABLE without_index AS SELECT * FROM with_index; ANALYZE TABLE with_index;",
    );
    // The server itself: a scan finds nothing, an index finds the rows with 2.
    assert_eq!(count(&server, "SELECT COUNT(*) FROM without_index WHERE n = 1.5"), 0);
    assert_eq!(count(&server, "SELECT COUNT(*) FROM with_index WHERE n = 1.5"), 1);
    let driver = driver(&server, "test_db");
    let moment = |micros: i64| Value::Timestamp { micros: 1_704_067_200_000_000 + micros, utc: false };
    let cents = |value: i128| Value::Decimal128 { value, precision: 10, scale: 2 };
    let ops = [
        ComparisonOp::Eq,
        ComparisonOp::NotEq,
        ComparisonOp::Lt,
        ComparisonOp::LtEq,
        ComparisonOp::Gt,
        ComparisonOp::GtEq,
        ComparisonOp::IsDistinctFrom,
        ComparisonOp::IsNotDistinctFrom,
    ];
    let times = [-1_i64, 0, 1, 499_999, 500_000, 1_000_000, 1_500_000, 499_500_000, 500_500_000, 86_400_000_000];
    let mut cases: Vec<(u32, Value)> = times.map(|micros| (2, moment(micros))).to_vec();
    cases.extend([i32::MIN, -1, 0, 1, 500, 501, i32::MAX].map(|n| (1, Value::Int32(n))));
    cases.extend([-1, 0, 1, 150, 500, 501, 9_999_999_999, -9_999_999_999].map(|n| (3, cents(n))));
    cases.extend([i64::MIN, -1, 0, 1, 500, 1 << 32, i64::MAX].map(|n| (4, Value::Int64(n))));
    let (with_index, without_index) = (scan(&driver, "with_index", 0).await, scan(&driver, "without_index", 0).await);
    let found = async |input: &Relation, predicate, value: &Value| {
        let relation = filter(input.clone(), predicate);
        ids(&rows(&driver, relation, vec![output(0, INT)], std::slice::from_ref(value)).await.unwrap())
    };
    for (id, value) in &cases {
        for op in ops {
            let predicate = compared(op, *id, value.value_type());
            let by_index = found(&with_index, predicate.clone(), value).await;
            assert_eq!(by_index, found(&without_index, predicate, value).await, "{op:?} {value:?}");
        }
        let list = ScalarExpr::InList {
            expr: Box::new(column(*id)),
            list: vec![ScalarExpr::Parameter(0, value.value_type())],
            negated: false,
        };
        let by_index = found(&with_index, list.clone(), value).await;
        assert_eq!(by_index, found(&without_index, list, value).await, "in {value:?}");
    }
    // A value between two that the column can hold equals none.
    assert_eq!(
        kept(&driver, "with_index", compared(ComparisonOp::Eq, 2, moment(0).value_type()), &[moment(1_500_000)]).await,
        Vec::<i64>::new()
    );
    assert_eq!(
        kept(&driver, "with_index", compared(ComparisonOp::Eq, 2, moment(0).value_type()), &[moment(2_000_000)]).await,
        [2]
    );
}

#[tokio::test]
async fn like_by_index_loses_no_row() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "SET NAMES utf8mb4; CREATE TABLE words (id BIGINT PRIMARY KEY, t VARCHAR(100) COLLATE utf8mb4_nopad_bin NOT NULL,
             g VARCHAR(100) COLLATE utf8mb4_general_ci NOT NULL, KEY (t), KEY (g));
         INSERT INTO words SELECT seq, CONCAT('x', seq), CONCAT('x', seq) FROM seq_100_to_900;
         INSERT INTO words VALUES (1, 'p😀', 'p😀'), (2, 'p', 'p'), (3, 'P', 'P'), (4, 'pa', 'pa'), (5, 'p\t', 'p\t'),
             (6, 'p😀a', 'p😀a'), (7, 'p%', 'p%'); ANALYZE TABLE words;",
    );
    let plain = "SELECT COUNT(*) FROM words FORCE INDEX (t) WHERE t LIKE 'p%'";
    assert!(count(&server, plain) < 6, "the server itself loses rows above U+FFFF");
    let driver = driver(&server, "test_db");
    for (pattern, expected) in [
        ("p%", vec![1, 2, 4, 5, 6, 7]),
        ("p😀%", vec![1, 6]),
        ("%😀%", vec![1, 6]),
        ("p\\%", vec![7]),
        ("p_", vec![1, 4, 5, 7]),
        ("P%", vec![3]),
        ("p|%", vec![]),
    ] {
        for id in [1, 2] {
            let like =
                ScalarExpr::Like { expr: Box::new(column(id)), pattern: 0, negated: false, case_insensitive: false };
            assert_eq!(
                kept(&driver, "words", like, &[Value::text(pattern)]).await,
                expected,
                "{pattern} of column {id}"
            );
        }
    }
}

#[tokio::test]
async fn a_text_that_the_server_would_sort_by_its_beginning_is_not_sorted_there() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE notes (id BIGINT PRIMARY KEY, long_text VARCHAR(3000) COLLATE utf8mb4_nopad_bin,
             short_text VARCHAR(255) COLLATE utf8mb4_general_ci);
         INSERT INTO notes VALUES (1, CONCAT(REPEAT('a', 1100), 'z'), 'b'), (2, CONCAT(REPEAT('a', 1100), 'b'), 'a');",
    );
    let first = server.sql("SELECT id FROM test_db.notes ORDER BY long_text, id LIMIT 1");
    assert_eq!(first.trim(), "1", "the server itself takes both for equal");
    let driver = driver(&server, "test_db");
    let sorted = |input, expr| Relation::Sort {
        input: Box::new(input),
        keys: vec![SortKey { expr, ascending: true, nulls_first: false }],
    };
    let glued =
        ScalarExpr::Function { function: ScalarFunction::Concat, args: vec![column(2), column(2)], value_type: TEXT };
    let notes = scan(&driver, "notes", 0).await;
    for relation in [
        sorted(notes.clone(), column(1)),
        sorted(notes.clone(), glued),
        Relation::Distinct { input: Box::new(notes.clone()) },
    ] {
        let fragment = Fragment { relation, output: vec![output(0, INT)], parameters: vec![] };
        assert_eq!(driver.render(&fragment).unwrap_err().reason, RefusalReason::Type);
    }
    let ordered = rows(&driver, sorted(notes, column(2)), vec![output(0, INT)], &[]).await.unwrap();
    assert_eq!(ordered, [[Value::Int64(2)], [Value::Int64(1)]]);
}

#[tokio::test]
async fn what_can_fail_meets_no_row_below_the_fence() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE pay (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, t VARCHAR(10) NOT NULL, KEY (n), KEY (t));
         INSERT INTO pay VALUES (1, 10, 'x'), (2, 9223372036854775807, 'hidden'), (3, 30, 'x');",
    );
    let driver = driver(&server, "test_db");
    let sum = || ScalarExpr::Arithmetic {
        op: ArithmeticOp::Add,
        left: Box::new(column(1)),
        right: Box::new(ScalarExpr::Parameter(1, INT)),
        value_type: INT,
    };
    let user = |input| filter(input, ScalarExpr::compare(ComparisonOp::Gt, sum(), ScalarExpr::Parameter(1, INT)));
    let values = [Value::text("x"), Value::Int64(20)];
    for policy in [compared(ComparisonOp::Eq, 2, TEXT), compared(ComparisonOp::GtEq, 2, TEXT)] {
        let policy = filter(scan(&driver, "pay", 0).await, policy);
        let fenced = user(Relation::Fence { input: Box::new(policy) });
        let found = rows(&driver, fenced, vec![output(0, INT)], &values).await.unwrap();
        assert_eq!(ids(&found), [1, 3]);
    }
    // Without a fence the hidden row's overflow is the statement's, and its error quotes nothing.
    let open = user(filter(scan(&driver, "pay", 0).await, compared(ComparisonOp::NotEq, 2, TEXT)));
    let error = rows(&driver, open, vec![output(0, INT)], &values).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NumericOutOfRange);
    assert!(!format!("{error} {:?}", error.detail()).contains("pay"), "{error}");
}

#[tokio::test]
async fn the_answer_for_one_text_is_not_the_answer_for_another() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE a (id BIGINT PRIMARY KEY, t VARCHAR(10) COLLATE utf8mb4_general_ci NOT NULL);
         CREATE TABLE b (id BIGINT PRIMARY KEY, t VARCHAR(10) COLLATE utf8mb4_general_ci NOT NULL);
         INSERT INTO a VALUES (1, 'x'), (2, 'X'), (3, 'x '), (4, 'y'); INSERT INTO b VALUES (1, 'X');",
    );
    // The server's cache of subquery results, which the driver's sessions switch off.
    let anti = "SELECT COUNT(*) FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.t = b.t COLLATE utf8mb4_nopad_bin)";
    assert_ne!(count(&server, anti), 3);
    let driver = driver(&server, "test_db");
    let (left, right) = (scan(&driver, "a", 0).await, scan(&driver, "b", 10).await);
    let on = ScalarExpr::compare(ComparisonOp::Eq, column(1), column(11));
    let joined =
        |kind| Relation::Join { kind, left: Box::new(left.clone()), right: Box::new(right.clone()), on: on.clone() };
    for (kind, expected) in
        [(JoinKind::LeftAnti, vec![1, 3, 4]), (JoinKind::LeftSemi, vec![2]), (JoinKind::Inner, vec![2])]
    {
        let found = rows(&driver, joined(kind), vec![output(0, INT)], &[]).await.unwrap();
        assert_eq!(ids(&found), expected, "{kind:?}");
    }
}

/// Which index the server would use for a fragment.
async fn index_of(server: &Server, driver: &MysqlDriver, relation: Relation, values: &[&str]) -> Vec<Option<String>> {
    let parameters = vec![TEXT; usize::from(!values.is_empty())];
    let fragment = Fragment { relation, output: vec![output(0, INT)], parameters };
    let statement = driver.render(&fragment).unwrap();
    let mut connection = administrator(server, "test_db").await;
    let mut query = sqlx::query(AssertSqlSafe(format!("EXPLAIN {}", statement.text)));
    for _ in &statement.bindings {
        query = query.bind(values[0].to_owned());
    }
    let plan = query.fetch_all(&mut connection).await.unwrap();
    plan.iter().map(|row| row.get::<Option<String>, _>("key")).collect()
}

#[tokio::test]
async fn keys_are_found_by_index_in_any_collation() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(100) COLLATE utf8mb4_general_ci NOT NULL, KEY by_name (name));
         CREATE TABLE visits (id BIGINT PRIMARY KEY, person VARCHAR(100) COLLATE utf8mb4_unicode_ci NOT NULL, KEY by_person (person));
         INSERT INTO people SELECT seq, CONCAT('n', seq) FROM seq_1_to_3000;
         INSERT INTO visits SELECT seq, CONCAT('n', seq % 3000) FROM seq_1_to_3000;
         ANALYZE TABLE people; ANALYZE TABLE visits;",
    );
    let driver = driver(&server, "test_db");
    let people = scan(&driver, "people", 0).await;
    let one = filter(people.clone(), compared(ComparisonOp::Eq, 1, TEXT));
    assert_eq!(index_of(&server, &driver, one, &["n7"]).await, [Some("by_name".to_owned())]);
    let listed = ScalarExpr::InList {
        expr: Box::new(column(1)),
        list: vec![ScalarExpr::Parameter(0, TEXT), ScalarExpr::Parameter(0, TEXT)],
        negated: false,
    };
    assert_eq!(index_of(&server, &driver, filter(people.clone(), listed), &["n7"]).await, [Some("by_name".to_owned())]);
    let joined = Relation::Join {
        kind: JoinKind::Inner,
        left: Box::new(filter(people, compared(ComparisonOp::Eq, 1, TEXT))),
        right: Box::new(scan(&driver, "visits", 10).await),
        on: ScalarExpr::compare(ComparisonOp::Eq, column(1), column(11)),
    };
    let indexes = index_of(&server, &driver, joined, &["n7"]).await;
    assert_eq!(indexes, [Some("by_name".to_owned()), Some("by_person".to_owned())]);
}

#[tokio::test]
async fn a_derived_table_that_would_have_to_look_out_is_refused() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE a (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO a VALUES (1, 10), (2, 20);",
    );
    let inside =
        "SELECT COUNT(*) FROM a WHERE EXISTS (SELECT 1 FROM (SELECT b.n FROM a AS b WHERE b.id = a.id LIMIT 9) AS c)";
    assert!(!server.takes(&format!("USE test_db; {inside}")), "the server itself does not know the outer column there");
    let driver = driver(&server, "test_db");
    let (outer, inner) = (scan(&driver, "a", 0).await, scan(&driver, "a", 10).await);
    let same = ScalarExpr::compare(ComparisonOp::Eq, column(0), column(10));
    let fenced = |relation| Relation::Fence { input: Box::new(relation) };
    let small =
        |relation| filter(relation, ScalarExpr::compare(ComparisonOp::Lt, column(11), ScalarExpr::Parameter(0, INT)));
    let exists = |relation| ScalarExpr::Exists { relation: Box::new(relation), negated: false };
    // The condition that looks out stands above the fence, then below it.
    let above = filter(fenced(small(inner.clone())), same.clone());
    let below = small(fenced(filter(inner, same)));
    let found = rows(&driver, filter(outer.clone(), exists(above)), vec![output(0, INT)], &[Value::Int64(15)]).await;
    assert_eq!(ids(&found.unwrap()), [1]);
    let fragment =
        Fragment { relation: filter(outer, exists(below)), output: vec![output(0, INT)], parameters: vec![INT] };
    assert_eq!(driver.render(&fragment).unwrap_err().reason, RefusalReason::Operator);
    assert!(driver.capabilities().supports_fragment(&fragment).is_err());
}

/// `ORDER BY TRUE` orders by the first column there, `ORDER BY FALSE` by one that does not exist, and a bound 2 by the second.
#[tokio::test]
async fn a_constant_key_is_no_position() {
    let Some(server) = Server::start() else { return };
    schema(
        &server,
        "CREATE TABLE a (id BIGINT PRIMARY KEY, n BIGINT); INSERT INTO a VALUES (1, 10), (2, 20), (3, 10);",
    );
    assert!(!server.takes("USE test_db; SELECT id FROM a ORDER BY FALSE"), "the server takes FALSE for no position");
    let driver = driver(&server, "test_db");
    let key = |expr, ascending| SortKey { expr, ascending, nulls_first: false };
    for constant in [Constant::True, Constant::False, Constant::Null(INT)] {
        let scan = scan(&driver, "a", 0).await;
        let keys = vec![key(ScalarExpr::Constant(constant), true), key(column(0), false)];
        let sorted = Relation::Sort { input: Box::new(scan.clone()), keys };
        let limited = Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(2) };
        let found = rows(&driver, limited, vec![output(0, INT)], &[]).await.unwrap();
        assert_eq!(found, [[Value::Int64(3)], [Value::Int64(2)]], "{constant:?}");
        let group = vec![(ColumnId(5), ScalarExpr::Constant(constant))];
        let grouped = Relation::Aggregate { input: Box::new(scan), group, aggregates: vec![] };
        let of = if matches!(constant, Constant::Null(_)) { INT } else { ValueType::Boolean };
        assert_eq!(rows(&driver, grouped, vec![output(5, of)], &[]).await.unwrap().len(), 1, "{constant:?}");
    }
    for number in [1, 2, 6] {
        let scan = scan(&driver, "a", 0).await;
        let bound = ScalarExpr::Parameter(0, INT);
        let keys = vec![key(bound.clone(), true), key(column(0), false)];
        let sorted = Relation::Sort { input: Box::new(scan.clone()), keys };
        let limited = Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(2) };
        let found = rows(&driver, limited, vec![output(0, INT)], &[Value::Int64(number)]).await.unwrap();
        assert_eq!(found, [[Value::Int64(3)], [Value::Int64(2)]], "{number}");
        let grouped =
            Relation::Aggregate { input: Box::new(scan), group: vec![(ColumnId(5), bound)], aggregates: vec![] };
        let found = rows(&driver, grouped, vec![output(5, INT)], &[Value::Int64(number)]).await.unwrap();
        assert_eq!(found, [[Value::Int64(number)]]);
    }
}
