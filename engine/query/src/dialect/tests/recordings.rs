//! Replays recorded catalog statements and counts what binds and runs. Needs the shared data folder.

#![allow(clippy::print_stderr, reason = "the counts are for the reader of the test's output")]

use super::image::demo;
use super::session::{Failure, TestSession};
use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_pg_catalog::PgCatalog;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

const CLIENTS: &[&str] = &[
    "psql",
    "jdbc",
    "sqlalchemy_psycopg",
    "sqlalchemy_asyncpg",
    "superset",
    "psqlodbc",
    "dbt",
    "pgcli",
    "adbc-postgresql",
    "duckdb",
    "asyncpg",
    "pgadmin4",
    "django",
    "pandas",
    "sequelize",
    "typeorm",
    "knex",
    "kysely",
    "libreoffice-sdbc",
    "perl-dbd-pg",
    "go-pgx-v4",
    "connectorx",
    "npgsql",
    "psycopg3",
    "ruby-pg",
    "r-rpostgresql",
    "php-pdo",
    "node-postgres",
    "postgres.js",
    "drizzle",
];

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("QUERYGATE_SHARED").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    [shared, Some(beside)].into_iter().flatten().map(|p| p.join("data/clients")).find(|p| p.is_dir())
}

/// One recorded statement.
struct Recorded {
    number: u64,
    phase: String,
    sql: String,
    parameters: Vec<Option<String>>,
}

fn read(client: &str) -> Option<Vec<Recorded>> {
    let text = std::fs::read_to_string(folder()?.join(format!("{client}.sql"))).ok()?;
    let mut statements = Vec::new();
    for part in text.split("-- @stmt ").skip(1) {
        let (head, body) = part.split_once('\n')?;
        let sql = body.split("\n;\n").next().unwrap_or(body).trim().to_owned();
        statements.push(Recorded {
            number: number_after(head, "\"n\": ").unwrap_or(0),
            phase: head.split("\"phase\": [\"").nth(1).and_then(|t| t.split('"').next()).unwrap_or("").to_owned(),
            sql,
            parameters: parameters(head),
        });
    }
    Some(statements)
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let digits: String = text.split(key).nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Text parameters as they are; binary ones of four or eight bytes as numbers.
fn parameters(head: &str) -> Vec<Option<String>> {
    let Some(list) = head.split("\"params\": [").nth(1) else { return Vec::new() };
    let mut found = Vec::new();
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ']' => break,
            'n' => {
                found.push(None);
                while chars.next_if(|c| c.is_ascii_alphabetic()).is_some() {}
            }
            '"' => {
                let mut value = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => value.extend(chars.next()),
                        c => value.push(c),
                    }
                }
                let number = value.strip_prefix("\\x").and_then(|hex| i64::from_str_radix(hex, 16).ok());
                found.push(Some(number.map_or(value, |n| n.to_string())));
            }
            _ => {}
        }
    }
    found
}

/// Object ids of the recordings' database, by name. They are in creation order in every load of the schema.
const RECORDED: &[(u32, &str, &str)] = &[
    (17088, "public", "customers"),
    (17101, "sales", "orders"),
    (17115, "sales", "order_items"),
    (17125, "public", "active_customers"),
    (17129, "sales", "daily"),
    (17133, "public", "events"),
    (17136, "public", "events_2024"),
    (17096, "public", "customers_pkey"),
    (17098, "public", "customers_email_key"),
    (17107, "sales", "orders_pkey"),
    (17114, "sales", "orders_customer_placed"),
    (17118, "sales", "order_items_pkey"),
];

/// Puts our ids in place of recorded ones, and parameters in place of placeholders.
struct Adapt<'a> {
    catalog: &'a PgCatalog,
    ids: &'a BTreeMap<String, String>,
    parameters: &'a [Option<String>],
}

impl VisitorMut for Adapt<'_> {
    type Break = ();
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let _ = self.catalog;
        if let Expr::Value(value) = expr {
            match &mut value.value {
                Value::Placeholder(name) => {
                    let index: usize = name.trim_start_matches('$').parse().unwrap_or(1);
                    let given = self.parameters.get(index - 1).cloned().flatten();
                    value.value = given.map_or(Value::Null, |text| match self.ids.get(&text) {
                        Some(ours) => Value::SingleQuotedString(ours.clone()),
                        None => Value::SingleQuotedString(text),
                    });
                }
                Value::SingleQuotedString(text) | Value::Number(text, _) => {
                    if let Some(ours) = self.ids.get(text) {
                        *text = ours.clone();
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// Recorded ids as text, with ours.
async fn ids(session: &TestSession) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for (recorded, schema, name) in RECORDED {
        let sql = format!("SELECT '{schema}.{name}'::regclass::oid");
        let answer = session.query(&sql).await.unwrap_or_else(|e| panic!("{sql}: {}", e.text()));
        ids.insert(recorded.to_string(), answer.rows[0][0].clone().unwrap());
    }
    for (recorded, sql) in [
        (17077, "SELECT oid FROM pg_database"),
        (17078, "SELECT 'sales'::regnamespace::oid"),
        (17080, "SELECT 'order_status'::regtype::oid"),
        (17079, "SELECT 'order_status[]'::regtype::oid"),
    ] {
        let answer = session.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", e.text()));
        ids.insert(recorded.to_string(), answer.rows[0][0].clone().unwrap());
    }
    ids
}

/// Whether a statement reads the catalog.
fn reads_catalog(statement: &Statement, sql: &str) -> bool {
    matches!(statement, Statement::Query(_))
        && (sql.contains("pg_")
            || sql.contains("information_schema")
            || sql.contains("regclass")
            || sql.contains("current_")
            || sql.contains("version()"))
}

#[derive(Default, Clone, Copy)]
struct Counts {
    statements: usize,
    bound: usize,
    ran: usize,
}

async fn replay(
    session: &Arc<TestSession>,
    client: &str,
    report: &mut Vec<String>,
    dump: &mut String,
) -> Option<Counts> {
    let recorded = read(client)?;
    let ids = ids(session).await;
    let mut counts = Counts::default();
    for statement in recorded {
        let parsed = match Parser::parse_sql(&PostgreSqlDialect {}, &statement.sql) {
            Ok(parsed) => parsed,
            Err(error) if statement.sql.to_lowercase().starts_with("select") => {
                counts.statements += 1;
                report.push(format!("{client} {} [{}]: parse: {error}", statement.number, statement.phase));
                continue;
            }
            Err(_) => continue,
        };
        for (part, mut ast) in parsed.into_iter().enumerate().filter(|(_, ast)| reads_catalog(ast, &statement.sql)) {
            counts.statements += 1;
            let mut adapt = Adapt { catalog: &session.catalog, ids: &ids, parameters: &statement.parameters };
            let _ = ast.visit(&mut adapt);
            let started = std::time::Instant::now();
            let answer = session.statement(ast).await;
            if started.elapsed().as_secs() >= 2 {
                report.push(format!(
                    "{client} {} [{}]: slow: {:?}",
                    statement.number,
                    statement.phase,
                    started.elapsed()
                ));
            }
            match answer {
                Ok(answer) => {
                    counts.bound += 1;
                    counts.ran += 1;
                    dump.push_str(&format!("@ {client} {} {part}\n", statement.number));
                    dump.push_str(&format!("{}\n{}\n", answer.columns.join("\t"), answer.types.join("\t")));
                    for row in answer.rows {
                        let cells = row.into_iter().map(|c| {
                            c.map_or("\\N".to_owned(), |c| {
                                c.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
                            })
                        });
                        dump.push_str(&cells.collect::<Vec<_>>().join("\t"));
                        dump.push('\n');
                    }
                }
                Err(failure) => {
                    counts.bound += usize::from(matches!(failure, Failure::Run(_)));
                    let text: String = failure.text().chars().take(300).collect();
                    report.push(format!(
                        "{client} {} [{}]: {}",
                        statement.number,
                        statement.phase,
                        text.replace('\n', " ")
                    ));
                }
            }
        }
    }
    Some(counts)
}

/// Names of our object ids, for a comparison with another server's.
async fn names(session: &TestSession) -> String {
    let mut out = String::new();
    for (kind, sql) in [
        (
            "rel",
            "SELECT c.oid, n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384",
        ),
        ("con", "SELECT oid, conname FROM pg_constraint"),
        ("type", "SELECT oid, typname FROM pg_type WHERE oid >= 16384"),
        ("nsp", "SELECT oid, nspname FROM pg_namespace WHERE oid >= 16384"),
        ("db", "SELECT oid, datname FROM pg_database"),
        ("role", "SELECT oid, rolname FROM pg_roles"),
        ("def", "SELECT oid, adrelid::regclass::text || adnum::text FROM pg_attrdef"),
        ("label", "SELECT oid, enumlabel FROM pg_enum"),
    ] {
        for row in session.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", e.text())).rows {
            out.push_str(&format!(
                "# {}\t@{kind}:{}\n",
                row[0].as_deref().unwrap_or(""),
                row[1].as_deref().unwrap_or("")
            ));
        }
    }
    out
}

/// Rows with names in place of object ids.
fn with_names(dump: &str, names: &str) -> String {
    let known: BTreeMap<&str, &str> = names
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('\t'))
        .filter(|(oid, _)| oid.len() > 2)
        .collect();
    let line =
        |line: &str| line.split('\t').map(|cell| *known.get(cell).unwrap_or(&cell)).collect::<Vec<_>>().join("\t");
    dump.lines().map(|l| line(l) + "\n").collect()
}

/// The golden file holds psql's rows as they were once compared with PostgreSQL 15's: equal but for what the image lacks
/// (sequences but those of identities, partitions, a function, other databases). Set QUERYGATE_BLESS to write it anew after such a comparison.
fn check_golden(found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/dialect/tests/golden/psql.txt");
    if std::env::var_os("QUERYGATE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// Prints the table of statements that bind and run per client; psql's must all run.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_catalog_statements_run() {
    if folder().is_none() {
        assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no data/clients");
        eprintln!("SKIPPED: recorded client statements absent (set QUERYGATE_SHARED to the shared data folder)");
        return;
    }
    let session = TestSession::new(demo());
    let only = std::env::var("QUERYGATE_CLIENTS").ok();
    let (mut report, mut dump) = (Vec::new(), String::new());
    let mut all = Counts::default();
    for client in CLIENTS.iter().filter(|c| only.as_ref().is_none_or(|o| o.split(',').any(|n| n == **c))) {
        let (before, dumped) = (report.len(), dump.len());
        let Some(counts) = replay(&session, client, &mut report, &mut dump).await else { continue };
        eprintln!("{client:20} {:4} statements, {:4} bind, {:4} run", counts.statements, counts.bound, counts.ran);
        all.statements += counts.statements;
        all.bound += counts.bound;
        all.ran += counts.ran;
        // `\sf add` asks for a function of the recorded database, which no image has.
        let failed: Vec<_> = report[before..]
            .iter()
            .filter(|line| !line.contains("function \"add\" does not exist") && !line.contains(": slow:"))
            .collect();
        if *client == "psql" {
            check_golden(&with_names(&dump[dumped..], &names(&session).await));
        }
        assert!(*client != "psql" || failed.is_empty(), "{failed:?}");
    }
    eprintln!("{:20} {:4} statements, {:4} bind, {:4} run", "all", all.statements, all.bound, all.ran);
    for line in &report {
        eprintln!("  {line}");
    }
    if let Some(path) = std::env::var_os("QUERYGATE_DUMP") {
        dump.push_str(&names(&session).await);
        std::fs::write(path, dump).unwrap();
    }
}
