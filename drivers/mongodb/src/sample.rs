//! The fields of a collection, from its oldest and newest documents. Nested documents are fields of their own, as paths.

use crate::error::from_mongo;
use crate::json::broken;
use crate::kinds::Kinds;
use crate::place;
use crate::pool::Lease;
use futures::TryStreamExt;
use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use querygate_types::Result;
use std::collections::HashMap;
use std::time::Duration;

/// Documents that are looked at, at either end.
const DOCUMENTS: i64 = 500;
/// Bytes of documents that are looked at, at either end.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest path; documents below are read whole.
const DEPTH_MAX: usize = 4;
/// Most fields of one collection: a document that uses data as names must not become a thousand columns.
const FIELDS_MAX: usize = 500;
const TIME_MAX: Duration = Duration::from_secs(30);

/// Paths in the order in which they were first seen, with what they hold.
#[derive(Debug, Default)]
struct Fields {
    order: Vec<String>,
    seen: HashMap<String, Seen>,
    /// There are fields that are not among them.
    others: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    kinds: Kinds,
    /// Some document holds a document there, so that the path is one above others.
    parent: bool,
}

/// The fields of a collection or view, each with the kinds of its values, and whether no document was seen to have others.
pub(crate) async fn fields(lease: &Lease, collection: &str, is_table: bool) -> Result<(Vec<(String, Kinds)>, bool)> {
    let mut fields = Fields::default();
    // A view may have no key to sort by.
    let ends = if is_table { vec![Some(1), Some(-1)] } else { vec![None] };
    for end in ends {
        let sort = end.map(|direction| doc! { "$sort": { "_id": direction } });
        let pipeline: Vec<Document> = sort.into_iter().chain([doc! { "$limit": DOCUMENTS }]).collect();
        let outcome = read(lease, collection, pipeline, &mut fields).await;
        lease.heard(outcome.as_ref().err());
        outcome?;
    }
    let complete = !fields.others;
    Ok((fields.listed(), complete))
}

async fn read(lease: &Lease, collection: &str, pipeline: Vec<Document>, fields: &mut Fields) -> Result<()> {
    let collection = lease.database().collection::<RawDocumentBuf>(collection);
    let aggregate = collection.aggregate(pipeline).max_time(TIME_MAX).batch_size(100).with_type::<RawDocumentBuf>();
    let mut documents = aggregate.await.map_err(|error| from_mongo(&error))?;
    let mut bytes = 0_usize;
    while let Some(document) = documents.try_next().await.map_err(|error| from_mongo(&error))? {
        bytes = bytes.saturating_add(document.as_bytes().len());
        fields.note(&document, "", 1)?;
        if bytes > BYTES_MAX {
            break;
        }
    }
    Ok(())
}

impl Fields {
    fn note(&mut self, document: &RawDocument, above: &str, depth: usize) -> Result<()> {
        for field in document {
            let (name, value) = field.map_err(|error| broken(&error))?;
            let path = if above.is_empty() { name.as_str().to_owned() } else { format!("{above}.{}", name.as_str()) };
            // A name with a dot in it is no path, and cannot be reached as one.
            if name.as_str().contains('.') || place::path(&path).is_err() {
                self.others = true;
                continue;
            }
            if !self.seen.contains_key(&path) {
                if self.order.len() >= FIELDS_MAX {
                    self.others = true;
                    continue;
                }
                self.order.push(path.clone());
            }
            let seen = self.seen.entry(path.clone()).or_default();
            match value {
                RawBsonRef::Document(inner) if depth < DEPTH_MAX && nameable(inner)? => {
                    seen.parent = true;
                    self.note(inner, &path, depth + 1)?;
                }
                other => seen.kinds.note(other),
            }
        }
        Ok(())
    }

    /// All but those that are only documents: these are their fields.
    fn listed(self) -> Vec<(String, Kinds)> {
        let mut listed = Vec::new();
        for path in self.order {
            if let Some(seen) = self.seen.get(&path)
                && !(seen.parent && seen.kinds == Kinds::default())
            {
                // Where some hold a document and others a value, the field is read whole.
                let kinds = if seen.parent { seen.kinds.with_documents() } else { seen.kinds };
                listed.push((path, kinds));
            }
        }
        listed
    }
}

/// Whether every field of a document can be a path; otherwise it is read whole.
fn nameable(document: &RawDocument) -> Result<bool> {
    for field in document {
        let (name, _) = field.map_err(|error| broken(&error))?;
        if name.as_str().contains('.') || place::path(name.as_str()).is_err() {
            return Ok(false);
        }
    }
    Ok(document.iter().next().is_some())
}
