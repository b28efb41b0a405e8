//! One policy, every door: principal × object × statement through the Postgres door and through Flight. Rows are compared
//! as text, read from Arrow by this test's own rules; types by name; failures by SQLSTATE.

use crate::client::{Failure, Flight, Table};
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

#[test]
fn both_doors_give_the_same_rows_types_and_codes_to_each_principal() {
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
        for user in DEMO_USERS {
            let (postgres, flight) = (demo().server.client(user).await, Flight::login(&demo().server, user).await);
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
            }
        }
        println!("{compared} cells compared, {rows} rows, {refused} refusals");
        assert!(different.is_empty(), "{different}");
        assert!(compared > 1_000 && rows > 1_000 && refused > 50, "{compared} {rows} {refused}");
    });
}
