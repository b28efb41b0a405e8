//! A column of every type that is declared in SQLite files, with extremes and values at random, behind the gate: each read beside what
//! SQLite prints, each comparison beside its own answer.

use crate::answers::Answers;
use crate::checked::{Check, Expected};
use crate::differences::Known;
use crate::doors::Doors;
use crate::printed::print_double;
use crate::sqlite_types::{Form, KINDS, Kind};
use crate::values::seed;
use querygate_tests::harness::Rng;
use querygate_tests::server::{Server, binary, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Values of a column besides its extremes.
const RANDOM: usize = 6;
const ROWS: usize = 30;

const ORDERED: &str =
    "jsonb is ordered as PostgreSQL does, which has no least and greatest of it; the source compares texts";
const AS_WRITTEN: &str = "jsonb is printed as it was written, though compared and grouped as jsonb";

const KNOWN: &[Known] = &[
    ("c_document", "order", ORDERED),
    ("c_document", "order down", ORDERED),
    ("c_document", "distinct", ORDERED),
    ("c_document", "least", ORDERED),
    ("c_document", "greatest", ORDERED),
    ("c_document_as_written", "text", AS_WRITTEN),
    ("c_document_as_written", "binary", AS_WRITTEN),
    ("c_document_as_written", "flight", AS_WRITTEN),
    ("c_document_as_written", "order", AS_WRITTEN),
    ("c_document_as_written", "order down", AS_WRITTEN),
    ("c_document_as_written", "distinct", ORDERED),
    ("c_document_as_written", "least", ORDERED),
    ("c_document_as_written", "greatest", ORDERED),
];

fn tables(seed: u64) -> String {
    let mut sql = "CREATE TABLE kinds (nr INTEGER PRIMARY KEY".to_owned();
    let mut columns: Vec<Vec<String>> = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        write!(sql, ", {} {}", kind.name, kind.declared).unwrap();
        let mut rng = Rng::part(seed, number as u64);
        let extremes = kind.extremes.iter().map(|text| (*text).to_owned());
        let choice: Vec<String> = extremes.chain((0..RANDOM).map(|_| (kind.random)(&mut rng))).collect();
        let cell = |row: usize| match choice.get(row) {
            Some(text) => kind.literal(text),
            None if rng.percent(15) => "NULL".to_owned(),
            None => kind.literal(rng.pick::<String>(&choice)),
        };
        columns.push((0..ROWS).map(cell).collect());
    }
    sql.push_str(");\n");
    for row in 0..ROWS {
        let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        writeln!(sql, "INSERT INTO kinds VALUES ({row}, {});", cells.join(", ")).unwrap();
    }
    sql + "ANALYZE;"
}

/// SQLite's own library.
pub(super) struct Source(SqliteConnection);

impl Source {
    pub(super) fn made(path: &Path, sql: &str) -> Self {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            Self(connection)
        })
    }

    /// Numbers of one column, which SQLite does not print to the last digit.
    fn doubles(&mut self, sql: &str) -> Vec<Option<f64>> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.0);
        runtime().block_on(query).unwrap().iter().map(|row| row.try_get_unchecked(0).unwrap()).collect()
    }

    /// Rows whose cells are texts.
    pub(super) fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.0);
        let rows = runtime().block_on(query).unwrap();
        rows.iter().map(|row| (0..row.len()).map(|place| row.try_get_unchecked(place).unwrap()).collect()).collect()
    }
}

fn cells(source: &mut Source, kind: &Kind) -> Vec<Option<String>> {
    if kind.form == Form::Double {
        let values = source.doubles(&format!("SELECT {} FROM kinds ORDER BY nr", kind.name));
        return values.into_iter().map(|value| value.map(print_double)).collect();
    }
    let shown = match kind.form {
        Form::Bytes => format!("'\\x' || lower(hex({}))", kind.name),
        _ => format!("CAST({} AS TEXT)", kind.name),
    };
    let sql = format!("SELECT CASE WHEN {} IS NOT NULL THEN {shown} END FROM kinds ORDER BY nr", kind.name);
    source.rows(&sql).into_iter().map(|mut row| row.remove(0).map(|text| kind.printed(&text))).collect()
}

/// Describes a file or folder, and serves it to `ann`; and what the description said.
pub(super) fn served(folder: &Path, kind: &str, source: &Path) -> (Server, String) {
    let metadata = folder.join("metadata");
    let arguments = ["introspect", source.to_str().unwrap(), "--namespace", "demo", "-o", metadata.to_str().unwrap()];
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ann");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"demo\"\nkind = \"{kind}\"\npath = \"{}\"\n\
         [[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\npermission_sets = [\"demo_reader\"]\n",
        source.display()
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    (Server::serve(&folder.join("querygate.toml")), said)
}

#[test]
fn a_column_of_every_type_is_as_in_sqlite() {
    let seed = seed("SQLite");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("demo.sqlite");
    let mut source = Source::made(&file, &tables(seed));
    let (server, _) = served(folder.path(), "sqlite", &file);
    let mut check = Check::new(Doors::login(&server, "ann"));
    for kind in KINDS {
        let cells = cells(&mut source, kind);
        let answers = Answers::asked(kind.name, &kind.key(), |sql| {
            let number = |cell: Option<String>| cell.unwrap().parse().unwrap();
            source.rows(sql).into_iter().map(|row| row.into_iter().map(number).collect()).collect()
        });
        let (name, type_name) = (kind.name.to_owned(), kind.type_name.to_owned());
        check.column(&Expected { name, type_name, cells, answers });
    }
    check.found.settle(KNOWN, 1_500);
}
