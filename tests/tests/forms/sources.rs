//! The tables in each source, described by `querygate introspect`, behind one gate; and in the PostgreSQL that is asked, under the
//! names and with the types that the gate gives them. Types that introspection loses are lost for both.

#[path = "../../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb;
#[path = "../../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mysql;

use crate::oracle::{Oracle, PASSWORD, open};
use crate::store;
use crate::tables::Table;
use crate::wire::{Answer, Column, Session};
use querygate_tests::server::{Server, binary, runtime};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio_postgres::types::Type;

/// The gate over all sources that are installed.
pub(crate) struct Gate {
    pub(crate) server: Server,
    pub(crate) sources: Vec<&'static str>,
    /// Tables by source that the gate shows with all of their columns.
    pub(crate) shown: BTreeSet<(&'static str, String)>,
    _folder: TempDir,
    _mysql: Option<mysql::Server>,
    _mongodb: Option<mongodb::Server>,
}

const PASSWORDS: [(&str, &str); 3] =
    [("POSTGRES_PASSWORD", PASSWORD), ("MARIADB_PASSWORD", mysql::PASSWORD), ("MONGODB_PASSWORD", mongodb::PASSWORD)];

fn introspect(folder: &Path, what: &str, namespace: &str, password: &str) {
    let mut command = Command::new(binary());
    command.current_dir(folder).envs(PASSWORDS).args(["introspect", what, "--namespace", namespace, "-o", "metadata"]);
    if !password.is_empty() {
        command.args(["--password", &format!("env:{password}")]);
    }
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{namespace}: {said}");
}

/// Writes the tables into every source, describes them, and serves them.
pub(crate) fn serve(oracle: &Oracle, tables: &[Table]) -> Gate {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let mut config =
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[limits]\nstatement_timeout = \"1min\"\n"
            .to_owned();
    let mut sources = Vec::new();
    let mut source = |name: &'static str, kind: &str, entry: &str| {
        write!(config, "[[sources]]\nname = \"{name}\"\nkind = \"{kind}\"\n{entry}\n").unwrap();
        sources.push(name);
    };
    for (name, password) in PASSWORDS {
        std::fs::write(path.join(name), password).unwrap();
    }
    store::postgres(oracle, tables);
    let (address, port) = (oracle.address(), oracle.address().port());
    introspect(path, &format!("postgres://postgres@{address}/base"), "postgres", "POSTGRES_PASSWORD");
    let server = |port: u16, user: &str, password: &str| {
        format!(
            "host = \"127.0.0.1\"\nport = {port}\nuser = \"{user}\"\ndatabase = \"base\"\npassword = \"file:{password}\""
        )
    };
    source("postgres", "postgres", &server(port, "postgres", "POSTGRES_PASSWORD"));
    runtime().block_on(store::sqlite(&path.join("base.sqlite"), tables));
    introspect(path, "base.sqlite", "sqlite", "");
    source("sqlite", "sqlite", "path = \"base.sqlite\"\nfixed_text = true");
    for (name, write) in store::FILES {
        std::fs::create_dir(path.join(name)).unwrap();
        tables.iter().for_each(|table| write(&path.join(name), table));
        introspect(path, name, name, "");
        source(name, "files", &format!("path = \"{name}\""));
    }
    memory(path, tables);
    source("memory", "memory", "");
    let mysql = mysql::Server::start();
    if let Some(database) = &mysql {
        database.sql(&store::mariadb(tables));
        let address = format!("mysql://{}@127.0.0.1:{}/base", mysql::USER, database.port);
        introspect(path, &address, "mariadb", "MARIADB_PASSWORD");
        source("mariadb", "mysql", &server(database.port, mysql::USER, "MARIADB_PASSWORD"));
    }
    let mongodb = runtime().block_on(mongodb::Server::start());
    if let Some(database) = &mongodb {
        runtime().block_on(async { store::mongodb(&database.admin("base"), tables).await });
        let options = "authSource=admin&directConnection=true";
        let address = format!("mongodb://{}@127.0.0.1:{}/base?{options}", mongodb::USER, database.port);
        introspect(path, &address, "mongodb", "MONGODB_PASSWORD");
        source(
            "mongodb",
            "mongodb",
            &format!("url = \"{address}\"\ndatabase = \"base\"\npassword = \"file:MONGODB_PASSWORD\""),
        );
    }
    let sets: Vec<String> = sources.iter().map(|source| format!("{source}_reader")).collect();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ada");
    write!(
        config,
        "[[users]]\nname = \"ada\"\nverifier = \"{verifier}\"\nuser_id = \"ada\"\npermission_sets = {}\n",
        json!(sets)
    )
    .unwrap();
    std::fs::write(path.join("querygate.toml"), config).unwrap();
    let server = Server::serve(&path.join("querygate.toml"));
    let shown = mirrored(oracle, &mut open(server.postgres), &sources, tables);
    Gate { server, sources, shown, _folder: folder, _mysql: mysql, _mongodb: mongodb }
}

/// The metadata of the Parquet files for objects in memory, with the rows beside it.
fn memory(folder: &Path, tables: &[Table]) {
    introspect(folder, "parquet", "memory", "");
    let file = folder.join("metadata/memory.json");
    let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let package = &mut stack["packages"][0]["manifest"];
    package["datasources"][0] =
        json!({"name": "memory", "label": "Memory", "driver": "memory", "config": {}, "schemaMode": "managed"});
    for object in package["objects"].as_array_mut().unwrap() {
        object.as_object_mut().unwrap().remove("external");
    }
    std::fs::write(&file, stack.to_string()).unwrap();
    for table in tables {
        store::ndjson_file(&folder.join(format!("metadata/memory_{}.ndjson", table.name)), table, true);
    }
}

/// The tables in the PostgreSQL that is asked, as the gate shows them. What it shows otherwise than whole is said and left out.
fn mirrored(
    oracle: &Oracle,
    gate: &mut Session,
    sources: &[&'static str],
    tables: &[Table],
) -> BTreeSet<(&'static str, String)> {
    let mut shown = BTreeSet::new();
    let mut postgres = oracle.session();
    for source in sources {
        for table in tables {
            let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
            let name = format!("{source}_{}", table.name);
            let answer = gate.query(&format!("SELECT {} FROM {name} LIMIT 1", names.join(", ")));
            let Answer::Rows { columns, .. } = answer else {
                println!("left out: {name}: {answer:?}");
                continue;
            };
            let answer = postgres.query(&mirror(&name, table, &columns));
            if matches!(answer, Answer::Rows { .. }) {
                shown.insert((*source, table.name.clone()));
            } else {
                println!("left out: {name} as {columns:?}: {answer:?}");
            }
        }
    }
    shown
}

/// The table in the gate's types.
fn mirror(name: &str, table: &Table, columns: &[Column]) -> String {
    let cast = |(column, (name, kind)): (&Column, &(String, crate::tables::Kind))| {
        format!("x.{name}::{}::{} AS {name}", kind.postgres(), declared(column))
    };
    let casts: Vec<String> = columns.iter().zip(&table.columns).map(cast).collect();
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<String> = names.iter().map(|name| format!("{name} text")).collect();
    let mut script = format!("CREATE TEMP TABLE mirrored ({});", texts.join(", "));
    script.push_str(&store::inserts("mirrored", table, store::Dialect::Standard));
    write!(script, "CREATE TABLE {name} AS SELECT {} FROM mirrored x; DROP TABLE mirrored", casts.join(", ")).unwrap();
    script
}

fn declared(column: &Column) -> String {
    let known = Type::from_oid(column.oid).map_or("text".to_owned(), |known| known.name().to_owned());
    match column.modifier {
        modifier if known == "numeric" && modifier >= 4 => {
            format!("numeric({},{})", (modifier - 4) >> 16, (modifier - 4) & 0xffff)
        }
        _ => known,
    }
}
