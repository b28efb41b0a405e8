//! The server's own plan of a statement, by `explain`, and beside it what indexes that are not there would cost. A statement is
//! asked for by the part that decides its way to the documents: conditions, order and limit. For values it takes two that the
//! fields hold, since none of a statement is kept; the server runs no more of it than it needs to choose.

use super::collection::Collection;
use super::plan::{explained, scanned, through};
use super::reading::{Asks, Reading, readings};
use crate::connect::pool::{Lease, Pool};
use crate::tree::pattern;
use async_trait::async_trait;
use mongodb::bson::{Bson, Document, Regex, doc};
use querygate_driver_api::advice::{Costed, IndexSpec, NativeQuery, WhatIf};
use querygate_driver_api::identifier::Identifier;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How long the server may think about one statement, in milliseconds.
const ANSWER_MAX: i64 = 5_000;
/// Putting an entry into a tree, in visits: finding its place, and changing the page there.
const WRITE: f64 = 20.0;
/// Explain tells of what is there, a sample of what is not: neither is a planner that was asked about the index itself.
const CONFIDENCE: f64 = 0.5;

/// The planner.
pub(super) struct Planner {
    pool: Arc<Pool>,
    collections: HashMap<String, Collection>,
    /// Statements that were asked for, each reading with what it costs now.
    known: HashMap<Arc<str>, Vec<(Reading, f64)>>,
}

/// Whether the server explains statements to the user of the source.
///
/// # Errors
/// The source cannot be asked at all.
pub(super) async fn explains(lease: &Lease, collection: &str) -> Result<bool> {
    match lease
        .command(question(&Reading { collection: collection.to_owned(), ..Reading::default() }, Vec::new()))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.code() == ErrorCode::SourceError => Ok(false),
        Err(error) => Err(error),
    }
}

fn question(reading: &Reading, conditions: Vec<Bson>) -> Document {
    let filter = if conditions.is_empty() {
        doc! {}
    } else {
        doc! { "$and": conditions }
    };
    let mut find = doc! { "find": &reading.collection, "filter": filter, "collation": { "locale": "simple" } };
    if !reading.order.is_empty() {
        let order = reading.order.iter().map(|(path, up)| (path.clone(), Bson::Int32(if *up { 1 } else { -1 })));
        find.insert("sort", order.collect::<Document>());
    }
    if let Some(limit) = reading.limit.and_then(|limit| i64::try_from(limit).ok()).filter(|limit| *limit > 0) {
        find.insert("limit", limit);
    }
    doc! { "explain": find, "verbosity": "queryPlanner", "maxTimeMS": ANSWER_MAX }
}

/// The conditions, as the driver writes them, with values that the fields hold.
fn conditions(reading: &Reading, known: &Collection) -> Vec<Bson> {
    let condition = |path: &str, asks: Asks| {
        let mut operators = match (asks, known.values(path)) {
            (Asks::Null, _) => doc! { "$eq": null },
            (Asks::Equal(1), Some((low, _))) => doc! { "$eq": low.clone() },
            (Asks::Equal(_), Some((low, high))) => doc! { "$in": [low.clone(), high.clone()] },
            (Asks::Low, Some((low, _))) => doc! { "$gte": low.clone() },
            (Asks::High, Some((_, high))) => doc! { "$lte": high.clone() },
            (Asks::Beginning, Some((Bson::String(text), _))) => doc! { "$regex": beginning(text)? },
            (Asks::Beginning, Some(_)) | (_, None) => return None,
        };
        operators.insert("$not", doc! { "$type": "array" });
        Some(Bson::Document(doc! { path: operators }))
    };
    reading.conditions.iter().filter_map(|one| condition(&one.path, one.asks)).collect()
}

fn beginning(text: &str) -> Option<Bson> {
    let pattern = pattern::quoted(r"\A", text, "")?.try_into().ok()?;
    Some(Bson::RegularExpression(Regex { pattern, options: String::new().try_into().ok()? }))
}

impl Planner {
    pub(super) fn new(pool: &Arc<Pool>, collections: HashMap<String, Collection>) -> Self {
        Self { pool: Arc::clone(pool), collections, known: HashMap::new() }
    }

    /// What a reading costs with the indexes that are there.
    async fn now(&self, reading: &Reading) -> Result<f64> {
        let Some(known) = self.collections.get(&reading.collection) else { return Ok(0.0) };
        if reading.conditions.is_empty() && reading.order.is_empty() {
            return Ok(scanned(reading, known));
        }
        let lease = self.pool.lease(None, &CancellationToken::new()).await?;
        let answer = lease.command(question(reading, conditions(reading, known))).await?;
        let unknown = || Error::new(ErrorCode::SourceError, "the source explains a plan in an unknown way");
        explained(&answer, reading, known).ok_or_else(unknown)
    }
}

#[async_trait]
impl WhatIf for Planner {
    fn evidence(&self) -> &'static str {
        "MongoDB's explain says what is done now; what it would do with an index that is not there is counted by its rules (equality, \
         sort, range) from a sample of 2,048 documents and the rows that came; cost: entries and documents visited"
    }

    fn write_cost(&self) -> f64 {
        WRITE
    }

    fn confidence(&self) -> f64 {
        CONFIDENCE
    }

    async fn cost(&mut self, query: &NativeQuery, indexes: &[&IndexSpec]) -> Result<Costed> {
        if !self.known.contains_key(&query.text) {
            let readings =
                readings(&query.text, query.rows).ok_or_else(|| Error::internal("a text that is no pipeline"))?;
            let mut known = Vec::new();
            for reading in readings {
                let now = self.now(&reading).await?;
                known.push((reading, now));
            }
            self.known.insert(Arc::clone(&query.text), known);
        }
        let (mut cost, mut used) = (0.0, Vec::new());
        for (reading, now) in self.known.get(&query.text).into_iter().flatten() {
            let Some(known) = self.collections.get(&reading.collection) else { continue };
            let offered = indexes.iter().enumerate().filter(|(_, index)| index.table.name() == reading.collection);
            let best = offered.filter_map(|(place, index)| {
                let keys: Vec<&str> = index.keys.iter().map(Identifier::as_str).collect();
                Some((through(&keys, reading, known)?, place))
            });
            match best.min_by(|one, other| one.0.total_cmp(&other.0)) {
                Some((through, place)) if through < *now => {
                    cost += through;
                    used.push(place);
                }
                _ => cost += now,
            }
        }
        used.sort_unstable();
        used.dedup();
        Ok(Costed { cost, planned: cost, worst: cost, used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_with_values_that_its_own_fields_hold() {
        let text = r#"{"aggregate":"orders","pipeline":[{"$match":{"$and":[known($1,{"region":{"$eq":$1}}),{"name":{"$regex":prefix($2)}},{"total":{"$gte":$3}},{"gone":{"$eq":$4}}]}},{"$sort":{"day":-1}},{"$limit":5}]}"#;
        let fields = ["region", "name", "total", "gone"].map(str::to_owned).to_vec();
        let mut known = Collection::new(100.0, fields);
        known.note(&doc! { "f0": "emea", "f1": "A.b", "f2": 7_i64 });
        known.note(&doc! { "f0": "amer", "f1": "C", "f2": 3_i64 });
        let reading = &readings(text, None).unwrap()[0];
        let told = question(reading, conditions(reading, &known));
        let find = told.get_document("explain").unwrap();
        assert_eq!(find.get_document("sort").unwrap(), &doc! { "day": -1 });
        assert_eq!((find.get_str("find").unwrap(), find.get_i64("limit").unwrap()), ("orders", 5));
        let guard = doc! { "$type": "array" };
        let filter = find.get_document("filter").unwrap().get_array("$and").unwrap();
        let name = beginning("A.b").unwrap();
        assert_eq!(
            filter,
            &[
                Bson::Document(doc! { "region": { "$eq": "amer", "$not": guard.clone() } }),
                Bson::Document(doc! { "name": { "$regex": name, "$not": guard.clone() } }),
                Bson::Document(doc! { "total": { "$gte": 3_i64, "$not": guard } }),
            ]
        );
        assert_eq!(told.get_str("verbosity").unwrap(), "queryPlanner", "nothing is run for it");
    }
}
