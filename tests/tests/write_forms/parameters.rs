//! Every form of change with its values as parameters: of declared types and of those that the gate infers, in text and in binary, for
//! no row, one and many. Each must leave what the same statement with literals leaves.

use super::KIND;
use crate::gate::{Gate, change};
use bytes::{BufMut, BytesMut};
use querygate_tests::server::runtime;
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A value as a literal's text, sent in one of the two formats.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: Option<&'static str>,
    pub(super) format: Format,
}

type Written = Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Given {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Written {
        let Some(text) = self.text else { return Ok(IsNull::Yes) };
        match self.format {
            Format::Text => out.extend_from_slice(text.as_bytes()),
            Format::Binary => return binary(text, to, out),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    to_sql_checked!();
}

fn binary(text: &'static str, to: &Type, out: &mut BytesMut) -> Written {
    match *to {
        Type::BOOL => (text == "true").to_sql(to, out),
        Type::INT4 => text.parse::<i32>()?.to_sql(to, out),
        Type::INT8 => text.parse::<i64>()?.to_sql(to, out),
        Type::FLOAT8 => text.parse::<f64>()?.to_sql(to, out),
        Type::NUMERIC => {
            numeric(text, out);
            Ok(IsNull::No)
        }
        Type::DATE => {
            // Days since 2000-01-01; every date here is of January 2026.
            let day: i32 = text.strip_prefix("2026-01-").ok_or("another month")?.parse()?;
            out.put_i32(9_497 + day - 1);
            Ok(IsNull::No)
        }
        Type::JSONB => {
            out.put_u8(1);
            out.extend_from_slice(text.as_bytes());
            Ok(IsNull::No)
        }
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => {
            let items: Vec<&str> = text.trim_matches(['{', '}']).split(',').collect();
            items.to_sql(&Type::TEXT_ARRAY, out)
        }
        _ => {
            out.extend_from_slice(text.as_bytes());
            Ok(IsNull::No)
        }
    }
}

/// A decimal of at most four digits before the point and four behind it.
fn numeric(text: &str, out: &mut BytesMut) {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or((0, whole), |rest| (0x4000, rest));
    out.put_i16(2);
    out.put_i16(0);
    out.put_i16(sign);
    out.put_u16(u16::try_from(places.len()).unwrap());
    out.put_i16(whole.parse().unwrap());
    out.put_i16(format!("{places:0<4}").parse().unwrap());
}

/// A statement, the types of its parameters, and values of each run of it.
pub(super) struct Form {
    pub(super) sql: &'static str,
    pub(super) types: &'static [Type],
    pub(super) runs: &'static [&'static [Option<&'static str>]],
}

const ALL: [Type; 8] =
    [Type::TEXT, Type::VARCHAR, Type::INT4, Type::NUMERIC, Type::DATE, Type::BOOL, Type::JSONB, Type::TEXT_ARRAY];

pub(super) const FORMS: &[Form] = &[
    Form {
        sql: "INSERT INTO goods (id, kind, size, price, made_on, ready, facts, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        types: &ALL,
        runs: &[
            &[
                Some("p1"),
                Some("größe 'x'"),
                Some("-7"),
                Some("12.5"),
                Some("2026-01-05"),
                Some("true"),
                Some("{\"a\": 1}"),
                Some("{x,y}"),
            ],
            &[Some("p2"), Some("''"), None, Some("-3"), None, Some("false"), None, None],
            &[Some("p3"), None, Some("2147483647"), None, Some("2026-01-31"), None, Some("[1, null]"), Some("{z}")],
        ],
    },
    Form {
        sql: "INSERT INTO goods (id, size, price) VALUES ($1, $2, 1), ($3, 4, $4), ('m', $5, $6)",
        types: &[Type::TEXT, Type::INT4, Type::TEXT, Type::NUMERIC, Type::INT4, Type::NUMERIC],
        runs: &[&[Some("m1"), Some("2"), Some("m2"), Some("2.25"), None, Some("0.5")]],
    },
    Form {
        sql: "INSERT INTO goods (id, size, made_on) SELECT g.id || $1, g.size + $2, $3::date FROM goods g WHERE g.size >= $4",
        types: &[Type::TEXT, Type::INT4, Type::DATE, Type::INT4],
        runs: &[
            &[Some("x"), Some("1"), Some("2026-01-09"), Some("90")],
            &[Some("x"), Some("1"), Some("2026-01-09"), Some("30")],
            &[Some("y"), Some("-1"), None, Some("1")],
        ],
    },
    Form {
        sql: "UPDATE goods SET kind = $1, size = $2, price = $3, made_on = $4, ready = $5, facts = $6, tags = $7 WHERE id >= $8",
        types: &[
            Type::VARCHAR,
            Type::INT4,
            Type::NUMERIC,
            Type::DATE,
            Type::BOOL,
            Type::JSONB,
            Type::TEXT_ARRAY,
            Type::TEXT,
        ],
        runs: &[
            &[
                Some("none"),
                Some("1"),
                Some("1"),
                Some("2026-01-02"),
                Some("true"),
                Some("{}"),
                Some("{a}"),
                Some("zz"),
            ],
            &[
                Some("one"),
                Some("3"),
                Some("9999.99"),
                Some("2026-01-02"),
                Some("false"),
                Some("[]"),
                Some("{b,c}"),
                Some("g4"),
            ],
            &[Some("many"), None, None, None, None, None, None, Some("g2")],
        ],
    },
    Form {
        sql: "UPDATE goods SET size = size * $1 + $2, price = CASE WHEN size > $3 THEN price + $4 ELSE price END WHERE made_on < $5",
        types: &[Type::INT4, Type::INT4, Type::INT4, Type::NUMERIC, Type::DATE],
        runs: &[
            &[Some("2"), Some("1"), Some("15"), Some("0.25"), Some("2026-01-01")],
            &[Some("2"), Some("1"), Some("15"), Some("0.25"), Some("2026-01-02")],
            &[Some("2"), Some("1"), Some("15"), Some("0.25"), Some("2026-01-30")],
        ],
    },
    Form {
        sql: "UPDATE goods SET size = v.size, kind = $1 FROM (VALUES ($2::text, $3::int), ('g3', $4)) AS v(id, size) WHERE v.id = goods.id",
        types: &[Type::VARCHAR, Type::TEXT, Type::INT4, Type::INT4],
        runs: &[&[Some("joined"), Some("g1"), Some("71"), Some("73")], &[Some("joined"), Some("none"), None, None]],
    },
    Form {
        sql: "INSERT INTO goods (id, size, kind) VALUES ($1, $2, $3), ('g2', $4, 'new') ON CONFLICT (id) DO UPDATE
            SET size = goods.size + excluded.size + $5, kind = excluded.kind WHERE goods.size < $6",
        types: &[Type::TEXT, Type::INT4, Type::VARCHAR, Type::INT4, Type::INT4, Type::INT4],
        runs: &[
            &[Some("g1"), Some("5"), Some("kept"), Some("6"), Some("100"), Some("0")],
            &[Some("g1"), Some("5"), Some("taken"), Some("6"), Some("100"), Some("1000")],
            &[Some("new"), Some("5"), None, Some("6"), Some("1"), Some("1000")],
        ],
    },
    Form {
        sql: "INSERT INTO goods (id, price) VALUES ($1, $2), ('g1', 1) ON CONFLICT DO NOTHING",
        types: &[Type::TEXT, Type::NUMERIC],
        runs: &[&[Some("g2"), Some("8")], &[Some("free"), Some("8.5")]],
    },
    Form {
        sql: "MERGE INTO goods g USING (VALUES ($1::text), ('g3')) AS s(id) ON s.id = g.id
            WHEN MATCHED AND g.size > $2 THEN DELETE
            WHEN MATCHED THEN UPDATE SET size = $3, price = $4
            WHEN NOT MATCHED THEN INSERT (id, size, made_on) VALUES (s.id, $5, $6)",
        types: &[Type::TEXT, Type::INT4, Type::INT4, Type::NUMERIC, Type::INT4, Type::DATE],
        runs: &[
            &[Some("g1"), Some("25"), Some("4"), Some("4.5"), Some("0"), Some("2026-01-04")],
            &[Some("fresh"), Some("1000"), Some("4"), None, Some("5"), Some("2026-01-04")],
        ],
    },
    Form {
        sql: "DELETE FROM goods WHERE size > $1 AND (kind = $2 OR price = $3 OR made_on = $4 OR ready = $5)",
        types: &[Type::INT4, Type::VARCHAR, Type::NUMERIC, Type::DATE, Type::BOOL],
        runs: &[
            &[Some("1000"), Some("fine"), Some("2.5"), Some("2026-01-01"), Some("true")],
            &[Some("0"), Some("none"), Some("2.5"), None, None],
            &[Some("0"), Some("fine"), None, Some("2026-01-03"), Some("true")],
        ],
    },
    Form {
        sql: "DELETE FROM goods USING (VALUES ($1::text), ($2)) AS v(id) WHERE v.id = goods.id AND goods.size < $3",
        types: &[Type::TEXT, Type::TEXT, Type::INT4],
        runs: &[&[Some("g1"), Some("g4"), Some("40")], &[Some("g1"), Some("g4"), Some("41")]],
    },
];

/// Types of parameters said and not said, each in both formats.
pub(super) const WAYS: [(bool, Format); 4] =
    [(true, Format::Binary), (true, Format::Text), (false, Format::Binary), (false, Format::Text)];

const RESET: &str = "DELETE FROM goods";
const FILL: &str = "INSERT INTO goods (id, kind, size, price, made_on, ready) VALUES ('g1', 'fine', 10, 2.5, '2026-01-01', false),
    ('g2', 'fine', 20, 5, '2026-01-02', true), ('g3', 'plain', 30, 7.5, '2026-01-03', NULL), ('g4', NULL, 40, NULL, NULL, true)";

/// What is stored, as the gate itself reads it.
fn stored(client: &Client) -> Vec<String> {
    let sql = "SELECT concat_ws('|', id, coalesce(kind, '-'), coalesce(size::text, '-'), coalesce(price::text, '-'),
        coalesce(made_on::text, '-'), coalesce(ready::text, '-'), coalesce(facts::text, '-'), coalesce(tags::text, '-'))
        FROM goods ORDER BY id";
    crate::gate::rows(client, sql).into_iter().flatten().flatten().collect()
}

/// The statement with its values as literals.
pub(super) fn literal(form: &Form, values: &[Option<&str>]) -> String {
    let mut sql = form.sql.to_owned();
    for (at, value) in values.iter().enumerate().rev() {
        let literal = value.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")));
        // A literal in VALUES or an expression is typed by what stands beside it, as a parameter is.
        let literal = match (value, &form.types[at]) {
            (Some(text), &Type::INT4 | &Type::NUMERIC | &Type::BOOL) => format!("({text})"),
            _ => literal,
        };
        sql = sql.replace(&format!("${}", at + 1), &literal);
    }
    sql
}

async fn run(client: &Client, form: &Form, is_typed: bool, values: &[Option<&'static str>], format: Format) -> u64 {
    let statement =
        if is_typed { client.prepare_typed(form.sql, form.types).await } else { client.prepare(form.sql).await };
    let statement = statement.unwrap_or_else(|error| panic!("{KIND:?} {}: {error:?}", form.sql));
    let given: Vec<Given> = values.iter().map(|text| Given { text: *text, format }).collect();
    let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|value| value as _).collect();
    let changed = client.execute(&statement, &given).await;
    changed.unwrap_or_else(|error| panic!("{KIND:?} {} {is_typed} {format:?} {values:?}: {error:?}", form.sql))
}

/// The same rows before each run.
pub(super) fn reset(client: &Client) {
    change(client, RESET).unwrap();
    assert_eq!(change(client, FILL), Ok(4));
}

/// Runs each form in all ways, and says how often that was.
pub(super) fn compare(forms: &[Form]) -> usize {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let mut runs = 0;
    for form in forms {
        for values in form.runs {
            reset(&nora);
            let sql = literal(form, values);
            let count = change(&nora, &sql).unwrap_or_else(|error| panic!("{KIND:?} {sql}: {error:?}"));
            let expected = stored(&nora);
            for (is_typed, format) in WAYS {
                reset(&nora);
                let changed = runtime().block_on(run(&nora, form, is_typed, values, format));
                assert_eq!(changed, count, "{KIND:?} {} {is_typed} {format:?} {values:?}", form.sql);
                assert_eq!(stored(&nora), expected, "{KIND:?} {} {is_typed} {format:?} {values:?}", form.sql);
                runs += 1;
            }
        }
    }
    runs
}

#[test]
fn a_change_with_parameters_is_that_with_literals() {
    let runs = compare(FORMS);
    assert!(runs >= 100, "only {runs}");
}

#[test]
fn one_prepared_change_runs_many_times() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    change(&nora, RESET).unwrap();
    let counts = runtime().block_on(async {
        let insert = nora.prepare("INSERT INTO goods (id, size) VALUES ($1, $2)").await.unwrap();
        let update = nora.prepare("UPDATE goods SET size = size + $1 WHERE id = $2").await.unwrap();
        let delete = nora.prepare("DELETE FROM goods WHERE size < $1").await.unwrap();
        for round in 0..40_i32 {
            let id = format!("r{round:02}");
            assert_eq!(nora.execute(&insert, &[&id, &round]).await.unwrap(), 1);
            assert_eq!(nora.execute(&update, &[&100_i32, &id]).await.unwrap(), 1);
            assert_eq!(nora.execute(&update, &[&100_i32, &"none"]).await.unwrap(), 0);
        }
        let none = nora.execute(&delete, &[&100_i32]).await.unwrap();
        (none, nora.execute(&delete, &[&120_i32]).await.unwrap())
    });
    assert_eq!(counts, (0, 20));
    assert_eq!(gate.stored("SELECT concat(count(*), '|', min(size)) FROM goods"), ["20|120"]);
}
