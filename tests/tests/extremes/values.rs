//! Values that are long, many, deep, huge, small or none, by the names of their types.

use super::numbers::Numbers;

const TEXTS: &[&str] = &[
    "repeat('ab', 1000000)",
    "repeat('a', 10000000) || 'b'",
    "repeat('a,', 5000000)",
    "repeat('%a', 300000)",
    "repeat('(a*)', 20000) || 'b'",
    "repeat('é', 5000000)",
    "repeat('''', 20000000)",
    "repeat('%s', 100000)",
    "repeat('9', 100000)",
    "repeat('[', 100000)",
    "repeat('a b ', 2000000)",
    "repeat(E'\\n', 5000000)",
    "'(a*)*b'",
    "','",
    "'a'",
    "''",
];
const INTEGERS: &[&str] = &["7", "2147483647", "-2147483648", "-5", "0", "1000000", "100000000"];
const BIGINTS: &[&str] = &["7", "9223372036854775807", "-9223372036854775807", "0", "1000000000"];
const NUMERICS: &[&str] = &[
    "1e-7::numeric",
    "('1' || repeat('0', 100000))::numeric",
    "repeat('9', 130000)::numeric",
    "('0.' || repeat('1', 16000))::numeric",
    "-0.5::numeric",
    "'NaN'::numeric",
    "0::numeric",
    "1e1000::numeric",
];
const DOUBLES: &[&str] =
    &["1.5e300::float8", "1e-300::float8", "'NaN'::float8", "'infinity'::float8", "0::float8", "-2.5::float8"];
const BYTES: &[&str] = &[
    "convert_to(repeat('a', 10000000) || 'b', 'utf8')",
    "'\\x00'::bytea",
    "convert_to(repeat('ab', 1000000), 'utf8')",
    "''::bytea",
];
const TEXT_ARRAYS: &[&str] = &[
    "string_to_array(repeat('a,', 1000000), ',')",
    "array_fill(repeat('b', 1000), ARRAY[10000])",
    "array_fill('x'::text, ARRAY[1000000])",
    "ARRAY['a', 'b']",
    "ARRAY[]::text[]",
];
const INTEGER_ARRAYS: &[&str] = &[
    "array_fill(1, ARRAY[2000000])",
    "array_fill(1, ARRAY[100, 100, 100])",
    "array_fill(1, ARRAY[2, 2, 2, 2, 2, 2])",
    "ARRAY[1, 2, 3]",
    "ARRAY[1000000]",
];
const NUMERIC_ARRAYS: &[&str] = &["array_fill(1.5::numeric, ARRAY[1000000])", "ARRAY[1.5, 2]::numeric[]"];
const JSON: &[&str] = &[
    "('[' || repeat('1,', 1000000) || '1]')::jsonb",
    "(repeat('[', 60) || '1' || repeat(']', 60))::jsonb",
    "('{' || repeat('\"a\":1,', 100000) || '\"b\":2}')::jsonb",
    "to_jsonb(repeat('x', 10000000))",
    "'{\"a\":[1,{\"b\":null}]}'::jsonb",
    "'null'::jsonb",
];
const MOMENTS: &[&str] = &[
    "timestamp '2000-01-01'",
    "timestamp '9999-12-31 23:59:59.999999'",
    "timestamp '0001-01-01'",
    "'infinity'::timestamp",
];
const INTERVALS: &[&str] = &["interval '100000 years'", "interval '1 microsecond'", "interval '-1 day'"];
const ROWS: &[&str] = &["row(repeat('x', 10000000), 1)", "row(array_fill(1, ARRAY[1000000]))"];

/// Each list with the names of the types that take it.
const LISTS: &[(&[&str], &[&str])] = &[
    (&["text", "character varying", "character", "name", "\"char\""], TEXTS),
    (&["integer", "smallint", "oid"], INTEGERS),
    (&["bigint"], BIGINTS),
    (&["numeric"], NUMERICS),
    (&["double precision", "real"], DOUBLES),
    (&["bytea"], BYTES),
    (&["text[]"], TEXT_ARRAYS),
    (&["integer[]"], INTEGER_ARRAYS),
    (&["numeric[]"], NUMERIC_ARRAYS),
    (&["jsonb", "json"], JSON),
    (&["timestamp without time zone", "timestamp with time zone", "date"], MOMENTS),
    (&["interval"], INTERVALS),
    (&["boolean"], &["true", "false"]),
    (&["bit", "bit varying"], &["repeat('1', 10000000)::varbit", "B'101'"]),
    (&["record"], ROWS),
];

/// A value of a type; now and then NULL or one of another type.
pub(crate) fn of(named: &str, numbers: &mut Numbers) -> String {
    if numbers.below(20) == 0 {
        return "NULL".to_owned();
    }
    let found = LISTS.iter().find(|(names, _)| names.contains(&named));
    match found {
        Some((_, list)) if numbers.below(20) > 0 => numbers.one_of(list).to_owned(),
        _ if named.ends_with("array") => {
            let list = [TEXT_ARRAYS, INTEGER_ARRAYS, NUMERIC_ARRAYS][numbers.below(3)];
            numbers.one_of(list).to_owned()
        }
        _ => any(numbers),
    }
}

/// A value of any type.
pub(crate) fn any(numbers: &mut Numbers) -> String {
    let (_, list) = LISTS[numbers.below(LISTS.len())];
    numbers.one_of(list).to_owned()
}

/// Whether it is a text that a client may send as a value.
pub(crate) fn is_text(value: &str) -> bool {
    TEXTS.contains(&value)
}
