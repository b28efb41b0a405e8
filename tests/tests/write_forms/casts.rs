//! Parameters of changes under casts, of the type that a cast says and of others, and what each form of a change gives back: as the same
//! statement with literals.

use super::KIND;
use super::parameters::{FORMS, Form, Given, WAYS, compare, literal, reset};
use crate::gate::Gate;
use querygate_tests::server::runtime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

const CASTS: &[Form] = &[
    Form {
        sql: "INSERT INTO goods (id, kind, size, price, made_on, ready, facts, tags)
            VALUES ($1::text, $2::varchar, $3::int, $4::numeric, $5::date, $6::boolean, $7::jsonb, $8::text[])",
        types: &[
            Type::TEXT,
            Type::VARCHAR,
            Type::INT4,
            Type::NUMERIC,
            Type::DATE,
            Type::BOOL,
            Type::JSONB,
            Type::TEXT_ARRAY,
        ],
        runs: &[
            &[
                Some("c1"),
                Some("one"),
                Some("-7"),
                Some("12.5"),
                Some("2026-01-05"),
                Some("true"),
                Some("{\"a\": 1}"),
                Some("{x,y}"),
            ],
            &[Some("c2"), None, None, None, None, None, None, None],
        ],
    },
    // Other types than those of the columns: what an assignment casts.
    Form {
        sql: "INSERT INTO goods (id, size, price) VALUES ($1::int, $2::numeric, $3::float8)",
        types: &[Type::INT4, Type::NUMERIC, Type::FLOAT8],
        runs: &[&[Some("7"), Some("2.5"), Some("1.25")], &[Some("8"), None, None]],
    },
    Form {
        sql: "INSERT INTO goods (id, kind, size)
            VALUES (CAST($1 AS text) || $2, upper($3::text), $4::int * 2 + $5), ($6, $7::varchar(3), 1)",
        types: &[Type::TEXT, Type::TEXT, Type::TEXT, Type::INT4, Type::INT4, Type::TEXT, Type::VARCHAR],
        runs: &[
            &[Some("a"), Some("b"), Some("tall"), Some("20"), Some("2"), Some("m"), Some("longer")],
            &[Some("a"), Some("c"), None, None, Some("2"), Some("m"), None],
        ],
    },
    Form {
        sql: "INSERT INTO goods (id, price, size) VALUES ($1, $2::int8, $3), ($4::varchar, $5, $6::int8)",
        types: &[Type::TEXT, Type::INT8, Type::INT4, Type::VARCHAR, Type::NUMERIC, Type::INT8],
        runs: &[&[Some("n1"), Some("40"), Some("1"), Some("n2"), Some("0.5"), Some("2147483647")]],
    },
    Form {
        sql: "INSERT INTO goods (id, size, kind) VALUES ($1::text, $2::int, 'new') ON CONFLICT (id) DO UPDATE
            SET size = excluded.size + $3::int8, price = $4::float8, kind = $5::text",
        types: &[Type::TEXT, Type::INT4, Type::INT8, Type::FLOAT8, Type::TEXT],
        runs: &[
            &[Some("g1"), Some("5"), Some("100"), Some("2.5"), Some("taken")],
            &[Some("free"), Some("5"), Some("100"), None, None],
        ],
    },
    Form {
        sql: "UPDATE goods SET size = $1::numeric, price = $2::int, made_on = $3::date, kind = $4::text WHERE id = $5::text",
        types: &[Type::NUMERIC, Type::INT4, Type::DATE, Type::TEXT, Type::TEXT],
        runs: &[
            &[Some("2.5"), Some("9"), Some("2026-01-09"), Some("cast"), Some("g2")],
            &[Some("-2.5"), None, None, None, Some("g3")],
            &[Some("1"), None, None, None, Some("none")],
        ],
    },
    Form {
        sql: "DELETE FROM goods WHERE size > $1::int8 AND price <= $2::float8 AND id = ANY ($3::text[])",
        types: &[Type::INT8, Type::FLOAT8, Type::TEXT_ARRAY],
        runs: &[&[Some("10"), Some("7.5"), Some("{g1,g2,g3}")], &[Some("10"), Some("7.5"), None]],
    },
];

#[test]
fn casts_of_parameters_are_those_of_literals() {
    let runs = compare(CASTS);
    assert!(runs >= 50, "only {runs}");
}

/// The statement, which gives back its rows. Where it reads other tables, that is columns only.
fn returning(sql: &str) -> String {
    let is_joined = ["USING", "SET size = v.size"].iter().any(|word| sql.contains(word));
    let given = if is_joined {
        "goods.id, goods.size"
    } else {
        "concat_ws('|', goods.id, coalesce(goods.kind, '-'), coalesce(goods.size::text, '-'), coalesce(goods.price::text, '-'),
            coalesce(goods.made_on::text, '-'), coalesce(goods.ready::text, '-')), goods.size - 1"
    };
    format!("{sql} RETURNING {given}")
}

type Returned = Vec<(String, Option<i32>)>;

fn by_literals(client: &Client, sql: &str) -> Returned {
    let messages = runtime().block_on(client.simple_query(sql));
    let messages = messages.unwrap_or_else(|error| panic!("{KIND:?} {sql}: {error:?}"));
    let cells = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((row.get(0).unwrap().to_owned(), row.get(1).map(|number| number.parse().unwrap())))
        }
        _ => None,
    });
    sorted(cells.collect())
}

async fn by_parameters(client: &Client, sql: &str, types: Option<&[Type]>, given: &[Given]) -> Returned {
    let statement = match types {
        Some(types) => client.prepare_typed(sql, types).await,
        None => client.prepare(sql).await,
    };
    let statement = statement.unwrap_or_else(|error| panic!("{KIND:?} {sql}: {error:?}"));
    let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|value| value as _).collect();
    let rows = client.query(&statement, &given).await.unwrap_or_else(|error| panic!("{KIND:?} {sql}: {error:?}"));
    sorted(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn sorted(mut rows: Returned) -> Returned {
    rows.sort();
    rows
}

#[test]
fn a_change_with_parameters_gives_back_what_that_with_literals_gives() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let (mut runs, mut returned) = (0, 0);
    for form in FORMS.iter().chain(CASTS).filter(|form| !form.sql.starts_with("MERGE")) {
        let sql = returning(form.sql);
        for values in form.runs {
            reset(&nora);
            let expected = by_literals(&nora, &returning(&literal(form, values)));
            for (is_typed, format) in WAYS {
                reset(&nora);
                let given: Vec<Given> = values.iter().map(|text| Given { text: *text, format }).collect();
                let types = is_typed.then_some(form.types);
                let found = runtime().block_on(by_parameters(&nora, &sql, types, &given));
                assert_eq!(found, expected, "{KIND:?} {sql} {is_typed} {format:?} {values:?}");
                runs += 1;
                returned += found.len();
            }
        }
    }
    assert!(runs >= 140 && returned >= runs, "{returned} rows of {runs} runs");
}
