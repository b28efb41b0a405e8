//! How fast a principal's decisions are made over an application of 65 objects.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use querygate_bench::crm;
use querygate_metadata::model::Facts;
use querygate_policy::{CompiledPolicy, Evaluator, resolve_principal};
use std::hint::black_box;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

fn policy(criterion: &mut Criterion<CpuTime>) {
    let snapshot = Arc::new(crm::snapshot(&crm::stack()).unwrap());
    let policy = CompiledPolicy::compile(snapshot, Vec::new());
    let facts = Facts::default();
    let principal = resolve_principal(crm::principal(), &policy, &facts, NOW_MS);
    let names: Vec<String> = (0..crm::OBJECTS).map(crm::object_name).collect();
    let evaluator = Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms: NOW_MS };
    let allowed = names.iter().filter(|name| evaluator.decide_read(name).is_allowed()).count();
    assert!(allowed > crm::OBJECTS / 2 && allowed < crm::OBJECTS, "{allowed}");

    criterion.bench_function("policy/resolve_principal", |b| {
        b.iter(|| black_box(resolve_principal(crm::principal(), &policy, &facts, NOW_MS)));
    });
    criterion.bench_function("policy/decide_read_one_object", |b| {
        b.iter(|| black_box(evaluator.decide_read(black_box(&names[12]))));
    });
    criterion.bench_function("policy/decide_read_65_objects", |b| {
        b.iter(|| {
            for name in &names {
                black_box(evaluator.decide_read(name));
            }
        });
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = policy
}
criterion_main!(benches);
