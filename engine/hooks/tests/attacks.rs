//! Scripts that want more than their record: each ends in bounded time and memory, and leaves nothing for the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::{Fault, Sandbox};
use querygate_metadata::model::HookCapability::{ApiRead, ApiWrite, Log};
use serde_json::{Value, json};
use std::time::Duration;

/// How an attack must end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Time,
    /// Out of memory, or its time was over before.
    MemoryOrTime,
    Unfinished,
    Answer,
    /// It used a capability that it does not have, and could not go on.
    Undeclared,
    /// It throws something that becomes an error.
    Thrown,
    /// It finds nothing: `ctx.input.found` is not set.
    Nothing,
    /// Any of them but success.
    Refused,
}

const ATTACKS: &[(&str, &str, End)] = &[
    ("loop", "while (true) {}", End::Time),
    ("loop in a promise", "await (async () => { for (;;) await null; })()", End::Time),
    ("promises without end", "const f = () => Promise.resolve().then(f); await f()", End::Refused),
    ("loop that catches", "for (;;) { try { for (;;) {} } catch (e) {} finally { continue } }", End::Time),
    ("loop in a getter of an error", "throw {get message() { for (;;) {} }}", End::Time),
    ("loop in a text of an error", "throw {toString() { for (;;) {} }, get message() { return 1 }}", End::Thrown),
    ("loop in toJSON", "ctx.input.x = {toJSON() { for (;;) {} }}", End::Time),
    ("loop in a generator", "function* g() { for (;;) yield 1 } for (const x of g()) {}", End::Time),
    ("loop in a sort", "[3, 2, 1].sort(() => { for (;;) {} })", End::Time),
    ("loop in a proxy", "new Proxy({}, {get() { for (;;) {} }}).x", End::Time),
    ("loop in a thenable", "await {then() { for (;;) {} }}", End::Time),
    ("never settled", "await new Promise(() => {})", End::Unfinished),
    ("lists without end", "const a = []; for (;;) a.push(new Array(1000).fill(7))", End::MemoryOrTime),
    ("a huge text", "let s = 'x'; for (;;) s += s", End::Refused),
    ("a huge repetition", "const s = 'x'.repeat(1e9)", End::Refused),
    ("texts made longer without end", "for (;;) 'a'.padEnd(1e6)", End::Time),
    ("texts made longer by what catches", "for (;;) { try { 'a'.padStart(1e6) } catch (e) {} }", End::Time),
    ("repetitions without end", "for (;;) { try { 'ab'.repeat(5e5) } catch (e) {} }", End::Time),
    ("a length that changes", "let n = 0; const o = {valueOf() { return n++ % 2 ? 1e6 : 1 }}; for (;;) 'a'.padEnd(o)", End::Time),
    ("lists copied without end", "const a = new Array(1e5).fill(1); for (;;) { try { a.slice() } catch (e) {} }", End::Time),
    (
        "texts made longer as they should be",
        "if ('a'.padEnd(3, 'bc') + '7'.padStart(3, '0') + 'ab'.repeat(2) + 'a'.padEnd() + 'a'.repeat() !== 'abc007ababa') ctx.input.found = true",
        End::Nothing,
    ),
    ("many objects", "let o = null; for (;;) o = {o, b: {c: 1}}", End::Refused),
    ("many maps", "const m = new Map(); for (let i = 0;; i++) m.set(i, 'v' + i)", End::MemoryOrTime),
    ("a huge list", "new Array(4294967295).fill(0)", End::Refused),
    ("a huge list of an object", "Array.prototype.fill.call({length: 9007199254740991}, 0)", End::Refused),
    ("a huge list turned round", "Array.prototype.reverse.call({length: 9007199254740991})", End::Refused),
    ("a search in a huge list", "[].indexOf.call({length: 9007199254740991}, 1)", End::Time),
    ("a huge list joined", "new Array(4294967295).join('x')", End::Refused),
    ("a huge list of parts", "const a = []; a.length = 4294967295; [].concat(a)", End::Refused),
    ("a huge record", "ctx.input.x = 'x'.repeat(6000000)", End::Answer),
    ("a record in itself", "ctx.input.self = ctx.input", End::Thrown),
    ("deep recursion", "const f = () => f() + 1; f()", End::Refused),
    ("deep recursion of texts", "const f = {toString() { return '' + this }}; '' + f", End::Refused),
    ("a deep record", "let o = {}; for (let i = 0; i < 100000; i++) o = {o}; ctx.input.o = o", End::Refused),
    ("a regex bomb", "/^(a+)+$/.test('a'.repeat(40) + 'b')", End::Refused),
    ("a regex bomb of backreferences", "/(x+x+)+y/.test('x'.repeat(60))", End::Refused),
    ("a large power", "let b = 3n; for (;;) b = b * b", End::Refused),
    ("a search of texts", "const s = 'a'.repeat(4e6); (s + s).indexOf(s + 'b')", End::Refused),
    ("throws null", "throw null", End::MemoryOrTime),
    ("throws undefined", "throw undefined", End::Thrown),
    ("throws a symbol", "throw Symbol('x')", End::Thrown),
    ("throws a proxy", "throw new Proxy({}, {get() { throw 1 }, getPrototypeOf() { throw 2 }})", End::Thrown),
    ("throws a function", "throw () => 1", End::Thrown),
    ("a huge message", "throw new Error('x'.repeat(1000000))", End::Thrown),
    ("forged ctx", "ctx = null; this.ctx = 5", End::Nothing),
    ("no record", "ctx.input = 5", End::Answer),
    ("no record but a list", "ctx.input = [1]", End::Answer),
    ("a record that is gone", "delete ctx.input", End::Answer),
    ("eval", "ctx.input.found = eval('1')", End::Thrown),
    ("indirect eval", "ctx.input.found = (0, globalThis.eval)('1')", End::Thrown),
    ("Function", "ctx.input.found = new Function('return 1')()", End::Thrown),
    ("constructor of a function", "ctx.input.found = (() => 1).constructor('return 1')()", End::Thrown),
    ("constructor of an async function", "ctx.input.found = (async () => 1).constructor('return 1')", End::Thrown),
    ("constructor of a generator", "ctx.input.found = (function* () {}).constructor('yield 1')", End::Thrown),
    (
        "constructor of the body",
        "ctx.input.found = Object.getPrototypeOf(async function () {}).constructor('1')",
        End::Thrown,
    ),
    (
        "files",
        "if (globalThis.require || globalThis.std || globalThis.os || globalThis.process) ctx.input.found = 1",
        End::Nothing,
    ),
    ("modules", "await import('std')", End::Refused),
    (
        "timers",
        "if (globalThis.setTimeout || globalThis.fetch || globalThis.performance) ctx.input.found = 1",
        End::Nothing,
    ),
    ("shared memory", "if (globalThis.SharedArrayBuffer || globalThis.ArrayBuffer) ctx.input.found = 1", End::Nothing),
    ("weak references", "if (globalThis.WeakRef || globalThis.FinalizationRegistry) ctx.input.found = 1", End::Nothing),
    (
        "our functions",
        "if (globalThis.native || globalThis.host || Object.keys(globalThis).length) ctx.input.found = 1",
        End::Nothing,
    ),
    ("the caller", "function f() { return f.caller } if (f()) ctx.input.found = 1", End::Nothing),
    (
        "the stack",
        "const s = new Error().stack; if (/\\/(home|work|root|tmp)\\//.test(s)) ctx.input.found = 1",
        End::Nothing,
    ),
    ("more capabilities", "ctx.api.object('x'); await ctx.api.transaction(async () => 1)", End::Undeclared),
    (
        "more capabilities, caught",
        "try { await ctx.api.transaction(async () => 1) } catch (e) { for (;;) {} }",
        End::Undeclared,
    ),
    (
        "the flag of a capability",
        "Object.prototype['api.transaction'] = true; await ctx.api.transaction(async () => 1)",
        End::Undeclared,
    ),
    ("a clock", "Date = class { static now() { return 1 } }; if (Date.now() !== 1) ctx.input.found = 1", End::Nothing),
    (
        "the real clock",
        "if (new (new Date().constructor)().getTime() !== 1773576000000) ctx.input.found = 1",
        End::Nothing,
    ),
    ("10,000 questions", "for (let i = 0; i < 10000; i++) await ctx.api.object('x').findOne({})", End::Thrown),
    ("a question that is no JSON", "await ctx.api.object(1n).insert(1n)", End::Thrown),
    (
        "2,000 questions, each caught",
        "for (let i = 0; i < 2000; i++) try { await ctx.api.object('x').find({}) } catch (e) {}",
        End::Nothing,
    ),
    (
        "a forged ctx in a call",
        "const find = ctx.api.object('x').find; ctx = {api: null}; if (!(await find.call(null, {})).n) throw 1",
        End::Nothing,
    ),
    (
        "a call kept in a promise",
        "Promise.resolve().then(() => { for (;;) ctx.api.object('x').insert({}) })",
        End::Refused,
    ),
    (
        "work after the end",
        "(async () => { for (let i = 0; i < 1000; i++) await null; ctx.input.found = 1 })()",
        End::Nothing,
    ),
    ("a question with a loop in it", "await ctx.api.object('x').find({toJSON() { for (;;) {} }})", End::Time),
    ("a question in itself", "const q = {}; q.q = q; await ctx.api.object('x').find(q)", End::Thrown),
    (
        "the answers of others",
        "JSON.parse = () => ({ok: true, value: {found: 1}}); const r = await ctx.api.object('x').findOne({}); if (r.found) ctx.input.found = 1",
        End::Nothing,
    ),
    (
        "the messages of others",
        "Error = class { constructor() { throw {found: 1} } }; try { await ctx.api.object(1n).find() } catch (e) { if (e.found) ctx.input.found = 1 }",
        End::Nothing,
    ),
    ("lines without end", "for (;;) ctx.log.info('x'.repeat(100000))", End::Refused),
    (
        "symbols",
        "ctx.input[Symbol.toPrimitive] = () => { for (;;) {} }; ctx.input[Symbol.iterator] = null",
        End::Nothing,
    ),
    (
        "functions that called it",
        "Error.prepareStackTrace = (e, sites) => sites.map((site) => site.getFunction()); if (typeof new Error('x').stack !== 'string') ctx.input.found = 1",
        End::Nothing,
    ),
    (
        "functions of ours that failed",
        "Error.prepareStackTrace = (e, sites) => sites.map((site) => site.getFunction()); try { await ctx.api.object(1n).find() } catch (e) { if (typeof e.stack !== 'string') ctx.input.found = 1 }",
        End::Nothing,
    ),
    (
        "what the engine does not free",
        "Error.stackTraceLimit = {}; Error.stackTraceLimit = {}; Error.stackTraceLimit = 5",
        End::Nothing,
    ),
    (
        "what stands behind a function of the engine",
        "const names = ['get', 'has', 'set', 'apply', 'construct', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'deleteProperty'];
         let seen = 0; for (const name of names) Object.prototype[name] = () => { seen += 1 };
         for (const f of [Array.prototype.fill, Array.from, ''.split, Reflect.apply, Date]) { f.x; 'x' in f; delete f.x; Object.getPrototypeOf(f); Reflect.ownKeys(f) }
         Date(); new Date(); [1].join(); for (const name of names) delete Object.prototype[name]; if (seen) ctx.input.found = seen",
        End::Nothing,
    ),
    (
        "the real clock behind Date",
        "class Day extends Date {} const made = [new Day(), Reflect.construct(Date, []), new Date.prototype.constructor(), new (Date.bind())(), new Date(Date())];
         if (made.some((date) => date.getTime() !== 1773576000000) || !(made[0] instanceof Day) || !(made[3] instanceof Date)) ctx.input.found = 1",
        End::Nothing,
    ),
    (
        "our module",
        "const ours = await import('prelude'); if (Reflect.ownKeys(ours).some((key) => typeof key === 'string') || globalThis.prelude) ctx.input.found = 1",
        End::Nothing,
    ),
    ("the end of the wrapper", "}); ctx = {input: {found: 1}}; (function () {", End::Nothing),
];

fn ends(end: End, made: &Result<Value, Fault>) -> bool {
    match (made, end) {
        (Err(Fault::Time), End::Time | End::MemoryOrTime | End::Refused) => true,
        (Err(Fault::Memory), End::MemoryOrTime | End::Refused) => true,
        (Err(Fault::Unfinished), End::Unfinished | End::Refused) => true,
        (Err(Fault::Answer), End::Answer | End::Refused) => true,
        (Err(Fault::Undeclared(_)), End::Undeclared | End::Refused) => true,
        (Err(Fault::Thrown(thrown)), End::Thrown | End::Refused) => thrown.message.len() <= 8_000,
        (Err(Fault::Syntax(_) | Fault::Engine(_)), End::Refused) => true,
        (Ok(input), End::Nothing) => input.get("found").is_none(),
        (Ok(_) | Err(_), _) => false,
    }
}

#[test]
fn attacks_end_in_time_and_leave_nothing() {
    let (mut sandbox, mut wrong) = (Sandbox::new(), Vec::new());
    let probe = "const found = Object.keys(globalThis).concat(Object.keys(Object.prototype), Object.keys(Array.prototype));\
        if (found.length || typeof Date.now() !== 'number' || [2, 1].sort()[0] !== 1) ctx.input.found = found";
    for (name, source, end) in ATTACKS {
        let report = sandbox.run(&script(source, &[ApiRead, ApiWrite, Log]), &call(&json!({"a": 1})));
        let (took, lines) = (report.took, report.log.len());
        let made = report.made.map(|made| Value::Object(made.input));
        if !ends(*end, &made) || took > Duration::from_secs(4) {
            let made: String = format!("{made:?}").chars().take(200).collect();
            wrong.push(format!("{name}: {end:?} was expected, after {took:?} it was {made}"));
        }
        assert!(lines <= 100, "{name} wrote {lines} lines");
        let after = sandbox.run(&script(probe, &[]), &call(&json!({"a": 1}))).made;
        assert_eq!(after.map(|made| Value::Object(made.input)), Ok(json!({"a": 1})), "after {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ATTACKS.len() >= 60);
}

#[test]
fn prototypes_are_those_of_one_call() {
    let pollutions = [
        "Object.prototype.found = 1; Array.prototype.found = 1",
        "Object.prototype.toJSON = function () { return {found: 1} }",
        "JSON.stringify = () => '{\"input\":{\"found\":1}}'; JSON.parse = () => ({found: 1})",
        "Object.defineProperty(Object.prototype, 'input', {set(v) {}, get() { return {found: 1} }})",
        "Promise.prototype.then = function () { return {found: 1} }; String.prototype.trim = () => 'found'",
        "globalThis.found = 1; Math.found = 1; Reflect.apply = () => 1; Array.prototype.push = () => 1",
        "Object.setPrototypeOf(Object.prototype, null); Object.freeze(Array.prototype)",
    ];
    let mut sandbox = Sandbox::new();
    for source in pollutions {
        drop(sandbox.run(&script(source, &[]), &call(&json!({}))));
        let probe =
            "ctx.input.seen = [({}).found, [].found, globalThis.found, ' a '.trim(), Math.found].map(String).join()";
        let made = sandbox.run(&script(probe, &[]), &call(&json!({}))).made.unwrap();
        assert_eq!(Value::Object(made.input), json!({"seen": "undefined,undefined,undefined,a,undefined"}), "{source}");
    }
}
