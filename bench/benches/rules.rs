//! What the rules of an object cost for each written record: its contracts alone, and with five conditions in CEL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_policy::CompiledPolicy;
use querygate_policy::rules::{Attempt, GrantedRights, ObjectRules, ReadonlyMode, ReferredRecords};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

/// Conditions under which a record is refused: none of them holds for the bench's.
const CONDITIONS: [&str; 5] = [
    "record.amount < 0.0",
    "record.discount > 0.5 && record.stage != 'won'",
    "record.stage == 'won' && record.amount == 0.0",
    "record.title.startsWith('x') || size(record.title) > 100",
    "record.quantity * record.amount > 1000000.0",
];

fn rules(conditions: &[&str]) -> Arc<ObjectRules> {
    let validations = conditions.iter().enumerate().map(|(number, condition)| {
        json!({"type": "script", "name": format!("rule_{number}"), "label": "Rule", "message": "Not so.",
            "condition": condition})
    });
    let stack = json!({
        "manifest": {"id": "com.example.b", "namespace": "b", "version": "1.0.0", "type": "app", "name": "B"},
        "objects": [{"name": "b_line", "label": "Line", "sharingModel": "public_read_write", "fields": {
            "title": {"type": "text", "label": "Title", "required": true, "maxLength": 200},
            "stage": {"type": "text", "label": "Stage"},
            "amount": {"type": "number", "label": "Amount"},
            "discount": {"type": "number", "label": "Discount"},
            "quantity": {"type": "number", "label": "Quantity"},
            "done": {"type": "boolean", "label": "Done"},
        }, "validations": validations.collect::<Vec<_>>()}],
        "permissions": [],
    });
    let snapshot = load_text("stack.json", &stack.to_string(), &LoadOptions::default()).unwrap();
    let policy = CompiledPolicy::compile(Arc::new(snapshot), Vec::new());
    let rules = Arc::clone(policy.rules("b_line").unwrap());
    assert_eq!((rules.validation_names().count(), rules.faults().len()), (conditions.len(), 0));
    rules
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn written(criterion: &mut Criterion<CpuTime>) {
    let principal = Principal::builder("sam").user_id("u1").build();
    let whole = row(json!({"title": "Ten of them", "stage": "open", "amount": 12.5, "discount": 0.1, "quantity": 10,
        "done": false}));
    let stored =
        row(json!({"id": "l1", "title": "Ten", "stage": "new", "amount": 12.5, "discount": 0.1, "quantity": 10,
        "done": false}));
    let change = row(json!({"title": "Ten of them", "stage": "open"}));
    let (referred, rights) = (ReferredRecords::default(), GrantedRights::default());
    for (name, conditions) in [("none", &[][..]), ("five", &CONDITIONS[..])] {
        let rules = rules(conditions);
        let insert = Attempt {
            payload: &whole,
            previous: None,
            parent: None,
            referred: &referred,
            rights: &rights,
            principal: &principal,
            stamps: &[],
            readonly: ReadonlyMode::Refuse,
            made: &[],
            now_ms: NOW_MS,
        };
        let update = Attempt { payload: &change, previous: Some(&stored), ..insert };
        for (kind, attempt) in [("insert", insert), ("update", update)] {
            let outcome = rules.evaluate(&attempt);
            assert!(outcome.violations.is_empty() && outcome.notices.is_empty(), "{outcome:?}");
            criterion.bench_function(&format!("rules/{kind}_{name}"), |b| {
                b.iter(|| black_box(rules.evaluate(black_box(&attempt))));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = written
}
criterion_main!(benches);
