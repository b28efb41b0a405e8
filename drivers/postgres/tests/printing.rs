//! Fragments and the exact PostgreSQL text they become. Needs no server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::function::{DatePart, ScalarFunction};
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, JoinKind, Relation, ScanColumn, SetOp, SortKey};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant, ScalarExpr};
use querygate_driver_api::value::{ItemType, ValueType};
use querygate_postgres::{PostgresDriver, PostgresOptions};

const INT: ValueType = ValueType::Int64;
const TEXT: ValueType = ValueType::Text;
const MONEY: ValueType = ValueType::Decimal128 { precision: 12, scale: 2 };

fn driver() -> PostgresDriver {
    PostgresDriver::new(&PostgresOptions::new("shop", "nowhere", "u", "d")).unwrap()
}

fn scan(base: u32, columns: &[(&str, ValueType, &str)]) -> Relation {
    let column = |((name, value_type, collation), id): (&(&str, ValueType, &str), u32)| ScanColumn {
        id: ColumnId(id),
        name: Identifier::new(*name).unwrap(),
        value_type: *value_type,
        nullable: true,
        collation: if collation.is_empty() { Collation::Binary } else { Collation::Named((*collation).into()) },
        encoding: Encoding::Canonical,
    };
    let columns = columns.iter().zip(base..).map(column).collect();
    Relation::Scan { table: TableRef::new(["public", "t"]).unwrap(), columns }
}

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

fn parameter(index: usize, value_type: ValueType) -> ScalarExpr {
    ScalarExpr::Parameter(index, value_type)
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

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

fn sorted(input: Relation, id: u32) -> Relation {
    let keys = vec![SortKey { expr: column(id), ascending: true, nulls_first: false }];
    Relation::Sort { input: Box::new(input), keys }
}

fn check(fragment: &Fragment, expected: &str) {
    assert_eq!(driver().render(fragment).unwrap().text.as_ref(), expected);
}

#[test]
fn text_is_ordered_by_code_point_and_equal_as_it_is() {
    for (collation, operand) in [
        ("", "\"t1\".\"a\""),
        ("default", "\"t1\".\"a\""),
        ("C", "\"t1\".\"a\""),
        ("nondeterministic folded", "(\"t1\".\"a\" COLLATE \"C\")"),
        ("type jsonb", "\"t1\".\"a\"::text"),
    ] {
        let equal = ScalarExpr::compare(ComparisonOp::Eq, column(1), parameter(0, TEXT));
        let less = ScalarExpr::compare(ComparisonOp::Lt, column(1), parameter(0, TEXT));
        let relation = filter(scan(1, &[("a", TEXT, collation)]), ScalarExpr::And(vec![equal, less]));
        let ordered = if collation.is_empty() { operand.to_owned() } else { format!("({operand} COLLATE \"C\")") };
        check(
            &fragment(sorted(relation, 1), &[(1, TEXT)], &[TEXT]),
            &format!(
                "SELECT {operand} AS \"c1\" FROM \"public\".\"t\" AS \"t1\" WHERE (({operand} = $1) AND ({ordered} < $1)) \
                 ORDER BY {ordered} ASC"
            ),
        );
    }
}

fn key(value: ScalarExpr) -> ScalarExpr {
    let function = ScalarFunction::OrderKey;
    ScalarExpr::Function { function, args: vec![value], value_type: ValueType::Binary }
}

#[test]
fn jsonb_and_arrays_are_ordered_by_themselves_where_that_is_by_code_point() {
    let list = |item| ValueType::List(item);
    let money = ItemType::Decimal128 { precision: 12, scale: 2 };
    for (value_type, collation, expected) in [
        (TEXT, "type jsonb by code point", Ok("\"t1\".\"a\"")),
        (TEXT, "type jsonb", Err(RefusalReason::Collation)),
        (TEXT, "type json", Err(RefusalReason::Type)),
        (TEXT, "default", Err(RefusalReason::Type)),
        (INT, "", Err(RefusalReason::Type)),
        (ValueType::TextList, "", Ok("(\"t1\".\"a\"::text[] COLLATE \"C\")")),
        (list(ItemType::Int32), "", Ok("\"t1\".\"a\"::int4[]")),
        (list(money), "", Ok("\"t1\".\"a\"::numeric[]")),
    ] {
        let input = Box::new(scan(1, &[("a", value_type, collation), ("n", INT, "")]));
        let keys = vec![SortKey { expr: key(column(1)), ascending: false, nulls_first: false }];
        let rendered = driver().render(&fragment(Relation::Sort { input, keys }, &[(2, INT)], &[]));
        let text = rendered.map(|statement| statement.text.to_string()).map_err(|refusal| refusal.reason);
        let printed = |operand| {
            format!("SELECT \"t1\".\"n\" AS \"c2\" FROM \"public\".\"t\" AS \"t1\" ORDER BY {operand} DESC NULLS LAST")
        };
        assert_eq!(text, expected.map(printed), "{collation}");
    }
}

#[test]
fn keys_stand_beside_keys_and_are_not_delivered() {
    let jsonb = || scan(1, &[("a", TEXT, "type jsonb"), ("n", INT, "")]);
    let same = |right| ScalarExpr::compare(ComparisonOp::Eq, key(column(1)), right);
    let found = |condition| fragment(filter(jsonb(), condition), &[(2, INT)], &[TEXT, ValueType::Binary]);
    check(
        &found(same(key(parameter(0, TEXT)))),
        "SELECT \"t1\".\"n\" AS \"c2\" FROM \"public\".\"t\" AS \"t1\" WHERE (\"t1\".\"a\" = $1::text::jsonb)",
    );
    let less = ScalarExpr::compare(ComparisonOp::Lt, key(column(1)), key(parameter(0, TEXT)));
    assert_eq!(driver().render(&found(less)).unwrap_err().reason, RefusalReason::Collation);
    assert_eq!(
        driver().render(&found(same(parameter(1, ValueType::Binary)))).unwrap_err().reason,
        RefusalReason::Type,
        "bytes are no key"
    );
    let project = Relation::Project { input: Box::new(jsonb()), exprs: vec![(ColumnId(9), key(column(1)))] };
    let delivered = fragment(project, &[(9, ValueType::Binary)], &[]);
    assert_eq!(driver().render(&delivered).unwrap_err().reason, RefusalReason::Type);
    let shown = AggregateExpr {
        function: AggregateFunction::Max,
        args: vec![column(1)],
        distinct: false,
        filter: None,
        value_type: TEXT,
    };
    let grouped = Relation::Aggregate {
        input: Box::new(jsonb()),
        group: vec![(ColumnId(8), key(column(1)))],
        aggregates: vec![(ColumnId(9), shown)],
    };
    check(
        &fragment(grouped, &[(9, TEXT)], &[]),
        "SELECT max((\"t1\".\"a\"::text COLLATE \"C\")) AS \"c9\" FROM \"public\".\"t\" AS \"t1\" GROUP BY \"t1\".\"a\"",
    );
}

#[test]
fn texts_of_two_collations_say_so_and_one_does_not_need_to() {
    let both = ScalarExpr::compare(ComparisonOp::Eq, column(1), column(2));
    for (a, b, expected) in [
        ("default", "de-x-icu", "(\"t1\".\"a\" = \"t1\".\"b\")"),
        ("C", "de-x-icu", "(\"t1\".\"a\" = (\"t1\".\"b\" COLLATE \"C\"))"),
        ("en-x-icu", "de-x-icu", "((\"t1\".\"a\" COLLATE \"C\") = (\"t1\".\"b\" COLLATE \"C\"))"),
    ] {
        let relation = filter(scan(1, &[("a", TEXT, a), ("b", TEXT, b), ("n", INT, "")]), both.clone());
        let text = driver().render(&fragment(relation, &[(3, INT)], &[])).unwrap().text.to_string();
        assert!(text.ends_with(&format!("WHERE {expected}")), "{text}");
    }
}

#[test]
fn numbers_are_computed_in_their_declared_type() {
    let call = |op, right: ScalarExpr, value_type| ScalarExpr::Arithmetic {
        op,
        left: Box::new(column(2)),
        right: Box::new(right),
        value_type,
    };
    let decimal = |precision, scale| ValueType::Decimal128 { precision, scale };
    let cast = |id: u32, from, to| ScalarExpr::Cast { expr: Box::new(column(id)), from, to };
    for (expr, value_type, expected) in [
        (
            call(ArithmeticOp::Multiply, column(2), decimal(25, 4)),
            decimal(25, 4),
            "(\"t1\".\"m\"::numeric * \"t1\".\"m\"::numeric)",
        ),
        // A product or a sum that may be wider than its type is checked.
        (
            call(ArithmeticOp::Multiply, column(2), decimal(23, 4)),
            decimal(23, 4),
            "(\"t1\".\"m\"::numeric * \"t1\".\"m\"::numeric)::numeric(23,4)",
        ),
        (
            call(ArithmeticOp::Subtract, column(2), decimal(13, 2)),
            decimal(13, 2),
            "(\"t1\".\"m\"::numeric - \"t1\".\"m\"::numeric)",
        ),
        (
            call(ArithmeticOp::Add, column(2), MONEY),
            MONEY,
            "(\"t1\".\"m\"::numeric + \"t1\".\"m\"::numeric)::numeric(12,2)",
        ),
        (
            call(ArithmeticOp::Remainder, column(2), MONEY),
            MONEY,
            "(\"t1\".\"m\"::numeric % \"t1\".\"m\"::numeric)::numeric(12,2)",
        ),
        (
            call(ArithmeticOp::Divide, column(2), decimal(18, 6)),
            decimal(18, 6),
            "(div(\"t1\".\"m\"::numeric * 1000000, \"t1\".\"m\"::numeric) * 0.000001)::numeric(18,6)",
        ),
        (ScalarExpr::Negate(Box::new(column(1))), INT, "(- \"t1\".\"n\"::int8)"),
        (ScalarExpr::Cast { expr: Box::new(column(2)), from: MONEY, to: INT }, INT, "\"t1\".\"m\"::numeric::int8"),
        // As is one that becomes another type, where that has less room.
        (cast(1, INT, decimal(21, 2)), decimal(21, 2), "\"t1\".\"n\"::numeric"),
        (cast(1, INT, decimal(20, 2)), decimal(20, 2), "\"t1\".\"n\"::numeric(20,2)"),
        (cast(2, MONEY, decimal(14, 4)), decimal(14, 4), "\"t1\".\"m\"::numeric"),
        (cast(2, MONEY, decimal(13, 4)), decimal(13, 4), "\"t1\".\"m\"::numeric::numeric(13,4)"),
        (cast(2, MONEY, decimal(12, 1)), decimal(12, 1), "\"t1\".\"m\"::numeric::numeric(12,1)"),
        (ScalarExpr::Constant(Constant::Null(MONEY)), MONEY, "NULL::numeric(12,2)"),
    ] {
        let input = Box::new(scan(1, &[("n", INT, ""), ("m", MONEY, "")]));
        let relation = Relation::Project { input, exprs: vec![(ColumnId(9), expr)] };
        check(
            &fragment(relation, &[(9, value_type)], &[]),
            &format!("SELECT {expected} AS \"c9\" FROM \"public\".\"t\" AS \"t1\""),
        );
    }
}

#[test]
fn sums_widths_filters_and_fences_are_written_out() {
    let sum = AggregateExpr {
        function: AggregateFunction::Sum,
        args: vec![column(1)],
        distinct: false,
        filter: Some(ScalarExpr::compare(ComparisonOp::Gt, column(1), parameter(0, INT))),
        value_type: INT,
    };
    let policy = filter(
        scan(1, &[("n", INT, ""), ("at", ValueType::Timestamp { utc: true }, "")]),
        ScalarExpr::compare(ComparisonOp::Eq, column(1), parameter(1, INT)),
    );
    let function = ScalarFunction::DatePart(DatePart::Second);
    let second = ScalarExpr::Function { function, args: vec![column(2)], value_type: ValueType::Int32 };
    let input = Box::new(Relation::Fence { input: Box::new(policy) });
    let relation =
        Relation::Aggregate { input, group: vec![(ColumnId(5), second)], aggregates: vec![(ColumnId(6), sum)] };
    check(
        &fragment(relation, &[(5, ValueType::Int32), (6, INT)], &[INT, INT]),
        "SELECT nullif(nullif(floor(extract(second FROM \"t2\".\"c2\"::timestamptz)), 'infinity'::numeric), \
         '-infinity'::numeric)::int4 AS \"c5\", sum(\"t2\".\"c1\") FILTER (WHERE (\"t2\".\"c1\" > $2))::int8 AS \"c6\" FROM \
         (SELECT \"t1\".\"n\" AS \"c1\", \"t1\".\"at\" AS \"c2\" FROM \"public\".\"t\" AS \"t1\" WHERE (\"t1\".\"n\" = $1) \
         OFFSET 0) AS \"t2\" GROUP BY nullif(nullif(floor(extract(second FROM \"t2\".\"c2\"::timestamptz)), \
         'infinity'::numeric), '-infinity'::numeric)::int4",
    );
}

#[test]
fn what_is_not_exact_is_refused_with_its_reason() {
    let floats =
        || scan(1, &[("f", ValueType::Float64, ""), ("b", ValueType::Binary, ""), ("l", ValueType::TextList, "")]);
    let project = |expr| Relation::Project { input: Box::new(floats()), exprs: vec![(ColumnId(9), expr)] };
    let round =
        ScalarExpr::Function { function: ScalarFunction::Round, args: vec![column(1)], value_type: ValueType::Float64 };
    let like = ScalarExpr::Like { expr: Box::new(column(1)), pattern: 0, negated: false, case_insensitive: true };
    let full = Relation::Join {
        kind: JoinKind::Full,
        left: Box::new(scan(1, &[("n", INT, "")])),
        right: Box::new(scan(11, &[("n", INT, "")])),
        on: ScalarExpr::compare(ComparisonOp::Lt, column(1), column(11)),
    };
    let set = Relation::SetOperation {
        op: SetOp::Union,
        all: false,
        columns: vec![ColumnId(30)],
        left: Box::new(scan(1, &[("l", ValueType::TextList, "")])),
        right: Box::new(scan(11, &[("l", ValueType::TextList, "")])),
    };
    for (relation, output, parameters, reason) in [
        (project(round), (9, ValueType::Float64), vec![], RefusalReason::Type),
        (filter(scan(1, &[("a", TEXT, "")]), like), (1, TEXT), vec![TEXT], RefusalReason::Function),
        (full, (1, INT), vec![], RefusalReason::Operator),
        (set, (30, ValueType::TextList), vec![], RefusalReason::Type),
        (sorted(floats(), 3), (1, ValueType::Float64), vec![], RefusalReason::Type),
    ] {
        let refusal = driver().render(&fragment(relation, &[output], &parameters)).unwrap_err();
        assert_eq!(refusal.reason, reason, "{refusal}");
    }
}

/// Sums of a column by another, with ids from `base` on: the columns, the key, the sum.
fn sums(base: u32) -> Relation {
    let sum = AggregateExpr {
        function: AggregateFunction::Sum,
        args: vec![column(base + 1)],
        distinct: false,
        filter: None,
        value_type: MONEY,
    };
    let above = ScalarExpr::compare(ComparisonOp::Gt, column(base + 1), parameter(0, MONEY));
    Relation::Aggregate {
        input: Box::new(filter(scan(base, &[("a", INT, ""), ("n", MONEY, "")]), above)),
        group: vec![(ColumnId(base + 2), column(base))],
        aggregates: vec![(ColumnId(base + 3), sum)],
    }
}

fn greatest(of: Relation, id: u32, result: u32) -> ScalarExpr {
    let max = AggregateExpr {
        function: AggregateFunction::Max,
        args: vec![column(id)],
        distinct: false,
        filter: None,
        value_type: MONEY,
    };
    let all = Relation::Aggregate { input: Box::new(of), group: Vec::new(), aggregates: vec![(ColumnId(result), max)] };
    ScalarExpr::ScalarSubquery { relation: Box::new(all) }
}

#[test]
fn a_grouping_that_stands_in_two_places_has_a_name() {
    let is_greatest = ScalarExpr::compare(ComparisonOp::Eq, column(4), greatest(sums(11), 14, 20));
    check(
        &fragment(filter(sums(1), is_greatest), &[(3, INT), (4, MONEY)], &[MONEY]),
        "WITH \"shared_1\" AS (SELECT \"t1\".\"a\" AS \"c3\", sum(\"t1\".\"n\") AS \"c4\" FROM \"public\".\"t\" AS \"t1\" \
         WHERE (\"t1\".\"n\" > $1) GROUP BY \"t1\".\"a\") SELECT \"t2\".\"c3\" AS \"c3\", \"t2\".\"c4\" AS \"c4\" \
         FROM \"shared_1\" AS \"t2\" WHERE (\"t2\".\"c4\" = (SELECT max(\"t3\".\"c4\") AS \"c20\" FROM \"shared_1\" AS \"t3\"))",
    );
}

/// Other constants, other columns, and what hangs on the row around it are each computed where they stand.
#[test]
fn groupings_that_differ_have_no_name() {
    let text = |condition: ScalarExpr| {
        let fragment = fragment(filter(sums(1), condition), &[(3, INT)], &[MONEY, MONEY]);
        driver().render(&fragment).unwrap().text.to_string()
    };
    let same = |other: ScalarExpr| ScalarExpr::compare(ComparisonOp::Eq, column(4), other);
    let mut other_constant = sums(11);
    let Relation::Aggregate { input, .. } = &mut other_constant else { panic!("a grouping") };
    let Relation::Filter { predicate, .. } = input.as_mut() else { panic!("a condition") };
    *predicate = ScalarExpr::compare(ComparisonOp::Gt, column(12), parameter(1, MONEY));
    let mut other_key = sums(11);
    let Relation::Aggregate { group, .. } = &mut other_key else { panic!("a grouping") };
    group.clear();
    let mut correlated = sums(11);
    let Relation::Aggregate { input, .. } = &mut correlated else { panic!("a grouping") };
    let Relation::Filter { predicate, .. } = input.as_mut() else { panic!("a condition") };
    *predicate = ScalarExpr::compare(ComparisonOp::Eq, column(11), column(3));
    for other in [other_constant, other_key, correlated] {
        let text = text(same(greatest(other, 14, 20)));
        assert!(!text.contains("WITH"), "{text}");
    }
    assert!(text(same(greatest(sums(11), 14, 20))).starts_with("WITH \"shared_1\" AS ("));
}

#[test]
fn a_long_list_that_stands_in_two_places_is_bound_once() {
    let list = || (0..40).map(|index| parameter(index, INT)).collect::<Vec<_>>();
    let one_of = |id: u32| ScalarExpr::InList { expr: Box::new(column(id)), list: list(), negated: false };
    let less = ScalarExpr::compare(ComparisonOp::Lt, column(1), parameter(40, INT));
    let relation =
        filter(scan(1, &[("a", INT, ""), ("b", INT, "")]), ScalarExpr::And(vec![one_of(1), one_of(2), less]));
    let rendered = driver().render(&fragment(relation, &[(1, INT)], &[INT; 41])).unwrap();
    let (_, conditions) = rendered.text.split_once(" WHERE ").unwrap();
    assert_eq!(conditions, "((\"t1\".\"a\" = ANY ($1)) AND (\"t1\".\"b\" = ANY ($1)) AND (\"t1\".\"a\" < $2))");
    assert_eq!(rendered.bindings.len(), 2);
}

/// What is compared with a key is looked for where the rows are read, as no query in WITH would let it.
#[test]
fn groupings_of_which_a_key_is_compared_have_no_name() {
    let twice = |condition: ScalarExpr| {
        let on = ScalarExpr::compare(ComparisonOp::Eq, column(4), column(14));
        let kind = JoinKind::Inner;
        let both = Relation::Join { kind, left: Box::new(sums(1)), right: Box::new(sums(11)), on };
        let rendered = driver().render(&fragment(filter(both, condition), &[(3, INT)], &[MONEY, INT])).unwrap();
        rendered.text.starts_with("WITH")
    };
    let compared = |id| ScalarExpr::compare(ComparisonOp::Eq, column(id), parameter(1, INT));
    let joined = ScalarExpr::compare(ComparisonOp::Eq, column(3), column(13));
    assert!(twice(joined.clone()), "keys of one another");
    assert!(twice(ScalarExpr::compare(ComparisonOp::Gt, column(4), parameter(0, MONEY))), "what is computed");
    for condition in
        [compared(3), compared(13), ScalarExpr::And(vec![joined, compared(13)]), ScalarExpr::Or(vec![compared(3)])]
    {
        assert!(!twice(condition.clone()), "{condition:?}");
    }
    // A row around it, one group of each of which is wanted.
    let of_key = filter(sums(21), ScalarExpr::compare(ComparisonOp::Eq, column(23), column(3)));
    let exists = ScalarExpr::Exists { relation: Box::new(of_key), negated: false };
    assert!(!twice(exists));
}
