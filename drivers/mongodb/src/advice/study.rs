//! What there is: documents and fields of a collection, and its indexes with what the server counts of them.

use super::collection::{Collection, sampled};
use crate::connect::pool::Lease;
use crate::documents::introspect::{KEY, documents, listed};
use crate::documents::sample;
use crate::error::from_mongo;
use crate::tree::place;
use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use querygate_driver_api::advice::{ExistingIndex, IndexAbilities, IndexedColumn, IndexedTable};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::remote::TableKind;
use querygate_driver_api::value::ValueType;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::time::Duration;

/// Fields of a collection that are looked at.
const FIELDS_MAX: usize = 64;
/// Documents of a sample, and bytes of them.
const DOCUMENTS: i64 = 2_048;
const BYTES_MAX: f64 = 16.0 * 1024.0 * 1024.0;
const TIME_MAX: Duration = Duration::from_secs(30);
/// A key of this name is none where a person would run the command.
const NO_NAME: &str = "__proto__";

/// One collection; `None`: none of this name that could have an index. `sharded`: an index may be what documents are placed by.
pub(super) async fn look(
    lease: &Lease,
    table: &TableRef,
    name: &str,
    sharded: bool,
) -> Result<Option<(IndexedTable, Collection)>> {
    let found = listed(lease, Some(name)).await?;
    if !matches!(found.first(), Some((_, TableKind::Table))) {
        return Ok(None);
    }
    let stats = storage(lease, name).await?;
    let rows = match number(stats.get("count")) {
        Some(rows) => rows,
        None => number(lease.command(doc! { "count": name }).await?.get("n")).unwrap_or(0.0),
    };
    let (fields, _) = sample::fields(lease, name, true).await?;
    // What holds lists makes an index of every item.
    let fields =
        fields.into_iter().filter(|(path, kinds)| kinds.interpret().0 != ValueType::TextList && path != NO_NAME);
    let fields = fields.map(|(path, _)| path).take(FIELDS_MAX).collect();
    let collection = read(lease, name, Collection::new(rows, fields)).await?;
    let column = |path: &String| {
        Ok::<_, Error>(IndexedColumn {
            name: Identifier::new(path.as_str())?,
            width: collection.width(path),
            align: 1,
            distinct: collection.distinct(&[path.as_str()]),
            nulls: collection.nulls(path),
            dedupes: false,
            // Indexes are made without the collection's own order of texts.
            collates: false,
        })
    };
    let columns = collection.fields().iter().map(column).collect::<Result<_>>()?;
    let indexes = indexes(lease, name, &stats, sharded).await?;
    // A document is fetched even where its index holds all that is asked: only the document says that a field is no list.
    let abilities = IndexAbilities { partial: false, code_point: false, covering: false };
    let row_key = Vec::new();
    let table = IndexedTable { table: table.clone(), rows, columns, indexes, row_key, writes: None, abilities };
    Ok(Some((table, collection)))
}

/// What the server counts of a collection; nothing where its user may not know.
async fn storage(lease: &Lease, name: &str) -> Result<Document> {
    let pipeline = vec![doc! { "$collStats": { "storageStats": {} } }];
    match documents(lease, doc! { "aggregate": name, "pipeline": pipeline, "cursor": {} }).await {
        Ok(found) => {
            let first = found.first().and_then(|document| document.get_document("storageStats").ok());
            Ok(first.cloned().unwrap_or_default())
        }
        Err(error) if error.code() == ErrorCode::SourceError => Ok(Document::new()),
        Err(error) => Err(error),
    }
}

async fn read(lease: &Lease, name: &str, mut collection: Collection) -> Result<Collection> {
    let mut fields = doc! { KEY: 0 };
    for (place, path) in collection.fields().iter().enumerate() {
        fields.insert(sampled(place), format!("${path}"));
    }
    let pipeline = [doc! { "$sample": { "size": DOCUMENTS } }, doc! { "$project": fields }];
    let source = lease.database().collection::<Document>(name);
    let asked = source.aggregate(pipeline).allow_disk_use(true).max_time(TIME_MAX).batch_size(100).await;
    let outcome = async {
        let (mut documents, mut bytes) = (asked?, 0.0);
        while let Some(document) = documents.try_next().await? {
            bytes += collection.note(&document);
            if bytes > BYTES_MAX {
                break;
            }
        }
        Ok::<_, mongodb::error::Error>(collection)
    };
    let outcome = outcome.await.map_err(|error| from_mongo(&error));
    lease.note_answer(outcome.as_ref().err());
    outcome
}

/// Scans of each index, and the days since the server began to count; nothing where its user may not know.
async fn used(lease: &Lease, name: &str) -> Result<HashMap<String, (u64, f64)>> {
    let age = doc! { "$divide": [{ "$subtract": ["$$NOW", "$accesses.since"] }, 86_400_000] };
    let told = doc! { "$project": { "name": 1, "scans": "$accesses.ops", "days": age } };
    let command = doc! { "aggregate": name, "pipeline": [{ "$indexStats": {} }, told], "cursor": {} };
    let found = match documents(lease, command).await {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::SourceError => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let mut used: HashMap<String, (u64, f64)> = HashMap::new();
    for document in found {
        let (Ok(index), Ok(scans), Some(days)) =
            (document.get_str("name"), document.get_i64("scans"), number(document.get("days")))
        else {
            continue;
        };
        // Each shard counts for itself.
        let known = used.entry(index.to_owned()).or_insert((0, f64::INFINITY));
        *known = (known.0.saturating_add(scans.unsigned_abs()), known.1.min(days));
    }
    Ok(used)
}

async fn indexes(lease: &Lease, name: &str, stats: &Document, sharded: bool) -> Result<Vec<ExistingIndex>> {
    let used = used(lease, name).await?;
    let sizes = stats.get_document("indexSizes").ok();
    let mut found = Vec::new();
    for document in documents(lease, doc! { "listIndexes": name }).await? {
        let Some(index) = existing(&document, sharded)? else { continue };
        let counted = used.get(&index.name);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a file")]
        let bytes = sizes.and_then(|sizes| number(sizes.get(&index.name))).map(|bytes| bytes.max(0.0) as u64);
        let (scans, days) = (counted.map(|(scans, _)| *scans), counted.map_or(0.0, |(_, days)| *days));
        found.push(ExistingIndex { scans, days, bytes, ..index });
    }
    Ok(found)
}

/// An index as the server lists it; none without a name and keys.
fn existing(told: &Document, sharded: bool) -> Result<Option<ExistingIndex>> {
    let (Ok(name), Ok(pattern)) = (told.get_str("name"), told.get_document("key")) else { return Ok(None) };
    let (mut keys, mut expression, mut plain) = (Vec::new(), false, true);
    for (path, direction) in pattern {
        match number(Some(direction)) {
            Some(direction) if place::path(path).is_ok() => {
                plain &= direction > 0.0;
                keys.push(Identifier::new(path.as_str())?);
            }
            // Of texts, hashes, places, or all fields.
            _ => expression = true,
        }
    }
    let has = |option: &str| told.contains_key(option);
    let is = |option: &str| told.get_bool(option).unwrap_or(false);
    let other = |order: &Document| !order.get_str("locale").is_ok_and(|locale| locale == "simple");
    let simple = !told.get_document("collation").is_ok_and(other);
    let unique = is("unique") || pattern.keys().eq([KEY]);
    Ok(Some(ExistingIndex {
        name: name.to_owned(),
        keys,
        include: Vec::new(),
        unique,
        // One that deletes documents, one in whose order they lie, or one that they may be placed by.
        constraint: unique || has("expireAfterSeconds") || is("clustered") || is("prepareUnique") || sharded,
        partial: has("partialFilterExpression") || is("sparse"),
        expression,
        plain: plain && simple && !expression,
        valid: !is("hidden"),
        scans: None,
        days: 0.0,
        bytes: None,
    }))
}

fn number(value: Option<&Bson>) -> Option<f64> {
    match value? {
        Bson::Int32(number) => Some(f64::from(*number)),
        #[expect(clippy::cast_precision_loss, reason = "a count or a direction")]
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: Document) -> ExistingIndex {
        existing(&document, false).unwrap().unwrap()
    }

    #[test]
    fn only_an_ordinary_index_may_be_called_superfluous() {
        let plain = told(doc! { "v": 2, "key": { "a": 1, "b.c": 1.0 }, "name": "one" });
        assert_eq!(plain.keys.iter().map(Identifier::as_str).collect::<Vec<_>>(), ["a", "b.c"]);
        assert!(
            plain.plain && plain.valid && !plain.unique && !plain.constraint && !plain.partial && !plain.expression
        );
        let simple = told(doc! { "key": { "a": 1 }, "name": "one", "collation": { "locale": "simple" } });
        assert!(simple.plain);
        for (document, kept) in [
            (doc! { "key": { "_id": 1 }, "name": "_id_" }, "the key"),
            (doc! { "key": { "a": 1 }, "name": "u", "unique": true }, "unique"),
            (doc! { "key": { "a": 1 }, "name": "ttl", "expireAfterSeconds": 60 }, "deletes documents"),
        ] {
            assert!(told(document).constraint, "{kept}");
        }
        for document in [
            doc! { "key": { "a": 1, "b": -1 }, "name": "down" },
            doc! { "key": { "a": 1 }, "name": "en", "collation": { "locale": "en", "strength": 1 } },
        ] {
            let index = told(document);
            assert!(!index.plain && !index.expression, "{}", index.name);
        }
        for document in [
            doc! { "key": { "a": "hashed" }, "name": "hash" },
            doc! { "key": { "_fts": "text", "_ftsx": 1 }, "name": "text" },
            doc! { "key": { "$**": 1 }, "name": "all" },
        ] {
            let index = told(document);
            assert!(index.expression && !index.plain, "{}", index.name);
        }
        assert!(told(doc! { "key": { "a": 1 }, "name": "s", "sparse": true }).partial);
        assert!(told(doc! { "key": { "a": 1 }, "name": "p", "partialFilterExpression": {} }).partial);
        assert!(!told(doc! { "key": { "a": 1 }, "name": "h", "hidden": true }).valid);
        let sharded = existing(&doc! { "key": { "a": 1 }, "name": "shard" }, true).unwrap().unwrap();
        assert!(sharded.constraint && existing(&doc! { "name": "x" }, false).unwrap().is_none());
    }
}
