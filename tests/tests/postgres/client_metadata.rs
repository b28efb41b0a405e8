//! What JDBC's DatabaseMetaData and SQLAlchemy's inspector tell of an introspected database beside what they tell of the database
//! itself: a rental shop and a trading company with serial, small and compound keys, and the tables of TPC-H.

use super::PASSWORD;
use super::clinic::{database, init, served};
use super::described::SCHEMA;
use querygate_tests::server::Server;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const TPCH: &str = "
    CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name char(25) NOT NULL, r_comment varchar(152));
    CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name char(25) NOT NULL, n_regionkey int NOT NULL REFERENCES region, n_comment varchar(152));
    CREATE TABLE part (p_partkey bigint PRIMARY KEY, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL, p_size int NOT NULL, p_retailprice decimal(15,2) NOT NULL);
    CREATE TABLE supplier (s_suppkey bigint PRIMARY KEY, s_name char(25) NOT NULL, s_nationkey int NOT NULL REFERENCES nation, s_phone char(15) NOT NULL, s_acctbal decimal(15,2) NOT NULL);
    CREATE TABLE partsupp (ps_partkey bigint NOT NULL REFERENCES part, ps_suppkey bigint NOT NULL REFERENCES supplier, ps_availqty int NOT NULL,
      ps_supplycost decimal(15,2) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey));
    CREATE TABLE customer (c_custkey bigint PRIMARY KEY, c_name varchar(25) NOT NULL, c_nationkey int NOT NULL REFERENCES nation, c_acctbal decimal(15,2) NOT NULL);
    CREATE TABLE tpch_orders (o_orderkey bigint PRIMARY KEY, o_custkey bigint NOT NULL REFERENCES customer, o_orderstatus char(1) NOT NULL, o_totalprice decimal(15,2) NOT NULL,
      o_orderdate date NOT NULL);
    CREATE TABLE lineitem (l_orderkey bigint NOT NULL REFERENCES tpch_orders, l_linenumber int NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_quantity decimal(15,2) NOT NULL,
      l_shipdate date NOT NULL, l_returnflag char(1) NOT NULL, l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber),
      FOREIGN KEY (l_partkey, l_suppkey) REFERENCES partsupp (ps_partkey, ps_suppkey));
    CREATE INDEX lineitem_shipdate ON lineitem (l_shipdate);
";

/// Parts of lines that the gate tells otherwise: with columns that these words name, there and here.
const OTHERWISE: &[(&str, &str, &str)] = &[
    // A column's default, from which the driver knows it, is not told.
    ("", " TYPE_NAME=serial ", " TYPE_NAME=int4 "),
    ("result ", " serial ", " int4 "),
    // A domain is its base.
    ("COLUMN_NAME=release_year ", "DATA_TYPE=2001 TYPE_NAME=year ", "DATA_TYPE=4 TYPE_NAME=int4 "),
    ("column film release_year ", "DOMAIN('year', INTEGER())", "INTEGER()"),
    // What has no type here is text.
    ("COLUMN_NAME=fulltext ", "DATA_TYPE=1111 TYPE_NAME=tsvector ", "DATA_TYPE=12 TYPE_NAME=text "),
    ("result film fulltext ", "tsvector 1111 ", "text 12 "),
    ("column film fulltext ", "TSVECTOR()", "TEXT()"),
];

/// Lines of indexes that are no B-tree over columns of all rows.
const LEFT_OUT: [&str; 3] = ["part_lots_expr_idx", "part_lots_at_idx", "part_lots_line_idx"];

fn expected(line: &str) -> String {
    OTHERWISE
        .iter()
        .filter(|(of, ..)| line.contains(of))
        .fold(line.to_owned(), |line, (_, own, here)| line.replace(own, here))
}

/// Asks both servers by a program, and compares its lines.
fn compare(name: &str, own: &mut Command, gate: &mut Command) {
    let lines = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (own, gate) = (lines(own), lines(gate));
    let told: Vec<String> =
        own.iter().filter(|line| !LEFT_OUT.iter().any(|left| line.contains(left))).map(|line| expected(line)).collect();
    assert!(told.len() > 100, "{name}: {told:#?}");
    for (place, line) in told.iter().enumerate() {
        assert_eq!(Some(line), gate.get(place), "{name}");
    }
    assert_eq!(told.len(), gate.len(), "{name}: {:?}", gate.last());
}

#[test]
fn clients_are_told_what_the_source_tells_them() {
    let Some((source, _admin)) = database("told", &format!("{SCHEMA}{TPCH}")) else { return };
    let folder = TempDir::new().unwrap();
    init(folder.path(), &source, "told");
    let server = served(folder.path(), "told");
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    jdbc(&programs, source.port, &server);
    sqlalchemy(&programs, source.port, &server);
}

fn jdbc(programs: &Path, source: u16, server: &Server) {
    let jar = Path::new("/usr/share/java/postgresql.jar");
    if !jar.exists() || Command::new("java").arg("-version").output().is_err() {
        eprintln!("SKIPPED: no java or no {}", jar.display());
        return;
    }
    let run = |port: u16, database: &str, user: &str, password: &str| {
        let mut command = Command::new("java");
        command.arg("-cp").arg(jar).arg(programs.join("jdbc/Described.java"));
        command.args([&format!("jdbc:postgresql://127.0.0.1:{port}/{database}"), user, password]);
        command
    };
    let mut gate = run(server.postgres.port(), "demo", "ann", "demo-ann");
    compare("JDBC", &mut run(source, "told", "postgres", PASSWORD), &mut gate);
}

fn sqlalchemy(programs: &Path, source: u16, server: &Server) {
    let home = std::env::var_os("QUERYGATE_CLIENTS").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/querygate/clients")));
    let python = home.unwrap_or_default().join("venv/bin/python");
    let has = Command::new(&python).args(["-c", "import sqlalchemy, psycopg"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no SQLAlchemy in {}; tests/clients/run sqlalchemy installs it", python.display());
        return;
    }
    let run = |port: u16, database: &str, user: &str, password: &str| {
        let mut command = Command::new(&python);
        command.arg(programs.join("python/described.py"));
        command.arg(format!("postgresql+psycopg://{user}@127.0.0.1:{port}/{database}")).env("PGPASSWORD", password);
        command
    };
    let mut gate = run(server.postgres.port(), "demo", "ann", "demo-ann");
    compare("SQLAlchemy", &mut run(source, "told", "postgres", PASSWORD), &mut gate);
}
