//! Changes as commands: their text, which holds no value, and what is sent for their rows.

use super::store;
use crate::documents::introspect::KEY;
use crate::tree::node::{Form, Node, one, text};
use crate::tree::place::{self, Place};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::CStr;
use mongodb::bson::{Bson, Document, cstr, doc};
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{ChangeOp, ChangeSet, ChangeShape, TargetColumn, Violation};
use querygate_types::{Error, Result};
use std::ops::Range;

/// The name of a command, and of the list of its changes.
pub(super) const fn words(op: ChangeOp) -> (&'static str, &'static CStr) {
    match op {
        ChangeOp::Insert => ("insert", cstr!("documents")),
        ChangeOp::Update => ("update", cstr!("updates")),
        ChangeOp::Delete => ("delete", cstr!("deletes")),
    }
}

/// The command for one row.
///
/// # Errors
/// A name that is no path, or two of which one is above the other.
pub(super) fn command(shape: &ChangeShape, collection: &str) -> Result<String, Refusal> {
    let paths = shape.columns().map(|column| place::path(column.name.as_str())).collect::<Result<Vec<_>, _>>()?;
    shape.returning.iter().try_for_each(|column| place::path(column.name.as_str()).map(drop))?;
    let is_above =
        |path: &str| paths.iter().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
    if paths.iter().any(|path| is_above(path)) {
        return refuse(RefusalReason::Name, "a field and one that is below it are not stored at a time");
    }
    if shape.key.iter().any(|column| !is_comparable(column)) {
        return refuse(RefusalReason::Type, "rows are not found by a field of this type");
    }
    let value = |index| Node::Parameter(index, Form::Value);
    let named = |range: Range<usize>| {
        let fields = paths.iter().enumerate().skip(range.start).take(range.len());
        Node::Object(fields.map(|(index, path)| ((*path).to_owned(), value(index))).collect())
    };
    let (keys, all) = (shape.key.len(), paths.len());
    let found = || ("q".to_owned(), named(0..keys));
    let change = match shape.op {
        ChangeOp::Insert => named(0..all),
        ChangeOp::Update => Node::Object(vec![found(), ("u".to_owned(), one("$set", named(keys..all)))]),
        ChangeOp::Delete => Node::Object(vec![found(), ("limit".to_owned(), Node::Int(0))]),
    };
    let (name, list) = words(shape.op);
    let command = Node::Object(vec![
        (name.to_owned(), text(collection.to_owned())),
        (list.as_str().to_owned(), Node::Array(vec![change])),
    ]);
    let mut written = String::new();
    command.write(&mut written);
    Ok(written)
}

/// Whether equality in the source is that of the values.
fn is_comparable(column: &TargetColumn) -> bool {
    match (column.value_type, column.encoding) {
        (ValueType::TextList | ValueType::List(_) | ValueType::Float32, _) => false,
        (_, Encoding::Canonical) => true,
        _ => false,
    }
}

/// A document to insert, and its key.
///
/// # Errors
/// 22xxx: a value that its field would not give back; 23502: a key that only the writer could give.
pub(super) fn inserted(shape: &ChangeShape, rows: &ChangeSet, row: usize) -> Result<(Bson, Document)> {
    let mut document = Document::new();
    let mut key = None;
    for (place, column) in shape.columns().enumerate() {
        match cell(rows, place, row, column)? {
            Some(value) if column.name.as_str() == KEY => key = Some(value),
            Some(value) => put(&mut document, column.name.as_str(), value)?,
            None => {}
        }
    }
    let key = match key {
        Some(key) => key,
        None if makes_key(shape) => Bson::ObjectId(ObjectId::new()),
        None => return Err(Violation::NotNull.error()),
    };
    let mut keyed = doc! { KEY: key.clone() };
    keyed.extend(document);
    Ok((key, keyed))
}

/// Whether keys are ObjectIds, as far as the change says, which every client makes by itself.
fn makes_key(shape: &ChangeShape) -> bool {
    let own = shape.columns().find(|column| column.name.as_str() == KEY).map(|column| &column.collation);
    let read = || shape.returning.iter().find(|column| column.name.as_str() == KEY).map(|column| &column.collation);
    own.or_else(read).is_none_or(place::is_object_id)
}

/// What one row is found by.
///
/// # Errors
/// 40001: no document has such a key.
pub(super) fn found(shape: &ChangeShape, rows: &ChangeSet, row: usize) -> Result<Document> {
    debug_assert!(!shape.key.is_empty(), "without a key, every document would be found");
    let mut filter = Document::new();
    for (place, column) in shape.key.iter().enumerate() {
        guarded(&mut filter, column, doc! { "$eq": key_cell(rows, place, row, column)? })?;
    }
    Ok(filter)
}

/// What some rows are found by.
///
/// # Errors
/// As [`found`].
pub(super) fn any_of(shape: &ChangeShape, rows: &ChangeSet, range: Range<usize>) -> Result<Document> {
    debug_assert!(!range.is_empty(), "some rows are asked for");
    if let [column] = shape.key.as_slice() {
        let values = range.map(|row| key_cell(rows, 0, row, column)).collect::<Result<Vec<_>>>()?;
        let mut filter = Document::new();
        guarded(&mut filter, column, doc! { "$in": values })?;
        return Ok(filter);
    }
    let each = range.map(|row| found(shape, rows, row)).collect::<Result<Vec<_>>>()?;
    Ok(doc! { "$or": each })
}

/// A comparison with an array would be one with each of its items, so that arrays are left out. A key is none.
fn guarded(filter: &mut Document, column: &TargetColumn, mut condition: Document) -> Result<()> {
    let path = column.name.as_str();
    if path == KEY {
        filter.insert(path, condition);
        return Ok(());
    }
    let no_array = || doc! { "$type": "array" };
    let place = Place::computed(path.to_owned(), column.value_type);
    for parent in place.parents() {
        filter.insert(parent, doc! { "$not": no_array() });
    }
    condition.insert("$not", no_array());
    match filter.insert(path, condition) {
        None => Ok(()),
        Some(_) => Err(Error::internal("a field that a row is found by is named twice")),
    }
}

fn key_cell(rows: &ChangeSet, place: usize, row: usize, column: &TargetColumn) -> Result<Bson> {
    match cell(rows, place, row, column) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(Violation::NotNull.error()),
        // What the field cannot hold is in no document.
        Err(error) => Err(Violation::Serialization.error().with_cause(error)),
    }
}

/// One update of the row with its key: fields of it, and no others.
///
/// # Errors
/// 22xxx: a value that its field would not give back.
pub(super) fn updated(shape: &ChangeShape, rows: &ChangeSet, row: usize) -> Result<Document> {
    let (mut set, mut unset) = (Document::new(), Document::new());
    for (place, column) in shape.assigned.iter().enumerate() {
        match cell(rows, shape.key.len() + place, row, column)? {
            Some(value) => set.insert(column.name.as_str(), value),
            None => unset.insert(column.name.as_str(), ""),
        };
    }
    let mut update = Document::new();
    for (operator, fields) in [("$set", set), ("$unset", unset)] {
        if !fields.is_empty() {
            update.insert(operator, fields);
        }
    }
    Ok(doc! { "q": found(shape, rows, row)?, "u": update, "multi": true, "collation": simple() })
}

/// One deletion of the row with its key.
///
/// # Errors
/// As [`found`].
pub(super) fn deleted(shape: &ChangeShape, rows: &ChangeSet, row: usize) -> Result<Document> {
    Ok(doc! { "q": found(shape, rows, row)?, "limit": 0, "collation": simple() })
}

/// Whatever the collection's own is: texts compare by code point.
pub(super) fn simple() -> Document {
    doc! { "locale": "simple" }
}

fn cell(rows: &ChangeSet, place: usize, row: usize, column: &TargetColumn) -> Result<Option<Bson>> {
    let array = rows.rows().columns().get(place).ok_or_else(|| Error::internal("row of another width"))?;
    store::cell(column, &Value::from_array(array.as_ref(), row)?)
}

/// Puts a value where its path says.
fn put(document: &mut Document, path: &str, value: Bson) -> Result<()> {
    let Some((first, rest)) = path.split_once('.') else {
        document.insert(path, value);
        return Ok(());
    };
    match document.entry(first.to_owned()).or_insert_with(|| Bson::Document(Document::new())) {
        Bson::Document(inner) => put(inner, rest, value),
        _ => Err(Error::internal("a field and one that is below it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::place::OBJECT_ID;
    use arrow::array::RecordBatch;
    use querygate_driver_api::identifier::{Identifier, TableRef};
    use querygate_driver_api::relation::Collation;

    fn column(name: &str, native: &str, value_type: ValueType) -> TargetColumn {
        let collation = if native == "objectId" { Collation::Named(OBJECT_ID.into()) } else { Collation::Binary };
        let encoding = store::keeps(native, value_type).unwrap();
        TargetColumn {
            name: Identifier::new(name).unwrap(),
            native_type: native.into(),
            value_type,
            encoding,
            collation,
        }
    }

    fn shape(op: ChangeOp, key: &[&str], assigned: &[&str]) -> ChangeShape {
        let columns = |names: &[&str]| {
            let of = |name: &&str| match *name {
                "_id" => column("_id", "objectId", ValueType::Text),
                name => column(name, "int", ValueType::Int64),
            };
            names.iter().map(of).collect()
        };
        let table = TableRef::new(["shop", "t"]).unwrap();
        ChangeShape { table, op, key: columns(key), assigned: columns(assigned), returning: Vec::new() }
    }

    fn set(shape: &ChangeShape, values: &[Value]) -> ChangeSet {
        let column = |(index, value): (usize, &Value)| (format!("c{index}"), value.to_array().unwrap(), true);
        let rows = RecordBatch::try_from_iter_with_nullable(values.iter().enumerate().map(column)).unwrap();
        ChangeSet::new(shape, rows).unwrap()
    }

    #[test]
    fn commands_hold_paths_and_no_values() {
        for (op, key, assigned, expected) in [
            (ChangeOp::Insert, &["_id"][..], &["a.b"][..], r#"{"insert":"t","documents":[{"_id":$1,"a.b":$2}]}"#),
            (
                ChangeOp::Update,
                &["_id"],
                &["a.b", "c"],
                r#"{"update":"t","updates":[{"q":{"_id":$1},"u":{"$set":{"a.b":$2,"c":$3}}}]}"#,
            ),
            (ChangeOp::Delete, &["_id"], &[], r#"{"delete":"t","deletes":[{"q":{"_id":$1},"limit":0}]}"#),
        ] {
            assert_eq!(command(&shape(op, key, assigned), "t").unwrap(), expected);
        }
        for assigned in [&["a", "a.b"][..], &["a.b.c", "a.b"], &["$where"], &["a.0"]] {
            assert!(command(&shape(ChangeOp::Insert, &["_id"], assigned), "t").is_err(), "{assigned:?}");
        }
        assert!(command(&shape(ChangeOp::Insert, &["_id"], &["ab", "a.b"]), "t").is_ok());
    }

    #[test]
    fn only_what_is_assigned_is_set_and_null_is_no_field() {
        let id = || Value::text("65f000000000000000000001");
        let null = || Value::Null(ValueType::Int64);
        let insert = shape(ChangeOp::Insert, &["_id"], &["a.b", "a.c", "d"]);
        let (_, document) =
            inserted(&insert, &set(&insert, &[id(), Value::Int64(1), Value::Int64(2), null()]), 0).unwrap();
        let key = ObjectId::parse_str("65f000000000000000000001").unwrap();
        assert_eq!(document, doc! { "_id": key, "a": { "b": 1, "c": 2 } });
        let made = set(&insert, &[Value::Null(ValueType::Text), null(), null(), null()]);
        assert!(matches!(inserted(&insert, &made, 0).unwrap().0, Bson::ObjectId(_)));
        let update = shape(ChangeOp::Update, &["_id"], &["a.b", "d"]);
        let change = updated(&update, &set(&update, &[id(), Value::Int64(1), null()]), 0).unwrap();
        assert_eq!(change.get_document("q").unwrap(), &doc! { "_id": { "$eq": key } });
        assert_eq!(change.get_document("u").unwrap(), &doc! { "$set": { "a.b": 1 }, "$unset": { "d": "" } });
        let other = shape(ChangeOp::Delete, &["a.b"], &[]);
        let filter = found(&other, &set(&other, &[Value::Int64(1)]), 0).unwrap();
        let array = doc! { "$type": "array" };
        assert_eq!(filter, doc! { "a": { "$not": array.clone() }, "a.b": { "$eq": 1, "$not": array } });
        let nowhere = shape(ChangeOp::Delete, &["_id"], &[]);
        assert!(found(&nowhere, &set(&nowhere, &[Value::text("no id")]), 0).is_err());
    }
}
