//! What scripts of hooks see and make.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::{Fault, Made, Sandbox};
use querygate_metadata::model::HookCapability::{ApiRead, ApiTransaction, ApiWrite, CryptoUuid, Log};
use serde_json::{Value, json};

fn made(source: &str) -> Made {
    let report = Sandbox::new().run(&script(source, &[ApiRead, ApiWrite, CryptoUuid, Log]), &call(&json!({"a": 5})));
    report.made.unwrap_or_else(|fault| panic!("{source}: {fault:?}"))
}

#[test]
fn a_script_changes_its_record() {
    let cases: [(&str, Value); 12] = [
        ("", json!({"a": 5})),
        ("ctx.input.b = ctx.input.a + 1; delete ctx.input.a", json!({"b": 6})),
        ("if (typeof ctx.input.name === 'string') ctx.input.name = ctx.input.name.trim();", json!({"a": 5})),
        ("await null; ctx.input.b = ctx.previous ? 'u' : 'i'", json!({"a": 5, "b": "i"})),
        ("ctx.input.at = new Date()", json!({"a": 5, "at": "2026-03-15T12:00:00.000Z"})),
        (
            "ctx.input.at = Date.now(); ctx.input.y = new Date(0).getUTCFullYear()",
            json!({"a": 5, "at": 1_773_576_000_000_i64, "y": 1970}),
        ),
        ("ctx.input.d = new Date('2026-01-02') instanceof Date", json!({"a": 5, "d": true})),
        ("ctx.input.who = ctx.user.email + ctx.session.positions[0]", json!({"a": 5, "who": "u1@example.orgclerk"})),
        ("ctx.input.id = ctx.crypto.randomUUID()", json!({"a": 5, "id": "00000000-0000-4000-8000-000000000001"})),
        ("ctx.input.n = (await ctx.api.object('x').findOne({where: {}})).n", json!({"a": 5, "n": 1})),
        ("ctx.input.x = undefined; ctx.input.y = NaN", json!({"a": 5, "y": null})),
        ("ctx.input = {z: [1, {q: 'ü'}]}", json!({"z": [1, {"q": "ü"}]})),
    ];
    for (source, expected) in cases {
        assert_eq!(Value::Object(made(source).input), expected, "{source}");
    }
}

#[test]
fn what_is_returned_is_told_apart() {
    assert_eq!(made("return {amount: 19}").returned.map(Value::Object), Some(json!({"amount": 19})));
    for source in ["return 5", "return null", "return 'x'", "return [1]", "return"] {
        assert_eq!(made(source).returned, None, "{source}");
    }
}

#[test]
fn chance_is_drawn_from_the_seed() {
    let draw = || made("ctx.input.r = [Math.random(), Math.random()]").input;
    assert_eq!(draw(), draw());
    assert_ne!(draw().get("r").unwrap()[0], draw().get("r").unwrap()[1]);
}

#[test]
fn errors_are_told_with_their_code() {
    let thrown = |source: &str| match Sandbox::new().run(&script(source, &[]), &call(&json!({}))).made {
        Err(Fault::Thrown(thrown)) => (thrown.message, thrown.code, thrown.status),
        other => panic!("{source}: {other:?}"),
    };
    assert_eq!(thrown("throw new Error('Closed record')"), ("Closed record".into(), None, None));
    let teapot = "const e = new Error('Teapot'); e.code = 'TEAPOT'; e.status = 418; throw e;";
    assert_eq!(thrown(teapot), ("Teapot".into(), Some("TEAPOT".into()), Some(418)));
    assert_eq!(thrown("throw 'words'").0, "words");
    assert!(thrown("ctx.nothing.here").0.contains("undefined"));
}

#[test]
fn a_capability_that_is_not_declared_ends_a_script() {
    for (source, capability) in [
        ("try { await ctx.api.object('x').insert({}) } catch (e) {}", ApiWrite),
        ("await ctx.api.transaction(async () => 1)", ApiTransaction),
        ("ctx.log.info('x')", Log),
        ("ctx.crypto.randomUUID()", CryptoUuid),
    ] {
        let made = Sandbox::new().run(&script(source, &[ApiRead]), &call(&json!({}))).made;
        assert_eq!(made, Err(Fault::Undeclared(capability)), "{source}");
    }
}

#[test]
fn a_transaction_ends_with_its_work() {
    let asked = |source: &str| {
        let log = std::rc::Rc::new(Asked::default());
        let mut call = call(&json!({}));
        call.host = std::rc::Rc::clone(&log) as std::rc::Rc<dyn querygate_hooks::Host>;
        let report = Sandbox::new().run(&script(source, &[ApiRead, ApiWrite, ApiTransaction]), &call);
        (log.0.borrow().join(" "), report.calls, report.made.map(|made| Value::Object(made.input)))
    };
    let (calls, count, made) =
        asked("ctx.input.r = await ctx.api.transaction(async (api) => { await api.object('x').insert({}); return 5 })");
    assert_eq!((calls.as_str(), count, made), ("begin insert commit", 3, Ok(json!({"r": 5}))));
    let undone = "try { await ctx.api.transaction(async () => { throw new Error('no') }) } catch (e) { ctx.input.r = e.message }";
    assert_eq!(asked(undone), ("begin rollback".into(), 2, Ok(json!({"r": "no"}))));
    assert_eq!(asked("ctx.api.transaction(() => new Promise(() => {}))").0, "begin");
}

/// Remembers what it was asked.
#[derive(Default)]
struct Asked(std::cell::RefCell<Vec<String>>);

impl querygate_hooks::Host for Asked {
    fn api(&self, request: &str) -> String {
        let request: Value = serde_json::from_str(request).unwrap();
        self.0.borrow_mut().push(request["method"].as_str().unwrap().to_owned());
        json!({"ok": true, "value": 1}).to_string()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

#[test]
fn lines_are_for_operators() {
    let source =
        "ctx.log.info('task', {a: 1}, 7); ctx.log.warn('two\\nlines'); for (let i = 0; i < 1000; i++) ctx.log.error(i)";
    let report = Sandbox::new().run(&script(source, &[Log]), &call(&json!({})));
    let texts: Vec<&str> = report.log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts.get(..2), Some(&["task {\"a\":1} 7", "two lines"][..]));
    assert_eq!(texts.len(), 100);
}

#[test]
fn what_is_no_script_is_said() {
    let made = Sandbox::new().run(&script("if (", &[]), &call(&json!({}))).made;
    assert!(matches!(made, Err(Fault::Syntax(_))), "{made:?}");
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture"]
fn time_of_a_call() {
    let mut sandbox = Sandbox::new();
    let hook = script("if (typeof ctx.input.title === 'string') ctx.input.title = ctx.input.title.trim();", &[]);
    let call = call(&json!({"title": " a "}));
    for _ in 0..100 {
        sandbox.run(&hook, &call).made.unwrap();
    }
    let started = std::time::Instant::now();
    for _ in 0..2_000 {
        sandbox.run(&hook, &call).made.unwrap();
    }
    let micros = started.elapsed().as_micros() / 2_000;
    assert!(micros < 2_000, "{micros} us");
    std::fs::write(std::env::temp_dir().join("querygate-hook-call"), format!("{micros} us\n")).unwrap();
}
