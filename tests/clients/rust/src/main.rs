//! sqlx: prepared statements in binary, what its query macros ask for, nested transactions, streams, a pool, COPY out.

use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgArguments, PgConnection, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use sqlx::types::{Decimal, JsonValue};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Postgres, Row, SqlSafeStr, TypeInfo, ValueRef};
use std::error::Error;
use std::fmt::Debug;
use std::future::Future;

type Checked = Result<String, Box<dyn Error + Send + Sync>>;

const LARGE: &str = "select id, account_id, occurred_at, duration_ms from events order by id limit 50000";
const SLOW: &str = "select count(*) from events a join events b on a.duration_ms < b.duration_ms";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn uri(user: &str, password: &str) -> String {
    format!("postgres://{user}:{password}@127.0.0.1:{}/demo?sslmode=disable", variable("GATE_PORT"))
}

async fn open(user: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(&uri(user, &format!("demo-{user}"))).await
}

fn expect<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<(), Box<dyn Error + Send + Sync>> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?} instead of {wanted:?}").into()) }
}

fn expect_state<T>(result: Result<T, sqlx::Error>, state: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Err(error) = result else { return Err(format!("no error, expected {state}").into()) };
    let Some(found) = error.as_database_error() else { return Err(format!("expected {state}: {error}").into()) };
    expect(&format!("SQLSTATE of {}", found.message()), found.code().as_deref(), Some(state))
}

async fn connect() -> Checked {
    let mut c = open("ada").await?;
    let (user, version): (String, String) =
        sqlx::query_as("select current_user::text, version()").fetch_one(&mut c).await?;
    expect("user", user.as_str(), "ada")?;
    expect("version", version.starts_with("PostgreSQL 15"), true)?;
    c.ping().await?;
    c.close().await?;
    Ok(String::new())
}

async fn tables() -> Checked {
    let sql = "select table_name::text from information_schema.tables where table_schema = $1";
    for (user, count) in [("ada", 22), ("sam", 22), ("iris", 15)] {
        let mut c = open(user).await?;
        let names: Vec<String> = sqlx::query_scalar(sql).bind("public").fetch_all(&mut c).await?;
        expect(&format!("tables of {user}"), names.len(), count)?;
        expect("employees", names.iter().any(|name| name == "employees"), user != "iris")?;
    }
    Ok(String::new())
}

/// As `query!` does: columns and parameters of a prepared statement, and from the catalog and a plan whether they may be NULL.
async fn describe() -> Checked {
    for (user, count) in [("ada", 10), ("sam", 8)] {
        let mut c = open(user).await?;
        let found = (&mut c).describe("select * from employees".into_sql_str()).await?;
        expect("columns", found.columns.len(), count)?;
        expect("columns that the catalog knows", found.nullable.iter().flatten().count(), count)?;
        let hidden = found.columns.iter().any(|column| column.name() == "salary");
        expect("salary", hidden, user == "ada")?;
    }
    let mut c = open("ada").await?;
    let joined = "select a.id, o.amount, $1::int8 as n from accounts a left join opportunities o on o.account_id = a.id where a.id = $2";
    let found = (&mut c).describe(joined.into_sql_str()).await?;
    let types: Vec<&str> = found.columns.iter().map(|column| column.type_info().name()).collect();
    expect("types", types, vec!["TEXT", "NUMERIC", "INT8"])?;
    expect("parameters", found.parameters.map(|p| p.left().map_or(0, |types| types.len())), Some(2))?;
    Ok("what query macros ask for: catalog and EXPLAIN (FORMAT JSON) EXECUTE".to_owned())
}

/// Reads a cell as the type that the server says it has.
fn read(row: &PgRow, at: usize) -> Result<(), sqlx::Error> {
    if row.try_get_raw(at)?.is_null() {
        return Ok(());
    }
    match row.column(at).type_info().name() {
        "BOOL" => row.try_get::<bool, _>(at).map(drop),
        "INT2" => row.try_get::<i16, _>(at).map(drop),
        "INT4" => row.try_get::<i32, _>(at).map(drop),
        "INT8" => row.try_get::<i64, _>(at).map(drop),
        "FLOAT4" => row.try_get::<f32, _>(at).map(drop),
        "FLOAT8" => row.try_get::<f64, _>(at).map(drop),
        "NUMERIC" => row.try_get::<Decimal, _>(at).map(drop),
        "BYTEA" => row.try_get::<Vec<u8>, _>(at).map(drop),
        "DATE" => row.try_get::<NaiveDate, _>(at).map(drop),
        "TIME" => row.try_get::<NaiveTime, _>(at).map(drop),
        "TIMESTAMP" => row.try_get::<NaiveDateTime, _>(at).map(drop),
        "TIMESTAMPTZ" => row.try_get::<DateTime<Utc>, _>(at).map(drop),
        "INTERVAL" => row.try_get::<sqlx::postgres::types::PgInterval, _>(at).map(drop),
        "JSON" | "JSONB" => row.try_get::<JsonValue, _>(at).map(drop),
        "OID" => row.try_get::<sqlx::postgres::types::Oid, _>(at).map(drop),
        "INT4[]" => row.try_get::<Vec<Option<i32>>, _>(at).map(drop),
        "TEXT[]" => row.try_get::<Vec<Option<String>>, _>(at).map(drop),
        _ => row.try_get::<String, _>(at).map(drop),
    }
}

async fn types() -> Checked {
    let (mut c, mut wrong, mut count) = (open("ada").await?, Vec::new(), 0);
    let cases = std::fs::read_to_string(variable("TYPES"))?;
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let [name, expression, wanted] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else { continue };
        count += 1;
        let sql = format!("select {expression}");
        let row = sqlx::raw_sql(AssertSqlSafe(sql.clone())).fetch_one(&mut c).await?;
        let value = row.try_get_raw(0)?;
        let got = if value.is_null() { "" } else { value.as_str()? };
        if got != wanted {
            wrong.push(format!("{name}: {got}"));
        }
        let binary = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut c).await?;
        if let Err(error) = read(&binary, 0) {
            wrong.push(format!("{name} in binary: {error}"));
        }
    }
    let sql = "select table_name::text from information_schema.tables where table_schema = 'public'";
    let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut c).await?;
    for name in names {
        let rows = sqlx::query(AssertSqlSafe(format!("select * from {name} limit 50"))).fetch_all(&mut c).await?;
        for row in &rows {
            for at in 0..row.len() {
                if let Err(error) = read(row, at) {
                    wrong.push(format!("{name}: {error}"));
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(format!("{count} types in text and binary, every column of every table"))
    } else {
        Err(wrong.join("; ").into())
    }
}

fn asked(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql)
}

async fn parameters() -> Checked {
    let mut c = open("ada").await?;
    let day = NaiveDate::from_ymd_opt(2024, 2, 28).unwrap_or_default();
    for n in 1..=12 {
        let id = format!("acc_{n:05}");
        let row = asked("select id from accounts where id = $1").bind(&id).fetch_one(&mut c).await?;
        expect("id", row.try_get::<String, _>(0)?, id.clone())?;
        let row = asked("select $1::int4 + 1, $2::text, $3::text")
            .bind(n)
            .bind("o'x")
            .bind(None::<String>)
            .fetch_one(&mut c)
            .await?;
        expect("number", row.try_get::<i32, _>(0)?, n + 1)?;
        expect("text", row.try_get::<String, _>(1)?, "o'x".to_owned())?;
        expect("null", row.try_get::<Option<String>, _>(2)?, None)?;
        let ids = vec![id, "none".to_owned()];
        let row = asked("select count(*) from accounts where id = any($1)").bind(ids).fetch_one(&mut c).await?;
        expect("any", row.try_get::<i64, _>(0)?, 1)?;
        let row = asked("select $1::date + $2::int4, $3::numeric")
            .bind(day)
            .bind(1)
            .bind(Decimal::new(-125, 2))
            .fetch_one(&mut c)
            .await?;
        expect("date", row.try_get::<NaiveDate, _>(0)?.to_string(), "2024-02-29".to_owned())?;
        expect("numeric", row.try_get::<Decimal, _>(1)?, Decimal::new(-125, 2))?;
    }
    Ok("4 statements, 12 executions each, binary".to_owned())
}

async fn errors() -> Checked {
    let mut c = open("ada").await?;
    for (sql, state) in [
        ("select * from no_such_table", "42P01"),
        ("select no_such from regions", "42703"),
        ("selec 1", "42601"),
        ("select 1/0", "22012"),
        ("select 'x'::int4", "22P02"),
    ] {
        expect_state(sqlx::query(sql).fetch_all(&mut c).await, state)?;
    }
    expect("afterwards", sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut c).await?, 1)?;
    expect_state(PgConnection::connect(&uri("ada", "wrong")).await, "28P01")?;
    Ok(String::new())
}

/// The client sends no cancel request; who drops a question leaves it to the server.
async fn cancel() -> Checked {
    let mut c = open("ada").await?;
    c.execute("set statement_timeout = '1s'").await?;
    expect_state(sqlx::query(SLOW).fetch_one(&mut c).await, "57014")?;
    expect("afterwards", sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut c).await?, 1)?;
    Ok("by statement_timeout: the client has no cancel".to_owned())
}

async fn transactions() -> Checked {
    let mut c = open("ada").await?;
    let mut outer = c.begin_with("begin isolation level serializable, read only").await?;
    let level: String = sqlx::query_scalar("show transaction_isolation").fetch_one(&mut *outer).await?;
    expect("level", level.as_str(), "serializable")?;
    let mut inner = outer.begin().await?;
    expect_state(sqlx::query("select 1/0").fetch_one(&mut *inner).await, "22012")?;
    expect_state(sqlx::query("select 1").fetch_one(&mut *inner).await, "25P02")?;
    inner.rollback().await?;
    expect(
        "after the savepoint",
        sqlx::query_scalar::<_, i64>("select count(*) from regions").fetch_one(&mut *outer).await?,
        4,
    )?;
    outer.commit().await?;
    expect_state(sqlx::query("insert into regions (id) values ('x')").execute(&mut c).await, "0A000")?;
    Ok("nested by savepoint; writes are refused with 0A000: the gate reads".to_owned())
}

async fn fetch() -> Checked {
    let mut c = open("ada").await?;
    let mut count = 0;
    let mut rows = sqlx::query(LARGE).fetch(&mut c);
    while rows.try_next().await?.is_some() {
        count += 1;
    }
    drop(rows);
    expect("rows", count, 50_000)?;
    let mut left = sqlx::query(LARGE).fetch(&mut c);
    expect("first row", left.next().await.is_some(), true)?;
    drop(left);
    expect("afterwards", sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut c).await?, 1)?;
    Ok("50000 rows as a stream, one result left unread".to_owned())
}

async fn policy() -> Checked {
    for (user, wanted) in [("ada", 20_000_i64), ("sam", 2_157)] {
        let mut c = open(user).await?;
        let count = sqlx::query_scalar::<_, i64>("select count(*) from accounts").fetch_one(&mut c).await?;
        expect(&format!("accounts of {user}"), count, wanted)?;
    }
    let mut c = open("sam").await?;
    expect_state(sqlx::query("select salary from employees").fetch_all(&mut c).await, "42703")?;
    expect_state(sqlx::query("select unit_cost from products").fetch_all(&mut c).await, "42703")?;
    Ok(String::new())
}

async fn own() -> Checked {
    let mut c = open("ada").await?;
    let mut copied = Vec::new();
    let mut out = c.copy_out_raw("copy (select id from regions order by id) to stdout").await?;
    while let Some(part) = out.try_next().await? {
        copied.extend(part);
    }
    drop(out);
    expect("COPY", String::from_utf8(copied)?.as_str(), "amer\napac\nemea\nlatam\n")?;
    let pool = PgPoolOptions::new().max_connections(3).connect(&uri("ada", "demo-ada")).await?;
    let questions = (0..9).map(|n| sqlx::query_scalar::<_, i32>("select $1::int4 * 2").bind(n).fetch_one(&pool));
    let answers: Vec<i32> = futures::future::try_join_all(questions).await?;
    expect("through the pool", answers, (0..9).map(|n| 2 * n).collect())?;
    let several = sqlx::raw_sql("select 1; select 2, 3").fetch_all(&mut c).await?;
    expect("several statements", several.len(), 2)?;
    Ok("COPY out, pool, several statements".to_owned())
}

async fn report(name: &str, check: impl Future<Output = Checked>) {
    match check.await {
        Ok(note) => println!("{name}\tok\t{note}"),
        Err(error) => println!("{name}\tFAIL\t{}", error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("client\tsqlx\t0.9.0");
    report("connect", connect()).await;
    report("tables", tables()).await;
    report("describe", describe()).await;
    report("types", types()).await;
    report("parameters", parameters()).await;
    report("errors", errors()).await;
    report("cancel", cancel()).await;
    report("transactions", transactions()).await;
    report("fetch", fetch()).await;
    report("policy", policy()).await;
    report("own", own()).await;
}
