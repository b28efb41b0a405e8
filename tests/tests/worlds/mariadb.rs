//! MariaDB schemas: odd names, zero dates, unsigned numbers, collations that ignore case, tables of every engine, broken views.

use super::cell::Cell;
use super::names;
use super::world::{Column, Fate, Made, World};
use crate::mariadb_server::{PASSWORD, Server, USER};
use crate::mysql_types::{Form, KINDS};
use crate::printed::{print_double, print_single};
use querygate_tests::harness::Rng;
use std::fmt::Write as _;

const BEGIN: &str = "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = ''; SET innodb_strict_mode = 0;\n";

/// Columns whose values are none of their type, or that have no type here: how they are declared, their values, how they are printed.
const ODD: &[(&str, &[&str], Form)] = &[
    ("date", &["'0000-00-00'", "'2024-00-00'", "'2024-02-01'"], Form::Plain),
    ("datetime", &["'0000-00-00 00:00:00'", "'2024-01-01 10:00:00'"], Form::Wall),
    ("timestamp NULL", &["'0000-00-00 00:00:00'", "'2024-01-01 10:00:00'"], Form::Instant),
    ("tinyint(1)", &["0", "1", "5", "-1"], Form::Plain),
    ("enum('a','b')", &["'a'", "''", "'nothing'"], Form::Plain),
    ("year", &["0", "1999"], Form::Whole),
    ("varchar(20) COLLATE utf8mb4_general_ci", &["'a'", "'A'", "'é'"], Form::Plain),
    ("varchar(20) COLLATE utf8mb4_unicode_ci", &["'ß'", "'ss'"], Form::Plain),
    ("varchar(20) CHARACTER SET ucs2", &["'é'", "'a '"], Form::Plain),
    ("longtext", &["'line\\nbreak'", "''", "'\\0'"], Form::Plain),
    ("json", &["'{\"a\" : 1.50}'", "'[]'", "'\"x\"'"], Form::Plain),
    ("decimal(20,0) unsigned", &["18446744073709551616", "0"], Form::Plain),
    ("double", &["1e308", "-0.0", "0.1"], Form::Double),
];

fn named(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

struct Columns {
    names: Vec<String>,
    declared: Vec<String>,
    forms: Vec<Form>,
    rows: Vec<String>,
}

/// As MariaDB takes names: of its own plane alone, and without a blank at the end.
fn allowed(name: &str) -> String {
    let kept: String = name.chars().filter(|c| u32::from(*c) < 0x1_0000).take(60).collect();
    let kept = kept.trim_end().to_owned();
    if kept.is_empty() { "other".to_owned() } else { kept }
}

fn columns(rng: &mut Rng) -> Columns {
    let mut taken = vec!["row_key".to_owned()];
    let mut found = Columns { names: Vec::new(), declared: Vec::new(), forms: Vec::new(), rows: Vec::new() };
    let mut values: Vec<Vec<String>> = Vec::new();
    for _ in 0..rng.between(1, 7) {
        let name = unique(rng, "c", &mut taken);
        if rng.percent(40) {
            let (declared, of_kind, form) = *rng.pick(ODD);
            found.declared.push(format!("{} {declared}", named(&name)));
            values.push(of_kind.iter().map(|value| (*value).to_owned()).collect());
            found.forms.push(form);
        } else {
            let kind = rng.pick(KINDS);
            found.declared.push(format!("{} {}", named(&name), kind.declared));
            let random: Vec<String> = (0..4).map(|_| (kind.random)(rng)).collect();
            values.push(kind.extremes.iter().map(|value| (*value).to_owned()).chain(random).collect());
            found.forms.push(kind.form);
        }
        found.names.push(name);
    }
    for _ in 0..rng.below(8) {
        let cells =
            values.iter().map(|values| if rng.percent(15) { "NULL".to_owned() } else { rng.pick(values).clone() });
        let row = cells.collect::<Vec<_>>().join(", ");
        found.rows.push(row);
    }
    found
}

/// A name that MariaDB takes and that is not there yet. Its own collation takes letters with accents for those without.
fn unique(rng: &mut Rng, plain: &str, taken: &mut Vec<String>) -> String {
    let mut name = allowed(&names::name(rng, plain, &mut Vec::new(), &['\u{0}']));
    let folded = |name: &str| {
        name.to_lowercase().replace(['é', '\u{301}'], "e").replace('ï', "i").replace('ö', "o").replace("ee", "e")
    };
    while taken.iter().any(|other| folded(other) == folded(&name)) {
        name.push('x');
    }
    taken.push(name.clone());
    name
}

/// Statements, columns with how they are printed, and whether the table can be served.
fn table(rng: &mut Rng, name: &str, number: usize) -> (String, Vec<(String, Form)>, Fate) {
    let table = named(name);
    let plain = |columns: &[&str]| columns.iter().map(|name| ((*name).to_owned(), Form::Plain)).collect::<Vec<_>>();
    match rng.below(15) {
        0 => (
            format!("CREATE TABLE gone_{number} (a int); CREATE VIEW {table} AS SELECT * FROM gone_{number}; DROP TABLE gone_{number};\n"),
            Vec::new(),
            Fate::LeftOut("a broken view"),
        ),
        1 => (
            format!("CREATE TABLE {table} (a int, twice int AS (a * 2) VIRTUAL, kept varchar(9) AS (concat(a, 'x')) STORED, unseen int INVISIBLE DEFAULT 3);
                INSERT INTO {table} (a) VALUES (1), (NULL);\n"),
            plain(&["a", "twice", "kept", "unseen"]),
            Fate::Served,
        ),
        2 => (
            format!("CREATE TABLE {table} (a int, b varchar(5)) PARTITION BY HASH (a) PARTITIONS 3; INSERT INTO {table} VALUES (1, 'x'), (2, 'y');\n"),
            plain(&["a", "b"]),
            Fate::Served,
        ),
        3 => (
            format!("CREATE TABLE {table} (a int) WITH SYSTEM VERSIONING; INSERT INTO {table} VALUES (1), (2); DELETE FROM {table} WHERE a = 2;\n"),
            plain(&["a"]),
            Fate::Served,
        ),
        4 => (
            format!("CREATE VIEW {table} AS SELECT id, upper(v) AS up, 1 + 1, NULL AS n FROM sound;\n"),
            plain(&["id", "up", "1 + 1", "n"]),
            Fate::Served,
        ),
        6 => (
            format!(
                "CREATE TABLE {table} (day date PRIMARY KEY, note varchar(20) COMMENT 'it''s \\\\ \"quoted\"\\n年', CHECK (note <> 'x')) COMMENT 'a\\nb';
                INSERT INTO {table} VALUES ('0000-00-00', 'a'), ('2024-01-01', NULL);\n"
            ),
            plain(&["day", "note"]),
            Fate::Served,
        ),
        5 => (
            format!("CREATE DEFINER = 'nobody'@'nowhere' VIEW {table} AS SELECT * FROM sound;\n"),
            Vec::new(),
            Fate::LeftOut("a view of a user who is gone"),
        ),
        _ => {
            let Columns { names, declared, forms, rows } = columns(rng);
            let key = if rng.percent(50) { "row_key int AUTO_INCREMENT PRIMARY KEY, " } else { "" };
            let engine = *rng.pick(&["InnoDB", "InnoDB", "MyISAM", "Aria"]);
            let mut sql = format!("CREATE TABLE {table} ({key}{}) ENGINE {engine} CHARACTER SET utf8mb4;\n", declared.join(", "));
            let listed = names.iter().map(|name| named(name)).collect::<Vec<_>>().join(", ");
            rows.iter().for_each(|row| writeln!(sql, "INSERT INTO {table} ({listed}) VALUES ({row});").unwrap());
            let mut columns: Vec<(String, Form)> = names.into_iter().zip(forms).collect();
            if !key.is_empty() {
                columns.insert(0, ("row_key".to_owned(), Form::Plain));
            }
            (sql, columns, Fate::Served)
        }
    }
}

pub(crate) fn world(server: &Server, rng: &mut Rng, number: u64) -> World {
    let schema = format!("world_{number}");
    let address = format!("mysql://{USER}@127.0.0.1:{}/{schema}", server.port);
    let mut world = World::new(&[&address, "--password", "file:password"]);
    std::fs::write(world.folder.path().join("password"), PASSWORD).unwrap();
    let begin = format!("{BEGIN}USE {schema};\n");
    server.sql(&format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4; {begin} CREATE TABLE sound (id int PRIMARY KEY, v varchar(9)); INSERT INTO sound VALUES (1, 'a');"));
    let mut taken = vec!["sound".to_owned()];
    let mut made =
        vec![("sound".to_owned(), vec![("id".to_owned(), Form::Plain), ("v".to_owned(), Form::Plain)], Fate::Served)];
    for number in 0..rng.between(4, 8) {
        // Names of tables are files there.
        let name = unique(rng, &format!("t{number}"), &mut taken);
        let (sql, columns, fate) = table(rng, &name, number);
        server.sql(&format!("{begin}{sql}"));
        made.push((name, columns, fate));
    }
    for (name, columns, fate) in made {
        let rows = if matches!(fate, Fate::LeftOut(_)) { Vec::new() } else { printed(server, &begin, &name, &columns) };
        // A text with a NUL is none of PostgreSQL's.
        let has_nul = |at: usize| rows.iter().any(|row| matches!(&row[at], Cell::Printed(text) if text.contains('\0')));
        let columns = columns.into_iter().enumerate().map(|(at, (name, _))| Column { name, may_go: has_nul(at) });
        let columns = columns.collect();
        world.made.push(Made { remote: name, columns, rows, fate });
    }
    world
}

/// What its own client prints, in hexadecimal, so that no character of it is one between cells.
fn printed(server: &Server, begin: &str, name: &str, columns: &[(String, Form)]) -> Vec<Vec<Cell>> {
    let shown = columns.iter().map(|(name, form)| {
        let column = named(name);
        let shown = match form {
            Form::Plain | Form::Wall | Form::Instant => format!("CONVERT({column} USING utf8mb4)"),
            Form::Truth => format!("IF({column} <> 0, 't', 'f')"),
            Form::Whole => format!("CONCAT({column} + 0)"),
            Form::Single => format!("CONCAT(CAST({column} AS DOUBLE))"),
            Form::Double => format!("CONCAT({column})"),
            Form::Bytes => format!("CONCAT({column}, '')"),
        };
        format!("IF({column} IS NULL, 'NULL', HEX({shown}))")
    });
    let sql = format!("{begin}SELECT {} FROM {};", shown.collect::<Vec<_>>().join(", "), named(name));
    let rows = server.sql(&sql);
    let row = |line: &str| line.split('\t').zip(columns).map(|(hex, (_, form))| cell(hex, *form)).collect();
    rows.split('\n')
        .filter(|line| !line.is_empty() || columns.len() == 1 && rows.len() > 1)
        .take(rows.matches('\n').count())
        .map(row)
        .collect()
}

fn cell(hex: &str, form: Form) -> Cell {
    if hex == "NULL" {
        return Cell::Null;
    }
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    if form == Form::Bytes {
        return Cell::Bytes(bytes);
    }
    let text = String::from_utf8(bytes).unwrap();
    match form {
        Form::Single => Cell::Printed(print_single(text.parse::<f64>().unwrap() as f32)),
        Form::Double => Cell::Printed(print_double(text.parse().unwrap())),
        Form::Wall | Form::Instant => Cell::Moment(text),
        _ => Cell::Printed(text),
    }
}
