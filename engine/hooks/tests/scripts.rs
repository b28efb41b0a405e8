//! What scripts of hooks see and make.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod common;

use common::{call, script};
use querygate_hooks::{Fault, Made, Sandbox};
use querygate_metadata::model::HookCapability::{ApiRead, ApiWrite, CryptoUuid, Log};
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
    assert_eq!(thrown("await ctx.api.object('x').insert({})").0, "the capability 'api.write' is not declared");
    assert_eq!(thrown("ctx.log.info('x')").0, "the capability 'log' is not declared");
    assert_eq!(thrown("ctx.crypto.randomUUID()").0, "the capability 'crypto.uuid' is not declared");
    assert!(thrown("ctx.nothing.here").0.contains("undefined"));
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
