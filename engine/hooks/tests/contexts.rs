//! What one call leaves for the next: nothing, whether the next one's context was made before or is made for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::{Call, Fault, Host, Made, Sandbox};
use querygate_metadata::model::HookCapability::{ApiRead, ApiWrite};
use querygate_metadata::model::{HookCapability, HookScript};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Of many things that a script could change of the language, how they look.
const PROBE: &str = "
    const names = (object) => Object.getOwnPropertyNames(object).length;
    ctx.input.seen = [
        Object.keys(globalThis).length, Object.keys(Object.prototype).length, names(Array.prototype), names(String.prototype),
        names(Promise.prototype), names(Function.prototype), names(JSON), names(Math), names(Reflect), names(Date), names(Error),
        [3, 1, 2].sort().join('-'), JSON.stringify({a: [1]}), 'a b'.split(' ').length, `${{}}`, Date.now(), Math.random(),
        typeof await Promise.resolve(1), ((...all) => all.length)(...[1, 2]), Object.getPrototypeOf(Object.prototype),
        new Map([[1, 2]]).get(1), /a/.test('a'), [1].concat([2]).length, Object.isFrozen(Array.prototype), globalThis.found,
        Object.getOwnPropertyDescriptor(globalThis, 'Array').value === Array, Symbol.iterator in Array.prototype,
    ].map(String).join()";

/// What takes away, changes and adds what every script uses.
const CHANGES: &[&str] = &[
    "Object.prototype.found = 1; Object.prototype.toJSON = () => ({found: 1})",
    "Array.prototype.join = () => 'found'; Array.prototype.map = () => []; delete Array.prototype[Symbol.iterator]",
    "JSON.stringify = () => '{}'; JSON.parse = () => ({found: 1}); delete globalThis.JSON",
    "Promise.prototype.then = function () { return this }; Promise.resolve = () => 1; delete Promise.prototype.constructor",
    "Object.defineProperty(globalThis, 'Array', {get() { return Object }, configurable: true}); globalThis.found = 1",
    "for (const key of Reflect.ownKeys(globalThis)) try { delete globalThis[key] } catch {}",
    "for (const part of [Object, Array, String, Date, Math, Reflect, Map, RegExp, Function.prototype]) Object.freeze(part)",
    "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => 1",
    "Object.setPrototypeOf(Array.prototype, null); Object.setPrototypeOf(Function.prototype, {found: 1})",
    "String.prototype.split = Date.now = Math.random = Map.prototype.get = RegExp.prototype.exec = () => 1",
    "Error = TypeError = class {}; Symbol = () => 1; Error.prepareStackTrace = () => 1",
    "throw Object.assign(Object.prototype, {found: 1})",
    "globalThis.kept = []; for (let i = 0; i < 1000; i++) kept.push({i}); kept.all = kept; return kept",
];

/// With time for a busy machine that stands still now and then.
fn patient(source: &str, capabilities: &[HookCapability]) -> HookScript {
    HookScript { cpu: Duration::from_secs(5), ..script(source, capabilities) }
}

fn made(sandbox: &mut Sandbox, source: &str) -> Result<Value, Fault> {
    sandbox.run(&patient(source, &[]), &call(&json!({}))).made.map(|Made { input, .. }| Value::Object(input))
}

#[test]
fn a_call_finds_the_language_as_it_is() {
    let first = made(&mut Sandbox::new(), PROBE).unwrap();
    for is_prepared in [false, true] {
        let mut sandbox = Sandbox::new();
        for change in CHANGES {
            if is_prepared {
                sandbox.prepare();
            }
            drop(sandbox.run(&patient(change, &[]), &call(&json!({}))));
            if is_prepared {
                sandbox.prepare();
            }
            assert_eq!(made(&mut sandbox, PROBE), Ok(first.clone()), "prepared: {is_prepared}, after {change}");
        }
    }
}

#[test]
fn what_ran_out_of_something_leaves_nothing() {
    let bounded = |source: &str| HookScript { cpu: Duration::from_millis(25), memory: 4 << 20, ..script(source, &[]) };
    let hungry = [
        ("const all = []; for (;;) all.push({})", Fault::Memory),
        ("for (;;) {}", Fault::Time),
        ("await new Promise(() => {})", Fault::Unfinished),
        ("'x'.repeat(1e7)", Fault::Memory),
    ];
    for (source, fault) in hungry {
        let mut sandbox = Sandbox::new();
        for is_prepared in [false, true, true, false] {
            if is_prepared {
                sandbox.prepare();
            }
            let ended = sandbox.run(&bounded(source), &call(&json!({}))).made;
            // A slow machine ends it by its time before.
            assert!(ended == Err(fault.clone()) || ended == Err(Fault::Time), "{source}: {ended:?}");
            assert_eq!(made(&mut sandbox, "ctx.input.a = 1"), Ok(json!({"a": 1})), "after {source}");
        }
    }
}

#[test]
fn a_context_waits_longer_than_a_script_may() {
    let hook = HookScript { cpu: Duration::from_millis(500), wall: Duration::from_millis(500), ..script("", &[]) };
    let mut sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.prepare();
        std::thread::sleep(Duration::from_millis(600));
        assert!(sandbox.run(&hook, &call(&json!({}))).made.is_ok());
    }
}

#[test]
fn each_call_has_the_memory_of_its_script() {
    let (small, large) = (4 << 20, 32 << 20);
    let of = |memory, source: &str| HookScript { memory, ..patient(source, &[]) };
    // About 10 MB of objects that refer to one another, which only a search frees.
    let takes =
        "const all = globalThis.all = []; for (let i = 0; i < 60000; i++) all.push({all, i}); ctx.input.n = all.length";
    let mut sandboxes = [Sandbox::new(), Sandbox::new()];
    for round in 0..6 {
        for sandbox in &mut sandboxes {
            if round % 2 == 0 {
                sandbox.prepare();
            }
            let made = sandbox.run(&of(large, takes), &call(&json!({}))).made;
            assert_eq!(made.map(|made| Value::Object(made.input)), Ok(json!({"n": 60_000})), "round {round}");
            assert_eq!(sandbox.run(&of(small, ""), &call(&json!({}))).made.map(|made| made.returned), Ok(None));
        }
        assert_eq!(sandboxes[round % 2].run(&of(small, takes), &call(&json!({}))).made, Err(Fault::Memory));
    }
}

#[test]
fn memory_that_a_script_leaves_is_not_taken_from_later_ones() {
    let takes = "const all = globalThis.all = []; for (let i = 0; i < 120000; i++) all.push({all, i})";
    let mut sandbox = Sandbox::new();
    made(&mut sandbox, takes).unwrap();
    for number in 0..600 {
        assert_eq!(made(&mut sandbox, "ctx.input.a = 1"), Ok(json!({"a": 1})), "call {number}");
    }
}

/// Counts what it is asked.
#[derive(Default)]
struct Asked(Cell<u32>);

impl Host for Asked {
    fn api(&self, _request: &str) -> String {
        self.0.set(self.0.get() + 1);
        json!({"ok": true, "value": null}).to_string()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

#[test]
fn work_that_is_left_is_not_done_in_the_next_call() {
    let left = [
        "(async () => { for (let i = 0; i < 20; i++) await null; await ctx.api.object('x').insert({}) })()",
        "const go = async () => { for (;;) { await null; await ctx.api.object('x').find({}) } }; go()",
        // It would take the time of the next call.
        "const again = () => queueMicrotask(() => { for (let i = 0; i < 1e7; i++); again() }); again()",
        "const again = () => queueMicrotask(() => { ctx.log.info('x'); again() }); again()",
        "const object = ctx.api.object('x'); Promise.resolve().then(() => 1).then(() => 2).then(() => 3).then(() => object.insert({}))",
    ];
    for source in left {
        let mut sandbox = Sandbox::new();
        let mut run = |source: &str, capabilities: &[_]| {
            let host = Rc::new(Asked::default());
            let call = Call { host: Rc::<Asked>::clone(&host), ..call(&json!({})) };
            let report = sandbox.run(&patient(source, capabilities), &call);
            sandbox.prepare();
            (report.made.map(|made| Value::Object(made.input)), host)
        };
        let (_, first) = run(source, &[ApiRead, ApiWrite]);
        let asked = first.0.get();
        // It waits long enough for all that is left, and may ask for nothing.
        let (made, second) = run("for (let i = 0; i < 200; i++) await null; ctx.input.a = 1", &[]);
        assert_eq!(made, Ok(json!({"a": 1})), "after {source}");
        assert_eq!((first.0.get(), second.0.get()), (asked, 0), "after {source}");
    }
}
