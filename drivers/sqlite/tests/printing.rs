//! Fragments and the exact SQLite text they become.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, JoinKind, Relation, ScanColumn, SetOp, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_sqlite::{SqliteDriver, SqliteOptions};

const INT: ValueType = ValueType::Int64;
const TEXT: ValueType = ValueType::Text;
const REAL: ValueType = ValueType::Float64;

fn driver() -> SqliteDriver {
    SqliteDriver::new(SqliteOptions::new("/nowhere/absent.db"))
}

fn scan_as(table: &str, base: u32, names: &[(&str, ValueType)], encoding: Encoding) -> Relation {
    let column = |((name, value_type), id): (&(&str, ValueType), u32)| ScanColumn {
        id: ColumnId(id),
        name: Identifier::new(*name).unwrap(),
        value_type: *value_type,
        nullable: true,
        collation: Collation::Binary,
        encoding,
    };
    let columns = names.iter().zip(base..).map(column).collect();
    Relation::Scan { table: TableRef::new(["main", table]).unwrap(), columns }
}

fn orders() -> Relation {
    scan_as("orders", 1, &[("id", INT), ("customer", INT), ("total", REAL)], Encoding::Canonical)
}

fn customers() -> Relation {
    scan_as("customers", 11, &[("id", INT), ("name", TEXT)], Encoding::Canonical)
}

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

fn parameter(index: usize, value_type: ValueType) -> ScalarExpr {
    ScalarExpr::Parameter(index, value_type)
}

fn equals(left: ScalarExpr, right: ScalarExpr) -> ScalarExpr {
    ScalarExpr::compare(ComparisonOp::Eq, left, right)
}

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

fn fragment(relation: Relation, output: &[(u32, ValueType)], parameters: &[ValueType]) -> Fragment {
    let column = |(id, value_type): &(u32, ValueType)| OutputColumn {
        id: ColumnId(*id),
        name: "any \" name; --".to_owned(),
        value_type: *value_type,
        nullable: true,
    };
    Fragment { relation, output: output.iter().map(column).collect(), parameters: parameters.to_vec() }
}

fn check(fragment: &Fragment, expected: &str) {
    let statement = driver().render(fragment).unwrap();
    assert_eq!(statement.text.as_ref(), expected);
}

#[test]
fn a_filtered_sorted_limited_scan_is_one_block() {
    let filtered = filter(orders(), equals(column(2), parameter(0, INT)));
    let sorted = Relation::Sort {
        input: Box::new(filtered),
        keys: vec![SortKey { expr: column(3), ascending: false, nulls_first: true }],
    };
    let limited = Relation::Limit { input: Box::new(sorted), skip: 5, fetch: Some(10) };
    check(
        &fragment(limited, &[(1, INT)], &[INT]),
        "SELECT \"t1\".\"id\" AS \"c1\" FROM \"main\".\"orders\" AS \"t1\" WHERE \
         ((typeof(\"t1\".\"customer\") IN ('integer', 'null')) AND (typeof(\"t1\".\"total\") IN ('real', 'integer', 'null')) \
         AND (\"t1\".\"customer\" = ?1)) ORDER BY \"t1\".\"total\" DESC NULLS FIRST LIMIT 10 OFFSET 5",
    );
}

#[test]
fn a_fence_stays_between_policy_and_what_can_fail() {
    let policy = filter(orders(), equals(column(2), parameter(0, INT)));
    let fenced = Relation::Fence { input: Box::new(policy) };
    let absolute = ScalarExpr::Function { function: ScalarFunction::Abs, args: vec![column(1)], value_type: INT };
    assert!(absolute.can_fail());
    let user = filter(fenced, equals(absolute, parameter(1, INT)));
    check(
        &fragment(user, &[(1, INT)], &[INT, INT]),
        "SELECT \"t2\".\"c1\" AS \"c1\" FROM (SELECT \"t1\".\"id\" AS \"c1\", \"t1\".\"customer\" AS \"c2\", \
         \"t1\".\"total\" AS \"c3\" FROM \"main\".\"orders\" AS \"t1\" WHERE ((typeof(\"t1\".\"id\") IN ('integer', 'null')) \
         AND (typeof(\"t1\".\"customer\") IN ('integer', 'null')) AND (\"t1\".\"customer\" = ?1)) LIMIT -1) AS \"t2\" \
         WHERE (abs(\"t2\".\"c1\") = ?2)",
    );
}

#[test]
fn conditions_under_an_outer_join_stay_below_it() {
    let small = filter(customers(), equals(column(12), parameter(0, TEXT)));
    let joined = Relation::Join {
        kind: JoinKind::Left,
        left: Box::new(orders()),
        right: Box::new(small),
        on: ScalarExpr::Not(Box::new(ScalarExpr::IsNull { expr: Box::new(column(11)), negated: false })),
    };
    let text = driver().render(&fragment(joined, &[(1, INT), (12, TEXT)], &[TEXT])).unwrap();
    assert!(text.text.contains("LEFT JOIN (SELECT"), "{}", text.text);
    assert!(text.text.contains("(\"t2\".\"name\" = ?1))) AS \"t3\" ON"), "{}", text.text);
}

#[test]
fn groups_having_and_computation_above_them_nest_once() {
    let sum = AggregateExpr {
        function: AggregateFunction::Sum,
        args: vec![column(3)],
        distinct: false,
        filter: Some(ScalarExpr::IsNull { expr: Box::new(column(1)), negated: true }),
        value_type: REAL,
    };
    let grouped = Relation::Aggregate {
        input: Box::new(orders()),
        group: vec![(ColumnId(20), column(2))],
        aggregates: vec![(ColumnId(21), sum)],
    };
    let having = filter(grouped, ScalarExpr::compare(ComparisonOp::Gt, column(21), parameter(0, REAL)));
    let computed = ScalarExpr::compare(ComparisonOp::Lt, column(21), column(21));
    let projected = Relation::Project { input: Box::new(having), exprs: vec![(ColumnId(22), computed)] };
    let text = driver().render(&fragment(projected, &[(22, ValueType::Boolean)], &[REAL])).unwrap();
    let expected = "SELECT (\"t2\".\"c21\" < \"t2\".\"c21\") AS \"c22\" FROM (SELECT \"t1\".\"customer\" AS \"c20\", \
                    sum(\"t1\".\"total\") FILTER (WHERE (\"t1\".\"id\" IS NOT NULL)) AS \"c21\" FROM";
    assert!(text.text.starts_with(expected), "{}", text.text);
    let group = "GROUP BY \"t1\".\"customer\" HAVING (sum(\"t1\".\"total\") FILTER (WHERE (\"t1\".\"id\" IS NOT NULL)) > ?1)) AS \"t2\"";
    assert!(text.text.ends_with(group), "{}", text.text);
}

/// `max` inside of the EXISTS would be its own aggregate.
#[test]
fn groups_that_a_subquery_looks_at_are_a_table_first() {
    let greatest = AggregateExpr {
        function: AggregateFunction::Max,
        args: vec![column(1)],
        distinct: false,
        filter: None,
        value_type: INT,
    };
    let grouped = Relation::Aggregate {
        input: Box::new(orders()),
        group: vec![(ColumnId(20), column(2))],
        aggregates: vec![(ColumnId(21), greatest)],
    };
    let having = filter(grouped, equals(column(21), parameter(0, INT)));
    let buyer = filter(customers(), equals(column(11), column(21)));
    let exists = ScalarExpr::Exists { relation: Box::new(buyer), negated: false };
    let text = driver().render(&fragment(filter(having, exists), &[(20, INT)], &[INT])).unwrap();
    let group = "GROUP BY \"t1\".\"customer\" HAVING (max(\"t1\".\"id\") = ?1)) AS \"t2\" WHERE (EXISTS (SELECT 1";
    assert!(text.text.contains(group), "{}", text.text);
    assert!(text.text.ends_with("(\"t3\".\"id\" = \"t2\".\"c21\"))))"), "{}", text.text);
}

#[test]
fn set_operations_nest_and_rename() {
    let keys = |base: u32, table: &str| scan_as(table, base, &[("id", INT)], Encoding::Canonical);
    let union = Relation::SetOperation {
        op: SetOp::Union,
        all: true,
        columns: vec![ColumnId(50)],
        left: Box::new(keys(1, "a")),
        right: Box::new(keys(2, "b")),
    };
    check(
        &fragment(union, &[(50, INT)], &[]),
        "SELECT \"t3\".\"c50\" AS \"c50\" FROM (SELECT \"t1\".\"id\" AS \"c50\" FROM \"main\".\"a\" AS \"t1\" UNION ALL \
         SELECT \"t2\".\"id\" AS \"c50\" FROM \"main\".\"b\" AS \"t2\" WHERE (typeof(\"t2\".\"id\") IN ('integer', 'null'))) \
         AS \"t3\"",
    );
}

#[test]
fn hostile_names_are_quoted_or_refused() {
    let hostile = "x\" ; DROP TABLE t; --";
    let relation = scan_as(hostile, 1, &[("a\"b", INT)], Encoding::Canonical);
    check(
        &fragment(relation, &[(1, INT)], &[]),
        "SELECT \"t1\".\"a\"\"b\" AS \"c1\" FROM \"main\".\"x\"\" ; DROP TABLE t; --\" AS \"t1\"",
    );
    let relation = scan_as("SQLite_master", 1, &[("name", TEXT)], Encoding::Canonical);
    let refusal = driver().render(&fragment(relation, &[(1, TEXT)], &[])).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Name);
    assert!(Identifier::new("").is_err() && Identifier::new("a\0b").is_err());
}

#[test]
fn columns_in_a_form_that_is_only_read_are_handed_on_and_nothing_else() {
    let instant = ValueType::Timestamp { utc: true };
    let relation = || scan_as("events", 1, &[("at", instant), ("id", INT)], Encoding::Text);
    assert!(driver().render(&fragment(relation(), &[(1, instant)], &[])).is_ok());
    let known = filter(relation(), ScalarExpr::IsNull { expr: Box::new(column(1)), negated: true });
    assert!(driver().render(&fragment(known, &[(1, instant)], &[])).is_ok());
    let compared = filter(relation(), equals(column(1), parameter(0, instant)));
    let sorted = Relation::Sort {
        input: Box::new(relation()),
        keys: vec![SortKey { expr: column(1), ascending: true, nulls_first: false }],
    };
    for (relation, parameters) in
        [(compared, &[instant][..]), (sorted, &[]), (Relation::Distinct { input: Box::new(relation()) }, &[])]
    {
        let refusal = driver().render(&fragment(relation, &[(1, instant)], parameters)).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Encoding);
    }
}

#[test]
fn fragments_that_their_maker_got_wrong_are_refused() {
    let cases = [
        fragment(filter(orders(), equals(column(99), column(1))), &[(1, INT)], &[]),
        fragment(filter(orders(), equals(column(1), column(3))), &[(1, INT)], &[]),
        fragment(filter(orders(), column(1)), &[(1, INT)], &[]),
        fragment(filter(orders(), equals(column(1), parameter(0, INT))), &[(1, INT)], &[TEXT]),
        fragment(orders(), &[(1, TEXT)], &[]),
        fragment(orders(), &[(99, INT)], &[]),
        fragment(orders(), &[], &[]),
        fragment(
            Relation::Join {
                kind: JoinKind::Inner,
                left: Box::new(orders()),
                right: Box::new(orders()),
                on: ScalarExpr::always(),
            },
            &[(1, INT)],
            &[],
        ),
    ];
    for wrong in cases {
        assert!(wrong.check().is_err(), "{wrong:?}");
        assert_eq!(driver().render(&wrong).unwrap_err().reason, RefusalReason::Invalid);
    }
    let mut deep = ScalarExpr::always();
    for _ in 0..1_000 {
        deep = ScalarExpr::Not(Box::new(deep));
    }
    assert!(fragment(filter(orders(), deep), &[(1, INT)], &[]).check().is_err());
}
