//! Scripts made of hostile parts, at random: each ends, and leaves nothing for the next one. `QUERYGATE_HOOK_SCRIPTS=100000` makes more of
//! them, `QUERYGATE_HOOK_SEED` others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::{Call, Fault, Host, Sandbox};
use querygate_metadata::model::{HookCapability, HookScript};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const SCRIPTS: u64 = 400;
/// What a script of the test is allowed, so that many of them run.
const CPU: Duration = Duration::from_millis(25);
const MEMORY: usize = 8 << 20;
/// Beyond this, nothing ended it.
const HANGS: Duration = Duration::from_secs(10);

/// Expressions without another one in them.
const ATOMS: &[&str] = &[
    "ctx",
    "ctx.input",
    "ctx.previous",
    "ctx.session",
    "ctx.api",
    "ctx.log",
    "globalThis",
    "undefined",
    "null",
    "0",
    "-1",
    "1e308",
    "NaN",
    "9007199254740991",
    "2n ** 64n",
    "''",
    "'x'",
    "'__proto__'",
    "'constructor'",
    "'\\ud800'",
    "[]",
    "{}",
    "Symbol.iterator",
    "Symbol('s')",
    "Object.prototype",
    "Array.prototype",
    "Function.prototype",
    "Promise.prototype",
    "RegExp.prototype",
    "Date",
    "Math",
    "JSON",
    "Reflect",
    "Proxy",
    "Error",
    "(() => 1)",
    "(async () => 1)",
    "(function* () { yield 1 })",
    "new Date()",
    "new Map()",
    "new Set()",
    "/(a+)+$/",
    "Promise.resolve(1)",
    "Promise.reject(2)",
    "new Promise(() => {})",
    "arguments",
    "this",
    "new Array(1e5).fill(7)",
    "'a'.repeat(1e5)",
];
/// Expressions around others, which stand for `#`.
const AROUND: &[&str] = &[
    "[#]",
    "[#, #]",
    "({a: #})",
    "({get a() { return # }})",
    "({toJSON() { return # }})",
    "({toString() { return # }})",
    "({then(f) { f(#) }})",
    "({valueOf: () => #})",
    "({[Symbol.iterator]: () => #})",
    "(() => #)",
    "(async () => #)",
    "(await #)",
    "Object(#)",
    "Object.keys(Object(#))",
    "Object.create(#)",
    "Object.freeze(Object(#))",
    "Object.getPrototypeOf(Object(#))",
    "Object.setPrototypeOf(Object(#), #)",
    "Object.defineProperty(Object(#), 'a', {get: () => #})",
    "Object.assign(Object(#), #)",
    "Reflect.ownKeys(Object(#))",
    "Reflect.construct(#, [#])",
    "Reflect.apply(#, #, [#])",
    "new Proxy(Object(#), {get: () => #})",
    "new Proxy(Object(#), Object(#))",
    "JSON.stringify(#)",
    "JSON.parse(#)",
    "String(#)",
    "Number(#)",
    "(# + #)",
    "(# === #)",
    "(#)?.(#)",
    "(#).constructor",
    "(#).constructor.constructor('return 1')",
    "(#)[#]",
    "(#).apply(#, [#])",
    "[].concat(#, #)",
    "[...(#)]",
    "Array.from(#)",
    "Array.prototype.fill.call(Object(#), #)",
    "Array.prototype.sort.call([3, 1, 2], () => #)",
    "(#).toString().split(#)",
    "String(#).replace(/./g, () => #)",
    "String(#).padEnd(1e6)",
    "new Error(#)",
    "structuredClone?.(#)",
    "Promise.all([#, #])",
    "Promise.resolve(#).then(() => #)",
    "ctx.api.object(#)",
    "ctx.api.object(#).find(#)",
    "ctx.api.object(#).insert(#)",
    "ctx.api.transaction(() => #)",
    "ctx.log.info(#)",
    "ctx.crypto.randomUUID(#)",
    "`${#}`",
    "(typeof #)",
    "(void #)",
    "(#, #)",
];
/// Statements with expressions, which stand for `#`, and statements, which stand for `@`.
const STATEMENTS: &[&str] = &[
    "#;",
    "ctx.input.a = #;",
    "ctx.input = #;",
    "ctx = #;",
    "delete ctx.input[#];",
    "Object.prototype.a = #;",
    "Array.prototype[0] = #;",
    "globalThis[#] = #;",
    "JSON.stringify = #;",
    "JSON.parse = () => #;",
    "Promise.prototype.then = #;",
    "Date = #;",
    "Math.random = #;",
    "throw #;",
    "return #;",
    "if (#) { @ } else { @ }",
    "try { @ } catch (e) { @ } finally { @ }",
    "for (const x of [#, #]) { @ }",
    "for (let i = 0; i < 50; i++) { @ }",
    "for (;;) { @ }",
    "while (#) { @ }",
    "for (const k in Object(#)) { @ }",
    "for await (const x of [#]) { @ }",
    "const f = () => { @ }; f();",
    "const g = async () => { @ }; g();",
    "await (async () => { @ })();",
    "label: { @ break label; }",
    "class A { constructor() { @ } get a() { return # } } new A().a;",
    "{ const a = []; for (;;) a.push(#); }",
    "let s = 'x'; for (let i = 0; i < 40; i++) s += s + #;",
    "(function f(n) { if (n > 0) f(n - 1); @ })(20);",
    "switch (#) { case #: @ default: @ }",
];

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 || self.next(3) == 0 {
            return ATOMS[self.next(ATOMS.len())].to_owned();
        }
        let around = AROUND[self.next(AROUND.len())];
        self.filled(around, depth - 1)
    }

    fn statement(&mut self, depth: usize) -> String {
        // The first ones have no statement in them.
        let known = if depth == 0 { 15 } else { STATEMENTS.len() };
        let statement = STATEMENTS[self.next(known)];
        self.filled(statement, depth.saturating_sub(1))
    }

    fn filled(&mut self, text: &str, depth: usize) -> String {
        let mut made = String::new();
        for letter in text.chars() {
            match letter {
                '#' => made.push_str(&self.expression(depth)),
                '@' => made.push_str(&self.statement(depth)),
                other => made.push(other),
            }
        }
        made
    }
}

/// Counts what reaches it.
#[derive(Default)]
struct Reached(Cell<u32>);

impl Host for Reached {
    fn api(&self, request: &str) -> String {
        self.0.set(self.0.get() + 1);
        assert!(serde_json::from_str::<Value>(request).is_ok(), "{request}");
        json!({"ok": true, "value": {"id": "a", "deep": {"list": [1, 2]}}}).to_string()
    }

    fn stops(&self) -> bool {
        self.0.get() > 1_000
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

fn of(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().unwrap())
}

fn hostile(source: &str, capabilities: &[HookCapability]) -> HookScript {
    HookScript { cpu: CPU, memory: MEMORY, ..script(source, capabilities) }
}

/// What is the same where the same script runs again: not how far one came that was ended.
fn outcome(made: Result<Map<String, Value>, Fault>) -> Result<Map<String, Value>, String> {
    made.map_err(|fault| match fault {
        Fault::Thrown(thrown) => thrown.message,
        other => format!("{other:?}"),
    })
}

#[test]
fn scripts_at_random_end_and_leave_nothing() {
    use HookCapability::{ApiRead, ApiTransaction, ApiWrite, Log};
    let mut random = Random(of("QUERYGATE_HOOK_SEED", 20_261_124).max(1));
    let mut sandbox = Sandbox::new();
    let probe = script(
        "ctx.input.names = [globalThis, Object.prototype, Array.prototype, Math, JSON].map((o) => Object.keys(o).length).join();
         ctx.input.works = JSON.stringify([[3, 1].sort(), 'a b'.split(' '), Date.now(), typeof Promise.prototype.then, `${{}}`]);",
        &[],
    );
    let expected = json!({"a": 1, "names": "0,0,0,0,0",
        "works": "[[1,3],[\"a\",\"b\"],1773576000000,\"function\",\"[object Object]\"]"});
    let (mut well, mut ended, mut thrown) = (0_u32, 0_u32, 0_u32);
    for number in 0..of("QUERYGATE_HOOK_SCRIPTS", SCRIPTS) {
        let count = 1 + random.next(4);
        let source: String = (0..count).map(|_| random.statement(3)).collect::<Vec<_>>().join("\n");
        let capabilities: &[HookCapability] =
            if random.next(2) == 0 { &[] } else { &[ApiRead, ApiWrite, ApiTransaction, Log] };
        let mut run = || {
            let host = Rc::new(Reached::default());
            let call = Call { host: Rc::<Reached>::clone(&host), ..call(&json!({"a": 1})) };
            let report = sandbox.run(&hostile(&source, capabilities), &call);
            assert!(report.took < HANGS, "script {number} took {:?}:\n{source}", report.took);
            assert!(report.log.len() <= 100);
            assert!(!capabilities.is_empty() || host.0.get() == 0, "script {number} asked without a right:\n{source}");
            assert!(host.0.get() <= 1_001, "script {number}:\n{source}");
            report.made.map(|made| made.input)
        };
        let (first, second) = (run(), run());
        let is_cut = |made: &Result<_, Fault>| matches!(made, Err(Fault::Time | Fault::Memory | Fault::Engine(_)));
        match &first {
            Ok(_) => well += 1,
            Err(Fault::Thrown(_)) => thrown += 1,
            Err(_) => ended += 1,
        }
        if !is_cut(&first) && !is_cut(&second) {
            assert_eq!(outcome(first), outcome(second), "script {number} is not the same twice:\n{source}");
        }
        let after = sandbox.run(&probe, &call(&json!({"a": 1}))).made;
        assert_eq!(
            after.map(|made| Value::Object(made.input)),
            Ok(expected.clone()),
            "after script {number}:\n{source}"
        );
    }
    // The parts are hostile enough, and not so broken that nothing runs.
    assert!(well > 0 && ended > 0 && thrown > 0, "{well} ended well, {thrown} threw, {ended} were ended");
}
