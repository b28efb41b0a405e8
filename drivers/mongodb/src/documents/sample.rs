//! The fields of a collection, from its oldest and newest documents. Nested documents are fields of their own, as paths.

use crate::connect::pool::Lease;
use crate::documents::json::broken;
use crate::documents::kinds::Kinds;
use crate::error::from_mongo;
use crate::tree::place;
use futures::TryStreamExt;
use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use querygate_types::{ErrorCode, Result};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Documents that are looked at, at either end.
const DOCUMENTS: i64 = 500;
/// Bytes of documents that are looked at, at either end.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest path; documents below are read whole.
const DEPTH_MAX: usize = 4;
/// Most fields of one collection: a document that uses data as names must not become a thousand columns.
const FIELDS_MAX: usize = 500;
const TIME_MAX: Duration = Duration::from_secs(30);
/// Documents with rare fields that are looked at, and how long they are looked for.
const RARE_DOCUMENTS: i64 = 100;
const RARE_TIME_MAX: Duration = Duration::from_secs(2);

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
        read(lease, collection, TIME_MAX, pipeline, &mut fields).await?;
    }
    let complete = !fields.others;
    Ok((fields.listed(), complete))
}

/// Fields of these paths, which the oldest and the newest documents did not show: any document that has one is looked for, for a
/// while. And whether no document has others of them; of a collection without documents nothing is known.
pub(crate) async fn rare(lease: &Lease, collection: &str, paths: &[String]) -> Result<(Vec<(String, Kinds)>, bool)> {
    let mut fields = Fields::default();
    if read(lease, collection, TIME_MAX, vec![doc! { "$limit": 1 }], &mut Fields::default()).await? == 0 {
        return Ok((Vec::new(), false));
    }
    let mut left: Vec<&String> = paths.iter().filter(|path| place::path(path).is_ok()).collect();
    let end = Instant::now() + RARE_TIME_MAX;
    let mut complete = true;
    while !left.is_empty() {
        let has = left.iter().map(|path| doc! { path.as_str(): { "$exists": true } });
        let pipeline = vec![doc! { "$match": { "$or": has.collect::<Vec<_>>() } }, doc! { "$limit": RARE_DOCUMENTS }];
        let time = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match read(lease, collection, time, pipeline, &mut fields).await {
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::StatementTimeout => {
                complete = false;
                break;
            }
            Err(error) => return Err(error),
        }
        let before = left.len();
        left.retain(|path| !fields.seen.contains_key(*path));
        if left.len() == before {
            break;
        }
    }
    let listed = fields.listed().into_iter().filter(|(path, _)| paths.contains(path));
    Ok((listed.collect(), complete))
}

/// Notes the documents that a pipeline gives. Returns how many.
async fn read(
    lease: &Lease,
    collection: &str,
    time: Duration,
    pipeline: Vec<Document>,
    fields: &mut Fields,
) -> Result<usize> {
    let outcome = noted(lease, collection, time, pipeline, fields).await;
    lease.note_answer(outcome.as_ref().err());
    outcome
}

async fn noted(
    lease: &Lease,
    collection: &str,
    time: Duration,
    pipeline: Vec<Document>,
    fields: &mut Fields,
) -> Result<usize> {
    let collection = lease.database().collection::<RawDocumentBuf>(collection);
    let aggregate = collection.aggregate(pipeline).max_time(time).batch_size(100).with_type::<RawDocumentBuf>();
    let mut documents = aggregate.await.map_err(|error| from_mongo(&error))?;
    let (mut bytes, mut count) = (0_usize, 0_usize);
    while let Some(document) = documents.try_next().await.map_err(|error| from_mongo(&error))? {
        bytes = bytes.saturating_add(document.as_bytes().len());
        count += 1;
        fields.note(&document, "", 1)?;
        if bytes > BYTES_MAX {
            break;
        }
    }
    Ok(count)
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
