//! Every declared type as it is described and read, and values that are not what their type says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(dead_code, reason = "each test file uses a part of what they share")]

mod common;

use common::server::Server;
use common::{driver, output, rows};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mysql::MysqlDriver;
use querygate_types::{Error, ErrorCode};

const TABLES: &str = "
    CREATE DATABASE kinds; USE kinds; SET sql_mode = '', time_zone = '+05:00', NAMES utf8mb4;
    CREATE TABLE t (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'the key',
        tiny TINYINT UNSIGNED, small SMALLINT UNSIGNED, medium MEDIUMINT, plain INT UNSIGNED ZEROFILL, wide DECIMAL(65,30),
        money DECIMAL(10,2), f FLOAT, b BIT(1), bits BIT(12), y YEAR, e ENUM('red','Green') , s SET('a','b'),
        j JSON, tm TIME(3), ts TIMESTAMP NULL, dt DATETIME(3), d DATE, latin VARCHAR(20) CHARACTER SET latin1,
        three VARCHAR(20) CHARACTER SET utf8mb3, note LONGTEXT, blb BLOB, g GEOMETRY, u UUID, ok TINYINT(1),
        UNIQUE KEY by_latin (latin), KEY by_two (d, dt)
    ) COMMENT 'all kinds of columns' CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
    INSERT INTO t (tiny, small, medium, plain, wide, money, f, b, bits, y, e, s, j, tm, ts, dt, d, latin, three, note, blb, u, ok)
    VALUES (255, 65535, -8388608, 4294967295, 12345678901234567890123456789012345.123456789012345678901234567890,
        -99999999.99, 0.1, 1, b'100000000001', 2155, 'Green', 'a,b', '[\"x\", null]', '-838:59:59', '2024-01-01 05:00:00',
        '9999-12-31 23:59:59.999', '0001-01-01', 'é', 'ß', 'n', x'00ff', '123E4567-e89b-12d3-a456-426655440000', 5);
    CREATE TABLE odd (id BIGINT PRIMARY KEY, d DATE, n VARCHAR(10), tm TIME);
    INSERT INTO odd VALUES (1, '0000-00-00', 'a', '10:00:00'), (2, '2024-00-15', 'b\\0c', '30:00:00'), (3, '2024-01-31', 'c', NULL);
    CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT UNSIGNED, FOREIGN KEY (parent) REFERENCES t (id));
    CREATE VIEW seen AS SELECT id, latin FROM t;
    CREATE TABLE `T` (id INT PRIMARY KEY);
";

fn table(name: &str) -> TableRef {
    TableRef::new([name]).unwrap()
}

/// One column of a table, read as the type that metadata would want; its id is 1.
async fn reading(driver: &MysqlDriver, name: &str, column: &str, wanted: ValueType) -> Relation {
    let remote = driver.describe(&table(name)).await.unwrap();
    let found = remote.columns.iter().find(|known| known.name.as_str() == column).unwrap();
    let encoding = driver.read_as(found, wanted).unwrap_or_else(|refusal| panic!("{column}: {refusal}"));
    let column = ScanColumn {
        id: ColumnId(1),
        name: found.name.clone(),
        value_type: wanted,
        nullable: true,
        collation: found.collation.clone(),
        encoding,
    };
    Relation::Scan { table: table(name), columns: vec![column] }
}

async fn read(driver: &MysqlDriver, name: &str, column: &str, wanted: ValueType) -> Result<Vec<Value>, Error> {
    let relation = reading(driver, name, column, wanted).await;
    let rows = rows(driver, relation, vec![output(1, wanted)], &[]).await?;
    Ok(rows.into_iter().flatten().collect())
}

#[tokio::test]
async fn tables_are_described_with_keys_comments_and_indexes() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "kinds");
    let names: Vec<String> = driver.tables().await.unwrap().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let t = driver.describe(&table("t")).await.unwrap();
    assert_eq!(t.primary_key[0].as_str(), "id");
    assert_eq!(t.comment.as_deref(), Some("all kinds of columns"));
    assert_eq!(t.columns[0].comment.as_deref(), Some("the key"));
    assert_eq!(t.unique.len(), 1);
    assert!(t.indexes.iter().any(|index| index.name == "by_two" && index.columns.len() == 2 && !index.unique));
    assert_eq!(t.columns.iter().filter(|column| column.value_type.is_none()).count(), 1, "geometry only");
    assert!(!t.columns[0].nullable && t.columns[1].nullable);
    let note = t.columns.iter().find(|column| column.name.as_str() == "note").unwrap();
    assert_eq!(note.collation, Collation::Named("utf8mb4_general_ci".into()));
    let child = driver.describe(&table("child")).await.unwrap();
    assert_eq!(child.foreign_keys[0].references, TableRef::new(["kinds", "t"]).unwrap());
    assert_eq!(child.foreign_keys[0].referenced_columns[0].as_str(), "id");
    let odd = driver.describe(&table("odd")).await.unwrap();
    let split = odd.split.unwrap();
    assert_eq!((split.least, split.greatest), (1, 3));
    assert_eq!(driver.statistics(&table("odd")).await.unwrap().columns[0].name.as_str(), "id");
    // Names differ by case.
    assert_eq!(driver.describe(&table("T")).await.unwrap().columns.len(), 1);
    assert_eq!(driver.describe(&table("nothing")).await.unwrap_err().code(), ErrorCode::UndefinedTable);
}

#[tokio::test]
async fn every_type_reads_as_itself_and_as_metadata_wants() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "kinds");
    let decimal = |value, precision, scale| Value::Decimal128 { value, precision, scale };
    let cases = [
        ("id", decimal(1, 20, 0)),
        ("id", decimal(1, 19, 0)),
        ("id", Value::text("1")),
        ("tiny", Value::Int16(255)),
        ("small", Value::Int32(65_535)),
        ("medium", Value::Int32(-8_388_608)),
        ("plain", Value::Int64(4_294_967_295)),
        ("plain", decimal(42_949_672_950_000, 18, 4)),
        ("wide", Value::text("12345678901234567890123456789012345.123456789012345678901234567890")),
        ("money", decimal(-9_999_999_999, 10, 2)),
        ("money", decimal(-999_999_999_900, 18, 4)),
        ("money", Value::Float64(-99_999_999.99)),
        ("f", Value::Float32(0.1)),
        ("f", Value::Float64(f64::from(0.1_f32))),
        ("b", Value::Boolean(true)),
        ("bits", Value::Binary([8, 1][..].into())),
        ("y", Value::Int32(2155)),
        ("e", Value::text("Green")),
        ("s", Value::text("a,b")),
        ("j", Value::text("[\"x\", null]")),
        ("j", Value::TextList([Some("x".into()), None].into())),
        ("tm", Value::text("-838:59:59.000")),
        ("ts", Value::Timestamp { micros: 1_704_067_200_000_000, utc: true }),
        ("dt", Value::Timestamp { micros: 253_402_300_799_999_000, utc: false }),
        ("dt", Value::Timestamp { micros: 253_402_300_799_999_000, utc: true }),
        ("d", Value::Date(-719_162)),
        ("latin", Value::text("é")),
        ("three", Value::text("ß")),
        ("blb", Value::Binary([0, 255][..].into())),
        ("u", Value::text("123e4567-e89b-12d3-a456-426655440000")),
        ("ok", Value::Boolean(true)),
        ("ok", Value::Int32(5)),
    ];
    for (column, expected) in cases {
        let found = read(&driver, "t", column, expected.value_type()).await;
        assert_eq!(
            found.unwrap_or_else(|error| panic!("{column}: {error} {:?}", error.cause())),
            [expected],
            "{column}"
        );
    }
    // What would have to lose something fails or is refused.
    assert_eq!(read(&driver, "t", "tm", ValueType::Time).await.unwrap_err().code(), ErrorCode::DataException);
    let small = ValueType::Decimal128 { precision: 6, scale: 2 };
    assert_eq!(read(&driver, "t", "money", small).await.unwrap_err().code(), ErrorCode::NumericOutOfRange);
    let remote = driver.describe(&table("t")).await.unwrap();
    for (column, wanted) in [("id", ValueType::Int64), ("blb", ValueType::Text), ("dt", ValueType::Date)] {
        let found = remote.columns.iter().find(|known| known.name.as_str() == column).unwrap();
        assert_eq!(driver.read_as(found, wanted).unwrap_err().reason, RefusalReason::Encoding, "{column}");
    }
}

#[tokio::test]
async fn texts_of_other_character_sets_compare_by_code_point() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "kinds");
    for (column, value, expected) in [
        ("latin", "é", 1),
        ("latin", "É", 0),
        ("latin", "e", 0),
        ("latin", "😀", 0),
        ("three", "ß", 1),
        ("three", "ss", 0),
        ("e", "Green", 1),
        ("e", "green", 0),
        ("e", "2", 0),
    ] {
        let input = Box::new(reading(&driver, "t", column, ValueType::Text).await);
        let equal = ScalarExpr::compare(
            ComparisonOp::Eq,
            ScalarExpr::Column(ColumnId(1)),
            ScalarExpr::Parameter(0, ValueType::Text),
        );
        let relation = Relation::Filter { input, predicate: equal };
        let found = rows(&driver, relation, vec![output(1, ValueType::Text)], &[Value::text(value)]).await.unwrap();
        assert_eq!(found.len(), expected, "{column} = {value}");
    }
}

#[tokio::test]
async fn values_that_are_not_what_their_type_says_are_errors_that_quote_nothing() {
    let Some(server) = Server::start() else { return };
    server.sql(TABLES);
    let driver = driver(&server, "kinds");
    for (column, wanted, code) in [
        ("d", ValueType::Date, ErrorCode::DataException),
        ("n", ValueType::Text, ErrorCode::CharacterNotInRepertoire),
        ("tm", ValueType::Time, ErrorCode::DataException),
    ] {
        let error = read(&driver, "odd", column, wanted).await.unwrap_err();
        assert_eq!(error.code(), code, "{column}");
        let told = format!("{error} {:?} {:?}", error.detail(), error.hint());
        assert!(!told.contains("2024") && !told.contains("30:") && !told.contains("b\0c"), "{told}");
    }
    // A span that is no time of day is never compared, and a column that is only read is not either.
    let clock = Box::new(reading(&driver, "odd", "tm", ValueType::Time).await);
    let later = ScalarExpr::compare(
        ComparisonOp::Gt,
        ScalarExpr::Column(ColumnId(1)),
        ScalarExpr::Parameter(0, ValueType::Time),
    );
    let relation = Relation::Filter { input: clock, predicate: later };
    let found = rows(&driver, relation, vec![output(1, ValueType::Time)], &[Value::Time(0)]).await.unwrap();
    assert_eq!(found, [[Value::Time(36_000_000_000)]]);
    let bits = reading(&driver, "t", "bits", ValueType::Binary).await;
    assert!(matches!(&bits, Relation::Scan { columns, .. } if columns[0].encoding == Encoding::Text));
    let relation = Relation::Distinct { input: Box::new(bits) };
    let fragment = Fragment { relation, output: vec![output(1, ValueType::Binary)], parameters: vec![] };
    assert!(driver.render(&fragment).is_err());
}
