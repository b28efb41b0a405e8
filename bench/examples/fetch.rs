//! Rows out of a server into Arrow, against the server's own bulk format drained by the same client:
//! `fetch postgres PORT ROWS` (user, password and database of `bench/run`), `fetch mongodb PORT DOCUMENTS` (no login). Fills the
//! server when it is empty; prints a markdown table.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use futures::{StreamExt, TryStreamExt};
use mongodb::bson::{Decimal128, Document, RawDocumentBuf, doc};
use querygate_bench::process;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use std::future::Future;
use std::pin::pin;
use std::time::Instant;
use tokio_postgres::NoTls;

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 3;
const DOCUMENTS_AT_ONCE: i64 = 10_000;

/// Ten columns, about a hundred bytes a row.
const FILL: &str = "CREATE TABLE fetched AS SELECT i::int8 AS id, (i % 100)::int4 AS part,
        CASE WHEN i % 11 <> 0 THEN i::int8 * 1000003 END AS big, i::float8 / 7 AS ratio,
        (((i::int8 * 7919) % 100000000)::numeric / 100)::numeric(15,2) AS amount, date '2022-01-08' + i % 1000 AS day,
        timestamp '2024-01-01' + i * interval '1001 milliseconds' AS at, i % 3 = 0 AS open,
        (ARRAY['red','orange','yellow','green','cyan','blue','violet','white'])[1 + i % 8] AS color,
        'customer number ' || i AS name FROM generate_series(0, $ROWS - 1) i;
    ALTER TABLE fetched ADD PRIMARY KEY (id); ANALYZE fetched";

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().ok_or("a kind of server is needed")?;
    let port: u16 = arguments.next().ok_or("a port is needed")?.parse()?;
    let rows: i64 = arguments.next().ok_or("a number of rows is needed")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("| what | connections | rows | s | rows/s | ÷ raw | client CPU µs a row | MiB at most |");
    println!("|---|---|---|---|---|---|---|---|");
    match kind.as_str() {
        "postgres" => runtime.block_on(postgres(port, rows)),
        "mongodb" => runtime.block_on(documents(port, rows)),
        other => Err(format!("{other} is not measured here").into()),
    }
}

/// What one way of fetching took, at best.
struct Measured {
    rows: i64,
    seconds: f64,
    cpu: f64,
}

/// The best of some runs.
async fn best<F: Future<Output = Result<i64, Failure>>>(run: impl Fn() -> F) -> Result<Measured, Failure> {
    let mut best: Option<Measured> = None;
    for _ in 0..RUNS {
        let (began, cpu) = (Instant::now(), process::cpu_seconds(std::process::id()));
        let rows = run().await?;
        let seconds = began.elapsed().as_secs_f64();
        if best.as_ref().is_none_or(|best| seconds < best.seconds) {
            best = Some(Measured { rows, seconds, cpu: process::cpu_seconds(std::process::id()) - cpu });
        }
    }
    best.ok_or_else(|| "nothing was measured".into())
}

fn print(what: &str, connections: usize, measured: &Measured, raw: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rows = measured.rows as f64;
    let rate = rows / measured.seconds;
    println!(
        "| {what} | {connections} | {} | {:.2} | {rate:.0} | {:.2} | {:.2} | {} |",
        measured.rows,
        measured.seconds,
        rate / raw,
        measured.cpu * 1e6 / rows,
        process::memory_kib(std::process::id(), "VmHWM") / 1024
    );
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(measured: &Measured) -> f64 {
    measured.rows as f64 / measured.seconds
}

async fn postgres(port: u16, rows: i64) -> Result<(), Failure> {
    let password = std::env::var("PGPASSWORD").unwrap_or_else(|_| "bench".to_owned());
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("bench").password(&password).dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    if client.query_opt("SELECT 1 FROM pg_tables WHERE tablename = 'fetched'", &[]).await?.is_none() {
        client.batch_execute(&FILL.replace("$ROWS", &rows.to_string())).await?;
    }
    let client = &client;
    let raw = best(|| async move {
        let copied = client.copy_out("COPY fetched TO STDOUT (FORMAT binary)").await?;
        let mut copied = pin!(copied);
        let mut bytes = 0_usize;
        while let Some(chunk) = copied.try_next().await? {
            bytes += chunk.len();
        }
        if bytes == 0 { Err("nothing was copied".into()) } else { Ok(rows) }
    })
    .await?;
    print("COPY binary, drained", 1, &raw, rate(&raw));
    let mut options = PostgresOptions::new("postgres", "127.0.0.1", "bench", "postgres");
    (options.port, options.password) = (port, Some(password));
    let table = TableRef::new(["public", "fetched"])?;
    let ways = [
        ("driver into Arrow, rows", 1, PostgresOptions { bulk_bytes: u64::MAX, ..options.clone() }),
        ("driver into Arrow, COPY", 1, PostgresOptions { bulk_bytes: 0, pool_size: 1, ..options.clone() }),
        ("driver into Arrow, COPY by pages", cores(), PostgresOptions { bulk_bytes: 0, ..options }),
    ];
    for (what, connections, options) in ways {
        let driver = PostgresDriver::new(&options)?;
        // A table is read by pages once its size is known.
        driver.statistics(&table).await?;
        let whole = fragment(&driver, &table, None).await?;
        let measured = best(|| async { drained(&driver, &whole, &[]).await }).await?;
        print(what, connections, &measured, rate(&raw));
    }
    Ok(())
}

/// Connections that a driver reads one table with, at most four.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

async fn documents(port: u16, rows: i64) -> Result<(), Failure> {
    let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    let client = mongodb::Client::with_uri_str(&url).await?;
    let fetched = client.database("bench").collection::<Document>("fetched");
    let mut from = i64::try_from(fetched.estimated_document_count().await?)?;
    while from < rows {
        let to = rows.min(from + DOCUMENTS_AT_ONCE);
        fetched.insert_many((from..to).map(document)).await?;
        from = to;
    }
    let raw = client.database("bench").collection::<RawDocumentBuf>("fetched");
    let raw = &raw;
    let measured = best(|| async move {
        let mut answers = raw.find(doc! {}).batch_size(8_192).batch().await?;
        let mut seen = 0_i64;
        while let Some(answer) = answers.next().await {
            seen += i64::try_from(answer?.doc_slices()?.into_iter().count())?;
        }
        Ok(seen)
    })
    .await?;
    print("raw BSON batches, drained", 1, &measured, rate(&measured));
    let driver = MongoDriver::new(&MongoOptions::new(url, "bench"));
    let table = TableRef::new(["bench", "fetched"])?;
    let middle = Value::Int64(rows / 2);
    into_arrow("driver into Arrow", &driver, &table, ("_id", middle), rate(&measured)).await
}

fn document(number: i64) -> Document {
    let amount: Decimal128 = Decimal128::from_bytes([0; 16]);
    let amount = format!("{}.{:02}", number * 7_919 % 1_000_000, number % 100).parse().unwrap_or(amount);
    let colors = ["red", "orange", "yellow", "green", "cyan", "blue", "violet", "white"];
    let color = usize::try_from(number).ok().and_then(|n| colors.get(n % colors.len())).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "any double will do")]
    let ratio = number as f64 / 7.0;
    doc! {
        "_id": number, "part": i32::try_from(number % 100).unwrap_or(0), "big": number.wrapping_mul(1_000_003), "ratio": ratio,
        "amount": amount, "at": mongodb::bson::DateTime::from_millis(1_704_067_200_000 + number * 1_001),
        "open": number % 3 == 0, "color": color, "name": format!("customer number {number}"),
        "place": { "city": color },
    }
}

/// All columns of a table, over one connection and over two by halves of the key.
async fn into_arrow(
    what: &str,
    driver: &dyn Driver,
    table: &TableRef,
    (key, middle): (&str, Value),
    raw: f64,
) -> Result<(), Failure> {
    let whole = fragment(driver, table, None).await?;
    let one = best(|| async { drained(driver, &whole, &[]).await }).await?;
    print(what, 1, &one, raw);
    let low = fragment(driver, table, Some((key, ComparisonOp::Lt, middle.value_type()))).await?;
    let high = fragment(driver, table, Some((key, ComparisonOp::GtEq, middle.value_type()))).await?;
    let values = [middle];
    let two = best(|| async {
        let (low, high) = tokio::join!(drained(driver, &low, &values), drained(driver, &high, &values));
        Ok(low? + high?)
    })
    .await?;
    print(what, 2, &two, raw);
    Ok(())
}

async fn fragment(
    driver: &dyn Driver,
    table: &TableRef,
    range: Option<(&str, ComparisonOp, ValueType)>,
) -> Result<Fragment, Failure> {
    let described = driver.describe(table).await?;
    let columns: Vec<ScanColumn> = described
        .columns
        .iter()
        .zip(0..)
        .filter_map(|(column, id)| {
            Some(ScanColumn {
                id: ColumnId(id),
                name: column.name.clone(),
                value_type: column.value_type?,
                nullable: column.nullable,
                collation: column.collation.clone(),
                encoding: column.encoding,
            })
        })
        .collect();
    let output = columns.iter().map(|column| OutputColumn {
        id: column.id,
        name: column.name.as_str().to_owned(),
        value_type: column.value_type,
        nullable: true,
    });
    let output = output.collect();
    let mut parameters = Vec::new();
    let bound = range.and_then(|(key, op, of)| {
        parameters.push(of);
        let key = columns.iter().find(|column| column.name.as_str() == key)?;
        Some(ScalarExpr::compare(op, ScalarExpr::Column(key.id), ScalarExpr::Parameter(0, of)))
    });
    let scan = Relation::Scan { table: described.table, columns };
    let relation = match bound {
        Some(predicate) => Relation::Filter { input: Box::new(scan), predicate },
        None => scan,
    };
    Ok(Fragment { relation, output, parameters })
}

async fn drained(driver: &dyn Driver, fragment: &Fragment, values: &[Value]) -> Result<i64, Failure> {
    let statement = driver.render(fragment).map_err(|refusal| refusal.to_string())?;
    let mut batches = driver.run(&statement, values, Ask::Batches(ExecuteContext::default())).await?.batches()?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += i64::try_from(batch.num_rows())?;
    }
    Ok(rows)
}
