//! MongoDB databases: documents of mixed kinds, nested, with fields that come and go.

use super::cell::Cell;
use super::names;
use super::world::{Column, Fate, Made, World};
use crate::mongodb_server::{PASSWORD, Server, USER};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc};
use querygate_tests::harness::Rng;

type Values = fn(&mut Rng) -> Bson;

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

const KINDS: [Values; 17] = [
    |rng| Bson::Int32(i32::try_from(rng.below(2000)).unwrap() - 1000),
    |rng| Bson::Int64(names::whole(rng)),
    |rng| Bson::Double(*rng.pick(&[0.5, -1.25, f64::NAN, f64::INFINITY, 0.1, 1e300, 3.0])),
    |rng| rng.pick(&[Bson::Int32(1), Bson::Int64(9_007_199_254_740_993), Bson::Double(0.5)]).clone(),
    |rng| decimal(names::one(rng, &["1.50", "-0.01", "12345678901234567890.5", "0"])),
    |rng| decimal(names::one(rng, &["1.50", "NaN", "1E+400", "Infinity", "1E-300"])),
    |rng| Bson::Boolean(rng.percent(50)),
    |rng| Bson::String(names::text(rng)),
    |rng| Bson::ObjectId(ObjectId::from_bytes([(rng.next() & 0xff) as u8; 12])),
    |rng| {
        Bson::DateTime(DateTime::from_millis(*rng.pick(&[
            0,
            -1,
            1_704_067_200_123,
            253_402_300_800_000,
            -62_135_596_800_001,
        ])))
    },
    |rng| {
        Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: rng.next().to_le_bytes()[..rng.below(8)].to_vec(),
        })
    },
    |rng| Bson::Array(rng.pick(&[vec![], vec![Bson::from("a"), Bson::Null], vec![Bson::from("x,y")]]).clone()),
    |rng| Bson::Array(rng.pick(&[vec![Bson::Int32(1)], vec![Bson::from("a"), Bson::Double(1.5)], vec![]]).clone()),
    |rng| rng.pick(&[Bson::Int32(1), Bson::from("a"), Bson::Boolean(true)]).clone(),
    |rng| {
        rng.pick(&[Bson::Int32(1), Bson::from("a"), Bson::Document(doc! { "x": 1 }), Bson::Array(vec![Bson::Int32(2)])])
            .clone()
    },
    |rng| {
        rng.pick(&[
            Bson::Document(doc! { "x": 1, "y": { "z": "w" } }),
            Bson::Document(doc! { "x": 2, "q": [1] }),
            Bson::Document(doc! {}),
        ])
        .clone()
    },
    |rng| {
        rng.pick(&[
            Bson::RegularExpression(Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() }),
            Bson::Timestamp(Timestamp { time: 1, increment: 2 }),
            Bson::MinKey,
            Bson::Undefined,
            Bson::Symbol("s".to_owned()),
        ])
        .clone()
    },
];

struct Field {
    name: String,
    values: Values,
    /// Of a hundred documents, how many have it.
    percent: usize,
}

/// A database of collections.
pub(crate) async fn world(server: &Server, rng: &mut Rng, number: u64) -> World {
    let database = format!("world_{number}");
    let address =
        format!("mongodb://{USER}@127.0.0.1:{}/{database}?authSource=admin&directConnection=true", server.port);
    let mut world = World::new(&[&address, "--password", "file:password"]);
    std::fs::write(world.folder.path().join("password"), PASSWORD).unwrap();
    let admin = server.admin(&database);
    admin.collection::<Document>("sound").insert_one(doc! { "_id": 1, "v": "a" }).await.unwrap();
    world.made.push(made("sound".to_owned(), &[doc! { "_id": 1, "v": "a" }], &mut Vec::new()));
    let mut taken = vec!["sound".to_owned()];
    for number in 0..rng.between(4, 8) {
        let name = names::name(rng, &format!("t{number}"), &mut taken, &['\u{0}', '$']);
        if rng.percent(10) {
            admin.create_collection(&name).await.unwrap();
            // Its columns are those that its documents show.
            let fate = Fate::MayBeLeftOut("an empty collection");
            world.made.push(Made { remote: name, columns: Vec::new(), rows: Vec::new(), fate });
            continue;
        }
        if rng.percent(10) {
            let pipeline = vec![doc! { "$project": { "v": 1, "w": { "$literal": 5 } } }];
            admin.run_command(doc! { "create": &name, "viewOn": "sound", "pipeline": pipeline }).await.unwrap();
            world.made.push(made(name, &[doc! { "_id": 1, "v": "a", "w": 5 }], &mut Vec::new()));
            continue;
        }
        if rng.percent(2) {
            let documents = [doc! { "_id": 1, "": 5, "v": "a" }];
            admin.collection::<Document>(&name).insert_many(&documents).await.unwrap();
            let mut without_name = made(name, &documents, &mut Vec::new());
            without_name.columns[1].may_go = true;
            world.made.push(without_name);
            continue;
        }
        if rng.percent(2) {
            let pipeline = vec![doc! { "$project": { "v": { "$divide": [1, 0] } } }];
            admin.run_command(doc! { "create": &name, "viewOn": "sound", "pipeline": pipeline }).await.unwrap();
            world.made.push(Made::none(name, "a broken view"));
            continue;
        }
        let fields = fields(rng);
        let documents: Vec<Document> = (0..rng.between(1, 12)).map(|key| document(rng, &fields, key)).collect();
        admin.collection::<Document>(&name).insert_many(&documents).await.unwrap();
        world.made.push(made(name, &documents, &mut Vec::new()));
    }
    world
}

fn fields(rng: &mut Rng) -> Vec<Field> {
    let mut taken = vec!["_id".to_owned()];
    let count = rng.between(1, 7);
    let mut field = |_| {
        // Of a name with a point, another field of its path may be meant.
        let name = names::name(rng, "f", &mut taken, &['\u{0}', '$', '.']);
        Field { name, values: *rng.pick(&KINDS), percent: *rng.pick(&[100, 70, 20]) }
    };
    (0..count).map(&mut field).collect()
}

fn document(rng: &mut Rng, fields: &[Field], key: usize) -> Document {
    let id = match fields.len() % 4 {
        0 => Bson::Int64(i64::try_from(key).unwrap()),
        1 => Bson::String(format!("k{key}")),
        2 => Bson::ObjectId(ObjectId::from_bytes([u8::try_from(key).unwrap(); 12])),
        _ if key.is_multiple_of(2) => Bson::Int32(i32::try_from(key).unwrap()),
        _ => Bson::String(key.to_string() + "k"),
    };
    let mut document = doc! { "_id": id };
    for field in fields {
        if rng.percent(10) {
            document.insert(&field.name, Bson::Null);
        } else if rng.percent(field.percent) {
            document.insert(&field.name, (field.values)(rng));
        }
    }
    if rng.percent(30) {
        let inner = doc! { "deep": { "word": names::word(rng), "n": Bson::Int64(names::whole(rng)) } };
        document.insert("nested", inner);
    }
    document
}

/// Paths of fields. One that is a document here and something else there is a column, and so are the fields in it.
fn paths(documents: &[&Document], before: &str, found: &mut Vec<String>) {
    let mut names: Vec<&str> = Vec::new();
    for name in documents.iter().flat_map(|document| document.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for name in names {
        let values = documents.iter().filter_map(|document| document.get(name));
        let values: Vec<&Bson> = values.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)).collect();
        let inner: Vec<&Document> = values.iter().filter_map(|value| value.as_document()).collect();
        let inner: Vec<&Document> = inner.into_iter().filter(|inner| !inner.is_empty()).collect();
        let path = format!("{before}{name}");
        paths(&inner, &format!("{path}."), found);
        if inner.is_empty() || inner.len() < values.len() {
            found.push(path);
        }
    }
}

fn made(name: String, documents: &[Document], found: &mut Vec<String>) -> Made {
    paths(&documents.iter().collect::<Vec<_>>(), "", found);
    let row = |document: &Document| found.iter().map(|path| cell(at(document, path))).collect();
    let rows = documents.iter().map(row).collect();
    Made { remote: name, columns: found.iter().map(Column::of).collect(), rows, fate: Fate::Served }
}

fn at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        Some((first, rest)) => at(document.get(first)?.as_document()?, rest),
        None => document.get(path),
    }
}

fn cell(value: Option<&Bson>) -> Cell {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Cell::Null,
        Some(Bson::Int32(value)) => Cell::Number(value.to_string()),
        Some(Bson::Int64(value)) => Cell::Number(value.to_string()),
        Some(Bson::Double(value)) => Cell::Double(*value),
        Some(Bson::Decimal128(value)) => Cell::Number(value.to_string()),
        Some(Bson::Boolean(value)) => Cell::Truth(*value),
        Some(Bson::String(value) | Bson::Symbol(value)) => Cell::Text(value.clone()),
        Some(Bson::ObjectId(value)) => Cell::Text(value.to_hex()),
        Some(Bson::DateTime(value)) => Cell::Moment(far(*value)),
        Some(Bson::Binary(value)) => Cell::Bytes(value.bytes.clone()),
        Some(other) => Cell::Json(serde_json::to_string(other).unwrap()),
    }
}

/// A moment of the choice; some have no year of four digits.
fn far(value: DateTime) -> String {
    match value.timestamp_millis() {
        253_402_300_800_000 => "10000-01-01 00:00:00+00".to_owned(),
        -62_135_596_800_001 => "0001-12-31 23:59:59.999+00 BC".to_owned(),
        _ => value.try_to_rfc3339_string().unwrap(),
    }
}
