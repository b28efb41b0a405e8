//! Statements that call what there is with extreme values: functions by the types that the catalog says they take, operators, casts,
//! aggregates, windows, and clauses over long rows. Constants, columns, many rows and values of the client take turns.

use super::numbers::Numbers;
use super::values;

const TABLE: &str = include_str!("../../../engine/semantics/src/bounds/functions.tsv");
const CAST_TO: &[&str] = &[
    "text",
    "int",
    "bigint",
    "numeric",
    "numeric(10,2)",
    "numeric(1000,500)",
    "float8",
    "real",
    "bytea",
    "text[]",
    "int[]",
    "numeric[]",
    "jsonb",
    "json",
    "timestamp",
    "timestamptz",
    "date",
    "time",
    "interval",
    "bool",
    "uuid",
    "varchar(10)",
    "char(10)",
    "char(10000000)",
    "bit(10)",
    "varbit",
    "name",
    "regclass",
    "jsonb[]",
    "date[]",
    "oid",
];
/// Expressions over the numbers of a series.
const OF_NUMBERS: &[&str] = &[
    "g",
    "g::numeric",
    "repeat('x', 1000) || g",
    "repeat('x', g::int % 1000)",
    "array_fill(g, ARRAY[100])",
    "to_jsonb(repeat('x', g::int % 1000))",
    "repeat('y', 10000)",
    "(g, repeat('z', 500))",
];
/// Clauses over such an expression; `{e}`, and a relation of numbers, `{s}`.
const CLAUSES: &[&str] = &[
    "SELECT count(*) FROM (SELECT DISTINCT {e} FROM {s}) q",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s} ORDER BY 1 LIMIT 100000) q",
    "SELECT count(*) FROM (SELECT {e} AS x, count(*) FROM {s} GROUP BY 1) q",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s} UNION SELECT {e} FROM {s}) q",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s} INTERSECT SELECT {e} FROM {s}) q",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s} EXCEPT ALL SELECT {e} FROM {s}) q",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s}) a JOIN (SELECT {e} AS x FROM {s}) b USING (x)",
    "SELECT count(*) FROM (SELECT {e} AS x FROM {s}) a LEFT JOIN (SELECT {e} AS x FROM {s}) b ON a.x < b.x",
    "SELECT count(*) FROM {s}, LATERAL (SELECT {e} AS x, h FROM generate_series(1, 100) h ORDER BY x DESC LIMIT 3) l",
    "SELECT count(*) FROM {s} WHERE {e} IN (SELECT {e} FROM {s})",
    "SELECT count(*) FROM {s} WHERE EXISTS (SELECT 1 FROM generate_series(1, 1000) h WHERE h = g AND {e} IS NOT NULL)",
    "SELECT (SELECT count(*) FROM generate_series(1, 1000) h WHERE h > g) FROM {s}",
    "SELECT g, g % 3, g % 5, count(*), max(({e})::text) FROM {s} GROUP BY CUBE (g, g % 3, g % 5)",
    "WITH RECURSIVE r AS (SELECT 1::bigint n, repeat('a', 1000) t UNION ALL SELECT n + 1, t FROM r WHERE n < 1000000) SELECT count(*), max(t) FROM r",
    "WITH RECURSIVE r AS (SELECT repeat('x', 1000) t UNION ALL SELECT t || t FROM r) SELECT max(length(t)) FROM r",
    "WITH a AS MATERIALIZED (SELECT {e} AS x FROM {s}) SELECT count(*) FROM a x, a y WHERE x.x = y.x",
    "SELECT DISTINCT ON ({e}) g FROM {s} ORDER BY {e}",
    "SELECT count(*) FROM unnest(ARRAY(SELECT {e} FROM {s})) u",
    "SELECT cardinality(ARRAY(SELECT {e} FROM {s}))",
    "SELECT count(*) FROM events e WHERE e.kind = ANY (ARRAY(SELECT ({e})::text FROM {s}))",
    "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY {e}) FROM {s}) q",
    "SELECT count(*) FROM {s} WHERE ({e})::text LIKE '%x%y%' OR ({e})::text ~ '(x+x+)+y'",
    "SELECT count(CASE WHEN g % 2 = 0 THEN {e} END) FROM {s}",
    "SELECT json_agg(x) FROM (SELECT {e} AS x FROM {s}) x",
    "SELECT string_agg(({e})::text, ',' ORDER BY g DESC) FROM {s}",
    "SELECT count(*) FROM accounts a, (SELECT {e} AS x FROM {s}) q WHERE a.name <> q.x::text",
    "SELECT * FROM {s}, generate_series(1, g) h, generate_series(1, h) i ORDER BY g + h + i LIMIT 3",
    "EXPLAIN ANALYZE SELECT {e} FROM {s} ORDER BY 1",
];

/// Names that wait, or end others.
const LEFT_OUT: &[&str] = &["pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_terminate_backend", "pg_cancel_backend"];

/// A statement, and a text that the client sends with it.
pub(crate) struct Call {
    pub(crate) sql: String,
    pub(crate) parameter: Option<String>,
}

/// What the catalog tells: names with the types of their arguments, aggregates apart, and operators with those of their sides.
pub(crate) struct Catalog {
    pub(crate) functions: Vec<(String, Vec<String>)>,
    pub(crate) aggregates: Vec<(String, Vec<String>)>,
    pub(crate) operators: Vec<(String, Vec<String>)>,
}

/// Names of the table's lines of some kinds.
fn names(kinds: &[&str]) -> Vec<&'static str> {
    let lines = TABLE.lines().filter_map(|line| line.split_once('\t'));
    let names = lines.filter(|(kind, _)| kinds.contains(kind)).filter_map(|(_, rest)| rest.split('\t').next());
    names.filter(|name| !LEFT_OUT.contains(name)).collect()
}

/// So many statements.
pub(crate) fn calls(count: usize, catalog: &Catalog, numbers: &mut Numbers) -> Vec<Call> {
    let (scalars, aggregates, windows) =
        (names(&["scalar", "own", "higher-order"]), names(&["aggregate"]), names(&["window"]));
    let mut at = 0;
    let mut calls = Vec::with_capacity(count);
    while calls.len() < count {
        calls.push(match numbers.below(100) {
            0..55 => {
                // Each in its turn, so that none is left out.
                at = (at + 1) % scalars.len();
                function(scalars[at], catalog, numbers)
            }
            55..67 => plain(aggregate(numbers.one_of(&aggregates), catalog, numbers)),
            67..71 => plain(window(numbers.one_of(&windows), numbers)),
            71..80 => operator(catalog, numbers),
            80..90 => cast(numbers),
            _ => plain(clause(numbers)),
        });
    }
    calls
}

fn plain(sql: String) -> Call {
    Call { sql, parameter: None }
}

fn arguments_of(name: &str, known: &[(String, Vec<String>)], numbers: &mut Numbers) -> Vec<String> {
    let forms: Vec<&Vec<String>> = known.iter().filter(|(of, _)| of == name).map(|(_, types)| types).collect();
    if forms.is_empty() || numbers.below(7) == 0 {
        return (0..numbers.below(5)).map(|_| values::any(numbers)).collect();
    }
    let form = numbers.one_of(&forms);
    form.iter().map(|named| values::of(named, numbers)).collect()
}

fn function(name: &str, catalog: &Catalog, numbers: &mut Numbers) -> Call {
    let arguments = arguments_of(name, &catalog.functions, numbers);
    formed(&arguments, numbers, |arguments| format!("{name}({})", arguments.join(", ")))
}

fn operator(catalog: &Catalog, numbers: &mut Numbers) -> Call {
    let (name, sides) = &catalog.operators[numbers.below(catalog.operators.len())];
    let arguments: Vec<String> = sides.iter().map(|side| values::of(side, numbers)).collect();
    formed(&arguments, numbers, |sides| match sides {
        [one] => format!("{name} ({one})"),
        _ => sides.iter().map(|side| format!("({side})")).collect::<Vec<_>>().join(&format!(" {name} ")),
    })
}

fn cast(numbers: &mut Numbers) -> Call {
    let (to, again) = (numbers.one_of(CAST_TO), numbers.below(3) == 0);
    let value = values::any(numbers);
    formed(&[value], numbers, |values| format!("({}){}::{to}", values[0], if again { "::text" } else { "" }))
}

/// The arguments as constants, as columns of a relation, in many rows, or the first text as a value of the client.
fn formed(arguments: &[String], numbers: &mut Numbers, build: impl Fn(&[String]) -> String) -> Call {
    let form = numbers.below(10);
    if form < 2
        && let Some(at) = arguments.iter().position(|argument| values::is_text(argument))
    {
        let mut named = arguments.to_vec();
        let parameter = std::mem::replace(&mut named[at], "$1::text".to_owned());
        return Call {
            sql: format!("SELECT count(x) FROM (SELECT {} AS x) q", build(&named)),
            parameter: Some(parameter),
        };
    }
    plain(match form {
        0..5 => format!("SELECT count(x) FROM (SELECT {} AS x) q", build(arguments)),
        5 => format!("SELECT {}", build(arguments)),
        6..9 => {
            let columns: Vec<String> =
                arguments.iter().enumerate().map(|(at, of)| format!("{of} AS c{at}, ")).collect();
            let names: Vec<String> = (0..arguments.len()).map(|at| format!("c{at}")).collect();
            let rows = numbers.one_of(&[1, 3, 20, 1_000]);
            let from = format!("SELECT {}g FROM generate_series(1, {rows}) g OFFSET 0", columns.concat());
            format!("SELECT count(x) FROM (SELECT {} AS x FROM ({from}) s) q", build(&names))
        }
        _ => {
            let rows = numbers.one_of(&[3, 1_000, 100_000]);
            format!("SELECT count(x) FROM (SELECT {} AS x FROM generate_series(1, {rows}) g) q", build(arguments))
        }
    })
}

fn aggregate(name: &str, catalog: &Catalog, numbers: &mut Numbers) -> String {
    let mut arguments = arguments_of(name, &catalog.aggregates, numbers);
    for argument in &mut arguments {
        if numbers.below(2) == 0 {
            *argument = numbers.one_of(OF_NUMBERS).to_owned();
        }
    }
    let first = arguments.first().cloned().unwrap_or_else(|| "g".to_owned());
    let rows = numbers.one_of(&[3, 1_000, 100_000, 1_000_000]);
    let over = numbers.one_of(&[
        "",
        "",
        "",
        " FILTER (WHERE g % 2 = 0)",
        " OVER ()",
        " OVER (ORDER BY g)",
        " OVER (ORDER BY g ROWS BETWEEN 1000 PRECEDING AND CURRENT ROW)",
        " OVER (PARTITION BY g % 10 ORDER BY g)",
    ]);
    let within = matches!(name, "percentile_cont" | "approx_percentile_cont" | "mode");
    let called = if within {
        format!("{name}({}) WITHIN GROUP (ORDER BY {first})", if name == "mode" { "" } else { "0.5" })
    } else {
        let distinct = numbers.one_of(&["", "", "DISTINCT "]);
        let order = match numbers.below(4) {
            0 => format!(" ORDER BY {first}"),
            1 => " ORDER BY g DESC".to_owned(),
            _ => String::new(),
        };
        format!("{name}({distinct}{}{order}){over}", arguments.join(", "))
    };
    let groups = if over.contains("OVER") { "" } else { numbers.one_of(&["", "", " GROUP BY g % 10", " GROUP BY g"]) };
    format!("SELECT count(x) FROM (SELECT {called} AS x FROM generate_series(1, {rows}) g{groups}) q")
}

fn window(name: &str, numbers: &mut Numbers) -> String {
    let arguments = numbers.one_of(&[
        "",
        "repeat('x', 10000)",
        "repeat('x', 1000) || g, 3",
        "g, 1000000",
        "array_fill(1, ARRAY[1000])",
        "4",
    ]);
    let over = numbers.one_of(&[
        "",
        "ORDER BY g",
        "PARTITION BY g % 7 ORDER BY g DESC",
        "ORDER BY repeat(chr(65 + g::int % 26), 1000)",
    ]);
    let rows = numbers.one_of(&[1_000, 100_000, 1_000_000]);
    format!("SELECT count(x) FROM (SELECT {name}({arguments}) OVER ({over}) AS x FROM generate_series(1, {rows}) g) q")
}

fn clause(numbers: &mut Numbers) -> String {
    let series = format!("generate_series(1, {}) g", numbers.one_of(&[1_000, 100_000, 1_000_000]));
    numbers.one_of(CLAUSES).replace("{e}", numbers.one_of(OF_NUMBERS)).replace("{s}", &series)
}
