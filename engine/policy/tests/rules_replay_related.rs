//! Recorded write histories of the vendor's runtime, replayed for what a write does to other objects' records: roll-ups of
//! parents, and what keeps a record from being deleted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod histories;
mod support;

use histories::{COUNT, History, Row, clock, history};
use querygate_metadata::model::{DeleteBehavior, SummaryFunction};
use querygate_policy::rules::{SummaryUpdate, delete_rules};
use serde_json::Value;
use std::collections::BTreeSet;
use support::Rows;

#[test]
fn roll_ups_are_computed_of_the_same_children() {
    let mut compared = 0;
    for number in 1..=COUNT {
        let Some(mut history) = history(number) else { return };
        for step in history.steps() {
            let before = history.store.clone();
            history.apply(&step);
            // After an error, roll-ups may not have run.
            let is_stored = step["status"].as_i64().unwrap() < 300 && step["body"]["success"] != false;
            let changes = step["delta"].as_object().into_iter().flatten().filter(|(name, _)| *name != "$shares");
            for (object, ids) in changes.filter(|_| is_stored) {
                let rules = history.policy.rules(object).unwrap();
                for id in ids.as_object().unwrap().keys() {
                    let row = |store: &std::collections::HashMap<String, std::collections::BTreeMap<String, Row>>| {
                        store.get(object).and_then(|rows| rows.get(id)).cloned()
                    };
                    let (old, new) = (row(&before), row(&history.store));
                    let now_ms = clock(step["n"].as_i64().unwrap());
                    for update in rules.summary_updates(old.as_ref(), new.as_ref(), now_ms).unwrap() {
                        compared += check(&history, &update, &format!("history {number}, step {}", step["n"]));
                    }
                }
            }
        }
    }
    println!("{compared} roll-ups compared");
    assert!(compared > 900, "only {compared} roll-ups were compared");
}

/// How many parents have the value that their children make.
fn check(history: &History, update: &SummaryUpdate, place: &str) -> usize {
    let mut checked = 0;
    for parent in &update.parents {
        let Some(row) = history.store.get(&update.parent).and_then(|rows| rows.get(parent.as_str()?)) else { continue };
        // Columns of numbers hold empty texts there, which are zero to some functions.
        let mut children = history.store[&update.child].values().filter(|child| child[&update.relationship] == *parent);
        if update.child_field.as_ref().is_some_and(|field| children.any(|child| child[field] == "")) {
            continue;
        }
        let (there, here) = (row[&update.field].as_f64(), fold(history, update, parent));
        let is_same = match (there, here) {
            (Some(there), Some(here)) => (there - here).abs() < 1e-9,
            (there, here) => there == here,
        };
        assert!(is_same, "{place}: {} of {} {parent} is {there:?} there, {here:?} here", update.field, update.parent);
        checked += 1;
    }
    checked
}

fn fold(history: &History, update: &SummaryUpdate, parent: &Value) -> Option<f64> {
    let none = Rows(std::collections::HashMap::new());
    let children = history.store[&update.child].values();
    let children = children
        .filter(|child| child[&update.relationship] == *parent && update.filter.evaluate(child, &none).unwrap());
    let children: Vec<&Row> = children.collect();
    let fields = || update.child_field.iter();
    let values = || fields().flat_map(|field| children.iter().filter_map(|child| child[field].as_f64()));
    #[expect(clippy::cast_precision_loss, reason = "few children")]
    let count = |number: usize| number as f64;
    match update.function {
        SummaryFunction::Count => Some(count(children.len())),
        SummaryFunction::Sum => Some(values().sum()),
        SummaryFunction::Min => values().reduce(f64::min),
        SummaryFunction::Max => values().reduce(f64::max),
        SummaryFunction::Avg => {
            let values: Vec<f64> = values().collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
        }
    }
}

#[test]
fn deletes_are_restricted_as_recorded() {
    let (mut restricted, mut deleted) = (0, 0);
    for number in 1..=COUNT {
        let Some(mut history) = history(number) else { return };
        for step in history.steps() {
            if step["kind"] == "delete" {
                let (object, id) = (step["object"].as_str().unwrap(), step["id"].as_str().unwrap());
                let place = format!("history {number}, step {}", step["n"]);
                let mut gone = BTreeSet::new();
                let refusal = refusal(&history, object, id, &mut gone);
                if step["body"]["code"] == "DELETE_RESTRICTED" {
                    let text = step["body"]["error"].as_str().unwrap();
                    let refusal = refusal.unwrap_or_else(|| panic!("{place}: {text}"));
                    assert!(refusal.iter().any(|own| own == text), "{place}: {text}, here {refusal:?}");
                    restricted += 1;
                } else if step["status"] == 200 {
                    assert_eq!(refusal, None, "{place}");
                    let rows = step["delta"].as_object().unwrap().iter();
                    let rows = rows.filter(|(name, _)| *name != "$shares").flat_map(|(object, rows)| {
                        rows.as_object()
                            .unwrap()
                            .iter()
                            .filter(|(_, row)| row.is_null())
                            .map(|(id, _)| (object.clone(), id.clone()))
                    });
                    assert_eq!(gone, rows.collect(), "{place}");
                    deleted += 1;
                }
            }
            history.apply(&step);
        }
    }
    println!("{restricted} refusals and {deleted} deletes compared");
    assert!(restricted > 20 && deleted > 40, "{restricted} refusals and {deleted} deletes");
}

/// The texts of the first refusal, with and without the number of dependents; `gone`: what is deleted.
fn refusal(history: &History, object: &str, id: &str, gone: &mut BTreeSet<(String, String)>) -> Option<[String; 2]> {
    if !gone.insert((object.to_owned(), id.to_owned())) {
        return None;
    }
    let snapshot = history.snapshot();
    let parent = snapshot.object(object).unwrap();
    for rule in delete_rules(snapshot, object) {
        let rows = history.store.get(&rule.object.name).into_iter().flatten();
        let points = |row: &Row| match &row[&rule.field.name] {
            Value::Array(ids) => ids.iter().any(|other| other == id),
            other => other == id,
        };
        let is_gone = |own: &&String| gone.contains(&(rule.object.name.clone(), (*own).clone()));
        let dependents: Vec<String> =
            rows.filter(|(_, row)| points(row)).map(|(own, _)| own).filter(|own| !is_gone(own)).cloned().collect();
        match rule.behavior {
            DeleteBehavior::Restrict if !dependents.is_empty() => {
                return Some([Some(dependents.len()), None].map(|count| rule.violation(parent, count).message));
            }
            DeleteBehavior::Restrict | DeleteBehavior::SetNull => {}
            DeleteBehavior::Cascade => {
                for dependent in dependents {
                    if let Some(refusal) = refusal(history, &rule.object.name, &dependent, gone) {
                        return Some(refusal);
                    }
                }
            }
        }
    }
    None
}
