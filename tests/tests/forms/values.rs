//! Values that literals of the corpus do not have: none to thirty decimal places, empties, NULL, extremes; as parameters of the
//! statements of `tests/forms/values.tsv`.

use crate::case::{Case, PARAMETER_FORMS, Value};
use crate::tables::{Kind, Table};
use std::path::Path;
use tokio_postgres::types::Type;

const NUMERICS: [&str; 22] = [
    "0",
    "0.0",
    "1",
    "1.25",
    "-1.25",
    "0.005",
    "7.5",
    "8",
    "1.50",
    "100",
    "0.1234567890",
    "0.12345678901234567890",
    "0.123456789012345678901234567890",
    "-3.000000000000000000000000000001",
    "12345678901234567890.123456789",
    "0.000000000000000000000000000001",
    "99999999999999999999999999999999999999",
    "-99999999999999999999999999999999999999",
    "1234567890123456789012345678901234567890.5",
    "2147483648",
    "9223372036854775808",
    "NaN",
];
const INTEGERS: [&str; 6] = ["0", "1", "-1", "7", "2147483647", "-2147483648"];
const DOUBLES: [&str; 8] = ["0", "-0", "1.5", "2.5", "1e300", "1e-300", "NaN", "-Infinity"];
const TEXTS: [&str; 10] = ["", "a", "Ärger", " a ", "1.5", "1", "%", "a'b\\", "null", "日本\u{1f600}"];
const BOOLEANS: [&str; 2] = ["true", "false"];
const DATES: [&str; 5] = ["2024-02-29", "1999-12-31", "0001-01-01", "9999-12-31", "1970-01-01"];

/// The values of a letter of the file, NULL among them.
fn values(letter: char) -> Vec<Value> {
    let (pg_type, texts) = match letter {
        'd' => (Type::NUMERIC, &NUMERICS[..]),
        'i' => (Type::INT4, &INTEGERS[..]),
        'f' => (Type::FLOAT8, &DOUBLES[..]),
        't' => (Type::TEXT, &TEXTS[..]),
        'b' => (Type::BOOL, &BOOLEANS[..]),
        'y' => (Type::DATE, &DATES[..]),
        other => panic!("no values of kind {other}"),
    };
    let some = texts.iter().map(|text| Value { text: Some((*text).to_owned()), pg_type: pg_type.clone() });
    some.chain([Value { text: None, pg_type: pg_type.clone() }]).collect()
}

/// The table of the statements: what any source can hold.
pub(crate) fn table() -> Table {
    let columns = [
        ("k", Kind::Int),
        ("n", Kind::Int),
        ("m", Kind::Numeric(12, 2)),
        ("f", Kind::Float),
        ("s", Kind::Text),
        ("d", Kind::Date),
        ("b", Kind::Boolean),
    ];
    let rows = [
        "0|0.00|0|a|2024-02-29|t",
        "1|1.25|1.5||1999-12-31|f",
        "7|7.50|-2.5|Ärger|0001-01-01|t",
        "8|-0.01|1e+15|A|9999-12-31|f",
        "-1|9999999999.99|1e-05| a |1970-01-01|t",
        "2147483647|-9999999999.99|0.1|b|2000-01-01|f",
        "-2147483648|0.01|100|%|2024-01-31|t",
    ];
    let cells = |(at, row): (usize, &&str)| {
        let cells = row.split('|').map(|cell| Some(cell.to_owned()));
        [Some((at + 1).to_string())].into_iter().chain(cells).collect()
    };
    let none = vec![Some((rows.len() + 1).to_string()), None, None, None, None, None, None];
    Table {
        name: "nums".to_owned(),
        columns: columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec(),
        rows: rows.iter().enumerate().map(cells).chain([none]).collect(),
    }
}

/// The statements with each value in each form, over these sources where they need a table.
pub(crate) fn cases(sources: &[&'static str]) -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("forms/values.tsv");
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .flat_map(|line| {
            let (kinds, sql) = line.split_once('\t').unwrap();
            let over: Vec<(&'static str, String)> = if sql.contains("{table}") {
                sources.iter().map(|source| (*source, sql.replace("{table}", &format!("{source}_nums")))).collect()
            } else {
                vec![("none", sql.to_owned())]
            };
            over.into_iter().flat_map(move |(source, sql)| of_statement(kinds, source, &sql))
        })
        .collect()
}

fn of_statement(kinds: &str, source: &'static str, sql: &str) -> Vec<Case> {
    let sets: Vec<Vec<Value>> = kinds.chars().map(values).collect();
    // Each value of the first parameter once, beside others of the second.
    let rows = (0..sets[0].len()).map(|at| {
        sets.iter()
            .enumerate()
            .map(|(nth, set)| set[(at * (1 + 4 * nth) + 2 * nth) % set.len()].clone())
            .collect::<Vec<_>>()
    });
    rows.flat_map(|values| {
        PARAMETER_FORMS.into_iter().map(move |(form, ask)| Case {
            form,
            source,
            sql: sql.to_owned(),
            ask,
            values: values.clone(),
            reason: None,
        })
    })
    .collect()
}
