//! Formulas of real applications and of every function, on rows with and without values.

use super::{Cell, Fault, Formula};
use crate::value::ColumnKind;

const NOW_MS: i64 = 1_700_000_000_000; // 2023-11-14T22:13:20Z

fn kind(name: &str) -> Option<ColumnKind> {
    Some(match name {
        "first" | "last" | "status" => ColumnKind::Text,
        "amount" | "probability" => ColumnKind::Number,
        "active" => ColumnKind::Boolean,
        "close" => ColumnKind::Date,
        "at" => ColumnKind::Timestamp,
        "tags" => ColumnKind::List,
        "address" => ColumnKind::Json,
        "formula" => ColumnKind::Computed,
        _ => return None,
    })
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn of_row(name: &str, full: bool) -> Cell {
    if !full {
        return Cell::Null;
    }
    match name {
        "first" => text("Ada"),
        "last" => text("Lovelace"),
        "status" => text("converted"),
        "amount" => Cell::Float(1250.5),
        "probability" => Cell::Float(40.0),
        "active" => Cell::Boolean(true),
        "close" => Cell::Date(19_700),
        "at" => Cell::Timestamp(NOW_MS),
        _ => Cell::List(vec![text("a"), Cell::Null, text("b")]),
    }
}

fn compiled(source: &str) -> Result<Formula, String> {
    super::compile::compile(source, &kind).map_err(|reason| reason.text)
}

fn value(source: &str, full: bool) -> Result<Cell, Fault> {
    let formula = compiled(source).unwrap_or_else(|reason| panic!("{source}: {reason}"));
    let row: Vec<Cell> = formula.inputs().iter().map(|name| of_row(name, full)).collect();
    formula.evaluate(&row, NOW_MS)
}

#[test]
fn formulas_of_applications() {
    let full_name = "(record.first == null ? '' : record.first + ' ') + record.last";
    let closed = "record.status == \"converted\" || record.status == \"disqualified\"";
    let expected =
        "(record.amount == null ? 0 : record.amount) * (record.probability == null ? 0 : record.probability) / 100";
    let days = "record.close == null ? 0 : daysBetween(today(), record.close)";
    for (source, full, empty) in [
        (full_name, Ok(text("Ada Lovelace")), Err(Fault::Type)),
        ("record.last + record.first", Ok(text("LovelaceAda")), Err(Fault::Type)),
        (closed, Ok(Cell::Boolean(true)), Ok(Cell::Boolean(false))),
        (expected, Ok(Cell::Float(500.2)), Ok(Cell::Integer(0))),
        (days, Ok(Cell::Integer(25)), Ok(Cell::Integer(0))),
    ] {
        assert_eq!(value(source, true), full, "{source}");
        assert_eq!(value(source, false), empty, "{source}");
    }
}

#[test]
fn every_function_and_operator() {
    for (source, expected) in [
        ("now()", Ok(Cell::Timestamp(NOW_MS))),
        ("today()", Ok(Cell::Date(19_675))),
        ("daysAgo(5)", Ok(Cell::Date(19_670))),
        ("daysFromNow(5)", Ok(Cell::Date(19_680))),
        ("addDays(record.close, -1)", Ok(Cell::Date(19_699))),
        ("addDays(record.at, 1)", Ok(Cell::Timestamp(NOW_MS + 86_400_000))),
        ("addMonths(date('2024-01-31'), 1)", Ok(Cell::Date(19_782))),
        ("addMonths(date('2024-01-31'), 999999999)", Err(Fault::Range)),
        ("date('no date')", Err(Fault::Type)),
        ("datetime('2023-11-14T22:13:20Z') == record.at", Ok(Cell::Boolean(true))),
        ("isBlank('  ') && isEmpty('') && !isEmpty(' ')", Ok(Cell::Boolean(true))),
        ("coalesce(null, 7)", Ok(Cell::Integer(7))),
        ("joinNonEmpty(record.tags, ', ')", Ok(text("a, b"))),
        ("joinNonEmpty([record.first, '', record.last], '-')", Ok(text("Ada-Lovelace"))),
        ("' x '.trim() + upper('ß') + lower('Ä')", Ok(text("xSSä"))),
        ("len('äb') + size(record.tags)", Ok(Cell::Integer(5))),
        ("record.first.startsWith('A') && record.first.endsWith('a')", Ok(Cell::Boolean(true))),
        ("record.first.contains('d') && contains(record.tags, 'b')", Ok(Cell::Boolean(true))),
        ("abs(-3) + ceil(1.2) + floor(-1.2) + round(2.5)", Ok(Cell::Float(6.0))),
        ("min(1, 2.5)", Ok(Cell::Integer(1))),
        ("max(record.close, today())", Ok(Cell::Date(19_700))),
        ("string(1.0) + string(record.close) + string(true)", Ok(text("12023-12-09true"))),
        ("string(record.at)", Ok(text("2023-11-14T22:13:20.000Z"))),
        ("int('12') + int(2.9)", Ok(Cell::Integer(14))),
        ("double('1.5')", Ok(Cell::Float(1.5))),
        ("7 / 2 + 7 % 4", Ok(Cell::Integer(6))),
        ("7.0 / 2", Ok(Cell::Float(3.5))),
        ("1 / 0", Err(Fault::Range)),
        ("1.0 / 0", Err(Fault::Range)),
        ("9223372036854775807 + 1", Err(Fault::Range)),
        ("-record.amount < 0", Ok(Cell::Boolean(true))),
        ("null < 1", Err(Fault::Type)),
        ("null == null && null != 1", Ok(Cell::Boolean(true))),
        ("1 == 1.0 && 1 != '1'", Ok(Cell::Boolean(true))),
        ("false && 1 / 0 == 1", Ok(Cell::Boolean(false))),
        ("1 / 0 == 1 || true", Ok(Cell::Boolean(true))),
        ("1 / 0 == 1 || false", Err(Fault::Range)),
        ("'b' in ['a', 'b'] && !(3 in [1, 2])", Ok(Cell::Boolean(true))),
        ("has(record.first)", Ok(Cell::Boolean(true))),
        ("[1, 2] + [3] == [1, 2, 3]", Ok(Cell::Boolean(true))),
    ] {
        assert_eq!(value(source, true), expected, "{source}");
    }
}

#[test]
fn what_formulas_do_not_have_is_refused_by_name() {
    for (source, reason) in [
        ("record.nothing", "there is no column 'nothing'"),
        ("record.formula + 1", "a formula does not read another"),
        ("record.address", "formulas do not read 'address', a structured value or time of day"),
        ("current_user.id", "'id' is read of something that is not the record"),
        ("amount * 2", "formulas do not know 'amount'"),
        ("record.first.matches('a+')", "formulas have no 'matches' of 2 arguments"),
        ("[1, 2].exists(x, x > 1)", "formulas have no comprehensions, maps and messages"),
        ("{'a': 1}", "formulas have no comprehensions, maps and messages"),
        ("1 +", "expression is not valid CEL"),
    ] {
        assert_eq!(compiled(source).unwrap_err(), reason, "{source}");
    }
    assert!(compiled(&"(".repeat(5_000)).is_err());
    assert!(compiled(&format!("'{}'", "x".repeat(20_000))).is_err());
}

#[test]
fn a_text_has_a_bound() {
    let doubled = "record.first + record.first";
    let formula = compiled(doubled).unwrap();
    let long = Cell::Text("x".repeat(super::TEXT_BYTES_MAX / 2 + 1));
    assert_eq!(formula.evaluate(&[long], NOW_MS), Err(Fault::Size));
}
