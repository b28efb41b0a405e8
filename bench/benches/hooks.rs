//! What hooks cost: conditions of five of them on a record, and scripts: a context of its own, a script that fills a field, one that looks at many, texts of log lines, calls of ctx.api, and a context that was made before.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use querygate_hooks::{Call, Host, Sandbox};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{HookCapability, HookEvent, HookScript};
use querygate_policy::CompiledPolicy;
use querygate_policy::hooks::HookScene;
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Answers all that it is asked at once, so that what is measured is the way there and back.
struct Ready;

impl Host for Ready {
    fn api(&self, _request: &str) -> String {
        r#"{"ok":true,"value":{"id":"a1","name":"a name","amount":7}}"#.to_owned()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

/// A record of as many fields as an everyday object has.
fn call() -> Call {
    let fields = (0..24).map(|n| (format!("field_{n}"), json!(format!("a text of field {n}"))));
    let mut input: Map<String, Value> = fields.collect();
    input.insert("amount".to_owned(), json!(1250.5));
    let held = json!({
        "event": "beforeInsert", "object": "orders", "input": input, "previous": null,
        "session": {"userId": "u1", "positions": ["clerk"]}, "user": {"id": "u1", "email": "u1@example.org"},
        "dispatch": {"mode": "record", "index": 0},
    });
    let held = held.as_object().unwrap().clone();
    Call { held, now_ms: 1_773_576_000_000, seed: 7, host: Rc::new(Ready) }
}

fn hooks(criterion: &mut Criterion<CpuTime>) {
    for (name, source) in [
        ("nothing", ""),
        ("fill_a_field", "ctx.input.tier = ctx.input.amount > 1000 ? 'gold' : 'base'"),
        ("refuse", "if (ctx.input.amount > 1000) throw new Error('too much')"),
        (
            "all_fields",
            "for (const k of Object.keys(ctx.input)) if (typeof ctx.input[k] === 'string') ctx.input[k] = ctx.input[k].trim()",
        ),
        ("log_a_line", "ctx.log.info('seen ' + ctx.input.amount)"),
        ("ask_once", "ctx.input.name = (await ctx.api.object('accounts').findOne({ where: { id: 'a1' } })).name"),
        (
            "ask_a_hundred_times",
            "for (let i = 0; i < 100; i++) await ctx.api.object('accounts').findOne({ where: { id: 'a1' } })",
        ),
    ] {
        let script = script(source);
        let (mut sandbox, call) = (Sandbox::new(), call());
        assert_eq!(sandbox.run(&script, &call).made.is_ok(), name != "refuse", "{name}");
        criterion.bench_function(&format!("hooks/{name}"), |b| {
            b.iter(|| black_box(sandbox.run(&script, black_box(&call))));
        });
    }
}

/// What a statement waits for, whose context was made after the one before had its answer; and a sandbox that is made for one call.
fn prepared(criterion: &mut Criterion<CpuTime>) {
    let (script, call) = (script("ctx.input.tier = ctx.input.amount > 1000 ? 'gold' : 'base'"), call());
    let sandbox = RefCell::new(Sandbox::new());
    criterion.bench_function("hooks/fill_a_field_prepared", |b| {
        let prepare = || sandbox.borrow_mut().prepare();
        b.iter_batched(prepare, |()| black_box(sandbox.borrow_mut().run(&script, &call)), BatchSize::PerIteration);
    });
    criterion.bench_function("hooks/fill_a_field_first", |b| {
        b.iter(|| black_box(Sandbox::new().run(&script, black_box(&call))));
    });
}

fn script(source: &str) -> HookScript {
    HookScript {
        source: source.to_owned(),
        capabilities: vec![HookCapability::Log, HookCapability::ApiRead],
        cpu: Duration::from_millis(250),
        wall: Duration::from_secs(30),
        memory: 32 << 20,
    }
}

/// Five hooks of an object, whose conditions look at a record and its stored one.
fn conditions(criterion: &mut Criterion<CpuTime>) {
    let written = [
        "record.amount > 1000.0 && record.field_1 == 'no'",
        "record.field_2 != previous.field_2",
        "record.field_3.startsWith('x') || record.amount < 0.0",
        "record.field_4 in ['a', 'b', 'c']",
        "previous.amount != null && record.amount > previous.amount * 2.0",
    ];
    let body = json!({"language": "js", "source": "", "capabilities": []});
    let hooks = written.iter().enumerate().map(|(number, condition)| {
        json!({"name": format!("hook_{number}"), "object": "shop_orders", "events": ["beforeUpdate"], "condition": condition, "body": body})
    });
    let texts = (0..24).map(|n| (format!("field_{n}"), json!({"type": "text"})));
    let mut fields: Map<String, Value> = texts.collect();
    fields.insert("amount".to_owned(), json!({"type": "number"}));
    let object =
        json!({"name": "shop_orders", "label": "Order", "sharingModel": "public_read_write", "fields": fields});
    let manifest = json!({"id": "com.example.shop", "namespace": "shop", "version": "1.0.0", "type": "app", "name": "Shop",
        "engines": {"protocol": "^17"}});
    let stack = json!({"manifest": manifest, "objects": [object], "hooks": hooks.collect::<Vec<_>>()});
    let snapshot = load_text("stack.json", &stack.to_string(), &LoadOptions::default()).unwrap();
    let policy = CompiledPolicy::compile(Arc::new(snapshot), Vec::new());
    let hooks = policy.hooks("shop_orders", HookEvent::BeforeUpdate);
    assert_eq!(hooks.len(), 5);
    let record = call().held.get("input").unwrap().as_object().unwrap().clone();
    let principal = Principal::builder("u1").build();
    let scene =
        HookScene { record: &record, previous: Some(&record), principal: &principal, now_ms: 1_773_576_000_000 };
    // None runs, so that what is measured is asking.
    assert!(hooks.iter().all(|hook| hook.applies(scene) == Ok(false)));
    criterion.bench_function("hooks/five_conditions", |b| {
        b.iter(|| hooks.iter().filter(|hook| hook.applies(black_box(scene)) == Ok(true)).count());
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = hooks, prepared, conditions
}
criterion_main!(benches);
