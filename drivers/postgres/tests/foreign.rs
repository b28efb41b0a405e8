//! Databases that somebody else made: every type, other collations, odd values, keys and comments, barriers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::query::{column, filter, integers, rows, scan, table};
use common::server;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::function::{DatePart, ScalarFunction};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Collation, Encoding, JoinKind, Relation, SortKey};
use querygate_driver_api::remote::TableKind;
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{ItemType, Value, ValueType};
use querygate_types::ErrorCode;

const INT: ValueType = ValueType::Int32;
const TEXT: ValueType = ValueType::Text;

const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN code AS varchar(5) CHECK (value <> '');
    CREATE TABLE every (
        id int PRIMARY KEY, m mood, u uuid, j jsonb, i interval, a inet, p pair, d code, r int4range, bits bit(3),
        n numeric, wide numeric(60, 20), ch char(4), money money, x xml, ints int[], o oid, nm name, tz timetz, f real);
    INSERT INTO every VALUES (1, 'happy', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"b\": 1, \"a\": [null]}', '1 day 2 hours',
        '10.0.0.1/8', '(7,\"x y\")', 'abc', '[1,5)', '101', 12345678901234567890123456789.123456789, 1.5, 'ab', '12.34',
        '<a/>', '{1,NULL,3}', 4000000000, 'n', '12:00:00+02', 0.1),
        (2, 'ok', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE odd (id int, d date, t timestamptz, c time, m numeric(10, 2), grid text[]);
    INSERT INTO odd VALUES (1, 'infinity', '2024-01-01', '10:00', 1, '{a}'), (2, '2024-01-01', '-infinity', '10:00', 1, '{}'),
        (3, '2024-01-01', '2024-01-01', '24:00', 1, '{a}'), (4, '2024-01-01', '2024-01-01', '10:00', 'NaN', '{a}'),
        (5, '2024-01-01', '2024-01-01', '10:00', 1, '{{a},{b}}'), (6, '294276-01-01', '294276-01-01', '10:00', 1, NULL);
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region text, UNIQUE (region, name));
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers (id), note text, deleted bool);
    CREATE INDEX open_orders ON orders (customer, id) WHERE NOT deleted;
    CREATE INDEX by_note ON orders (lower(note), id);
    COMMENT ON TABLE orders IS 'what was bought'; COMMENT ON COLUMN orders.note IS 'free text';
    CREATE VIEW recent AS SELECT id, note FROM orders;
    CREATE TABLE measured (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    INSERT INTO measured SELECT g, '2024-05-01' FROM generate_series(1, 500) g;
    ANALYZE;
";

#[tokio::test]
async fn tables_are_described_with_keys_comments_and_sizes() {
    let Some(server) = server() else { return };
    server.database("described", "").await.batch_execute(TYPES).await.unwrap();
    let driver = server.driver("described");
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(ToString::to_string).collect();
    let expected = ["customers", "every", "measured", "odd", "orders", "recent"].map(|name| format!("public.{name}"));
    assert_eq!(names, expected);
    let orders = driver.describe(&table("orders")).await.unwrap();
    assert_eq!(orders.primary_key[0].as_str(), "id");
    assert_eq!(orders.foreign_keys[0].references, table("customers"));
    assert_eq!(orders.foreign_keys[0].columns[0].as_str(), "customer");
    assert_eq!(orders.comment.as_deref(), Some("what was bought"));
    assert_eq!(orders.columns[2].comment.as_deref(), Some("free text"));
    assert!(!orders.columns[1].nullable && orders.columns[2].nullable);
    let index = |name: &str| orders.indexes.iter().find(|index| index.name == name).unwrap();
    assert!(index("open_orders").partial && !index("open_orders").unique);
    assert_eq!(index("by_note").columns.len(), 1, "an expression has no column");
    let customers = driver.describe(&table("customers")).await.unwrap();
    assert_eq!(customers.unique[0].len(), 2);
    assert_eq!(driver.describe(&table("measured")).await.unwrap().row_estimate, Some(500));
    let statistics = driver.statistics(&table("measured")).await.unwrap();
    assert_eq!(statistics.rows, Some(500));
    assert_eq!(statistics.columns[1].distinct, Some(500));
    assert_eq!(driver.describe(&table("absent")).await.unwrap_err().code(), ErrorCode::UndefinedTable);
    let enums = driver.enums().await.unwrap();
    assert_eq!(enums["public.mood"], ["sad", "ok", "happy"]);
}

#[tokio::test]
async fn relations_of_every_kind_are_listed_and_told_apart() {
    let Some(server) = server() else { return };
    let sql = "CREATE TABLE sales (id int); CREATE VIEW open AS SELECT id FROM sales;
        CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM sales;
        CREATE MATERIALIZED VIEW unmade AS SELECT id FROM sales WITH NO DATA;
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE FOREIGN DATA WRAPPER distance; CREATE SERVER away FOREIGN DATA WRAPPER distance; CREATE FOREIGN TABLE parts (id int) SERVER away;";
    server.database("kinds", "").await.batch_execute(sql).await.unwrap();
    let driver = server.driver("kinds");
    let mut found = Vec::new();
    for one in driver.tables().await.unwrap() {
        found.push((one.name().to_owned(), driver.describe(&one).await.unwrap().kind));
    }
    let expected = [
        ("open", TableKind::View),
        ("parted", TableKind::Table),
        ("parts", TableKind::ForeignTable),
        ("sales", TableKind::Table),
        ("totals", TableKind::MaterializedView),
        ("unmade", TableKind::MaterializedView),
    ];
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[tokio::test]
async fn types_without_a_counterpart_are_read_as_texts_and_compared_so() {
    let Some(server) = server() else { return };
    server.database("typed", "").await.batch_execute(TYPES).await.unwrap();
    let driver = server.driver("typed");
    for (id, expected) in [
        (1, "happy"),
        (2, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (3, "{\"a\": [null], \"b\": 1}"),
        (4, "1 day 02:00:00"),
        (5, "10.0.0.1/8"),
        (6, "(7,\"x y\")"),
        (7, "abc"),
        (8, "[1,5)"),
        (9, "101"),
        (10, "12345678901234567890123456789.123456789"),
        (11, "1.50000000000000000000"),
        (12, "ab"),
        (14, "<a/>"),
        (17, "n"),
        (18, "12:00:00+02"),
    ] {
        let equal = filter(scan(&driver, "every").await, ComparisonOp::Eq, id, TEXT);
        let value = Value::text(expected);
        let found = rows(&driver, equal, &[(0, INT), (id, TEXT)], std::slice::from_ref(&value)).await.unwrap();
        assert_eq!(found, [[Value::Int32(1), value]], "{expected}");
    }
    // An array reads as a list of texts, too.
    let mut every = scan(&driver, "every").await;
    let Relation::Scan { columns, .. } = &mut every else { unreachable!("a scan") };
    assert_eq!(columns[15].value_type, ValueType::List(ItemType::Int32));
    columns[15].value_type = ValueType::TextList;
    let wide = rows(&driver, every, &[(15, ValueType::TextList), (16, ValueType::Int64)], &[]).await.unwrap();
    assert_eq!(wide[0][0], Value::TextList([Some("1".into()), None, Some("3".into())].into()));
    assert_eq!(wide[0][1], Value::Int64(4_000_000_000));
    // An enum stands in the order of its texts, not of its labels.
    let key = SortKey { expr: column(1), ascending: true, nulls_first: false };
    let sorted = Relation::Sort { input: Box::new(scan(&driver, "every").await), keys: vec![key] };
    assert_eq!(integers(&rows(&driver, sorted, &[(0, INT)], &[]).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_number_without_precision_is_read_whole_or_not_at_all() {
    let Some(server) = server() else { return };
    server.database("exact", "").await.batch_execute(TYPES).await.unwrap();
    let driver = server.driver("exact");
    let described = driver.describe(&table("every")).await.unwrap();
    for (precision, scale, fits) in [(38, 9, true), (38, 8, false), (30, 9, false)] {
        let wanted = ValueType::Decimal128 { precision, scale };
        assert_eq!(driver.read_as(&described.columns[10], wanted), Ok(Encoding::Canonical));
        let mut relation = filter(scan(&driver, "every").await, ComparisonOp::Eq, 0, INT);
        if let Relation::Filter { input, .. } = &mut relation
            && let Relation::Scan { columns, .. } = input.as_mut()
        {
            columns[10].value_type = wanted;
        }
        let found = rows(&driver, relation.clone(), &[(10, wanted)], &[Value::Int32(1)]).await;
        let expected =
            Value::Decimal128 { value: 12_345_678_901_234_567_890_123_456_789_123_456_789, precision, scale };
        match found {
            Ok(found) => assert!(fits && found == [[expected]], "{found:?}"),
            Err(error) => assert!(!fits && error.code() == ErrorCode::NumericOutOfRange, "{error}"),
        }
        let not_a_number = rows(&driver, relation, &[(10, wanted)], &[Value::Int32(2)]).await.unwrap_err();
        assert_eq!(not_a_number.code(), ErrorCode::NumericOutOfRange);
    }
    assert!(driver.read_as(&described.columns[10], ValueType::Float64).is_err());
}

#[tokio::test]
async fn values_beyond_our_types_fail_when_read_and_only_then() {
    let Some(server) = server() else { return };
    server.database("beyond", "").await.batch_execute(TYPES).await.unwrap();
    let driver = server.driver("beyond");
    let instant = ValueType::Timestamp { utc: true };
    let money = ValueType::Decimal128 { precision: 10, scale: 2 };
    for (row, id, value_type, code) in [
        (1, 1, ValueType::Date, ErrorCode::DatetimeOverflow),
        (2, 2, instant, ErrorCode::DatetimeOverflow),
        (3, 3, ValueType::Time, ErrorCode::DatetimeOverflow),
        (4, 4, money, ErrorCode::NumericOutOfRange),
        (5, 5, ValueType::TextList, ErrorCode::DataException),
        (6, 2, instant, ErrorCode::DatetimeOverflow),
    ] {
        let one = filter(scan(&driver, "odd").await, ComparisonOp::Eq, 0, INT);
        let error = rows(&driver, one.clone(), &[(id, value_type)], &[Value::Int32(row)]).await.unwrap_err();
        assert_eq!(error.code(), code, "row {row}: {error}");
        assert_eq!(rows(&driver, one, &[(0, INT)], &[Value::Int32(row)]).await.unwrap().len(), 1);
    }
    // A year without end is no error on rows that somebody may not see.
    for (id, part) in [(1, DatePart::Year), (2, DatePart::Month), (2, DatePart::Second)] {
        let function = ScalarFunction::DatePart(part);
        let year = ScalarExpr::Function { function, args: vec![column(id)], value_type: INT };
        let known = ScalarExpr::compare(ComparisonOp::Gt, year, ScalarExpr::Parameter(0, INT));
        assert!(!known.can_fail());
        let relation = Relation::Filter { input: Box::new(scan(&driver, "odd").await), predicate: known };
        assert!(rows(&driver, relation, &[(0, INT)], &[Value::Int32(-1)]).await.unwrap().len() >= 4);
    }
}

#[tokio::test]
async fn texts_of_every_collation_meet_and_compare_by_code_point() {
    let Some(server) = server() else { return };
    let client = server.database("collated", "").await;
    client
        .batch_execute(
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE t (id int, a text, b text COLLATE \"de-x-icu\", c text COLLATE \"C\", d text COLLATE folded,
                             e varchar(9) COLLATE \"en-x-icu\");
             INSERT INTO t SELECT g, x, x, x, x, x FROM unnest(ARRAY['b', 'B', 'a', 'A', 'ä', 'Z']) WITH ORDINALITY u(x, g);
             CREATE INDEX ON t (c); CREATE INDEX ON t (b)",
        )
        .await
        .unwrap();
    let driver = server.driver("collated");
    let described = driver.describe(&table("t")).await.unwrap();
    let names: Vec<&Collation> = described.columns.iter().map(|column| &column.collation).collect();
    let named = |name: &str| Collation::Named(name.into());
    assert_eq!(names[1..4], [&named("default"), &named("de-x-icu"), &named("C")]);
    for id in 1..=5 {
        let equal = filter(scan(&driver, "t").await, ComparisonOp::Eq, id, TEXT);
        assert_eq!(
            integers(&rows(&driver, equal, &[(0, INT)], &[Value::text("b")]).await.unwrap()),
            [1],
            "column {id}"
        );
        let less = filter(scan(&driver, "t").await, ComparisonOp::Lt, id, TEXT);
        let mut found = integers(&rows(&driver, less, &[(0, INT)], &[Value::text("a")]).await.unwrap());
        found.sort_unstable();
        assert_eq!(found, [2, 4, 6], "column {id}");
        let key = SortKey { expr: column(id), ascending: true, nulls_first: false };
        let sorted = Relation::Sort { input: Box::new(scan(&driver, "t").await), keys: vec![key] };
        assert_eq!(
            integers(&rows(&driver, sorted, &[(0, INT)], &[]).await.unwrap()),
            [4, 2, 6, 3, 1, 5],
            "column {id}"
        );
        let distinct =
            Relation::Project { input: Box::new(scan(&driver, "t").await), exprs: vec![(ColumnId(20), column(id))] };
        let distinct = Relation::Distinct { input: Box::new(distinct) };
        assert_eq!(rows(&driver, distinct, &[(20, TEXT)], &[]).await.unwrap().len(), 6);
        for other in 1..=5 {
            let both = ScalarExpr::compare(ComparisonOp::Eq, column(id), column(other));
            let relation = Relation::Filter { input: Box::new(scan(&driver, "t").await), predicate: both };
            assert_eq!(rows(&driver, relation, &[(0, INT)], &[]).await.unwrap().len(), 6, "{id} = {other}");
            let joined = ScalarExpr::Function {
                function: ScalarFunction::Concat,
                args: vec![column(id), column(other)],
                value_type: TEXT,
            };
            let exprs = vec![(ColumnId(30), joined)];
            let relation = Relation::Project { input: Box::new(scan(&driver, "t").await), exprs };
            let relation = Relation::Distinct { input: Box::new(relation) };
            assert_eq!(rows(&driver, relation, &[(30, TEXT)], &[]).await.unwrap().len(), 6, "{id} || {other}");
        }
    }
}

#[tokio::test]
async fn an_index_is_used_under_every_condition_that_bounds_it() {
    let Some(server) = server() else { return };
    let client = server.database("indexed", "").await;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(20), c text COLLATE \"C\", at timestamp, amount numeric(12,2), u uuid, ch char(8));
             INSERT INTO t SELECT g, 'n' || g, 'c' || g, timestamp '2024-01-01' + g * interval '1 min', g, lpad(g::text, 32, '0')::uuid, g
                FROM generate_series(1, 20000) g;
             CREATE INDEX ON t (u); CREATE INDEX ON t (ch);
             CREATE INDEX ON t (name); CREATE INDEX ON t (c); CREATE INDEX ON t (at); CREATE INDEX ON t (amount); ANALYZE t",
        )
        .await
        .unwrap();
    let driver = server.driver("indexed");
    let whole = ValueType::Decimal128 { precision: 19, scale: 0 };
    let instant = ValueType::Timestamp { utc: true };
    let money = ValueType::Decimal128 { precision: 12, scale: 2 };
    for (id, value_type, op, literal) in [
        (0, whole, ComparisonOp::Eq, "5::int8"),
        (0, ValueType::Int64, ComparisonOp::Lt, "5::int8"),
        (1, TEXT, ComparisonOp::Eq, "'n5'::text"),
        (2, TEXT, ComparisonOp::Lt, "'c1'::text"),
        (3, instant, ComparisonOp::Lt, "'2024-01-01 00:05:00Z'::timestamptz"),
        (4, money, ComparisonOp::Eq, "5.00::numeric"),
        (5, TEXT, ComparisonOp::Eq, "'00000000-0000-0000-0000-000000000005'::text"),
        (6, TEXT, ComparisonOp::Eq, "'5'::text"),
    ] {
        let mut input = scan(&driver, "t").await;
        if let Relation::Scan { columns, .. } = &mut input {
            columns[id as usize].value_type = value_type;
        }
        let relation = filter(input, op, id, value_type);
        let fragment = common::query::fragment(relation, &[(4, money)], &[Value::Null(value_type)]);
        let text = driver.render(&fragment).unwrap().text.replace("$1", literal);
        let plan = client.query(&format!("SET TimeZone = 'UTC'; EXPLAIN {text}"), &[]).await;
        assert!(plan.is_err(), "one statement at a time");
        let plan = client.query(&format!("EXPLAIN {text}"), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.join("\n").contains("Index"), "{text}\n{plan:?}");
    }
}

#[tokio::test]
async fn columns_read_as_texts_are_found_in_three_valued_logic() {
    let Some(server) = server() else { return };
    let client = server.database("looked_up", "").await;
    let sql = "CREATE TABLE t (id int, u uuid, c char(4));
        INSERT INTO t VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ab'), (2, 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ''), (3, NULL, NULL)";
    client.batch_execute(sql).await.unwrap();
    let driver = server.driver("looked_up");
    for (id, value, found) in [
        (1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", &[1_i64][..]),
        (1, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", &[]),
        (1, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", &[]),
        (1, "no uuid", &[]),
        (1, "", &[]),
        (2, "ab", &[1]),
        (2, "ab  ", &[]),
        (2, "AB", &[]),
        (2, "", &[2]),
        (2, " ", &[]),
    ] {
        let known = [1_i64, 2];
        let others: Vec<i64> = known.into_iter().filter(|known| !found.contains(known)).collect();
        let value = Value::text(value);
        let parameter = || ScalarExpr::Parameter(0, TEXT);
        let equal = || ScalarExpr::compare(ComparisonOp::Eq, column(id), parameter());
        let listed = |negated| ScalarExpr::InList {
            expr: Box::new(column(id)),
            list: vec![parameter(), ScalarExpr::Parameter(0, TEXT)],
            negated,
        };
        for (predicate, expected) in [
            (equal(), found.to_vec()),
            (ScalarExpr::compare(ComparisonOp::Eq, parameter(), column(id)), found.to_vec()),
            (ScalarExpr::Not(Box::new(equal())), others.clone()),
            (ScalarExpr::compare(ComparisonOp::NotEq, column(id), parameter()), others.clone()),
            (listed(false), found.to_vec()),
            (listed(true), others.clone()),
        ] {
            let relation = Relation::Filter { input: Box::new(scan(&driver, "t").await), predicate };
            let found = rows(&driver, relation, &[(0, INT)], std::slice::from_ref(&value)).await.unwrap();
            assert_eq!(integers(&found), expected, "{id} {value:?}");
        }
        let null = rows(
            &driver,
            filter(scan(&driver, "t").await, ComparisonOp::Eq, id, TEXT),
            &[(0, INT)],
            &[Value::Null(TEXT)],
        );
        assert!(null.await.unwrap().is_empty());
    }
    // The statement that groups by the column's own type still gives texts.
    let grouped = Relation::Aggregate {
        input: Box::new(scan(&driver, "t").await),
        group: vec![(ColumnId(20), column(2))],
        aggregates: Vec::new(),
    };
    let sorted = Relation::Sort {
        input: Box::new(grouped),
        keys: vec![SortKey { expr: column(20), ascending: true, nulls_first: false }],
    };
    let groups = rows(&driver, sorted, &[(20, TEXT)], &[]).await.unwrap();
    assert_eq!(groups, [[Value::text("")], [Value::text("ab")], [Value::Null(TEXT)]]);
    let both = ScalarExpr::compare(ComparisonOp::Eq, column(1), column(11));
    let mut right = scan(&driver, "t").await;
    if let Relation::Scan { columns, .. } = &mut right {
        columns.iter_mut().for_each(|column| column.id.0 += 10);
    }
    let joined = Relation::Join {
        kind: JoinKind::Inner,
        left: Box::new(scan(&driver, "t").await),
        right: Box::new(right),
        on: both,
    };
    assert_eq!(rows(&driver, joined, &[(0, INT)], &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_can_fail_meets_no_row_below_the_fence() {
    let Some(server) = server() else { return };
    let client = server.database("fenced", "").await;
    let sql = "CREATE TABLE firm (id int, n bigint, t text); INSERT INTO firm VALUES (1, 10, 'x'), (2, 0, 'hidden'), (3, 30, 'x')";
    client.batch_execute(sql).await.unwrap();
    let driver = server.driver("fenced");
    let user = |input| {
        let quotient = ScalarExpr::Arithmetic {
            op: ArithmeticOp::Divide,
            left: Box::new(ScalarExpr::Parameter(1, ValueType::Int64)),
            right: Box::new(column(1)),
            value_type: ValueType::Int64,
        };
        let predicate = ScalarExpr::compare(ComparisonOp::Lt, quotient, ScalarExpr::Parameter(2, ValueType::Int64));
        Relation::Filter { input: Box::new(input), predicate }
    };
    let values = [Value::text("x"), Value::Int64(100), Value::Int64(5)];
    let policy = filter(scan(&driver, "firm").await, ComparisonOp::Eq, 2, TEXT);
    let fenced = user(Relation::Fence { input: Box::new(policy) });
    assert_eq!(integers(&rows(&driver, fenced, &[(0, INT)], &values).await.unwrap()), [3]);
    // Without a policy the hidden row's division is the statement's.
    let open = filter(scan(&driver, "firm").await, ComparisonOp::NotEq, 2, TEXT);
    let error = rows(&driver, user(open), &[(0, INT)], &values).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DivisionByZero);
}
