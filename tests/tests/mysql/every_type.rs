//! A column of every type of MariaDB, with extremes and values at random, behind the gate: each read beside what the server's own client
//! says, each comparison beside the server's own answer.

use super::querygate;
use super::server::{PASSWORD, Server as MariaDb, USER};
use crate::answers::Answers;
use crate::checked::{Check, Expected};
use crate::differences::Known;
use crate::doors::{Doors, texts};
use crate::mysql_types::{Compared, Form, KINDS, Kind};
use crate::printed::{print_double, print_single};
use crate::values::seed;
use querygate_tests::harness::Rng;
use querygate_tests::server::Server;
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;

/// Values of a column besides its extremes.
const RANDOM: usize = 6;
const ROWS: usize = 30;
const BEGIN: &str = "SET NAMES utf8mb4; SET time_zone = '+00:00'; USE demo;\n";

const KNOWN: &[Known] = &[
    ("c_mood", "parameter", "an enum's own number is not taken as a parameter's type"),
    ("c_wide", "parameter", "numeric parameters have at most 38 digits"),
];

/// The table, and its rows: each extreme once, then values of a small choice, so that they meet again; some are NULL. A type that the
/// gate does not read stands among the others.
fn tables(seed: u64) -> String {
    let mut sql = format!(
        "CREATE DATABASE demo CHARACTER SET utf8mb4; {BEGIN} CREATE TABLE kinds (nr int PRIMARY KEY, place point NULL"
    );
    let mut columns: Vec<Vec<String>> = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        write!(sql, ", {} {} NULL", kind.name, kind.declared).unwrap();
        let mut rng = Rng::part(seed, number as u64);
        let extremes = kind.extremes.iter().map(|text| (*text).to_owned());
        let choice: Vec<String> = extremes.chain((0..RANDOM).map(|_| (kind.random)(&mut rng))).collect();
        let cell = |row: usize| match choice.get(row) {
            Some(text) => text.clone(),
            None if rng.percent(15) => "NULL".to_owned(),
            None => rng.pick(&choice).clone(),
        };
        columns.push((0..ROWS).map(cell).collect());
    }
    sql.push_str(");\n");
    for row in 0..ROWS {
        let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        writeln!(sql, "INSERT INTO kinds VALUES ({row}, POINT(1, 2), {});", cells.join(", ")).unwrap();
    }
    sql + "ANALYZE TABLE kinds;"
}

/// The namespace is the database's name.
pub(super) fn served(folder: &Path, database: &MariaDb, name: &str) -> (Server, String) {
    let address = format!("mysql://{USER}@127.0.0.1:{}/{name}", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", "metadata"];
    let (success, said) = querygate(folder, &arguments, "");
    assert!(success, "{said}");
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ann");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"{name}\"\nkind = \"mysql\"\n\
         host = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\ndatabase = \"{name}\"\npassword = \"file:password\"\n\
         [[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\npermission_sets = [\"{name}_reader\"]\n",
        database.port
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    (Server::serve(&folder.join("querygate.toml")), said)
}

/// What the server's own client prints of a column, as PostgreSQL prints it. It comes in hexadecimal, so that no character of it is one
/// between cells.
fn cells(database: &MariaDb, kind: &Kind) -> Vec<Option<String>> {
    let shown = match kind.form {
        Form::Plain | Form::Wall | Form::Instant => format!("CONVERT({} USING utf8mb4)", kind.name),
        Form::Truth => format!("IF({} <> 0, 't', 'f')", kind.name),
        Form::Whole => format!("CONCAT({} + 0)", kind.name),
        // All digits, where the column itself would print six.
        Form::Single => format!("CONCAT(CAST({} AS DOUBLE))", kind.name),
        Form::Double => format!("CONCAT({})", kind.name),
        Form::Bytes => format!("CONCAT({}, '')", kind.name),
    };
    let printed =
        database.sql(&format!("{BEGIN}SELECT IF({0} IS NULL, 'NULL', HEX({shown})) FROM kinds ORDER BY nr", kind.name));
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2).map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap()).collect()
    };
    let cell = |hex: &str| {
        if hex == "NULL" {
            return None;
        }
        if kind.form == Form::Bytes {
            return Some(format!("\\x{}", hex.to_ascii_lowercase()));
        }
        let text = String::from_utf8(bytes(hex)).unwrap();
        // A fraction without the zeros at its end.
        let moment = || if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        Some(match kind.form {
            Form::Single => print_single(text.parse::<f64>().unwrap() as f32),
            Form::Double => print_double(text.parse().unwrap()),
            Form::Wall => moment().to_owned(),
            Form::Instant => format!("{}+00", moment()),
            Form::Plain | Form::Truth | Form::Whole | Form::Bytes => text,
        })
    };
    printed.split('\n').take(ROWS).map(cell).collect()
}

fn answers(database: &MariaDb, kind: &Kind) -> Answers {
    let key = match kind.compared {
        Compared::AsItIs => "$",
        Compared::AsText => "(CONVERT($ USING utf8mb4) COLLATE utf8mb4_nopad_bin)",
        Compared::ByNumber if kind.form == Form::Truth => "($ <> 0)",
        Compared::ByNumber => "($ + 0)",
    };
    Answers::asked(kind.name, key, |sql| {
        let row = |line: &str| line.split('\t').map(|cell| cell.parse().unwrap()).collect();
        database.sql(&format!("{BEGIN}{sql}")).lines().map(row).collect()
    })
}

#[test]
fn a_column_of_every_type_is_as_in_the_source() {
    let seed = seed("MariaDB");
    let Some(database) = MariaDb::start() else { return };
    database.sql(&tables(seed));
    let folder = TempDir::new().unwrap();
    let (server, said) = served(folder.path(), &database, "demo");
    assert!(said.contains("left out: kinds.place"), "{said}");
    for kind in ["clock (time)", "clock_6 (time(6))", "id (uuid)", "address_4 (inet4)", "address_6 (inet6)"] {
        assert!(said.contains(&format!("as text: kinds.c_{kind}")), "{kind}: {said}");
    }
    let mut check = Check::new(Doors::login(&server, "ann"));
    for kind in KINDS {
        let cells = cells(&database, kind);
        assert_eq!(cells.len(), ROWS, "{}", kind.name);
        let (name, type_name) = (kind.name.to_owned(), kind.type_name.to_owned());
        check.column(&Expected { name, type_name, cells, answers: answers(&database, kind) });
    }
    check.found.settle(KNOWN, 2_500);
}

/// Dates that are none, and times that no day has.
const BEYOND: &[(&str, &str, &str)] = &[
    ("date", "0000-00-00", "0000-00-00"),
    ("date", "2200-00-08", "2200-00-08"),
    ("date", "2023-02-31", "2023-02-31"),
    ("datetime(6)", "0000-00-00", "0000-00-00 00:00:00.000000"),
    ("timestamp NULL", "0000-00-00", "0000-00-00 00:00:00"),
];

#[test]
fn dates_that_are_none_are_errors_nulls_or_texts_as_is_chosen() {
    let Some(database) = MariaDb::start() else { return };
    let columns = (0..BEYOND.len()).map(|place| format!(", c{place} {}", BEYOND[place].0)).collect::<String>();
    let bare = ", NULL".repeat(BEYOND.len());
    let values = BEYOND.iter().map(|(_, value, _)| format!(", '{value}'")).collect::<String>();
    database.sql(&format!(
        "CREATE DATABASE demo; USE demo; CREATE TABLE beyond (nr int PRIMARY KEY{columns}); INSERT INTO beyond VALUES (1{bare});
         CREATE TABLE truths (nr int PRIMARY KEY, sure tinyint(1), loose tinyint(1), name varchar(9)) WITH SYSTEM VERSIONING;
         INSERT INTO truths VALUES (1, 1, 5, 'A');"
    ));
    let folder = TempDir::new().unwrap();
    let (server, said) = served(folder.path(), &database, "demo");
    let folded = said.lines().find(|line| line.contains("compared letter by letter here"));
    assert!(folded.is_some_and(|line| line.ends_with("truths (name)")), "{said}");
    database.sql(&format!("USE demo; SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO beyond VALUES (0{values});"));
    let config = folder.path().join("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut gates = vec![Doors::login(&server, "ann")];
    let mut servers = vec![server];
    for bad_values in ["null", "text"] {
        let chosen = text.replace("kind = \"mysql\"", &format!("kind = \"mysql\"\nbad_values = \"{bad_values}\""));
        let other = folder.path().join(format!("{bad_values}.toml"));
        std::fs::write(&other, chosen).unwrap();
        servers.push(Server::serve(&other));
        gates.push(Doors::login(&servers[servers.len() - 1], "ann"));
    }
    let [errors, nulls, printed] = gates.as_mut_slice() else { panic!("three gates") };
    let row = texts(&errors.text("SELECT sure, loose FROM truths"));
    assert_eq!(row, Ok(vec![vec![Some("t".to_owned()), Some("5".to_owned())]]));
    for (place, (declared, value, shown)) in BEYOND.iter().enumerate() {
        let row = format!("SELECT c{place} FROM beyond WHERE nr = 0");
        let found = texts(&errors.text(&row));
        assert_eq!(found, Err("22000".to_owned()), "{declared} {value}");
        let one = |text: Option<&str>| Ok(vec![vec![text.map(str::to_owned)]]);
        assert_eq!(texts(&nulls.text(&row)), one(None), "{declared} {value}");
        let sql = format!("SELECT count(c{place}), min(c{place}) FROM beyond");
        let none = Ok(vec![vec![Some("0".to_owned()), None]]);
        assert_eq!(texts(&nulls.text(&sql)), none, "{declared} {value}");
        let sql = format!("SELECT nr FROM beyond WHERE c{place} IS NULL AND nr < 1");
        assert_eq!(texts(&nulls.text(&sql)), one(Some("0")), "{declared} {value}");
        assert_eq!(texts(&printed.text(&row)), one(Some(shown)), "{declared} {value}");
        let sql = format!("SELECT c{place} FROM beyond WHERE c{place} = '{shown}'");
        assert_eq!(texts(&printed.text(&sql)), one(Some(shown)), "{declared} {value}");
    }
}
