//! Rows in a real MongoDB server: a database for each gate, in one server for each test binary.

#[path = "../../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod server;

use super::layout::{Layout, forgotten, is_indexed, open_table, rows, value_type};
use super::table::Table;
use mongodb::bson::{Bson, DateTime, Document, doc};
use querygate_catalog::deployment::SourceTable;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::testkit::watch::Watch;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::{MongoDriver, MongoOptions};
use server::{PASSWORD, Server, USER};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::OnceCell;

/// The key of a document that has every field, while the collection is described.
const WHOLE: &str = "a document with every field";
const DAY_MILLIS: i64 = 86_400_000;

/// Whether MongoDB is installed.
pub(super) fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| super::runtime().block_on(server()).is_some())
}

async fn server() -> Option<&'static Server> {
    static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
    SERVER.get_or_init(Server::start).await.as_ref()
}

/// Loads the tables into a database of their own and opens them.
pub(super) async fn place(tables: &[&Table], watch: &Watch, placed: &mut HashMap<String, SourceTable>) {
    static DATABASES: AtomicU64 = AtomicU64::new(0);
    let server = server().await.expect("MongoDB is installed");
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("gate_{number}");
    let admin = server.admin(&name);
    if let Some(old) = forgotten(number) {
        admin.client().database(&format!("gate_{old}")).drop().await.unwrap();
    }
    for table in tables {
        // Another order of texts than ours, so that a forgotten collation shows.
        let collation = doc! { "locale": "en", "strength": 1 };
        admin.run_command(doc! { "create": &table.object, "collation": collation }).await.unwrap();
        let fields = table.schema.fields().iter().enumerate();
        let indexed = fields.filter(|(at, field)| is_indexed(*at, field.name())).map(|(_, field)| {
            let key = doc! { Layout::MongoDb.stored(field.name()): 1 };
            doc! { "key": key, "name": field.name(), "collation": { "locale": "simple" } }
        });
        let indexed: Vec<Document> = indexed.collect();
        if !indexed.is_empty() {
            admin.run_command(doc! { "createIndexes": &table.object, "indexes": indexed }).await.unwrap();
        }
        let documents = documents(table).into_iter().chain([whole(table)]);
        admin.collection::<Document>(&table.object).insert_many(documents).await.unwrap();
    }
    let url = format!("mongodb://127.0.0.1:{}/?directConnection=true&authSource=admin", server.port);
    let mut options = MongoOptions::new(url, &name);
    (options.user, options.password) = (Some(USER.to_owned()), Some(PASSWORD.to_owned()));
    options.connections = 3;
    let driver = watch.over(Arc::new(MongoDriver::new(&options)));
    for table in tables {
        let reference = TableRef::new([name.clone(), table.object.clone()]).unwrap();
        let provider = Arc::new(open_table(&driver, table, Layout::MongoDb, reference).await);
        placed.insert(table.object.clone(), SourceTable::new(Layout::MongoDb.name(), provider));
        let removed = admin.collection::<Document>(&table.object).delete_one(doc! { "_id": WHOLE }).await.unwrap();
        assert_eq!(removed.deleted_count, 1);
    }
}

/// The rows, NULL as null in some documents and missing in others.
fn documents(table: &Table) -> Vec<Document> {
    let fields = table.schema.fields();
    let document = |(number, row): (usize, Vec<Value>)| {
        let cells = fields.iter().zip(row).filter(|(_, value)| !value.is_null() || number % 2 == 0);
        cells.map(|(field, value)| (Layout::MongoDb.stored(field.name()).to_owned(), stored(&value))).collect()
    };
    rows(table).into_iter().enumerate().map(document).collect()
}

/// A document with every field, by which a collection without rows is described as well.
fn whole(table: &Table) -> Document {
    let sample = |of: ValueType| match of {
        ValueType::Boolean => Bson::Boolean(true),
        ValueType::Int16 | ValueType::Int32 => Bson::Int32(0),
        ValueType::Int64 => Bson::Int64(0),
        ValueType::Float32 | ValueType::Float64 => Bson::Double(0.5),
        ValueType::Decimal128 { .. } => Bson::Decimal128("0.5".parse().unwrap()),
        ValueType::Text | ValueType::Time => Bson::from(WHOLE),
        ValueType::Binary => panic!("no test has bytes"),
        ValueType::Date | ValueType::Timestamp { .. } => Bson::DateTime(DateTime::from_millis(0)),
        ValueType::TextList | ValueType::List(_) => Bson::Array(vec![Bson::from("a")]),
    };
    let fields = table.schema.fields().iter();
    let cells = fields.map(|f| (Layout::MongoDb.stored(f.name()).to_owned(), sample(value_type(f.data_type()))));
    let mut document: Document = cells.collect();
    document.insert("_id", WHOLE);
    document
}

fn stored(value: &Value) -> Bson {
    match value {
        Value::Null(_) => Bson::Null,
        Value::Boolean(value) => Bson::Boolean(*value),
        Value::Int16(value) => Bson::Int32(i32::from(*value)),
        Value::Int32(value) => Bson::Int32(*value),
        Value::Int64(value) => Bson::Int64(*value),
        Value::Float32(value) => Bson::Double(f64::from(*value)),
        Value::Float64(value) => Bson::Double(*value),
        Value::Decimal128 { .. } => Bson::Decimal128(shown(value).parse().unwrap()),
        Value::Text(value) => Bson::String(value.to_string()),
        Value::Binary(_) => panic!("no test has bytes"),
        Value::Date(days) => Bson::DateTime(DateTime::from_millis(i64::from(*days) * DAY_MILLIS)),
        Value::Timestamp { micros, .. } => Bson::DateTime(DateTime::from_millis(micros / 1_000)),
        Value::Time(_) => Bson::String(shown(value)),
        Value::TextList(items) => {
            let item = |item: &Option<Arc<str>>| item.as_deref().map_or(Bson::Null, Bson::from);
            Bson::Array(items.iter().map(item).collect())
        }
    }
}

/// As Arrow writes it: digits by another hand than the driver's.
fn shown(value: &Value) -> String {
    arrow::util::display::array_value_to_string(&value.to_array().unwrap(), 0).unwrap()
}
