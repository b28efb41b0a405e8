//! Memory of a process whose scripts leave garbage. It is alone, as others would be counted with it. `QUERYGATE_HOOK_CALLS=1000000` makes
//! more calls, within the same bound.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::Sandbox;
use querygate_metadata::model::HookScript;
use serde_json::json;
use std::time::Duration;

#[test]
fn memory_does_not_grow_with_calls() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * 4096
    };
    // Time is not what is measured, and a busy machine stands still now and then.
    let cpu = Duration::from_secs(5);
    let source = "const a = {}; a.a = a; ctx.input.x = [a].length; Array.prototype.kept = a";
    let hook = HookScript { cpu, ..script(source, &[]) };
    let mut sandbox = Sandbox::new();
    let mut run = |times: usize| {
        for number in 0..times {
            if number % 2 == 0 {
                sandbox.prepare();
            }
            sandbox.run(&hook, &call(&json!({}))).made.unwrap();
        }
    };
    let calls = std::env::var("QUERYGATE_HOOK_CALLS").map_or(20_000, |calls| calls.parse().unwrap());
    run(500);
    let before = resident();
    run(calls);
    let grown = resident().saturating_sub(before);
    eprintln!("{calls} calls: {grown} bytes more");
    assert!(grown < 8 << 20, "{grown} bytes more after {calls} calls");
}
