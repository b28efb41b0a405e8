//! Pipelines as they run in a transaction, where `$unionWith` does not.

use mongodb::bson::{Bson, Document, doc};

/// Stages that give these rows without the union that stands for an aggregate of no rows. The server refuses any other union.
pub(super) fn without_union(stages: Vec<Document>) -> Vec<Document> {
    let mut found = Vec::with_capacity(stages.len());
    let mut stages = stages.into_iter().peekable();
    while let Some(stage) = stages.next() {
        let is_one = stages.peek().is_some_and(|next| next.get_i64("$limit").is_ok_and(|rows| rows == 1));
        match nothing(&stage) {
            Some(nothing) if is_one => {
                stages.next();
                // One document, whether there is a row or not.
                found.push(doc! { "$facet": { "rows": [{ "$limit": 1_i64 }] } });
                let row = doc! { "$ifNull": [{ "$first": "$rows" }, nothing] };
                found.push(doc! { "$replaceRoot": { "newRoot": row } });
            }
            _ => found.push(stage),
        }
    }
    found
}

/// The one document of a union with documents of the statement's own.
fn nothing(stage: &Document) -> Option<Document> {
    let pipeline = stage.get_document("$unionWith").ok()?.get_array("pipeline").ok()?;
    let [Bson::Document(documents)] = pipeline.as_slice() else { return None };
    match documents.get_array("$documents").ok()?.as_slice() {
        [Bson::Document(nothing)] => Some(nothing.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_union_with_nothing_is_written_in_another_way() {
        let union = doc! { "$unionWith": { "pipeline": [{ "$documents": [{ "c1": 0_i64 }] }] } };
        let (group, limit) = (doc! { "$group": { "_id": null } }, doc! { "$limit": 1_i64 });
        let row = doc! { "$ifNull": [{ "$first": "$rows" }, { "c1": 0_i64 }] };
        assert_eq!(
            without_union(vec![group.clone(), union.clone(), limit.clone(), limit.clone()]),
            [
                group.clone(),
                doc! { "$facet": { "rows": [{ "$limit": 1_i64 }] } },
                doc! { "$replaceRoot": { "newRoot": row } },
                limit.clone(),
            ]
        );
        let other = doc! { "$unionWith": { "coll": "t", "pipeline": [] } };
        for same in [vec![group.clone(), limit.clone()], vec![other, limit], vec![union, group]] {
            assert_eq!(without_union(same.clone()), same);
        }
    }
}
