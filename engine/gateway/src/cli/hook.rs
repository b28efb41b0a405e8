//! `querygate hook test`: runs one hook of the metadata on a record that is given, and says what it makes of it, in what time and memory.
//! Opens no source.

use super::args::{HookArgs, HookCommand, HookTestArgs};
use super::{Ended, written};
use crate::config::diagnostic::nearest;
use crate::metadata::{load_path, render_errors};
use crate::output::{Output, Stream};
use chrono::{DateTime, Utc};
use querygate_extension::harness::GivenRecords;
use querygate_hooks::{Call, Fault, Host, Report, Sandbox};
use querygate_metadata::model::{Hook, HookEvent, Snapshot};
use querygate_query_api::requests::record_change::random_uuid;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// Answers what a hook asks for. What it changes is shown, and stored nowhere.
struct Given(GivenRecords);

impl Given {
    fn read(args: &HookTestArgs) -> Result<Self> {
        let wrong = || refused("--records is no JSON object of lists");
        let given = match &args.records {
            None => GivenRecords::default(),
            Some(text) => {
                serde_json::from_str(text).ok().and_then(|json| GivenRecords::new(json).ok()).ok_or_else(wrong)?
            }
        };
        Ok(Self(given))
    }
}

impl Host for Given {
    fn api(&self, request: &str) -> String {
        self.0.answer(request)
    }

    fn uuid(&self) -> Option<String> {
        random_uuid().ok()
    }
}

pub(super) fn run(args: &HookArgs, output: &mut Output) -> Result<Ended> {
    match &args.command {
        HookCommand::Test(args) => test(args, output),
    }
}

fn test(args: &HookTestArgs, output: &mut Output) -> Result<Ended> {
    let snapshot = match load_path(&args.file, output.extensions()) {
        Ok(loaded) => loaded.snapshot,
        Err(errors) => {
            render_errors(&errors, Stream::Err, output).map_err(written)?;
            return Ok(Ended::WithFindings);
        }
    };
    let wanted = |name: &str| args.hook.as_ref().is_none_or(|wanted| wanted == name);
    let mut found = snapshot.hooks.iter().filter(|declared| wanted(&declared.name));
    let declared = match (found.next(), found.next()) {
        (Some(declared), None) => declared,
        (None, _) => return Err(unknown(&snapshot, args.hook.as_deref())),
        (Some(_), Some(_)) => {
            let hint = format!("Name one with --hook: {}.", names(&snapshot).join(", "));
            return Err(refused("there are several hooks").with_hint(hint));
        }
    };
    let hook =
        Hook::read(declared).map_err(|why| refused(&format!("the hook '{}' is not run: {why}", declared.name)))?;
    let event = match &args.event {
        None => hook.events.first().copied(),
        Some(name) => HookEvent::of(name).filter(|event| hook.events.contains(event)),
    };
    let event = event.ok_or_else(|| refused("the hook has no such event"))?;
    let given = Rc::new(Given::read(args)?);
    let host: Rc<dyn Host> = Rc::clone(&given) as Rc<dyn Host>;
    let script = hook.body.script().ok_or_else(|| {
        refused("the hook is in Rust").with_hint("Its author tests it with querygate_extension::harness.")
    })?;
    if let Some(condition) = &hook.condition {
        output.note(&format!("its condition is not asked: {}", condition.source)).map_err(written)?;
    }
    let report = Sandbox::measured().run(script, &call(args, &hook, event, host)?);
    for call in given.0.calls() {
        output.note(&format!("asks: {call}")).map_err(written)?;
    }
    tell(&hook, event, &report, output).map_err(written)
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.hooks.iter().map(|declared| declared.name.as_str()).collect()
}

fn unknown(snapshot: &Snapshot, wanted: Option<&str>) -> Error {
    let names = names(snapshot);
    let (Some(wanted), false) = (wanted, names.is_empty()) else { return refused("the metadata has no hook") };
    let error = refused(&format!("no hook `{wanted}`"));
    match nearest(wanted, names.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => error.with_hint(format!("Declared: {}.", names.join(", "))),
    }
}

fn call(args: &HookTestArgs, hook: &Hook, event: HookEvent, host: Rc<dyn Host>) -> Result<Call> {
    let record = |text: &String, what: &str| match serde_json::from_str(text) {
        Ok(Value::Object(record)) => Ok(record),
        Ok(_) | Err(_) => Err(refused(&format!("--{what} is no JSON object"))),
    };
    let mut held = Map::new();
    held.insert("event".to_owned(), event.name().into());
    held.insert("object".to_owned(), hook.targets.first().cloned().unwrap_or_default().into());
    let input = record(&args.record, "record")?;
    if event.is_after() {
        held.insert("result".to_owned(), input.clone().into());
    }
    held.insert("input".to_owned(), input.into());
    let previous = args.previous.as_ref().map(|text| record(text, "previous")).transpose()?;
    held.insert("previous".to_owned(), previous.map_or(Value::Null, Value::Object));
    held.insert("session".to_owned(), json!({"userId": "test", "positions": [], "tenantId": null}));
    held.insert("user".to_owned(), json!({"id": "test", "email": null}));
    held.insert("dispatch".to_owned(), json!({"mode": "record", "index": 0}));
    let now = match &args.at {
        Some(at) => DateTime::parse_from_rfc3339(at).map_err(|_| refused("--at is no time as 2026-01-31T10:00:00Z"))?,
        None => Utc::now().fixed_offset(),
    };
    Ok(Call { held, now_ms: now.timestamp_millis(), seed: 0, host })
}

fn tell(hook: &Hook, event: HookEvent, report: &Report, output: &mut Output) -> std::io::Result<Ended> {
    for line in &report.log {
        output.note(&format!("{:?}: {}", line.level, line.text).to_lowercase())?;
    }
    let ended = match &report.made {
        Ok(made) => {
            let mut record = made.input.clone();
            record.extend(made.returned.clone().unwrap_or_default());
            output.line(&Value::Object(record).to_string())?;
            Ended::Well
        }
        Err(Fault::Thrown(thrown)) => {
            let code = thrown.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            output.line(&format!("refused: {}{code}", thrown.message))?;
            Ended::WithFindings
        }
        Err(fault @ (Fault::Syntax(why) | Fault::Engine(why) | Fault::Native(why))) => {
            output.line(&format!("failed: {}: {why}", fault.reason()))?;
            Ended::WithFindings
        }
        Err(fault @ (Fault::Time | Fault::Memory | Fault::Unfinished | Fault::Answer | Fault::Undeclared(_))) => {
            output.line(&format!("failed: {}", fault.reason()))?;
            Ended::WithFindings
        }
    };
    let memory = report.memory.map(|bytes| format!(", {} KiB", bytes.div_ceil(1024))).unwrap_or_default();
    let millis = report.took.as_secs_f64() * 1e3;
    let waited = report.waited.as_secs_f64() * 1e3;
    let calls = if report.calls == 0 { String::new() } else { format!(", {} calls in {waited:.2} ms", report.calls) };
    output.note(&format!("{} at {}: {millis:.2} ms{calls}{memory}", hook.name, event.name()))?;
    Ok(ended)
}

fn refused(text: &str) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, text)
}
