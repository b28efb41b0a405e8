//! Input and output functions of single values, with what a PostgreSQL 15 server read and printed.

use crate::casts::{display, text};
use crate::json::{path, print, tree};
use crate::numbers::number_format::{Number, Picture};
use crate::numbers::numeric;
use crate::times::datetime::{Wrong, interval, parse};
use crate::times::zone::Zone;

#[test]
fn time_stamps_read_as_postgres_reads_them() {
    let check = |input: &str, expected: &str| {
        assert_eq!(text::timestamp(parse::timestamp(input).unwrap()), expected, "{input}");
    };
    check("2024-02-29T12:34:56.7891234", "2024-02-29 12:34:56.789123");
    check("Thu Feb 29 12:34:56 2024", "2024-02-29 12:34:56");
    check("20240229T123456", "2024-02-29 12:34:56");
    check("2024-02-29 24:00:00", "2024-03-01 00:00:00");
    check("0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC");
    check("J2451187", "1999-01-08 00:00:00");
    for (input, wrong) in [
        ("2024-02-30", Wrong::Field),
        ("2024-02-29 25:00:00", Wrong::Field),
        ("294277-01-01", Wrong::Range),
        ("x", Wrong::Syntax),
        ("", Wrong::Syntax),
    ] {
        assert_eq!(parse::timestamp(input), Err(wrong), "{input}");
    }
}

#[test]
fn instants_take_the_zone_they_name_or_the_sessions() {
    let check = |input: &str, zone: &str, expected: &str| {
        let zone = Zone::parse(zone).unwrap();
        assert_eq!(display::instant(parse::instant(input, zone).unwrap(), Zone::UTC), expected, "{input} {zone:?}");
    };
    check("2026-01-01", "Asia/Tokyo", "2025-12-31 15:00:00+00");
    check("2026-01-01 00:00:00+00", "Asia/Tokyo", "2026-01-01 00:00:00+00");
    check("2025-01-01+00", "Asia/Tokyo", "2025-01-01 00:00:00+00");
    check("2024-02-29 12:34:56 EST", "UTC", "2024-02-29 17:34:56+00");
    // In the gap of spring the offset before it holds.
    check("2024-03-31 02:30:00", "Europe/Berlin", "2024-03-31 01:30:00+00");
}

#[test]
fn intervals_read_and_print_as_postgres_does() {
    let check = |input: &str, expected: &str| assert_eq!(interval::parse(input).unwrap().text(), expected, "{input}");
    check("1 year 2 months 3 days 4 hours 5 minutes 6.789 seconds", "1 year 2 mons 3 days 04:05:06.789");
    check("2 days 03:04:05", "2 days 03:04:05");
    check("-1-2 +3 -4:05:06", "-1 years -2 mons +3 days -04:05:06");
    check("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06");
    check("1.5 months", "1 mon 15 days");
    check("1 day ago", "-1 days");
    check("30", "00:00:30");
    for input in ["", "x", "1 day 1 day", "1 fortnight"] {
        assert_eq!(interval::parse(input), Err(Wrong::Syntax), "{input}");
    }
}

#[test]
fn json_keeps_numbers_and_sorts_keys() {
    let check = |input: &str, expected: &str| {
        assert_eq!(print::normal_text(tree::parse(input).unwrap()), expected, "{input}");
    };
    check(" {\"bb\" : 1.50 , \"a\":2, \"a\":3} ", "{\"a\": 3, \"bb\": 1.50}");
    check("[1e3, -0, 1.0e-2]", "[1000, 0, 0.010]");
    for input in ["", "{", "[1,]", "{\"a\":}", "tru", "01", "\"\\u0000\"", "1 2"] {
        assert!(tree::parse(input).is_none(), "{input}");
    }
    let deep = "[".repeat(100_000);
    assert!(tree::parse(&deep).is_none());
    let (whole, part) =
        (tree::parse("{\"a\":[1,2,{\"b\":1}]}").unwrap(), tree::parse("{\"a\":[{\"b\":1.0}]}").unwrap());
    assert!(path::contains(&whole, &part, true).unwrap());
    assert!(!path::contains(&part, &whole, true).unwrap());
}

#[test]
fn numbers_print_by_patterns() {
    let check = |number: &str, pattern: &str, expected: &str| {
        let (digits, scale) = numeric::parse(number).unwrap();
        let shown = Picture::read(pattern).unwrap().shown(&Number::Decimal(digits, scale));
        assert_eq!(shown, expected, "{number} {pattern}");
    };
    check("485", "9,999.99", "   485.00");
    check("-485", "999PR", "<485>");
    check("0.1", "FM9.9", ".1");
    check("1234567.891", "999", " ###");
    check("485", "RN", "        CDLXXXV");
    for (number, expected) in [(9.96, " 10.0"), (-0.25, "  -.2"), (123.0, " ##.#")] {
        assert_eq!(Picture::read("99.9").unwrap().shown(&Number::Double(number, 15)), expected, "{number}");
    }
    assert!(Picture::read("9.9.9").is_err());
}
