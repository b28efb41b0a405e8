//! Declared types as servers write them, and what each reads as.

use super::*;

#[test]
fn declared_types_are_read_from_the_servers_words() {
    let integer = |digits, unsigned| Native::Integer { digits, unsigned };
    for (declared, expected) in [
        ("int(11)", integer(10, false)),
        ("int(10) unsigned", integer(10, true)),
        ("bigint(20) unsigned zerofill", integer(20, true)),
        ("bigint", integer(19, false)),
        ("tinyint(1)", Native::Truth),
        ("tinyint(4)", integer(3, false)),
        ("bit(1)", Native::Truth),
        ("bit(12)", Native::Bits),
        ("decimal(10,2)", Native::Decimal { precision: 10, scale: 2 }),
        ("decimal(65,30) unsigned", Native::Decimal { precision: 65, scale: 30 }),
        ("varchar(40)", Native::Text(40)),
        ("enum('a unsigned','b)')", Native::Listed),
        ("datetime(3)", Native::DateTime(3)),
        ("timestamp", Native::Timestamp(0)),
        ("time(6)", Native::Time(6)),
        ("year(4)", Native::Year),
        ("double", Native::Double),
        ("geometry", Native::Unreadable),
        ("uuid", Native::Other),
    ] {
        assert_eq!(native(declared), expected, "{declared}");
    }
    let text = Declared::parse("varchar(9)", Some("latin1_swedish_ci"));
    assert_eq!((text.charset.as_str(), text.collation.as_str()), ("latin1", "latin1_swedish_ci"));
    assert_eq!(Declared::parse("text", Some("uca1400_ai_ci")).charset, "utf8mb4");
}

#[test]
fn what_would_lose_something_is_only_read_or_refused() {
    let money = ValueType::Decimal128 { precision: 18, scale: 4 };
    let whole = ValueType::Decimal128 { precision: 19, scale: 0 };
    for (declared, wanted, expected) in [
        ("decimal(10,2)", money, Some(Encoding::Canonical)),
        ("decimal(20,6)", money, Some(Encoding::Text)),
        ("int(11)", whole, Some(Encoding::Canonical)),
        ("bigint(20)", money, Some(Encoding::Text)),
        ("bigint(20) unsigned", ValueType::Int64, None),
        ("bigint(20) unsigned", whole, Some(Encoding::Canonical)),
        ("double", money, Some(Encoding::Double)),
        ("int(11)", ValueType::Text, Some(Encoding::Canonical)),
        ("datetime", ValueType::Date, None),
        ("datetime", ValueType::Timestamp { utc: true }, Some(Encoding::Canonical)),
        ("time", ValueType::Time, Some(Encoding::Canonical)),
        ("longtext", ValueType::TextList, Some(Encoding::Json)),
        ("blob", ValueType::Text, None),
    ] {
        assert_eq!(read_as(native(declared), wanted).ok(), expected, "{declared}");
    }
}

#[test]
fn every_readable_type_reads_as_its_own() {
    for declared in [
        "tinyint(1)",
        "tinyint(3) unsigned",
        "smallint(6)",
        "smallint(5) unsigned",
        "mediumint(9)",
        "int(11)",
        "int(10) unsigned",
        "bigint(20)",
        "bigint(20) unsigned",
        "decimal(38,10)",
        "decimal(65,2)",
        "float",
        "double",
        "char(3)",
        "longtext",
        "enum('a')",
        "set('a')",
        "blob",
        "bit(3)",
        "date",
        "datetime(6)",
        "timestamp",
        "time",
        "year(4)",
        "json",
        "inet6",
    ] {
        let (value_type, encoding) = interpret(native(declared)).unwrap();
        assert_eq!(read_as(native(declared), value_type), Ok(encoding), "{declared}");
    }
}
