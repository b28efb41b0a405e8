//! Memory of a process that calls scripts of hooks: `hook_calls [CALLS]`. Prints rows of a markdown table, and fails if it goes on growing.
//!
//! One sandbox as a thread of a gate has it. Its calls take turns: one fills a field, one throws, one makes many texts, one logs, one asks, one
//! allocates until it is ended, which is done less often.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use querygate_bench::process;
use querygate_hooks::{Call, Host, Sandbox};
use querygate_metadata::model::{HookCapability, HookScript};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// Rows of the table; the first is the warm-up that the others are compared with.
const ROWS: u64 = 10;
/// What the last row may have more than the first, in KiB.
const GROWTH_MAX: u64 = 4 << 10;
/// How often a call of each kind is one that is ended for its memory.
const GREEDY_EVERY: u64 = 1_000;

/// Answers at once.
struct Ready;

impl Host for Ready {
    fn api(&self, _request: &str) -> String {
        r#"{"ok":true,"value":{"id":"a1","name":"a name"}}"#.to_owned()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

/// Sources, and whether the call ends well.
const SCRIPTS: [(&str, bool); 5] = [
    ("ctx.input.tier = ctx.input.amount > 1000 ? 'gold' : 'base'", true),
    ("throw new Error('too much of ' + ctx.input.amount)", false),
    ("ctx.input.words = Array.from({ length: 1000 }, (_, n) => 'word ' + n).join(' ')", true),
    ("ctx.log.info('seen ' + ctx.input.amount)", true),
    ("ctx.input.name = (await ctx.api.object('accounts').findOne({ where: { id: 'a1' } })).name", true),
];
const GREEDY: &str = "const all = []; for (;;) all.push('x'.repeat(100000) + all.length)";

fn script(source: &str) -> HookScript {
    HookScript {
        source: source.to_owned(),
        capabilities: vec![HookCapability::Log, HookCapability::ApiRead],
        cpu: Duration::from_secs(2),
        wall: Duration::from_secs(30),
        memory: 8 << 20,
    }
}

fn call(number: u64) -> Result<Call, Failure> {
    let held = json!({
        "event": "beforeInsert", "object": "orders", "input": {"id": number.to_string(), "amount": 1250.5}, "previous": null,
        "session": {"userId": "u1", "positions": ["clerk"]}, "user": {"id": "u1", "email": "u1@example.org"},
        "dispatch": {"mode": "record", "index": 0},
    });
    let Value::Object(held) = held else { return Err("a call is an object".into()) };
    Ok(Call { held, now_ms: 1_773_576_000_000, seed: u32::try_from(number).unwrap_or(u32::MAX), host: Rc::new(Ready) })
}

fn main() -> Result<(), Failure> {
    let calls: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let each = (calls / ROWS).max(1);
    let scripts = SCRIPTS.map(|(source, is_good)| (script(source), is_good));
    let greedy = script(GREEDY);
    let mut sandbox = Sandbox::new();
    println!("| calls | KiB resident | µs a call |");
    println!("|---|---|---|");
    let (mut first, mut last) = (None, 0);
    for row in 1..=ROWS {
        let began = Instant::now();
        for number in (row - 1) * each..row * each {
            let at = usize::try_from(number % SCRIPTS.len() as u64)?;
            let (script, is_good) = scripts.get(at).ok_or("no script")?;
            if sandbox.run(script, &call(number)?).made.is_ok() != *is_good {
                return Err(format!("call {number} ended in another way than it should").into());
            }
            if number.is_multiple_of(GREEDY_EVERY) && sandbox.run(&greedy, &call(number)?).made.is_ok() {
                return Err("a script that allocates without an end was not ended".into());
            }
        }
        last = process::memory_kib(std::process::id(), "VmRSS");
        first.get_or_insert(last);
        println!("| {} | {last} | {:.1} |", row * each, began.elapsed().as_secs_f64() * 1e6 / each as f64);
    }
    let grown = last.saturating_sub(first.unwrap_or(last));
    if grown > GROWTH_MAX {
        return Err(format!("{grown} KiB more at the end than after the first tenth").into());
    }
    Ok(())
}
