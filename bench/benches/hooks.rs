//! How fast hooks of one row are: five conditions, and a script before an insert.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use querygate_bench::crm;
use querygate_hooks::{Call, Host, Sandbox};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{HookEvent, HookScript, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_policy::hooks::HookScene;
use serde_json::{Value, json};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const NOW_MS: i64 = 1_767_225_600_000;
const CONDITIONS: [&str; 5] = [
    "record.stage == 'won' && record.amount > 100",
    "record.amount != null && record.amount >= 10 && record.amount <= 1000",
    "previous.stage != record.stage",
    "startsWith(record.title, 'A') || record.region == current_user.region",
    "record.stage in ['open', 'won', 'lost'] && !isBlank(record.title)",
];

struct Alone;

impl Host for Alone {
    fn api(&self, _request: &str) -> String {
        "{}".to_owned()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

fn hooks(criterion: &mut Criterion<CpuTime>) {
    let own: Vec<Value> = CONDITIONS
        .iter()
        .enumerate()
        .map(|(number, condition)| {
            json!({"name": format!("h{number}"), "object": "t_deal", "events": ["beforeUpdate"], "condition": condition,
                "body": {"language": "js", "source": ""}})
        })
        .collect();
    let stack = json!({
        "manifest": {"id": "com.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [{"name": "t_deal", "label": "Deal", "sharingModel": "private", "fields": {
            "title": {"type": "text"}, "stage": {"type": "text"}, "region": {"type": "text"}, "amount": {"type": "number"}}}],
        "hooks": own,
    });
    let options = LoadOptions { posture: TenancyPosture::Single };
    let snapshot = load_text("stack.json", &stack.to_string(), &options).unwrap();
    let policy = CompiledPolicy::compile(Arc::new(snapshot), Vec::new());
    let own = policy.hooks("t_deal", HookEvent::BeforeUpdate);
    assert_eq!(own.len(), CONDITIONS.len());
    let row = |value: Value| value.as_object().unwrap().clone();
    let record = row(json!({"id": "1", "title": "A deal", "stage": "won", "region": "eu", "amount": 250}));
    let previous = row(json!({"id": "1", "title": "A deal", "stage": "open", "region": "eu", "amount": 250}));
    let principal = crm::principal();
    let scene = HookScene { record: &record, previous: Some(&previous), principal: &principal, now_ms: NOW_MS };
    criterion.bench_function("hooks/five_conditions", |b| {
        b.iter(|| own.iter().filter(|hook| hook.applies(black_box(scene)).unwrap()).count());
    });

    let script = HookScript {
        source: "if (typeof ctx.input.title === 'string') ctx.input.title = ctx.input.title.trim();".to_owned(),
        capabilities: Vec::new(),
        cpu: Duration::from_millis(250),
        wall: Duration::from_secs(30),
        memory: 32 << 20,
    };
    let held = row(json!({"event": "beforeInsert", "object": "t_deal", "input": record, "previous": null,
        "session": {"userId": "u1", "positions": ["p"]}, "user": {"id": "u1", "email": null},
        "dispatch": {"mode": "record", "index": 0}}));
    let call = Call { held, now_ms: NOW_MS, seed: 0, host: Rc::new(Alone) };
    let mut sandbox = Sandbox::new();
    criterion.bench_function("hooks/before_insert", |b| {
        b.iter(|| sandbox.run(&script, black_box(&call)).made.unwrap());
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = hooks
}
criterion_main!(benches);
