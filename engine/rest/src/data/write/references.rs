//! `{"$ref": n}` in changes of several objects: the key of the record that the n-th of them adds, in place of the reference.

use super::change::make;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::work::Work;
use querygate_query_api::requests::question::JsonForm;
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange, record_id};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// What is known of the key of a record that others refer to.
enum Key {
    Known(Value),
    /// The source numbers its records: it is known when the record is made.
    Numbered,
}

/// Keys by the number of the change that adds their record.
type Keys = BTreeMap<usize, Key>;

/// Makes changes, all or none of them.
///
/// # Errors
/// A reference is to none of the changes before it; as [`make`].
pub(super) async fn run(work: &Work, changes: &mut [RecordChange]) -> Result<Vec<ChangeOutcome>, Refusal> {
    let mut keys = keys(work, changes).await?;
    let ends = ends(changes, &keys);
    if ends.is_empty() {
        changes.iter_mut().for_each(|change| put(change, &keys));
        return make(work, changes, OnFailure::UndoAll).await;
    }
    work.session().begin_block();
    let made = run_in_parts(work, changes, &mut keys, ends).await;
    let has_failed = |outcomes: &Vec<ChangeOutcome>| !outcomes.iter().all(|one| matches!(one, ChangeOutcome::Made(_)));
    if made.as_ref().map_or(true, has_failed) {
        work.session().fail_transaction();
    }
    let ended = work.session().end_block().await;
    let made = made?;
    // The client hears of the first failure.
    if !has_failed(&made) {
        ended?;
    }
    Ok(made)
}

/// The numbers of changes that wait for those before them: a part of the changes ends before each.
fn ends(changes: &[RecordChange], keys: &Keys) -> Vec<usize> {
    let (mut begin, mut ends) = (0, Vec::new());
    for (at, change) in changes.iter().enumerate() {
        let waits = |target: usize| target >= begin && matches!(keys.get(&target), Some(Key::Numbered));
        if references(change).any(|(_, target)| target.is_some_and(waits)) {
            ends.push(at);
            begin = at;
        }
    }
    ends
}

async fn run_in_parts(
    work: &Work,
    changes: &mut [RecordChange],
    keys: &mut Keys,
    ends: Vec<usize>,
) -> Result<Vec<ChangeOutcome>, Refusal> {
    let mut outcomes: Vec<ChangeOutcome> = Vec::with_capacity(changes.len());
    for end in ends.into_iter().chain([changes.len()]) {
        let Some(part) = changes.get_mut(outcomes.len()..end) else { break };
        part.iter_mut().for_each(|change| put(change, keys));
        for outcome in make(work, part, OnFailure::UndoAll).await? {
            if let ChangeOutcome::Made(changed) = &outcome {
                let at = outcomes.len();
                keys.entry(at).and_modify(|key| *key = Key::Known(known(key, &changed.id)));
            }
            outcomes.push(outcome);
        }
        if !matches!(outcomes.last(), Some(ChangeOutcome::Made(_))) {
            break;
        }
    }
    Ok(outcomes)
}

/// The key of a record that was made, as its own type.
fn known(before: &Key, id: &str) -> Value {
    match before {
        Key::Known(value) => value.clone(),
        Key::Numbered => id.parse::<Number>().map_or_else(|_| id.into(), Value::Number),
    }
}

/// The number in `{"$ref": n}`; `Some(None)`: it is none.
fn reference(value: &Value) -> Option<Option<usize>> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let number = map.get("$ref")?;
    Some(number.as_u64().and_then(|number| usize::try_from(number).ok()))
}

/// Fields of a change that refer, and to what.
fn references(change: &RecordChange) -> impl Iterator<Item = (&str, Option<usize>)> {
    let values = change.action.values().into_iter().flatten();
    values.filter_map(|(field, value)| Some((field.as_str(), reference(value)?)))
}

/// Puts keys that are known in place of references to them.
fn put(change: &mut RecordChange, keys: &Keys) {
    let values = match &mut change.action {
        RecordAction::Create { values } | RecordAction::Update { values, .. } | RecordAction::Upsert { values, .. } => {
            values
        }
        RecordAction::Delete { .. } => return,
    };
    for (_, value) in values.iter_mut() {
        let target = reference(value).flatten().and_then(|number| keys.get(&number));
        if let Some(Key::Known(key)) = target {
            *value = key.clone();
        }
    }
}

/// The keys of all records that are referred to. One without a key gets it here, where its key is a text.
async fn keys(work: &Work, changes: &mut [RecordChange]) -> Result<Keys, Refusal> {
    let mut keys = Keys::new();
    for target in targets(changes)? {
        let Some(change) = changes.get_mut(target) else { continue };
        // Of an object that is not seen the engine says so, whatever the key.
        let object = work.object_if_seen(&change.object).await?;
        let key = object.as_ref().and_then(|object| Some((object.key.as_deref()?, object)));
        let (name, form) = key.map_or(("id", None), |(name, object)| (name, object.field(name).map(|key| key.form)));
        let is_text = form.is_none_or(|form| form == JsonForm::Text);
        if let RecordAction::Create { values } = &mut change.action {
            let key = key_of(values, name, is_text, &keys)?;
            keys.insert(target, key);
        }
    }
    Ok(keys)
}

/// `before`: those of the changes before it, whose key it may be given.
fn key_of(values: &mut Map<String, Value>, name: &str, is_text: bool, before: &Keys) -> Result<Key, Refusal> {
    if let Some(given) = values.get(name).filter(|given| !given.is_null()) {
        let referred = reference(given).flatten().and_then(|number| before.get(&number));
        return Ok(match referred {
            Some(Key::Numbered) => Key::Numbered,
            Some(Key::Known(key)) => Key::Known(key.clone()),
            None => Key::Known(given.clone()),
        });
    }
    if !is_text {
        return Ok(Key::Numbered);
    }
    let id = Value::from(record_id()?);
    values.insert(name.to_owned(), id.clone());
    Ok(Key::Known(id))
}

/// The numbers of the changes that others refer to.
fn targets(changes: &[RecordChange]) -> Result<Vec<usize>, Refusal> {
    let mut targets = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        for (field, number) in references(change) {
            let is_create = |number: &usize| {
                changes.get(*number).is_some_and(|to| matches!(to.action, RecordAction::Create { .. }))
            };
            let Some(target) = number.filter(|number| *number < at).filter(is_create) else {
                let shown = number.map_or_else(|| "?".to_owned(), |number| number.to_string());
                let message = format!(
                    "Unresolved $ref {shown} on field '{field}' — must reference an earlier create in the same batch"
                );
                return Err(Refusal::new(Code::BatchUnresolvedRef, message));
            };
            targets.push(target);
        }
    }
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(values: Value) -> RecordChange {
        let values = values.as_object().unwrap().clone();
        RecordChange::new("o".to_owned(), RecordAction::Create { values })
    }

    #[test]
    fn references_are_to_creates_that_come_before() {
        let changes = [create(json!({"a": 1})), create(json!({"up": {"$ref": 0}, "b": {"$ref": 0, "c": 1}}))];
        assert_eq!(targets(&changes).unwrap(), [0]);
        for wrong in [json!({"up": {"$ref": 0}}), json!({"up": {"$ref": -1}}), json!({"up": {"$ref": "x"}})] {
            assert!(targets(&[create(wrong)]).is_err());
        }
        let delete = RecordAction::Delete { id: "x".to_owned(), expected_version: None };
        let deleted = RecordChange::new("o".to_owned(), delete);
        assert!(targets(&[deleted, create(json!({"up": {"$ref": 0}}))]).is_err());
    }

    #[test]
    fn keys_keep_their_type_or_are_made_where_they_are_texts() {
        let key = |values: Value, is_text| {
            let mut values = values.as_object().unwrap().clone();
            let key = key_of(&mut values, "id", is_text, &Keys::from([(0, Key::Known(json!("k")))])).unwrap();
            (key, values)
        };
        for given in [json!(7), json!("x")] {
            assert!(matches!(key(json!({"id": given}), true).0, Key::Known(known) if known == given));
        }
        assert!(
            matches!(key(json!({"id": {"$ref": 0}}), true).0, Key::Known(known) if known == "k"),
            "that of another"
        );
        let (made, values) = key(json!({"id": null}), true);
        assert!(matches!(made, Key::Known(made) if made.as_str().unwrap().len() == 16 && made == values["id"]));
        let (numbered, values) = key(json!({}), false);
        assert!(matches!(numbered, Key::Numbered) && values.is_empty());
        assert_eq!((known(&numbered, "44"), known(&numbered, "a")), (json!(44), json!("a")));
    }

    #[test]
    fn only_what_refers_to_a_number_of_the_source_waits() {
        let up = |to: usize| create(json!({"up": {"$ref": to}}));
        let changes = [create(json!({})), create(json!({})), up(0), up(0), up(1), up(3), up(5)];
        let numbered = |numbers: &[usize]| numbers.iter().map(|number| (*number, Key::Numbered)).collect::<Keys>();
        assert_eq!(ends(&changes, &numbered(&[])), [0; 0]);
        assert_eq!(ends(&changes, &numbered(&[0, 1])), [2]);
        assert_eq!(ends(&changes, &numbered(&[3, 5])), [5, 6]);
    }
}
