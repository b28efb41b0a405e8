//! What psql's `\\d` prints of introspected collections beside what was written to them, and their indexes as the server lists them.

use super::every_type::served;
use super::server::Server as MongoDb;
use crate::described::{Described, Different, IndexKind, compare};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, doc};
use querygate_tests::server::runtime;
use tempfile::TempDir;

const DIFFERENT: &[Different] = &[];

/// The type of a value's field, as the guide has it.
fn type_of(value: &Bson) -> &'static str {
    match value {
        Bson::Int32(_) | Bson::Int64(_) => "bigint",
        Bson::Double(_) => "double precision",
        Bson::Decimal128(_) => "numeric(20,2)",
        Bson::Boolean(_) => "boolean",
        Bson::String(_) | Bson::ObjectId(_) => "text",
        Bson::DateTime(_) => "timestamp with time zone",
        Bson::Array(items) if items.iter().all(|item| matches!(item, Bson::String(_))) => "text[]",
        Bson::Array(_) => "jsonb",
        other => panic!("{other}"),
    }
}

/// Fields in their order; those of nested documents under both names.
fn columns(document: &Document, before: &str, found: &mut Vec<(String, String, bool)>) {
    for (name, value) in document {
        let name = format!("{before}{}", name.trim_start_matches('_'));
        match value {
            Bson::Document(inner) => columns(inner, &format!("{name}_"), found),
            value => found.push((name.clone(), type_of(value).to_owned(), name == "id")),
        }
    }
}

/// A collection as it is: by a document of it, and the server's list of its indexes.
async fn catalog(database: &mongodb::Database, name: &str) -> Described {
    let document = database.collection::<Document>(name).find_one(doc! {}).await.unwrap().unwrap();
    let mut found = Vec::new();
    columns(&document, "", &mut found);
    let listed = database.run_command(doc! { "listIndexes": name }).await.unwrap();
    let listed = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    let mut indexes = Vec::new();
    for index in listed.iter().map(|index| index.as_document().unwrap()) {
        let key = index.get_document("key").unwrap();
        let some = index.contains_key("partialFilterExpression") || index.get_bool("sparse").unwrap_or(false);
        // Those of texts and over some documents are none here; that of the key is the key's.
        if some || key.contains_key("_id") || key.values().any(|direction| matches!(direction, Bson::String(_))) {
            continue;
        }
        let unique = index.get_bool("unique").unwrap_or(false);
        let kind = if unique { IndexKind::Unique } else { IndexKind::Plain };
        let columns = key.keys().map(|path| path.replace('.', "_")).collect();
        indexes.push((index.get_str("name").unwrap().to_owned(), columns, kind));
    }
    let primary_key = vec!["id".to_owned()];
    Described { name: name.to_owned(), columns: found, primary_key, indexes, ..Described::default() }
}

#[test]
fn collections_are_described_as_they_were_written() {
    let Some(database) = runtime().block_on(MongoDb::start()) else { return };
    let price: Decimal128 = "12.50".parse().unwrap();
    let film = doc! {
        "_id": ObjectId::new(), "title": "a", "year": 1999, "length": 1.5, "rate": price, "seen": DateTime::now(), "sold": true,
        "tags": ["x", "y"], "scores": [1, 2], "maker": { "name": "m", "place": { "city": "c", "zip": 7_i64 } },
    };
    let order = doc! { "_id": 7_i64, "film": film.get("_id").unwrap().clone(), "line": 1, "note": "n" };
    let tables = runtime().block_on(async {
        let admin = database.admin("trade");
        admin.collection::<Document>("film").insert_one(film).await.unwrap();
        admin.collection::<Document>("orders").insert_one(order).await.unwrap();
        let films = vec![
            doc! { "key": { "title": 1 }, "name": "by_title" },
            doc! { "key": { "year": -1, "title": 1 }, "name": "year_-1_title_1" },
            doc! { "key": { "maker.name": 1 }, "name": "maker.name_1" },
            doc! { "key": { "rate": 1 }, "name": "rates", "sparse": true },
            doc! { "key": { "title": "text" }, "name": "words" },
        ];
        admin.run_command(doc! { "createIndexes": "film", "indexes": films }).await.unwrap();
        let orders = vec![
            doc! { "key": { "film": 1, "line": 1 }, "name": "lines", "unique": true },
            doc! { "key": { "note": 1 }, "name": "notes", "partialFilterExpression": { "line": 1 } },
        ];
        admin.run_command(doc! { "createIndexes": "orders", "indexes": orders }).await.unwrap();
        vec![catalog(&admin, "film").await, catalog(&admin, "orders").await]
    });
    let folder = TempDir::new().unwrap();
    let (server, _) = served(folder.path(), &database, "trade");
    compare(&server, &tables, DIFFERENT);
}
