//! What the driver's tests share: a server, drivers for it, the suite's tables in it, and fragments.

pub(crate) mod changing;
pub(crate) mod server;
pub(crate) mod suited;

use futures::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Encoding, Relation, ScanColumn};
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_driver_api::testkit::suite::values_of;
use querygate_driver_api::value::{Value, ValueType};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_types::Error;
use server::{PASSWORD, Server, USER};

pub(crate) const LIMITS: Limits = Limits { timestamp_step: 1_000, nan: true, infinite: true };

pub(crate) fn options(server: &Server, database: &str) -> MongoOptions {
    let url = format!("mongodb://127.0.0.1:{}/?directConnection=true&authSource=admin", server.port);
    let mut options = MongoOptions::new(url, database);
    options.user = Some(USER.to_owned());
    options.password = Some(PASSWORD.to_owned());
    options.connections = 2;
    options
}

pub(crate) fn driver(server: &Server, database: &str) -> MongoDriver {
    MongoDriver::new(&options(server, database))
}

/// The suite's tables in a database of their own, with an index on every field if asked for.
pub(crate) async fn load(server: &Server, database: &str, indexed: bool) {
    let admin = server.admin(database);
    for table in tables(LIMITS) {
        // Another order of texts than ours, so that a forgotten collation shows.
        let collation = mongodb::bson::doc! { "locale": "en", "strength": 1 };
        admin.run_command(mongodb::bson::doc! { "create": table.name, "collation": collation }).await.unwrap();
        let collection = admin.collection::<Document>(table.name);
        if indexed {
            let indexes = table.columns.iter().map(|(name, _)| {
                let key = mongodb::bson::doc! { *name: 1 };
                mongodb::bson::doc! { "key": key, "name": *name, "collation": { "locale": "simple" } }
            });
            let indexes: Vec<Document> = indexes.collect();
            admin.run_command(mongodb::bson::doc! { "createIndexes": table.name, "indexes": indexes }).await.unwrap();
        }
        let documents = table.rows.iter().enumerate().map(|(number, row)| {
            let mut document = Document::new();
            for ((name, _), value) in table.columns.iter().zip(row) {
                // NULL is null in some documents and missing in others.
                if !(value.is_null() && number % 2 == 0) {
                    document.insert(*name, stored(value));
                }
            }
            document
        });
        let documents: Vec<Document> = documents.collect();
        if !documents.is_empty() {
            collection.insert_many(documents).await.unwrap();
        }
    }
}

/// A value as the suite's documents hold it.
fn stored(value: &Value) -> Bson {
    match value {
        Value::Null(_) => Bson::Null,
        Value::Boolean(value) => Bson::Boolean(*value),
        Value::Int16(value) => Bson::Int32(i32::from(*value)),
        Value::Int32(value) => Bson::Int32(*value),
        Value::Int64(value) => Bson::Int64(*value),
        Value::Float32(value) => Bson::Double(f64::from(*value)),
        Value::Float64(value) => Bson::Double(*value),
        // Wider decimals than BSON's are kept as texts.
        Value::Decimal128 { precision, .. } if *precision > 34 => Bson::String(shown(value)),
        Value::Decimal128 { .. } => Bson::Decimal128(shown(value).parse().unwrap()),
        Value::Text(value) => Bson::String(value.to_string()),
        Value::Binary(bytes) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }),
        Value::Date(days) => Bson::DateTime(DateTime::from_millis(i64::from(*days) * 86_400_000)),
        Value::Timestamp { micros, .. } => Bson::DateTime(DateTime::from_millis(micros / 1_000)),
        Value::Time(_) => Bson::String(shown(value)),
        Value::TextList(items) => {
            let item = |item: &Option<std::sync::Arc<str>>| {
                item.as_ref().map_or(Bson::Null, |text| Bson::String(text.to_string()))
            };
            Bson::Array(items.iter().map(item).collect())
        }
    }
}

/// As Arrow writes it: digits by another hand than the driver's.
fn shown(value: &Value) -> String {
    arrow::util::display::array_value_to_string(&value.to_array().unwrap(), 0).unwrap()
}

/// All readable fields of a collection, ids from `base` in the order of their description.
pub(crate) async fn scan(driver: &dyn Driver, name: &str, base: u32) -> Relation {
    let remote = driver.describe(&TableRef::new([name]).unwrap()).await.unwrap();
    let columns = remote.columns.iter().zip(base..).filter_map(|(column, id)| {
        Some(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type?,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    });
    Relation::Scan { table: remote.table, columns: columns.collect() }
}

/// One field of a collection, read as a type; its id is 1.
pub(crate) async fn reading(driver: &dyn Driver, table: &str, field: &str, wanted: ValueType) -> Relation {
    let remote = driver.describe(&TableRef::new([table]).unwrap()).await.unwrap();
    let found = remote.columns.iter().find(|known| known.name.as_str() == field);
    let found = found.unwrap_or_else(|| panic!("{field} is not described"));
    let encoding: Encoding = driver.read_as(found, wanted).unwrap_or_else(|refusal| panic!("{field}: {refusal}"));
    let column = ScanColumn {
        id: ColumnId(1),
        name: found.name.clone(),
        value_type: wanted,
        nullable: true,
        collation: found.collation.clone(),
        encoding,
    };
    Relation::Scan { table: remote.table, columns: vec![column] }
}

pub(crate) fn output(id: u32, value_type: ValueType) -> OutputColumn {
    OutputColumn { id: ColumnId(id), name: format!("c{id}"), value_type, nullable: true }
}

pub(crate) async fn rows(
    driver: &dyn Driver,
    relation: Relation,
    output: Vec<OutputColumn>,
    values: &[Value],
) -> Result<Vec<Vec<Value>>, Error> {
    rows_within(driver, relation, output, values, ExecuteContext::default()).await
}

pub(crate) async fn rows_within(
    driver: &dyn Driver,
    relation: Relation,
    output: Vec<OutputColumn>,
    values: &[Value],
    context: ExecuteContext,
) -> Result<Vec<Vec<Value>>, Error> {
    let fragment = Fragment { relation, output, parameters: values.iter().map(Value::value_type).collect() };
    let statement = driver.render(&fragment).unwrap_or_else(|refusal| panic!("{refusal}"));
    let batches: Vec<_> = driver.run(&statement, values, Ask::Batches(context)).await?.batches()?.try_collect().await?;
    values_of(&batches)
}

/// An ObjectId by its number.
pub(crate) fn object_id(number: u8) -> ObjectId {
    ObjectId::from_bytes([0x65, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
}
