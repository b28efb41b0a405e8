//! `querygate hook test`: runs one hook of the metadata on a record that is given, and says what it makes of it, in what time and memory.
//! Opens no source.

use super::args::{HookArgs, HookCommand, HookTestArgs};
use super::{Ended, written};
use crate::metadata::{load_path, render_errors};
use crate::output::{Output, Stream};
use chrono::{DateTime, Utc};
use querygate_hooks::{Call, Fault, Host, Report, Sandbox};
use querygate_metadata::model::{Hook, HookEvent, TenancyPosture};
use querygate_query_api::requests::record_change::random_uuid;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// Answers what a hook asks for: from records that were given, by equality alone. What it changes is shown, and stored nowhere.
struct Given {
    /// By object.
    records: Map<String, Value>,
    calls: RefCell<Vec<String>>,
}

impl Given {
    fn read(args: &HookTestArgs) -> Result<Self> {
        let records = match &args.records {
            None => Map::new(),
            Some(text) => match serde_json::from_str(text) {
                Ok(Value::Object(records)) if records.values().all(Value::is_array) => records,
                Ok(_) | Err(_) => return Err(refused("--records is no JSON object of lists")),
            },
        };
        Ok(Self { records, calls: RefCell::default() })
    }

    fn found(&self, object: &str, query: &Value) -> Option<Vec<Value>> {
        let filter = match query.get("where") {
            None => Map::new(),
            Some(Value::Object(filter)) if filter.values().all(|value| !value.is_array() && !value.is_object()) => {
                filter.clone()
            }
            Some(_) => return None,
        };
        let all = self.records.get(object).and_then(Value::as_array).into_iter().flatten();
        let is_it =
            |record: &&Value| filter.iter().all(|(name, value)| record.get(name).unwrap_or(&Value::Null) == value);
        let limit = query.get("limit").and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
        Some(all.filter(is_it).take(limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    fn answer(&self, request: &Value) -> Value {
        let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
        let object = request.get("object").and_then(Value::as_str).unwrap_or_default();
        let first = request.get("given").and_then(|given| given.get(0)).cloned().unwrap_or_default();
        let reads = |shown: fn(Vec<Value>) -> Value| match self.found(object, &first) {
            Some(found) => json!({"ok": true, "value": shown(found)}),
            None => {
                json!({"ok": false, "message": "this test knows equality alone", "code": "NOT_IMPLEMENTED", "status": 501})
            }
        };
        match method {
            "find" => reads(Value::Array),
            "findOne" => reads(|found| found.into_iter().next().unwrap_or_default()),
            "count" => reads(|found| found.len().into()),
            "insert" | "update" | "upsert" => json!({"ok": true, "value": first}),
            "delete" => json!({"ok": true, "value": true}),
            "updateMany" | "deleteMany" => json!({"ok": true, "value": 0}),
            "begin" => json!({"ok": true, "value": self.calls.borrow().len()}),
            "commit" | "rollback" => json!({"ok": true, "value": null}),
            _ => {
                json!({"ok": false, "message": "this test does not answer it", "code": "NOT_IMPLEMENTED", "status": 501})
            }
        }
    }
}

impl Host for Given {
    fn api(&self, request: &str) -> String {
        let request: Value = serde_json::from_str(request).unwrap_or_default();
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let given = request.get("given").cloned().unwrap_or_default();
        self.calls.borrow_mut().push(format!("{} {} {given}", text("method"), text("object")));
        self.answer(&request).to_string()
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
    let snapshot = match load_path(&args.file, TenancyPosture::Single) {
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
        (None, _) => return Err(refused("there is no such hook")),
        (Some(_), Some(_)) => return Err(refused("there are several hooks").with_hint("Name one with --hook.")),
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
    let report = Sandbox::measured().run(&hook.script, &call(args, &hook, event, host)?);
    for call in given.calls.borrow().iter() {
        output.note(&format!("asks: {call}")).map_err(written)?;
    }
    tell(&hook, event, &report, output).map_err(written)
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
        Err(fault @ (Fault::Syntax(why) | Fault::Engine(why))) => {
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
