//! Arithmetic (with an overflow that MariaDB misses), casts and numeric functions that the shared suite does not interpret, against numbers worked out here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{administrator, driver, output, rows, scan};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ArithmeticOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::MysqlDriver;
use querygate_types::ErrorCode;

const INT: ValueType = ValueType::Int64;
const DOUBLE: ValueType = ValueType::Float64;

const fn numeric(precision: u8, scale: i8) -> ValueType {
    ValueType::Decimal128 { precision, scale }
}

const LARGE: [i64; 7] = [0, 1, -1, 3_037_000_500, -3_037_000_500, i64::MAX, i64::MIN];
const DOUBLES: [f64; 9] = [0.0, 0.5, -0.5, 2.5, -2.5, 1.999_999_999, -7.25, 1e15, -1e-300];
/// Cents, of a DECIMAL(12,2).
const CENTS: [i128; 7] = [0, 1, -1, 12_345, -99, 999_999_999_999, -999_999_999_999];

/// `numbers`: every pair of the integers, of the doubles and of the decimals, under one id each.
async fn loaded(server: &Server) -> MysqlDriver {
    server.sql(
        "CREATE DATABASE num; USE num; CREATE TABLE numbers (id BIGINT PRIMARY KEY, a BIGINT, b BIGINT, x DOUBLE, y DOUBLE,
             p DECIMAL(12,2), q DECIMAL(12,2), u INT UNSIGNED, s SMALLINT);",
    );
    let mut connection = administrator(server, "num").await;
    let insert = "INSERT INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    for id in 0..81_usize {
        let (i, j) = (id / 9, id % 9);
        let cents = |at: usize| {
            let value = CENTS[at % 7];
            format!("{}{}.{:02}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100)
        };
        let query = sqlx::query(insert)
            .bind(i64::try_from(id).unwrap())
            .bind(LARGE[i % 7])
            .bind(LARGE[j % 7])
            .bind(DOUBLES[i])
            .bind(DOUBLES[j])
            .bind(cents(i))
            .bind(cents(j))
            .bind(i64::try_from(id).unwrap())
            .bind(-i64::try_from(id).unwrap());
        query.execute(&mut connection).await.unwrap();
    }
    driver(server, "num")
}

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

/// One row's value of an expression, or its error.
async fn value(
    driver: &MysqlDriver,
    input: &Relation,
    id: usize,
    expr: &ScalarExpr,
    value_type: ValueType,
) -> Result<Value, ErrorCode> {
    let key =
        ScalarExpr::compare(querygate_driver_api::scalar::ComparisonOp::Eq, column(0), ScalarExpr::Parameter(0, INT));
    let one = Relation::Filter { input: Box::new(input.clone()), predicate: key };
    let relation = Relation::Project { input: Box::new(one), exprs: vec![(ColumnId(50), expr.clone())] };
    let key = [Value::Int64(i64::try_from(id).unwrap())];
    let found = rows(driver, relation, vec![output(50, value_type)], &key).await;
    found.map(|mut rows| rows.swap_remove(0).swap_remove(0)).map_err(|error| error.code())
}

fn arithmetic(op: ArithmeticOp, left: u32, right: u32, value_type: ValueType) -> ScalarExpr {
    ScalarExpr::Arithmetic { op, left: Box::new(column(left)), right: Box::new(column(right)), value_type }
}

#[tokio::test]
async fn arithmetic_is_exact_or_raises() {
    let Some(server) = Server::start() else { return };
    let driver = loaded(&server).await;
    let input = scan(&driver, "numbers", 0).await;
    for (op, decimal) in [
        (ArithmeticOp::Add, numeric(13, 2)),
        (ArithmeticOp::Subtract, numeric(13, 2)),
        (ArithmeticOp::Multiply, numeric(24, 4)),
    ] {
        for id in 0..81 {
            let (a, b) = (LARGE[id / 9 % 7], LARGE[id % 9 % 7]);
            let (p, q) = (CENTS[id / 9 % 7], CENTS[id % 9 % 7]);
            let (x, y) = (DOUBLES[id / 9], DOUBLES[id % 9]);
            let (whole, exact, double) = match op {
                ArithmeticOp::Add => (a.checked_add(b), p + q, Some(x + y)),
                ArithmeticOp::Subtract => (a.checked_sub(b), p - q, Some(x - y)),
                _ => (a.checked_mul(b), p * q, None),
            };
            let found = value(&driver, &input, id, &arithmetic(op, 1, 2, INT), INT).await;
            assert_eq!(found, whole.map(Value::Int64).ok_or(ErrorCode::NumericOutOfRange), "{a} {op:?} {b}");
            let found = value(&driver, &input, id, &arithmetic(op, 5, 6, decimal), decimal).await;
            let ValueType::Decimal128 { precision, scale } = decimal else { continue };
            assert_eq!(found, Ok(Value::Decimal128 { value: exact, precision, scale }), "{p} {op:?} {q}");
            if let Some(double) = double {
                let found = value(&driver, &input, id, &arithmetic(op, 3, 4, DOUBLE), DOUBLE).await;
                assert_eq!(found, Ok(Value::Float64(double)), "{x} {op:?} {y}");
            }
        }
    }
    // A result that its type would not hold unnoticed, or in another way, is not asked for.
    let fragment = |expr, value_type| Fragment {
        relation: Relation::Project { input: Box::new(input.clone()), exprs: vec![(ColumnId(50), expr)] },
        output: vec![output(50, value_type)],
        parameters: vec![],
    };
    for (expr, value_type) in [
        (arithmetic(ArithmeticOp::Add, 5, 6, numeric(12, 2)), numeric(12, 2)),
        (arithmetic(ArithmeticOp::Multiply, 5, 6, numeric(38, 2)), numeric(38, 2)),
        (arithmetic(ArithmeticOp::Divide, 5, 6, numeric(38, 6)), numeric(38, 6)),
        (arithmetic(ArithmeticOp::Multiply, 3, 4, DOUBLE), DOUBLE),
        (arithmetic(ArithmeticOp::Divide, 1, 2, INT), INT),
        (ScalarExpr::Negate(Box::new(column(8))), ValueType::Int16),
    ] {
        assert!(driver.render(&fragment(expr.clone(), value_type)).is_err(), "{expr:?}");
    }
}

/// The least, the greatest and other values of each unsigned type: the server computes none of them without a sign.
#[tokio::test]
async fn unsigned_numbers_have_signed_results() {
    let Some(server) = Server::start() else { return };
    server.sql(
        "CREATE DATABASE num; USE num; CREATE TABLE plain (id BIGINT PRIMARY KEY, n BIGINT UNSIGNED, i INT UNSIGNED, z BIGINT ZEROFILL);
         INSERT INTO plain VALUES (0, 0, 0, 0), (1, 1, 1, 1), (2, 9223372036854775807, 2147483647, 2147483648),
             (3, 9223372036854775808, 2147483648, 9223372036854775808), (4, 18446744073709551615, 4294967295, 18446744073709551615);",
    );
    let driver = driver(&server, "num");
    let input = scan(&driver, "plain", 0).await;
    let wide: [i128; 5] = [0, 1, i128::from(i64::MAX), 1 << 63, i128::from(u64::MAX)];
    let narrow: [i64; 5] = [0, 1, 2_147_483_647, 2_147_483_648, 4_294_967_295];
    let negated = |expr: ScalarExpr| ScalarExpr::Negate(Box::new(expr));
    let of = numeric(20, 0);
    let computed = |op, value_type| ScalarExpr::Arithmetic {
        op,
        left: Box::new(column(1)),
        right: Box::new(column(1)),
        value_type,
    };
    for id in 0..5 {
        let (n, i) = (wide[id], narrow[id]);
        let decimal = |value, precision| Ok(Value::Decimal128 { value, precision, scale: 0 });
        for (expr, value_type, expected) in [
            (negated(column(1)), of, decimal(-n, 20)),
            (negated(negated(column(1))), of, decimal(n, 20)),
            (negated(column(2)), INT, Ok(Value::Int64(-i))),
            (negated(negated(column(2))), INT, Ok(Value::Int64(i))),
            (computed(ArithmeticOp::Add, numeric(21, 0)), numeric(21, 0), decimal(n + n, 21)),
            (computed(ArithmeticOp::Subtract, numeric(21, 0)), numeric(21, 0), decimal(0, 21)),
        ] {
            assert_eq!(value(&driver, &input, id, &expr, value_type).await, expected, "{expr:?} of row {id}");
        }
    }
    let sum = AggregateExpr {
        function: AggregateFunction::Sum,
        args: vec![negated(column(1))],
        distinct: false,
        filter: None,
        value_type: numeric(38, 0),
    };
    let relation =
        Relation::Aggregate { input: Box::new(input), group: Vec::new(), aggregates: vec![(ColumnId(60), sum)] };
    let fragment =
        Fragment { relation: relation.clone(), output: vec![output(60, numeric(38, 0))], parameters: Vec::new() };
    if driver.render(&fragment).is_ok() {
        let found = rows(&driver, relation, fragment.output, &[]).await.unwrap();
        let expected = -wide.iter().sum::<i128>();
        assert_eq!(found[0][0], Value::Decimal128 { value: expected, precision: 38, scale: 0 });
    }
}

#[tokio::test]
async fn signs_casts_and_rounding_are_exact() {
    let Some(server) = Server::start() else { return };
    let driver = loaded(&server).await;
    let input = scan(&driver, "numbers", 0).await;
    let call = |function, args: &[u32], value_type| ScalarExpr::Function {
        function,
        args: args.iter().map(|id| column(*id)).collect(),
        value_type,
    };
    let cast = |id, from, to| ScalarExpr::Cast { expr: Box::new(column(id)), from, to };
    for id in (0..81).step_by(5) {
        let (a, b) = (LARGE[id / 9 % 7], LARGE[id % 9 % 7]);
        let (x, p) = (DOUBLES[id / 9], CENTS[id / 9 % 7]);
        let decimal = |value, precision, scale| Ok(Value::Decimal128 { value, precision, scale });
        #[expect(clippy::cast_precision_loss, reason = "the casts under test lose precision too")]
        let (wide, money) = (a as f64, p as f64 / 100.0);
        let negated = |id| ScalarExpr::Negate(Box::new(column(id)));
        let whole = |value: Option<i64>| value.map(Value::Int64).ok_or(ErrorCode::NumericOutOfRange);
        let cases = [
            (negated(1), INT, whole(a.checked_neg())),
            (negated(3), DOUBLE, Ok(Value::Float64(-x))),
            (negated(5), numeric(12, 2), decimal(-p, 12, 2)),
            (call(ScalarFunction::Abs, &[1], INT), INT, whole(a.checked_abs())),
            (call(ScalarFunction::Floor, &[3], DOUBLE), DOUBLE, Ok(Value::Float64(x.floor()))),
            (call(ScalarFunction::Ceil, &[3], DOUBLE), DOUBLE, Ok(Value::Float64(x.ceil()))),
            (call(ScalarFunction::Trunc, &[3], DOUBLE), DOUBLE, Ok(Value::Float64(x.trunc()))),
            (call(ScalarFunction::Round, &[3], DOUBLE), DOUBLE, Ok(Value::Float64(x.round()))),
            (call(ScalarFunction::Greatest, &[1, 2], INT), INT, Ok(Value::Int64(a.max(b)))),
            (call(ScalarFunction::Least, &[1, 2], INT), INT, Ok(Value::Int64(a.min(b)))),
            (cast(1, INT, DOUBLE), DOUBLE, Ok(Value::Float64(wide))),
            (cast(1, INT, numeric(21, 2)), numeric(21, 2), decimal(i128::from(a) * 100, 21, 2)),
            (cast(5, numeric(12, 2), DOUBLE), DOUBLE, Ok(Value::Float64(money))),
            (cast(5, numeric(12, 2), numeric(20, 6)), numeric(20, 6), decimal(p * 10_000, 20, 6)),
            (
                cast(8, ValueType::Int16, ValueType::Text),
                ValueType::Text,
                Ok(Value::text(format!("{}", -i64::try_from(id).unwrap()))),
            ),
        ];
        for (expr, value_type, expected) in cases {
            let found = value(&driver, &input, id, &expr, value_type).await;
            // −0 and 0 are equal.
            let same = matches!((&found, &expected), (Ok(Value::Float64(a)), Ok(Value::Float64(b))) if a == b);
            assert!(same || found == expected, "{expr:?} of row {id}: {found:?}, not {expected:?}");
        }
    }
    // Signed arithmetic on an unsigned column.
    let unsigned = ScalarExpr::Arithmetic {
        op: ArithmeticOp::Subtract,
        left: Box::new(column(7)),
        right: Box::new(column(0)),
        value_type: INT,
    };
    assert_eq!(value(&driver, &input, 9, &unsigned, INT).await, Ok(Value::Int64(0)));
}

#[tokio::test]
async fn spreads_are_those_of_the_sample_and_of_the_population() {
    let Some(server) = Server::start() else { return };
    let driver = loaded(&server).await;
    let input = Box::new(scan(&driver, "numbers", 0).await);
    // Ids 0 to 80: mean 40, squares of distances sum to 44,280.
    for (function, expected) in [
        (AggregateFunction::VarPop, 44_280.0 / 81.0),
        (AggregateFunction::VarSamp, 44_280.0 / 80.0),
        (AggregateFunction::StddevPop, (44_280.0_f64 / 81.0).sqrt()),
        (AggregateFunction::StddevSamp, (44_280.0_f64 / 80.0).sqrt()),
        (AggregateFunction::Avg, 40.0),
    ] {
        let call = AggregateExpr { function, args: vec![column(0)], distinct: false, filter: None, value_type: DOUBLE };
        let relation =
            Relation::Aggregate { input: input.clone(), group: vec![], aggregates: vec![(ColumnId(50), call)] };
        let found = rows(&driver, relation, vec![output(50, DOUBLE)], &[]).await.unwrap();
        let [Value::Float64(found)] = found[0][..] else { panic!("{found:?}") };
        assert!((found - expected).abs() <= expected * 1e-12, "{function:?}: {found}, not {expected}");
    }
}
