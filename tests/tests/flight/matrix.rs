//! One policy, every door: principal × object × statement through the Postgres door, through Flight and through `querygate sql`.
//! Rows are compared as text, read from Arrow by this test's own rules; types by name; failures by SQLSTATE.

use crate::client::{Failure, Flight, Table};
use crate::shell;
use crate::text::cells;
use querygate_tests::server::{DEMO_USERS, demo, runtime};
use std::fmt::Write as _;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Names and types of columns, and rows; or the SQLSTATE.
type Answer = Result<(Vec<(String, String)>, Vec<Vec<Option<String>>>), String>;

async fn at_postgres(client: &Client, sql: &str) -> Answer {
    let code = |error: tokio_postgres::Error| error.code().map_or_else(|| format!("{error}"), |c| c.code().to_owned());
    let statement = client.prepare(sql).await.map_err(code)?;
    let columns = statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().name().to_owned())).collect();
    let messages = client.simple_query(sql).await.map_err(code)?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    Ok((columns, rows.collect()))
}

async fn at_flight(flight: &Flight, sql: &str) -> Answer {
    let table: Table = flight.query(sql).await.map_err(|failure: Failure| failure.sqlstate)?;
    let name = |f: &arrow::datatypes::FieldRef| (f.name().clone(), f.metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"].clone());
    Ok((table.schema.fields().iter().map(name).collect(), cells(&table)))
}

/// Relations that the administrator sees, with their columns.
async fn relations(client: &Client) -> Vec<(String, Vec<String>)> {
    let sql = "SELECT table_schema::text, table_name::text, column_name::text FROM information_schema.columns
               WHERE table_schema = 'public' ORDER BY table_schema, table_name, ordinal_position";
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let (schema, table, column): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let name = format!("\"{schema}\".\"{table}\"");
        match found.last_mut() {
            Some((last, columns)) if *last == name => columns.push(column),
            _ => found.push((name, vec![column])),
        }
    }
    found
}

/// Rows up to which a relation's columns are also sorted, joined and counted.
const SMALL: i64 = 25_000;

/// What is asked of each relation, by everybody: also of what they may not see.
fn statements(table: &str, columns: &[String], rows: i64) -> Vec<String> {
    let first = &columns[0];
    let mut all = vec![
        format!("SELECT * FROM {table} ORDER BY \"{first}\" LIMIT 7"),
        format!("SELECT count(*) FROM {table}"),
        format!("SELECT no_such_column FROM {table}"),
        format!("SELECT 1 / (count(*) - count(*)) FROM {table}"),
        format!("SELECT \"{first}\"::int FROM {table}"),
    ];
    all.extend(columns.iter().map(|column| format!("SELECT \"{column}\" FROM {table} LIMIT 0")));
    if rows > SMALL {
        return all;
    }
    all.push(format!(
        "SELECT a.\"{first}\" FROM {table} a JOIN {table} b ON a.\"{first}\" = b.\"{first}\" ORDER BY 1 LIMIT 3"
    ));
    for column in columns {
        all.push(format!("SELECT \"{column}\" FROM {table} ORDER BY 1 NULLS LAST LIMIT 3"));
        all.push(format!("SELECT count(DISTINCT \"{column}\") FROM {table} WHERE \"{column}\" IS NOT NULL"));
    }
    all
}

const OTHERS: [&str; 10] = [
    "SELECT current_user, session_user",
    "SELECT 'a' || 1::text, NULL, 1.50::numeric(10,2), true, DATE '2024-02-29', 2.5::float8",
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200 ORDER BY 1",
    "SELECT object, count(*) FROM querygate.policies_effective GROUP BY 1 ORDER BY 1",
    "SHOW TimeZone",
    "EXPLAIN SELECT 1",
    "SELECT * FROM nowhere",
    "SELEC 1",
    "DELETE FROM accounts",
    "SELECT ARRAY[1, 2, NULL], ARRAY['a b', 'c']",
];

/// Refusals are a process each, so one of so many is asked for.
const REFUSALS_ASKED: usize = 17;
/// What differs with the moment or the session, though policy has nothing to do with it.
const OF_A_DOOR: [&str; 1] = ["EXPLAIN"];

/// The third door against what the Postgres door gave; how many cells were compared, and how many of them were refusals.
fn at_shell(user: &str, asked: &[(String, Answer)], different: &mut String) -> (usize, usize) {
    let of_a_door = |sql: &str| OF_A_DOOR.iter().any(|word| sql.starts_with(word));
    let given: Vec<_> = asked.iter().filter(|(sql, answer)| answer.is_ok() && !of_a_door(sql)).collect();
    let statements: Vec<&String> = given.iter().map(|(sql, _)| sql).collect();
    let found = shell::answers(user, &statements);
    assert_eq!(found.len(), given.len(), "{user}");
    for ((sql, answer), (names, rows)) in given.iter().zip(&found) {
        let Ok((columns, lines)) = answer else { continue };
        let kinds = || columns.iter().map(|(_, kind)| kind.as_str());
        let texts = |lines: &[Vec<Option<String>>], text: fn(&str, &str) -> String| -> Vec<Vec<Option<String>>> {
            let line = |line: &Vec<Option<String>>| {
                line.iter().zip(kinds()).map(|(cell, kind)| cell.as_deref().map(|cell| text(kind, cell))).collect()
            };
            lines.iter().map(line).collect()
        };
        let (expected, rows) = (texts(lines, shell::as_shell), texts(rows, shell::of_shell));
        if !names.iter().eq(columns.iter().map(|(name, _)| name)) || rows != expected {
            writeln!(different, "{user}: {sql}\n  postgres {expected:?}\n  shell    {names:?} {rows:?}").unwrap();
        }
    }
    let refused: Vec<_> = asked.iter().filter_map(|(sql, answer)| Some((sql, answer.as_ref().err()?))).collect();
    let refused: Vec<_> = refused.into_iter().step_by(REFUSALS_ASKED).collect();
    for (sql, code) in &refused {
        let found = shell::refusal(user, sql);
        if found != **code {
            writeln!(different, "{user}: {sql}\n  postgres {code}\n  shell    {found}").unwrap();
        }
    }
    (given.len() + refused.len(), refused.len())
}

#[test]
fn all_doors_give_the_same_rows_types_and_codes_to_each_principal() {
    runtime().block_on(async {
        let ada = demo().server.client("ada").await;
        let relations = relations(&ada).await;
        assert!(relations.len() > 20, "{relations:?}");
        let mut asked = Vec::new();
        for (table, columns) in &relations {
            let rows = ada.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
            asked.extend(statements(table, columns, rows));
        }
        asked.extend(OTHERS.iter().map(|sql| (*sql).to_owned()));
        let (mut compared, mut rows, mut refused, mut different) = (0, 0, 0, String::new());
        let (mut third, mut third_refused) = (0, 0);
        for user in DEMO_USERS {
            let (postgres, flight) = (demo().server.client(user).await, Flight::login(&demo().server, user).await);
            let mut answers = Vec::with_capacity(asked.len());
            for sql in &asked {
                let (expected, found) = (at_postgres(&postgres, sql).await, at_flight(&flight, sql).await);
                compared += 1;
                match &expected {
                    Ok((_, these)) => rows += these.len(),
                    Err(_) => refused += 1,
                }
                if found != expected {
                    writeln!(different, "{user}: {sql}\n  postgres {expected:?}\n  flight   {found:?}").unwrap();
                }
                answers.push((sql.clone(), expected));
            }
            let (cells, refusals) = at_shell(user, &answers, &mut different);
            third += cells;
            third_refused += refusals;
        }
        let cells = different.lines().filter(|line| !line.starts_with(' ')).count();
        println!(
            "policy matrix: {compared} cells compared between the Postgres door and Flight ({rows} rows, {refused} refusals), \
             {third} of them with querygate sql too ({third_refused} refusals); {cells} different"
        );
        assert!(different.is_empty(), "{different}");
        assert!(compared > 1_000 && rows > 1_000 && refused > 50, "{compared} {rows} {refused}");
        assert!(third > 1_000 && third_refused > 5, "{third} {third_refused}");
    });
}
