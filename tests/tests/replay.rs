//! What 36 real clients sent to a PostgreSQL server, sent to a gate over one: each read must give the columns, types and rows
//! that the same server gives by itself. What differs is listed, with the reason, in `tests/replay/differences.tsv`.
//!
//! The gate serves the introspected tables; statements on tables (not on the catalog) go to a second gate, in which views give
//! them the names and types that they have in the source. `REPLAY_SHOW=jdbc:5` prints both answers to a statement.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

#[path = "replay/answer.rs"]
mod answer;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod common;
#[path = "replay/recording.rs"]
mod recording;

use answer::{Answer, Difference, Names, ask, difference};
use common::{PASSWORD, Server as Database};
use querygate_tests::server::{RawClient, Server, binary, golden, runtime};
use recording::{Recorded, asks_catalog, folder, reads};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use tempfile::TempDir;

/// What a statement set is not for the next one, and none takes for ever.
const FRESH: &str = "RESET ALL; SET statement_timeout = '100s'";

/// Sessions that ask at the same time.
const SESSIONS: usize = 3;
/// The recorded user, who may do everything there.
const USER: &str = "app";

/// The source's names and types for what introspection calls and declares otherwise.
const VIEWS: [(&str, &str, &str); 6] = [
    (
        "public",
        "customers",
        "SELECT id::int4 AS id, email, name, balance, active, tags, profile, ext_id::uuid AS ext_id, created_at, \
         birthday FROM shop_customers",
    ),
    ("public", "active_customers", "SELECT id::int4 AS id, email, name FROM shop_active_customers"),
    ("public", "events", "SELECT id::int8 AS id, at, body FROM shop_events"),
    ("sales", "daily", "SELECT d::timestamp AS d, n::int8 AS n FROM shop_sales_daily"),
    (
        "sales",
        "orders",
        "SELECT id::int8 AS id, customer_id::int4 AS customer_id, status, total, \
         placed_at::timestamp AS placed_at FROM shop_sales_orders",
    ),
    (
        "sales",
        "order_items",
        "SELECT order_id::int8 AS order_id, line_no::int2 AS line_no, sku, qty::int4 AS qty, price \
         FROM shop_sales_order_items",
    ),
];

/// One server of the comparison.
struct Place {
    address: SocketAddr,
    names: Names,
    ids: BTreeMap<String, u32>,
}

impl Place {
    fn new(address: SocketAddr) -> Self {
        let names = names(address);
        let ids = names.iter().map(|(id, name)| (name.clone(), *id)).collect();
        Self { address, names, ids }
    }

    fn login(&self) -> RawClient {
        let mut client = RawClient::login(self.address, USER);
        client.query(FRESH);
        client.read_until(b'Z');
        client
    }
}

/// Objects by id. A table that introspection renamed counts as the source's.
fn names(address: SocketAddr) -> Names {
    let mut client = RawClient::login(address, USER);
    let mut names = Names::new();
    for (kind, sql) in [
        (
            "rel",
            "SELECT c.oid, n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384",
        ),
        ("con", "SELECT oid, conname FROM pg_constraint WHERE oid >= 16384"),
        ("type", "SELECT oid, typname FROM pg_type WHERE oid >= 16384"),
        ("nsp", "SELECT oid, nspname FROM pg_namespace WHERE oid >= 2200"),
        ("db", "SELECT oid, datname FROM pg_database WHERE datname = 'demo'"),
        ("role", "SELECT oid, rolname FROM pg_roles WHERE rolname = 'app'"),
        ("def", "SELECT oid, adrelid::regclass::text || adnum::text FROM pg_attrdef"),
        ("label", "SELECT oid, enumlabel FROM pg_enum"),
    ] {
        client.query(sql);
        for frame in client.read_until(b'Z').iter().filter(|frame| frame.tag == b'D') {
            let cells: Vec<String> = texts(&frame.body);
            let name = format!("{kind}:{}", cells[1]).replace("rel:public.sales_", "rel:sales.");
            names.insert(cells[0].parse().unwrap(), name);
        }
    }
    names
}

fn texts(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut texts = Vec::new();
    while rest.len() >= 4 {
        let length = usize::try_from(i32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap_or(0);
        texts.push(String::from_utf8_lossy(&rest[4..4 + length]).into_owned());
        rest = &rest[4 + length..];
    }
    texts
}

/// Introspects the database and serves it; with views, the tables keep their full names so that the views can have the
/// source's.
fn serve(folder: &Path, database: &Database, views: bool) -> Server {
    let metadata = folder.join("metadata");
    let address = format!("postgres://postgres@127.0.0.1:{}/demo", database.port);
    let mut command = Command::new(binary());
    command.args(["introspect", &address, "--password", "env:SHOP_PASSWORD", "--namespace", "shop", "-o"]);
    let output = command.arg(&metadata).env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-app");
    let mut config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \
         \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\ndatabase = \"demo\"\npassword = \
         \"file:password\"\n[[users]]\nname = \"{USER}\"\nverifier = \"{verifier}\"\noperator = true\npermission_sets = \
         [\"shop_reader\"]\n",
        database.port
    );
    if views {
        let file = metadata.join("shop.json");
        let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        stack["packages"][0]["manifest"].as_object_mut().unwrap().remove("namespace");
        std::fs::write(&file, stack.to_string()).unwrap();
        for (schema, name, sql) in VIEWS {
            config.push_str(&format!("[[views]]\nschema = \"{schema}\"\nname = \"{name}\"\nsql = \"{sql}\"\n"));
        }
    }
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    Server::serve(&folder.join("querygate.toml"))
}

/// Why an answer differs; each is explained in `engine/docs/replay.md`.
fn reason(recorded: &Recorded, found: Difference, there: &Answer, here: &Answer) -> String {
    let sql = recorded.sql.to_lowercase();
    let code = |answer: &Answer| answer.error.as_ref().map_or_else(String::new, |(code, _)| code.clone());
    match found {
        Difference::Refused => format!("refused {}", code(here)),
        Difference::Answered => format!("answered {}", code(there)),
        Difference::Code => format!("code {} for {}", code(here), code(there)),
        Difference::Columns => "columns".to_owned(),
        Difference::Types => {
            let pairs = there.columns.iter().zip(&here.columns).filter(|((_, a), (_, b))| a != b);
            let pairs = pairs.map(|((_, a), (_, b))| format!("{} for {}", type_name(*b), type_name(*a)));
            format!("types: {}", pairs.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", "))
        }
        Difference::Rows => {
            let about = |words: &[&str]| words.iter().any(|word| sql.contains(word));
            let why = if about(&MOMENT) {
                "moment"
            } else if about(&[
                "pg_settings",
                "current_setting",
                "show ",
                "version()",
                "pg_roles",
                "pg_database",
                "pg_tablespace",
                "pg_auth",
                "pg_user",
                "pg_language",
                "pg_extension",
            ]) {
                "server"
            } else {
                "objects"
            };
            format!("rows: {why}")
        }
    }
}

/// Types that were seen to differ.
fn type_name(oid: u32) -> String {
    let known = match oid {
        18 => "char",
        19 => "name",
        20 => "bigint",
        23 => "integer",
        25 => "text",
        26 => "oid",
        114 => "json",
        869 => "inet",
        1003 => "name[]",
        1009 => "text[]",
        1034 => "aclitem[]",
        1043 => "varchar",
        2205 => "regclass",
        2277 => "anyarray",
        16_384.. => "enum",
        other => return other.to_string(),
    };
    known.to_owned()
}

/// What answers otherwise at each run.
const MOMENT: [&str; 12] = [
    "now()",
    "txid",
    "pg_stat",
    "pg_backend_pid",
    "pg_locks",
    "pg_current_xact",
    "_size(",
    "reltuples",
    "relpages",
    "age(",
    "frozenxid",
    "minmxid",
];

struct Outcome {
    key: (String, u64),
    difference: Option<(Difference, String)>,
    refused: bool,
}

fn replay(all: &[Recorded], first: usize, postgres: &Place, tables: &Place, views: &Place) -> Vec<Outcome> {
    let shown = std::env::var("REPLAY_SHOW").unwrap_or_default();
    let places = [postgres, tables, views];
    let mut clients = places.map(Place::login);
    let mut outcomes = Vec::new();
    for recorded in all.iter().skip(first).step_by(SESSIONS) {
        let gate = if asks_catalog(&recorded.sql) { 1 } else { 2 };
        let answers = [0, gate].map(|at| {
            let answer = ask(&mut clients[at], &recorded.for_server(&places[at].ids));
            if answer.error.as_ref().is_some_and(|(code, _)| code == "closed") {
                clients[at] = places[at].login();
            }
            clients[at].query(FRESH);
            clients[at].read_until(b'Z');
            answer
        });
        let [there, here] = &answers;
        let found = difference(&recorded.sql, (there, &postgres.names), (here, &places[gate].names));
        if shown == format!("{}:{}", recorded.client, recorded.number) || shown == "all" && found.is_some() {
            eprintln!(
                "{}:{} {found:?}\n{}\n{}\n{}",
                recorded.client,
                recorded.number,
                recorded.sql,
                show(there),
                show(here)
            );
        }
        outcomes.push(Outcome {
            key: (recorded.client.clone(), recorded.number),
            difference: found.map(|found| (found, reason(recorded, found, there, here))),
            refused: there.error.is_some(),
        });
    }
    outcomes
}

fn show(answer: &Answer) -> String {
    let cell = |cell: &Option<Vec<u8>>| {
        cell.as_ref().map_or_else(|| "NULL".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let rows = answer.rows.iter().take(12).map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|"));
    format!(
        "  {:?} {:?} {} rows\n    {}",
        answer.error,
        answer.columns,
        answer.rows.len(),
        rows.collect::<Vec<_>>().join("\n    ")
    )
}

#[test]
fn recorded_reads_answer_as_the_server_behind_does() {
    let Some(recordings) = folder() else {
        assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no data/clients");
        eprintln!("SKIPPED: recorded client traffic absent (set QUERYGATE_SHARED to the shared data folder)");
        return;
    };
    let Some(database) = Database::start() else { return };
    let schema = std::fs::read_to_string(recordings.join("demo-schema.sql")).unwrap();
    runtime().block_on(async {
        let admin = database.client("postgres").await;
        admin.batch_execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'demo-app'").await.unwrap();
        admin.batch_execute("CREATE DATABASE demo TEMPLATE template0 OWNER app").await.unwrap();
        database.client("demo").await.batch_execute(&format!("SET ROLE app; {schema}")).await.unwrap();
    });
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let tables = serve(folders[0].path(), &database, false);
    let views = serve(folders[1].path(), &database, true);
    let postgres = Place::new(SocketAddr::from(([127, 0, 0, 1], database.port)));
    let (tables_at, views_at) = (Place::new(tables.postgres), Place::new(views.postgres));
    let (recorded, all) = reads(&recordings);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let (recorded, postgres, tables, views) = (&recorded, &postgres, &tables_at, &views_at);
        let sessions: Vec<_> =
            (0..SESSIONS).map(|first| scope.spawn(move || replay(recorded, first, postgres, tables, views))).collect();
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect()
    });
    report(&outcomes, all);
    drop((tables, views));
}

/// Prints the figures and compares the list of differences with the checked one.
fn report(outcomes: &[Outcome], all: usize) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut list, mut differ): (Vec<String>, usize) = (Vec::new(), 0);
    for outcome in outcomes {
        if let Some((found, reason)) = &outcome.difference {
            *reasons.entry(reason).or_default() += 1;
            differ += 1;
            if reason == "rows: moment" {
                continue;
            }
            list.push(format!("{}\t{}\t{found:?}\t{reason}\n", outcome.key.0, outcome.key.1));
        }
    }
    list.sort();
    let same = outcomes.len() - differ;
    let refused = outcomes.iter().filter(|outcome| outcome.refused && outcome.difference.is_none()).count();
    eprintln!(
        "{all} recorded statements, {} reads: {same} as PostgreSQL ({refused} of them the same refusal), {differ} otherwise",
        outcomes.len()
    );
    for (reason, count) in reasons {
        eprintln!("{count:5}  {reason}");
    }
    golden("replay/differences.tsv", &list.concat());
}
