//! SQLite databases, made and read back by its own shell: declared types are words there, and a column holds values of any kind.

use super::cell::Cell;
use super::names;
use super::world::{Column, Fate, Made, World};
use querygate_tests::harness::Rng;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether its shell is here.
pub(crate) fn is_there() -> bool {
    let is_there = Command::new("sqlite3").arg("-version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("SKIPPED: sqlite3 is not installed, and makes no worlds");
    }
    is_there
}

/// What the shell prints of a script.
fn shell(file: &Path, script: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-list", "-separator", "\u{1f}", "-newline", "\u{1e}"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}\n{script}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

type Values = fn(&mut Rng) -> String;

/// Declared types, each with values of its own, and whether a column of it may hold others.
const KINDS: [(&str, Values); 34] = [
    ("INTEGER", |rng| names::whole(rng).to_string()),
    ("INT", |rng| names::whole(rng).to_string()),
    ("TINYINT(1)", |rng| rng.below(3).to_string()),
    ("UNSIGNED BIG INT", |rng| names::whole(rng).to_string()),
    ("TEXT", |rng| literal(&names::text(rng))),
    ("VARCHAR(20)", |rng| literal(&names::text(rng))),
    ("TEXT COLLATE NOCASE", |rng| literal(&names::text(rng))),
    ("", |rng| literal(&names::word(rng))),
    ("", |rng| (*rng.pick(&["1", "1.5", "'a'", "'1'", "0.1 + 0.2"])).to_owned()),
    ("REAL", |rng| (*rng.pick(&["1.5", "0.1", "1e300", "9e999", "-9e999", "7", "-0.0", "5e-324"])).to_owned()),
    ("DOUBLE", |rng| format!("{}.25", rng.below(1000))),
    ("NUMERIC", |rng| (*rng.pick(&["1", "2.5", "'12'", "'3.0'", "9007199254740993"])).to_owned()),
    ("DECIMAL(10,2)", |rng| format!("{}.{:02}", rng.below(1_000_000), rng.below(100))),
    ("DECIMAL(10,2)", |rng| (*rng.pick(&["1.005", "1.25", "7", "99999999999.99"])).to_owned()),
    ("BOOLEAN", |rng| rng.below(2).to_string()),
    ("DATE", |rng| literal(&names::day(rng))),
    ("DATETIME", |rng| literal(&format!("{} {}", names::day(rng), names::clock(rng)))),
    ("TIMESTAMP", |rng| literal(&format!("{}T{}Z", names::day(rng), names::clock(rng)))),
    ("TIME", |rng| literal(&names::clock(rng))),
    ("BLOB", |rng| format!("x'{:0>8x}'", rng.below(0xffff_ffff))),
    ("BIGINT UNSIGNED", |rng| (*rng.pick(&["7", "9223372036854775807"])).to_owned()),
    ("DECIMAL(40,2)", |rng| format!("{}.5", rng.below(1000))),
    ("DECIMAL(38,10)", |rng| (*rng.pick(&["0.1", "1234567.0000000001", "12345678901234567890"])).to_owned()),
    ("NUMERIC(10)", |rng| rng.below(1000).to_string()),
    ("MONEY", |rng| (*rng.pick(&["1.5", "7", "0.1"])).to_owned()),
    ("FLOAT(10)", |rng| (*rng.pick(&["9007199254740993", "0.5", "3"])).to_owned()),
    ("DATETIME", |rng| (*rng.pick(&["1704067200", "2460310.5", "0"])).to_owned()),
    ("DATE", |rng| (*rng.pick(&["19723", "'2024-01-01'"])).to_owned()),
    ("TIMESTAMPTZ", |rng| literal(&format!("{} {}+02:00", names::day(rng), names::clock(rng)))),
    ("DATETIME", |rng| {
        literal(names::one(rng, &["2024-01-01", "2024-01-01 10:00", "2024-01-01T10:00:00.123456", "", "0000-00-00"]))
    }),
    ("BOOL", |rng| (*rng.pick(&["0", "1", "'true'", "'f'", "2"])).to_owned()),
    ("GEOMETRY", |rng| (*rng.pick(&["x'0101'", "'POINT(1 2)'"])).to_owned()),
    ("JSON", |rng| literal(names::one(rng, &["{\"a\": 1}", "[1, 2.50]", "null", "\"x\"", "7"]))),
    ("UUID", |rng| literal(&format!("{:08x}-0000-4000-8000-{:012x}", rng.below(0xffff_ffff), rng.below(0xffff_ffff)))),
];

/// Values that are of no declared type.
const OTHERS: [&str; 14] = [
    "'many'",
    "''",
    "x'00ff'",
    "'last week'",
    "1.5",
    "'2024-13-45'",
    "'24:00'",
    "1704067200",
    "'12abc'",
    "9e999",
    "'infinity'",
    "2",
    "CAST(x'ff' AS TEXT)",
    "'10000-01-01'",
];

struct Columns {
    columns: Vec<Column>,
    declared: Vec<String>,
    values: Vec<Values>,
    /// Of each one, whether values of other kinds come among its own.
    messy: Vec<bool>,
}

fn columns(rng: &mut Rng, strict: bool) -> Columns {
    let mut taken = Vec::new();
    let mut found = Columns { columns: Vec::new(), declared: Vec::new(), values: Vec::new(), messy: Vec::new() };
    for _ in 0..rng.between(1, 7) {
        let name = names::name(rng, "c", &mut taken, &['\u{0}']);
        let (declared, values) = if strict { KINDS[*rng.pick(&[0, 1, 4, 9, 19])] } else { *rng.pick(&KINDS) };
        // Texts beside bytes are of no type here.
        let messy = !strict && rng.percent(20) || declared == "GEOMETRY";
        found.columns.push(Column { name, may_go: messy });
        found.declared.push(declared.to_owned());
        found.values.push(values);
        found.messy.push(messy);
    }
    found
}

impl Columns {
    fn row(&self, rng: &mut Rng) -> String {
        let cells = self.values.iter().zip(&self.messy).map(|(values, messy)| {
            if rng.percent(15) {
                "NULL".to_owned()
            } else if *messy && rng.percent(30) {
                (*rng.pick(&OTHERS)).to_owned()
            } else {
                values(rng)
            }
        });
        cells.collect::<Vec<_>>().join(", ")
    }

    /// The statements of a table with rows, in one of the ways in which SQLite stores them.
    fn made(&self, rng: &mut Rng, table: &str, strict: bool) -> String {
        let mut parts: Vec<String> = Vec::new();
        let shape = rng.below(4);
        if shape == 0 || shape == 1 {
            parts.push("row_key INTEGER PRIMARY KEY".to_owned());
        }
        parts.extend(
            self.columns.iter().zip(&self.declared).map(|(c, declared)| format!("{} {declared}", quoted(&c.name))),
        );
        let mut ends: Vec<&str> = Vec::new();
        if shape == 1 {
            ends.push("WITHOUT ROWID");
        }
        if strict {
            ends.push("STRICT");
        }
        let mut sql = format!("CREATE TABLE {} ({}) {};\n", quoted(table), parts.join(", "), ends.join(", "));
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        for key in 0..rng.below(12) {
            let (first, value) = if shape < 2 { ("row_key, ", format!("{key}, ")) } else { ("", String::new()) };
            writeln!(
                sql,
                "INSERT INTO {} ({first}{}) VALUES ({value}{});",
                quoted(table),
                names.join(", "),
                self.row(rng)
            )
            .unwrap();
        }
        sql
    }
}

pub(crate) fn world(rng: &mut Rng) -> World {
    let mut world = World::new(&["shop.sqlite"]);
    let file = world.folder.path().join("shop.sqlite");
    let mut taken = vec!["sound".to_owned()];
    let mut script =
        "CREATE TABLE sound(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO sound VALUES (1, 'a');\n".to_owned();
    let mut made = vec![("sound".to_owned(), columns_of_nothing(), Fate::Served)];
    for number in 0..rng.between(4, 8) {
        let name = names::name(rng, &format!("t{number}"), &mut taken, &['\u{0}']);
        let table = quoted(&name);
        let (sql, columns, fate) = match rng.below(12) {
            0 => {
                (format!("CREATE VIEW {table} AS SELECT * FROM gone_{number};\n"), None, Fate::LeftOut("a broken view"))
            }
            1 => (format!("CREATE VIRTUAL TABLE {table} USING fts5(w);\n"), None, Fate::LeftOut("a virtual table")),
            2 => (
                format!("CREATE VIEW {table} AS SELECT id, upper(v) AS up, 1 + 1, NULL AS n FROM sound;\n"),
                None,
                Fate::Served,
            ),
            3 => (
                format!(
                    "CREATE TABLE {table} (a INT, twice INT GENERATED ALWAYS AS (a * 2) VIRTUAL, kept TEXT AS (a || 'x') STORED, \
                     later DEFAULT 5);\nINSERT INTO {table} (a) VALUES (1), (2), (NULL);\n"
                ),
                None,
                Fate::Served,
            ),
            4 => (twins(&table), None, Fate::Served),
            kind => {
                let strict = kind == 5;
                let columns = columns(rng, strict);
                (columns.made(rng, &name, strict), Some(columns), Fate::Served)
            }
        };
        script.push_str(&sql);
        if sql.contains("_base\" (") {
            made.push((format!("{name}_base"), columns_of_nothing(), Fate::Served));
        }
        made.push((name, columns.unwrap_or_else(columns_of_nothing), fate));
    }
    // Views over tables that never were can be made where nothing is looked at.
    shell(&file, &format!("PRAGMA legacy_alter_table = ON;\n{script}"));
    world.made = made.into_iter().map(|(name, columns, fate)| read_back(&file, name, &columns, fate)).collect();
    world
}

/// A view of columns with one name, over a table whose names fall together once they are local, with references that lead nowhere.
fn twins(table: &str) -> String {
    let base = format!("{}_base\"", &table[..table.len() - 1]);
    format!(
        "CREATE TABLE {base} (\"A b\" INT REFERENCES nowhere(x), \"A-b\" TEXT DEFAULT 'd', \"a_b\" REAL, \"\" INT, \
         FOREIGN KEY (\"A b\", a_b) REFERENCES no_table);\nCREATE INDEX {} ON {base} (\"A b\" + 1);\n\
         INSERT INTO {base} (\"A b\", a_b) VALUES (1, 2.5), (NULL, NULL);\n\
         CREATE VIEW {table} AS SELECT b.\"A b\", c.\"A b\" FROM {base} b, {base} c;\n",
        quoted(&format!("by {}", &table[1..table.len() - 1]))
    )
}

fn columns_of_nothing() -> Columns {
    Columns { columns: Vec::new(), declared: Vec::new(), values: Vec::new(), messy: Vec::new() }
}

/// A table with what SQLite stored.
fn read_back(file: &Path, name: String, made: &Columns, fate: Fate) -> Made {
    if let Fate::LeftOut(why) = fate {
        return Made::none(name, why);
    }
    let listed = shell(file, &format!("SELECT hex(name) FROM pragma_table_xinfo({}) ORDER BY cid;", literal(&name)));
    let names: Vec<String> = listed.split('\u{1e}').filter(|line| !line.is_empty()).map(text_of).collect();
    let cells: Vec<String> = names.iter().map(|name| {
        let name = quoted(name);
        format!("typeof({name}) || ':' || CASE WHEN typeof({name}) IN ('text', 'blob') THEN hex({name}) ELSE quote({name}) END")
    }).collect();
    let printed = shell(file, &format!("SELECT {} FROM {};", cells.join(", "), quoted(&name)));
    let rows = printed.split('\u{1e}').filter(|line| !line.is_empty());
    let rows = rows.map(|line| line.split('\u{1f}').map(cell).collect()).collect();
    let rows: Vec<Vec<Cell>> = rows;
    let columns = names.into_iter().enumerate().map(|(at, name)| {
        let declared = made.columns.iter().zip(&made.declared).find(|(column, _)| column.name == name && column.may_go);
        let has_bytes = rows.iter().any(|row| matches!(row[at], Cell::Bytes(_)));
        let may_go = name.is_empty() || declared.is_some_and(|(_, declared)| has_bytes || !reads_as_text(declared));
        Column { name, may_go }
    });
    let columns = columns.collect();
    Made { remote: name, columns, rows, fate }
}

/// Whether a column has the affinity of whole numbers, or of numbers, under which SQLite prints any number exactly that was written.
fn reads_as_text(declared: &str) -> bool {
    let declared = declared.to_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    has(&["INT"]) || !declared.is_empty() && !has(&["CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOA", "DOUB"])
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn text_of(hex: &str) -> String {
    String::from_utf8(bytes_of(hex)).unwrap()
}

/// What `typeof`, and `hex` or `quote`, say of a value.
fn cell(printed: &str) -> Cell {
    let (kind, value) = printed.split_once(':').unwrap();
    match kind {
        "null" => Cell::Null,
        "integer" => Cell::Number(value.to_owned()),
        "real" => Cell::Double(match value {
            "9.0e+999" | "Inf" => f64::INFINITY,
            "-9.0e+999" | "-Inf" => f64::NEG_INFINITY,
            value => value.parse().unwrap(),
        }),
        "text" => String::from_utf8(bytes_of(value)).map_or_else(|error| Cell::Bytes(error.into_bytes()), Cell::Text),
        _ => Cell::Bytes(bytes_of(value)),
    }
}
