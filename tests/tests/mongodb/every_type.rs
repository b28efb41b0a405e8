//! A field of every kind of value that MongoDB has, with extremes and values at random, behind the gate: what is written is what is read,
//! and what is computed of it here is what the gate says.

use super::querygate;
use super::server::{PASSWORD, Server as MongoDb, USER};
use crate::answers::Answers;
use crate::checked::{Check, Expected};
use crate::differences::Known;
use crate::doors::{Doors, texts};
use crate::printed::{print_bytes, print_double, print_list, print_timestamp};
use crate::values::{self, seed};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc};
use querygate_tests::harness::Rng;
use querygate_tests::server::{Server, runtime};
use std::path::Path;
use tempfile::TempDir;

const RANDOM: usize = 6;
const ROWS: usize = 30;

const ORDERED: &str =
    "jsonb is ordered as PostgreSQL does, which has no least and greatest of it; here the texts are compared";

const KNOWN: &[Known] = &[
    ("c_numbers", "order", ORDERED),
    ("c_numbers", "order down", ORDERED),
    ("c_numbers", "distinct", ORDERED),
    ("c_numbers", "least", ORDERED),
    ("c_numbers", "greatest", ORDERED),
];

/// What values are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    /// Bits that are ordered as doubles are in PostgreSQL: zeros are equal, NaN is the greatest.
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
}

fn key_of(value: f64) -> Key {
    let bits = if value == 0.0 { 0.0_f64 } else { value }.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    Key::Double(if value.is_nan() { u64::MAX } else { ordered })
}

/// A field of the documents, and the column that it must be.
struct Written {
    values: Vec<Option<Bson>>,
    expected: Expected,
}

/// Rows: each extreme once, then values of a small choice, so that they meet again; some are NULL or missing.
fn written<T: Clone>(
    rng: &mut Rng,
    (name, type_name): (&str, &str),
    (extremes, random): (&[T], impl Fn(&mut Rng) -> T),
    form: impl Fn(&T) -> (Bson, String, Key),
) -> Written {
    let choice: Vec<T> = extremes.iter().cloned().chain((0..RANDOM).map(|_| random(rng))).collect();
    let row = |row: usize| match choice.get(row) {
        Some(value) => Some(form(value)),
        None if rng.percent(15) => None,
        None => Some(form(rng.pick(&choice))),
    };
    let rows: Vec<Option<(Bson, String, Key)>> = (0..ROWS).map(row).collect();
    let cells = rows.iter().map(|row| row.as_ref().map(|(_, text, _)| text.clone())).collect();
    let keys: Vec<Option<Key>> = rows.iter().map(|row| row.as_ref().map(|(_, _, key)| key.clone())).collect();
    let (name, type_name) = (format!("c_{name}"), type_name.to_owned());
    let values = rows.into_iter().map(|row| row.map(|(value, ..)| value)).collect();
    Written { values, expected: Expected { name, type_name, cells, answers: Answers::of(&keys) } }
}

fn numbers(rng: &mut Rng) -> Vec<Written> {
    let int =
        |value: &i64| (Bson::Int32(i32::try_from(*value).unwrap()), value.to_string(), Key::Number((*value).into()));
    let long = |value: &i64| (Bson::Int64(*value), value.to_string(), Key::Number((*value).into()));
    let either = |value: &i64| match i32::try_from(*value) {
        Ok(small) if value % 2 == 0 => (Bson::Int32(small), value.to_string(), Key::Number((*value).into())),
        _ => long(value),
    };
    let double = |value: &f64| (Bson::Double(*value), print_double(*value), key_of(*value));
    let money = |cents: &i64| {
        let text = format!("{}{}.{:02}", if *cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
        (Bson::Decimal128(text.parse::<Decimal128>().unwrap()), text, Key::Number((*cents).into()))
    };
    let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 1e15, 0.0, 0.1];
    let small = [i32::MIN.into(), i32::MAX.into(), 0];
    let large = [i64::MIN, i64::MAX, 0];
    let random = |bits: u32| move |rng: &mut Rng| i64::try_from(values::whole(rng, bits)).unwrap();
    vec![
        written(rng, ("int", "int8"), (&small, random(32)), int),
        written(rng, ("long", "int8"), (&large, random(64)), long),
        written(rng, ("int_long", "int8"), (&large, random(40)), either),
        written(rng, ("double", "float8"), (&doubles, values::double), double),
        written(
            rng,
            ("int_double", "float8"),
            (&[0.5, -3.0, 2_147_483_647.0], |rng: &mut Rng| values::whole(rng, 20) as f64),
            |value| {
                let stored = if *value == 0.5 { Bson::Double(0.5) } else { Bson::Int32(*value as i32) };
                (stored, print_double(*value), key_of(*value))
            },
        ),
        written(rng, ("decimal", "numeric"), (&[1, -1, 0, 99_999_999_999, -99_999_999_999], random(36)), money),
        written(rng, ("truth", "bool"), (&[true, false], |rng: &mut Rng| rng.percent(50)), |value| {
            (Bson::Boolean(*value), if *value { "t" } else { "f" }.to_owned(), Key::Number((*value).into()))
        }),
    ]
}

/// 9999-12-31 23:59:59.999, and the first moment of year 1.
const LAST: i64 = 253_402_300_799_999;
const FIRST: i64 = -62_135_596_800_000;

fn others(rng: &mut Rng) -> Vec<Written> {
    let texts =
        ["", " ", "a", "A", "é", "e\u{301}", "1", "1.5", "$a", "a.b", "\u{10ffff}", "\u{ffff}"].map(str::to_owned);
    let text = |value: &String| (Bson::from(value.as_str()), value.clone(), Key::Text(value.clone()));
    let id = |value: &[u8; 12]| {
        let id = ObjectId::from_bytes(*value);
        (Bson::ObjectId(id), print_bytes(value)[2..].to_owned(), Key::Bytes(value.to_vec()))
    };
    let date = |value: &i64| {
        let printed = print_timestamp(value * 1_000, true);
        (Bson::DateTime(DateTime::from_millis(*value)), printed, Key::Number((*value).into()))
    };
    let binary = |value: &Vec<u8>| {
        let stored = Binary { subtype: BinarySubtype::Generic, bytes: value.clone() };
        (Bson::Binary(stored), print_bytes(value), Key::Bytes(value.clone()))
    };
    let list = |value: &Vec<Option<String>>| {
        let items = value.iter().map(|item| item.as_deref().map_or(Bson::Null, Bson::from)).collect();
        // An item that is NULL is greater than any other.
        let key = |item: &Option<String>| {
            item.as_ref().map_or("\u{10ffff}\u{10ffff}".to_owned(), |text| format!("\u{1}{text}\u{0}"))
        };
        (Bson::Array(items), print_list(value), Key::Text(value.iter().map(key).collect()))
    };
    let random_id = |rng: &mut Rng| {
        let mut bytes = [0; 12];
        bytes.iter_mut().for_each(|byte| *byte = (rng.next() & 0xff) as u8);
        bytes
    };
    let moment = |rng: &mut Rng| FIRST + i64::try_from(rng.next() % u64::try_from(LAST - FIRST).unwrap()).unwrap();
    let item = |rng: &mut Rng| (!rng.percent(20)).then(|| values::text(rng, 5));
    let items = |rng: &mut Rng| (0..rng.below(4)).map(|_| item(rng)).collect::<Vec<_>>();
    vec![
        written(rng, ("text", "text"), (&texts, |rng: &mut Rng| values::text(rng, 15)), text),
        written(rng, ("id", "text"), (&[[0; 12], [255; 12]], random_id), id),
        written(rng, ("date", "timestamptz"), (&[FIRST, LAST, 0, -1], moment), date),
        written(
            rng,
            ("binary", "bytea"),
            (&[vec![], vec![0], vec![255], vec![b'a']], |rng: &mut Rng| values::bytes(rng, 15)),
            binary,
        ),
        written(rng, ("texts", "_text"), (&[vec![], vec![None], vec![Some("a".to_owned())]], items), list),
    ]
}

/// Kinds that are their JSON here, and mixtures that are texts. No two values of them are equal, and none is asked for its order.
fn as_json(rng: &mut Rng) -> Vec<Written> {
    let json = |value: &(Bson, &'static str)| (value.0.clone(), value.1.to_owned(), Key::Text(value.1.to_owned()));
    let numbers =
        [(Bson::Array(vec![Bson::Int32(1), Bson::Int32(2)]), "[1, 2]"), (Bson::Array(vec![Bson::Int32(7)]), "[7]")];
    let first = |of: &[(Bson, &'static str)]| of[0].clone();
    vec![written(rng, ("numbers", "jsonb"), (&numbers, |_: &mut Rng| first(&numbers)), json)]
}

/// One document for each row. Where there is no value, every other document has a null.
fn documents(columns: &[Written]) -> Vec<Document> {
    let document = |row: usize| {
        let mut document = doc! { "_id": i64::try_from(row).unwrap(), "nr": i32::try_from(row).unwrap() };
        for column in columns {
            match &column.values[row] {
                Some(value) => drop(document.insert(&column.expected.name, value.clone())),
                None if row.is_multiple_of(2) => drop(document.insert(&column.expected.name, Bson::Null)),
                None => {}
            }
        }
        document.insert("nested", doc! { "deep": { "word": format!("w{row}") } });
        document.insert(
            "pattern",
            Bson::RegularExpression(Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() }),
        );
        document.insert("stamp", Bson::Timestamp(Timestamp { time: 1, increment: 2 }));
        document.insert("mixed", if row.is_multiple_of(2) { Bson::from("x") } else { Bson::Int32(1) });
        document
    };
    (0..ROWS).map(document).collect()
}

/// The namespace is the database's name.
pub(super) fn served(folder: &Path, database: &MongoDb, name: &str) -> (Server, String) {
    let address = format!("mongodb://{USER}@127.0.0.1:{}/{name}?authSource=admin&directConnection=true", database.port);
    let arguments = ["introspect", &address, "--password", "env:SHOP_PASSWORD", "-o", "metadata"];
    let (success, said) = querygate(folder, &arguments, "");
    assert!(success, "{said}");
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ann");
    let config = format!(
        "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"{name}\"\nkind = \"mongodb\"\n\
         url = \"{address}\"\ndatabase = \"{name}\"\npassword = \"file:password\"\n\
         [[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\npermission_sets = [\"{name}_reader\"]\n"
    );
    std::fs::write(folder.join("querygate.toml"), config).unwrap();
    (Server::serve(&folder.join("querygate.toml")), said)
}

#[test]
fn a_field_of_every_kind_is_as_in_the_source() {
    let seed = seed("MongoDB");
    let Some(database) = runtime().block_on(MongoDb::start()) else { return };
    let mut columns = numbers(&mut Rng::part(seed, 0));
    columns.extend(others(&mut Rng::part(seed, 1)));
    columns.extend(as_json(&mut Rng::part(seed, 2)));
    runtime().block_on(async {
        database.admin("demo").collection::<Document>("kinds").insert_many(documents(&columns)).await.unwrap();
    });
    let folder = TempDir::new().unwrap();
    let (server, said) = served(folder.path(), &database, "demo");
    for field in ["pattern", "stamp"] {
        assert!(said.contains(&format!("as extended JSON: kinds.{field} (extended json)")), "{field}: {said}");
    }
    let mut check = Check::new(Doors::login(&server, "ann"));
    columns.iter().for_each(|column| check.column(&column.expected));
    let others = check
        .ask("SELECT nested_deep_word, pattern, stamp, mixed FROM kinds WHERE nr < 2 ORDER BY nr")
        .unwrap()
        .texts();
    // A regular expression and a time stamp of the server's own are their extended JSON, and what is mixed is text.
    let (pattern, stamp) =
        (r#"{"$regularExpression": {"options": "i", "pattern": "^a"}}"#, r#"{"$timestamp": {"i": 2, "t": 1}}"#);
    let own = |row: [&str; 4]| row.map(|text| Some(text.to_owned())).to_vec();
    assert_eq!(others, [own(["w0", pattern, stamp, "x"]), own(["w1", pattern, stamp, "1"])]);
    check.found.settle(KNOWN, 600);
}

#[test]
fn values_of_another_kind_are_errors_or_nulls_as_is_chosen() {
    let Some(database) = runtime().block_on(MongoDb::start()) else { return };
    let insert = |documents: Vec<Document>| {
        runtime().block_on(async {
            database.admin("demo").collection::<Document>("notes").insert_many(documents).await.unwrap();
        });
    };
    insert(vec![doc! { "_id": 1, "n": 5, "at": DateTime::from_millis(0), "tags": ["a"] }]);
    let folder = TempDir::new().unwrap();
    let (server, _) = served(folder.path(), &database, "demo");
    insert(vec![doc! { "_id": 2, "n": "many", "at": "soon", "tags": [{ "x": 1 }] }]);
    let mut errors = Doors::login(&server, "ann");
    for column in ["n", "at", "tags"] {
        let found = texts(&errors.text(&format!("SELECT {column} FROM notes")));
        assert!(found.as_ref().is_err_and(|code| code.starts_with("22")), "{column}: {found:?}");
    }
    let config = folder.path().join("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let chosen = text.replace("kind = \"mongodb\"", "kind = \"mongodb\"\nbad_values = \"null\"");
    let other = folder.path().join("null.toml");
    std::fs::write(&other, chosen).unwrap();
    let server = Server::serve(&other);
    let mut nulls = Doors::login(&server, "ann");
    for column in ["n", "at", "tags"] {
        let sql = format!("SELECT count({column}) FROM notes WHERE {column} IS NOT NULL");
        assert_eq!(texts(&nulls.text(&sql)), Ok(vec![vec![Some("1".to_owned())]]), "{column}");
        let sql = format!("SELECT {column} FROM notes WHERE {column} IS NULL");
        assert_eq!(texts(&nulls.text(&sql)), Ok(vec![vec![None]]), "{column}");
    }
}
