//! A write of one record judged by the set form alone, for comparison with the verdict on the record.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use querygate_metadata::model::Object;
use querygate_policy::Evaluator;
use querygate_policy::filter::RowLookup;
use querygate_policy::write::{Assignment, Change, DependentAction, WriteOperation, WritePermit};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

type Row = Map<String, Value>;

/// What the set form says of a write, and which part said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Passes,
    Denied,
    PayloadRefused,
    OutsideTarget,
    FailsCheck,
    CascadeRefused,
}

/// Deepest cascade.
const DEPTH_MAX: usize = 10;

/// The outcome of a write. `defaults` are those of an insert.
pub fn outcome(
    evaluator: &Evaluator<'_>,
    object: &str,
    change: &Change<'_>,
    defaults: &Row,
    rows: &dyn RowLookup,
) -> Outcome {
    let (operation, before, payload) = match change {
        Change::Insert { payload, .. } => (WriteOperation::Insert, None, Some(*payload)),
        Change::Update { before, patch } => (WriteOperation::Update, Some(*before), Some(*patch)),
        Change::Delete { before } => (WriteOperation::Delete, Some(*before), None),
    };
    let decision = evaluator.decide_target(object, operation);
    assert_eq!(decision.permit().is_ok(), decision.is_allowed());
    let Ok(permit) = decision.permit() else { return Outcome::Denied };
    if payload.is_some_and(|payload| permit.admit(before, payload).is_err()) {
        return Outcome::PayloadRefused;
    }
    if before.is_some_and(|before| !permit.target().evaluate(before, rows).unwrap()) {
        return Outcome::OutsideTarget;
    }
    if let Some(payload) = payload {
        let stored = match before {
            Some(before) => before.clone(),
            None => blank(evaluator.policy.snapshot().object(object).unwrap(), defaults),
        };
        if !permit.check().evaluate(&image(&permit, stored, payload), rows).unwrap() {
            return Outcome::FailsCheck;
        }
    }
    let goes_along = |before| cascade(evaluator, object, before, rows, &mut BTreeSet::new(), 0);
    if operation == WriteOperation::Delete && !before.is_some_and(goes_along) {
        return Outcome::CascadeRefused;
    }
    Outcome::Passes
}

/// The record that is stored, made from the permit alone.
fn image(permit: &WritePermit, stored: Row, payload: &Row) -> Row {
    let mut after = stored;
    let assigned = payload.iter().filter(|(name, _)| permit.assignment(name) == Some(Assignment::Free));
    after.extend(assigned.map(|(name, value)| (name.clone(), value.clone())));
    permit.stamps().iter().for_each(|stamp| stamp.apply(&mut after));
    after
}

fn blank(object: &Object, defaults: &Row) -> Row {
    let mut row: Row = object.fields.keys().map(|name| (name.clone(), Value::Null)).collect();
    row.extend(defaults.clone());
    row
}

/// Whether everything that goes with a record may go.
fn cascade(
    evaluator: &Evaluator<'_>,
    object: &str,
    row: &Row,
    rows: &dyn RowLookup,
    gone: &mut BTreeSet<(String, String)>,
    depth: usize,
) -> bool {
    let dependents = evaluator.dependents(object);
    let Some(id) = row.get("id").and_then(Value::as_str) else { return dependents.is_empty() };
    if !gone.insert((object.to_owned(), id.to_owned())) {
        return true;
    }
    if depth >= DEPTH_MAX {
        return false;
    }
    for dependent in dependents {
        for found in rows.rows_where(&dependent.object, &dependent.field, id).unwrap() {
            let own = found.get("id").and_then(Value::as_str).unwrap_or_default();
            if gone.contains(&(dependent.object.clone(), own.to_owned())) {
                continue;
            }
            let passes = match &dependent.action {
                DependentAction::Restrict => false,
                DependentAction::Delete(decision) => {
                    decision.is_allowed()
                        && decision.target().evaluate(&found, rows).unwrap()
                        && cascade(evaluator, &dependent.object, &found, rows, gone, depth + 1)
                }
                DependentAction::Empty(decision) => decision.permit().is_ok_and(|permit| {
                    let mut after = emptied(&found, &dependent.field, id);
                    permit.stamps().iter().for_each(|stamp| stamp.apply(&mut after));
                    permit.target().evaluate(&found, rows).unwrap() && permit.check().evaluate(&after, rows).unwrap()
                }),
            };
            if !passes {
                return false;
            }
        }
    }
    true
}

fn emptied(row: &Row, field: &str, target: &str) -> Row {
    let mut after = row.clone();
    let left = match &row[field] {
        Value::Array(members) => members.iter().filter(|member| *member != target).cloned().collect(),
        _ => Value::Null,
    };
    after.insert(field.to_owned(), left);
    after
}
