//! How fast metadata answers: an object by name, a package of 100 items taken out, a policy set compiled.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first failure")]

mod clock;

use clock::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use querygate_bench::crm;
use querygate_metadata::Registry;
use querygate_policy::CompiledPolicy;
use std::hint::black_box;
use std::sync::Arc;

fn metadata(criterion: &mut Criterion<CpuTime>) {
    let snapshot = Arc::new(crm::snapshot(&crm::stack()).unwrap());
    let names: Vec<String> = (0..crm::OBJECTS).map(crm::object_name).collect();
    let mut next = 0;
    criterion.bench_function("metadata/object_by_name", |b| {
        b.iter(|| {
            next = (next + 1) % names.len();
            black_box(snapshot.object(black_box(&names[next])).unwrap());
        });
    });
    let registry = Registry::new(Arc::clone(&snapshot));
    let registry = registry.install("ext.json", &crm::package_of_100().to_string()).unwrap();
    criterion.bench_function("metadata/uninstall_100_items", |b| {
        b.iter(|| black_box(registry.uninstall("com.example.ext").unwrap()));
    });
    let text = crm::stack().to_string();
    criterion.bench_function("metadata/load_65_objects", |b| {
        b.iter(|| black_box(querygate_metadata::load::load_text("stack.json", &text, &Default::default()).unwrap()));
    });
    criterion.bench_function("metadata/compile_policies_65_objects", |b| {
        b.iter(|| black_box(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new())));
    });
}

criterion_group! {
    name = benches;
    config = clock::criterion();
    targets = metadata
}
criterion_main!(benches);
