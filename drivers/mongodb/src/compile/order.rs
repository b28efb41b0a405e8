//! Order, distinct rows and unions as stages. The source orders NULL and NaN in another way than the vocabulary.

use crate::compile::compiler::{Compiler, Pipeline};
use crate::tree::node::{Node, call, one, text};
use crate::tree::place::{self, Place};
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::SortKey;
use querygate_driver_api::scalar::ScalarExpr;

/// Keys of one sort; the server takes 32, and each may need three.
const SORT_KEYS_MAX: usize = 10;

impl Compiler<'_> {
    /// The source puts NULLs first, and NaN below all numbers. Where that is not what is asked for, the keys say so
    /// before the value does, unless conditions leave no NULL: then an index can give the order.
    pub(crate) fn sorted(&mut self, mut pipeline: Pipeline, keys: &[SortKey]) -> Result<Pipeline, Refusal> {
        if keys.len() > SORT_KEYS_MAX {
            return refuse(RefusalReason::Size, "more sort keys than the source takes");
        }
        let present = |key: &SortKey, pipeline: &Pipeline| match &key.expr {
            ScalarExpr::Column(id) => pipeline.present.contains(id),
            _ => false,
        };
        let plain = |key: &SortKey| {
            let place = match &key.expr {
                ScalarExpr::Column(id) => pipeline.columns.get(id),
                _ => None,
            };
            let nulls = key.nulls_first == key.ascending || present(key, &pipeline);
            place.is_some_and(|place| nulls && !place.value_type.is_float())
        };
        if !keys.iter().all(plain) && !pipeline.shaped {
            let order = pipeline.order.clone();
            pipeline.project(&order)?;
        }
        let direction = |up: bool| Node::Int(if up { 1 } else { -1 });
        let mut sort: Vec<(String, Node)> = Vec::new();
        let mut added: Vec<(String, Node)> = Vec::new();
        for key in keys {
            let value_type = self.type_of(&key.expr)?;
            let path = match &key.expr {
                ScalarExpr::Column(id) => pipeline.place(*id)?.path.clone(),
                other => {
                    let name = format!("k{}", added.len());
                    added.push((name.clone(), self.value(other, &pipeline.columns)?));
                    name
                }
            };
            let value = match added.iter().find(|(name, _)| *name == path) {
                Some((_, node)) => node.clone(),
                None => text(format!("${path}")),
            };
            if key.nulls_first != key.ascending && !present(key, &pipeline) {
                let name = format!("k{}", added.len());
                added.push((name.clone(), call("$lte", [value.clone(), Node::Null])));
                sort.push((name, direction(!key.nulls_first)));
            }
            if value_type.is_float() {
                let name = format!("k{}", added.len());
                added.push((name.clone(), call("$eq", [value, Node::NotANumber])));
                sort.push((name, direction(key.ascending)));
            }
            if !sort.iter().any(|(known, _)| *known == path) {
                sort.push((path, direction(key.ascending)));
            }
        }
        if !added.is_empty() {
            pipeline.stage("$set", Node::Object(added));
        }
        if !sort.is_empty() {
            pipeline.stage("$sort", Node::Object(sort));
        }
        Ok(pipeline)
    }
}

/// One of each group of equal rows.
pub(crate) fn distinct(mut pipeline: Pipeline) -> Result<Pipeline, Refusal> {
    let mut key = Vec::new();
    let mut columns = Vec::new();
    for id in pipeline.order.clone() {
        let place = pipeline.place(id)?.clone();
        // Missing and null are one value.
        key.push((place::field(id), call("$ifNull", [place.raw(), Node::Null])));
        columns.push((id, Place { path: place::field(id), ..place }));
    }
    pipeline.stage("$group", one("_id", Node::Object(key)));
    pipeline.stage("$replaceRoot", one("newRoot", text("$_id")));
    pipeline.reshaped(columns);
    Ok(pipeline)
}

/// The rows of both, by position.
pub(crate) fn united(left: Pipeline, right: Pipeline, columns: &[ColumnId]) -> Result<Pipeline, Refusal> {
    let (mut left, left_forms) = renamed(left, columns)?;
    let (right, right_forms) = renamed(right, columns)?;
    if left_forms != right_forms {
        return refuse(RefusalReason::Encoding, "one side of the union holds ObjectIds, the other texts");
    }
    let right = vec![("coll".to_owned(), text(right.collection)), ("pipeline".to_owned(), Node::Array(right.stages))];
    left.stage("$unionWith", Node::Object(right));
    Ok(left)
}

/// A pipeline under other names, and which of its columns are ObjectIds.
fn renamed(mut pipeline: Pipeline, columns: &[ColumnId]) -> Result<(Pipeline, Vec<bool>), Refusal> {
    let (mut fields, mut places) = (Vec::new(), Vec::new());
    for (id, from) in columns.iter().zip(pipeline.order.clone()) {
        let place = pipeline.place(from)?.clone();
        fields.push((*id, place.raw()));
        places.push((*id, Place { path: place::field(*id), ..place }));
    }
    pipeline.shape(fields);
    let forms = places.iter().map(|(_, place)| place.object_id).collect();
    pipeline.reshaped(places);
    Ok((pipeline, forms))
}
