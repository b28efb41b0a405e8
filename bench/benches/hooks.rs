//! What scripts of hooks cost: a context of its own, a script that fills a field, one that looks at many, texts of log lines, and calls of ctx.api.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use querygate_hooks::{Call, Host, Sandbox};
use querygate_metadata::model::{HookCapability, HookScript};
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::rc::Rc;
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
        let script = HookScript {
            source: source.to_owned(),
            capabilities: vec![HookCapability::Log, HookCapability::ApiRead],
            cpu: Duration::from_millis(250),
            wall: Duration::from_secs(30),
            memory: 32 << 20,
        };
        let (mut sandbox, call) = (Sandbox::new(), call());
        assert_eq!(sandbox.run(&script, &call).made.is_ok(), name != "refuse", "{name}");
        criterion.bench_function(&format!("hooks/{name}"), |b| {
            b.iter(|| black_box(sandbox.run(&script, black_box(&call))));
        });
    }
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = hooks
}
criterion_main!(benches);
