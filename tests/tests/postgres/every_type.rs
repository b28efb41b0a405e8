//! A column of every type, with extremes and values at random, as the gate serves it: each read and each comparison beside what the
//! source itself answers, by text, by bytes and through Flight SQL.

use super::clinic::{database, init, served};
use crate::differences::{Differences, Known};
use crate::doors::{Doors, texts};
use crate::postgres_types::{AS_TEXT, Kind, LISTS, SCALARS, TYPES};
use crate::values::seed;
use crate::wire::{self, Answer, Cell, Column, simple};
use querygate_tests::harness::Rng;
use querygate_tests::server::{RawClient, runtime};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;

/// Values of a column besides its extremes.
const RANDOM: usize = 8;
const ROWS: usize = 40;

/// Asked of each column, which stands for `$`.
const STATEMENTS: &[(&str, &str)] = &[
    ("order", "SELECT nr FROM kinds ORDER BY $, nr"),
    ("order down", "SELECT nr FROM kinds ORDER BY $ DESC NULLS LAST, nr LIMIT 30"),
    ("groups", "SELECT $, count(*), min(nr) FROM kinds GROUP BY $ ORDER BY $"),
    ("distinct", "SELECT DISTINCT $ FROM kinds ORDER BY $"),
    ("count distinct", "SELECT count(DISTINCT $), count($) FROM kinds"),
    ("least", "SELECT min($) FROM kinds"),
    ("greatest", "SELECT max($) FROM kinds"),
    ("join", "SELECT a.nr, b.nr FROM kinds a JOIN kinds b ON a.$ = b.$ ORDER BY 1, 2"),
    ("null", "SELECT nr FROM kinds WHERE $ IS NULL ORDER BY nr"),
];

const ENDS: &str = "PostgreSQL 15 has no such function";
const BLANKS: &str = "values of char(n) come without their blanks";
const JSON: &str = "PostgreSQL compares no json; here it compares as its text";
const AS_TEXT_THEN_CAST: &str = "a parameter without a type beside it is described as text, and cast";

const PARAMETERS: &str = "numeric parameters have at most 38 digits, and are finite";
const SHOWN: &str = "of equal numbers with several places a group shows that with the most";

const KNOWN: &[Known] = &[
    ("c_special", "groups", SHOWN),
    ("c_special", "distinct", SHOWN),
    ("c_special", "parameter", PARAMETERS),
    ("c_special", "parameter without a type", PARAMETERS),
    ("c_wide", "parameter", PARAMETERS),
    ("c_wide", "parameter without a type", PARAMETERS),
    ("c_truth", "least", ENDS),
    ("c_truth", "greatest", ENDS),
    ("c_raw", "least", ENDS),
    ("c_raw", "greatest", ENDS),
    ("c_id", "least", ENDS),
    ("c_id", "greatest", ENDS),
    ("c_flag", "least", ENDS),
    ("c_flag", "greatest", ENDS),
    ("c_flags", "least", ENDS),
    ("c_flags", "greatest", ENDS),
    ("c_more_flags", "least", ENDS),
    ("c_more_flags", "greatest", ENDS),
    ("c_station", "least", ENDS),
    ("c_station", "greatest", ENDS),
    ("c_station_8", "least", ENDS),
    ("c_station_8", "greatest", ENDS),
    ("c_tree", "parameter without a type", AS_TEXT_THEN_CAST),
    ("c_document", "literal", JSON),
    ("c_document", "parameter", JSON),
    ("c_document", "parameter without a type", JSON),
    ("c_document", "order", JSON),
    ("c_document", "order down", JSON),
    ("c_document", "groups", JSON),
    ("c_document", "distinct", JSON),
    ("c_document", "count distinct", JSON),
    ("c_document", "least", JSON),
    ("c_document", "greatest", JSON),
    ("c_document", "join", JSON),
    ("c_padded", "text", BLANKS),
    ("c_padded", "binary", BLANKS),
    ("c_padded", "flight", BLANKS),
    ("c_padded", "groups", BLANKS),
    ("c_padded", "distinct", BLANKS),
    ("c_padded", "least", BLANKS),
    ("c_padded", "greatest", BLANKS),
    ("c_padded", "parameter without a type", "blanks at the end of a parameter count"),
    ("c_mood", "parameter", "an enum's own number is not taken as a parameter's type"),
];

fn kinds() -> impl Iterator<Item = &'static Kind> {
    SCALARS.iter().chain(AS_TEXT).chain(LISTS)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The table, and its rows: each extreme once, then values of a small choice, so that they meet again; some are NULL.
fn tables(seed: u64) -> String {
    let mut sql = format!("{TYPES} CREATE TABLE kinds (nr int PRIMARY KEY");
    let mut columns: Vec<Vec<String>> = Vec::new();
    for (number, kind) in kinds().enumerate() {
        write!(sql, ", {} {}", kind.name, kind.declared).unwrap();
        let mut rng = Rng::part(seed, number as u64);
        let extremes = kind.extremes.iter().map(|text| (*text).to_owned());
        let choice: Vec<String> = extremes.chain((0..RANDOM).map(|_| (kind.random)(&mut rng))).collect();
        let cell = |row: usize| match choice.get(row) {
            Some(text) => quoted(text),
            None if rng.percent(15) => "NULL".to_owned(),
            None => quoted(rng.pick::<String>(&choice)),
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

/// The source's own reader, to whom the same statements mean the columns as the gate serves them.
fn reader() -> String {
    let columns = kinds().map(|kind| format!(", {} AS {}", kind.served.expression(kind.name), kind.name));
    format!(
        "CREATE ROLE ann LOGIN PASSWORD 'demo-ann'; CREATE SCHEMA own; CREATE VIEW own.kinds AS SELECT nr{} FROM public.kinds;
         GRANT USAGE ON SCHEMA own TO ann; GRANT SELECT ON own.kinds TO ann; ALTER ROLE ann SET search_path = own;
         ALTER ROLE ann SET TimeZone = 'UTC'",
        columns.collect::<String>()
    )
}

/// Both ends, and what was found.
struct Both {
    own: RawClient,
    gate: Doors,
    found: Differences,
}

/// Cells; a refusal by its code.
fn outcome(answer: &Answer) -> Result<&[Vec<Cell>], &str> {
    answer.as_ref().map(|rows| &rows.cells[..]).map_err(|refused| refused.code.as_str())
}

impl Both {
    fn same(&mut self, at: (&str, &str), sql: &str, own: &Answer, gate: &Answer) {
        if outcome(own) != outcome(gate) {
            let message = |answer: &Answer| answer.as_ref().err().map(|refused| refused.message.clone());
            let words = (message(own), message(gate));
            self.found.compare(at, &format!("{sql} {words:?}"), &texts(own), &texts(gate));
        } else {
            self.found.note(at.0, at.1, None);
        }
    }

    fn type_name(&mut self, column: &Column, gate: bool) -> String {
        let sql = format!("SELECT typname FROM pg_catalog.pg_type WHERE oid = {}", column.oid);
        let answer = if gate { self.gate.text(&sql) } else { simple(&mut self.own, &sql) };
        answer.unwrap().texts()[0][0].clone().unwrap()
    }

    /// Each value comes as it is.
    fn reads(&mut self, kind: &Kind) {
        let sql = format!("SELECT {} FROM kinds ORDER BY nr", kind.name);
        let (own, gate) = (simple(&mut self.own, &sql), self.gate.text(&sql));
        self.same((kind.name, "text"), &sql, &own, &gate);
        let flight = self.gate.flight(&sql);
        self.found.compare((kind.name, "flight"), &sql, &texts(&own), &flight);
        let (own, gate) = (wire::binary(&mut self.own, &sql, &[]), self.gate.binary(&sql, &[]));
        self.same((kind.name, "binary"), &sql, &own, &gate);
        if let (Ok(own), Ok(gate)) = (own, gate) {
            let types = [self.type_name(&own.columns[0], false), self.type_name(&gate.columns[0], true)];
            self.found.compare((kind.name, "type"), &sql, &types[0], &types[1]);
        }
    }

    /// Each value finds its rows, as a literal and as a parameter of its type.
    fn finds(&mut self, kind: &Kind) {
        let sql = format!("SELECT {} FROM kinds WHERE {0} IS NOT NULL ORDER BY nr", kind.name);
        let shown = simple(&mut self.own, &sql).unwrap().column(0);
        let own = wire::binary(&mut self.own, &sql, &[]).unwrap();
        let gate = self.gate.binary(&sql, &[]).map_or(0, |rows| rows.columns[0].oid);
        let values: BTreeMap<Cell, Cell> = shown.into_iter().zip(own.column(0)).collect();
        for (text, bytes) in values {
            let (text, bytes) = (wire::text(&text.unwrap()), bytes.unwrap());
            let sql = format!("SELECT nr FROM kinds WHERE {} = {} ORDER BY nr", kind.name, quoted(&text));
            let (found, here) = (simple(&mut self.own, &sql), self.gate.text(&sql));
            self.same((kind.name, "literal"), &sql, &found, &here);
            let sql = format!("SELECT nr FROM kinds WHERE {} = $1 ORDER BY nr", kind.name);
            for (check, own_type, gate_type) in
                [("parameter", own.columns[0].oid, gate), ("parameter without a type", 0, 0)]
            {
                let found = wire::binary(&mut self.own, &sql, &[(own_type, bytes.clone())]);
                let here = self.gate.binary(&sql, &[(gate_type, bytes.clone())]);
                self.same((kind.name, check), &format!("{sql} [{text}]"), &found, &here);
            }
        }
    }

    fn orders_and_groups(&mut self, kind: &Kind) {
        for (check, statement) in STATEMENTS {
            let sql = statement.replace('$', kind.name);
            let (own, gate) = (simple(&mut self.own, &sql), self.gate.text(&sql));
            // Which lists begin with NULL depends on the seed.
            let of_list = kind.declared.ends_with("[]") && *check == "order down";
            let name = if of_list { "every list" } else { kind.name };
            self.same((name, check), &sql, &own, &gate);
        }
    }
}

#[test]
fn a_column_of_every_type_is_as_in_the_source() {
    let seed = seed("PostgreSQL");
    let Some((source, admin)) = database("demo", &tables(seed)) else { return };
    let folder = TempDir::new().unwrap();
    let said = init(folder.path(), &source, "demo");
    runtime().block_on(admin.batch_execute(&reader())).unwrap();
    for kind in AS_TEXT.iter().filter(|kind| !matches!(kind.name, "c_named")) {
        assert!(said.contains(&format!("as text: kinds.{} ", kind.name)), "{}: {said}", kind.name);
    }
    let server = served(folder.path(), "demo");
    let own = RawClient::login(format!("127.0.0.1:{}", source.port).parse().unwrap(), "ann");
    own.tcp.set_nodelay(true).unwrap();
    let mut both = Both { own, gate: Doors::login(&server, "ann"), found: Differences::default() };
    for kind in kinds() {
        both.reads(kind);
        both.finds(kind);
        both.orders_and_groups(kind);
    }
    both.found.settle(KNOWN, 3_500);
}

/// Values that a type has in the source and not here: reading one is an error with this code. How the source prints it.
const BEYOND: &[(&str, &str, &str, &str)] = &[
    ("date", "infinity", "22008", "infinity"),
    ("date", "-infinity", "22008", "-infinity"),
    ("timestamp", "infinity", "22008", "infinity"),
    ("timestamp", "294276-12-31 23:59:59.999999", "22008", "294276-12-31 23:59:59.999999"),
    ("timestamptz", "-infinity", "22008", "-infinity"),
    ("time", "24:00:00", "22008", "24:00:00"),
    ("date[]", "{infinity}", "22008", "{infinity}"),
    ("int[]", "{{1,2},{3,4}}", "22000", "{{1,2},{3,4}}"),
    ("text[]", "[0:0]={x}", "22000", "[0:0]={x}"),
    ("numeric(12,2)", "NaN", "22003", "NaN"),
];

fn choose(folder: &Path, bad_values: &str) {
    let config = folder.join("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replacen("kind = \"postgres\"", &format!("kind = \"postgres\"\nbad_values = \"{bad_values}\""), 1);
    std::fs::write(&config, text).unwrap();
}

#[test]
fn values_that_the_gate_has_not_are_errors_and_take_no_others_along() {
    let columns = (0..BEYOND.len()).map(|place| format!(", c{place} {}", BEYOND[place].0)).collect::<String>();
    let values = BEYOND.iter().map(|(_, value, ..)| format!(", '{value}'")).collect::<String>();
    let sql = format!("CREATE TABLE beyond (nr int PRIMARY KEY{columns}); INSERT INTO beyond VALUES (1)");
    let Some((source, admin)) = database("demo", &sql) else { return };
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    folders.iter().for_each(|folder| drop(init(folder.path(), &source, "demo")));
    let [folder, nulls, printed] = folders;
    // A column that holds such a value becomes text, with the source's words; these come later.
    runtime().block_on(admin.batch_execute(&format!("INSERT INTO beyond VALUES (0{values})"))).unwrap();
    let again = TempDir::new().unwrap();
    let said = init(again.path(), &source, "demo");
    assert!((0..BEYOND.len()).all(|place| said.contains(&format!("as text: beyond.c{place} ("))), "{said}");
    assert!(!said.contains("left out:"), "{said}");
    choose(nulls.path(), "null");
    choose(printed.path(), "text");
    let servers = [&folder, &nulls, &printed, &again].map(|folder| served(folder.path(), "demo"));
    let [mut gate, mut nulls, mut printed, mut again] = servers.each_ref().map(|server| Doors::login(server, "ann"));
    for (place, (declared, value, code, text)) in BEYOND.iter().enumerate() {
        let what = format!("{declared} {value}");
        let column = format!("c{place}");
        let is = |gate: &mut Doors, sql: &str, expected: &[&[Option<&str>]]| {
            let expected: Vec<Vec<Option<String>>> =
                expected.iter().map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect()).collect();
            assert_eq!(texts(&gate.text(sql)), Ok(expected), "{what}: {sql}");
        };
        let row = format!("SELECT {column} FROM beyond WHERE nr = 0");
        assert_eq!(texts(&gate.text(&row)), Err((*code).to_owned()), "{what}");
        is(&mut gate, &format!("SELECT {column} FROM beyond WHERE nr = 1"), &[&[None]]);
        is(&mut nulls, &row, &[&[None]]);
        is(&mut nulls, &format!("SELECT nr FROM beyond WHERE {column} IS NOT NULL"), &[]);
        is(
            &mut nulls,
            &format!("SELECT nr FROM beyond WHERE {column} IS NULL ORDER BY nr"),
            &[&[Some("0")], &[Some("1")]],
        );
        is(&mut nulls, &format!("SELECT count({column}), max({column}) FROM beyond"), &[&[Some("0"), None]]);
        is(&mut again, &row, &[&[Some(text)]]);
        is(&mut again, &format!("SELECT nr FROM beyond WHERE {column} = '{text}'"), &[&[Some("0")]]);
        // Numbers stay numbers.
        if *declared != "numeric(12,2)" {
            is(&mut printed, &row, &[&[Some(text)]]);
            is(&mut printed, &format!("SELECT {column} FROM beyond WHERE {column} = '{text}'"), &[&[Some(text)]]);
        }
    }
}

#[test]
fn an_error_names_the_table_and_the_column_of_the_value() {
    let sql = "CREATE TABLE beyond (nr int PRIMARY KEY, until date); INSERT INTO beyond VALUES (1)";
    let Some((source, admin)) = database("demo", sql) else { return };
    let folder = TempDir::new().unwrap();
    init(folder.path(), &source, "demo");
    runtime().block_on(admin.batch_execute("INSERT INTO beyond VALUES (0, 'infinity')")).unwrap();
    let server = served(folder.path(), "demo");
    let client = runtime().block_on(server.client("ann"));
    let error = runtime().block_on(client.simple_query("SELECT until FROM beyond")).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.detail(), Some("It is in column \"until\" of table \"beyond\"."), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("`bad_values`")), "{error:?}");
    // And the row, where the statement reads its key.
    let error = runtime().block_on(client.simple_query("SELECT until, nr FROM beyond")).unwrap_err();
    let place = "It is in column \"until\" of table \"beyond\". Its row has the key (nr)=(0).";
    assert_eq!(error.as_db_error().unwrap().detail(), Some(place), "{error:?}");
}
