//! Runs hooks in Rust as scripts are run: they see the same record, ask the same way, and end in the same reports.

use querygate_extension::Registration;
use querygate_extension::hook::{HookContext, HookError, HookEvent, HookHost, NativeHook, Refusal};
use querygate_hooks::{Call, Fault, Host, LogLevel, LogLine, Made, Report, Thrown};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Lines that one call may write, and bytes of each; bytes of what it leaves. As of scripts.
const LINES_MAX: usize = 100;
const LINE_BYTES_MAX: usize = 2_000;
const LEFT_BYTES_MAX: usize = 4 << 20;

/// What a call asks of its statement.
struct Asked {
    host: Rc<dyn Host>,
    end: Option<Instant>,
    calls: Cell<u32>,
    waited: Cell<Duration>,
    lines: RefCell<Vec<LogLine>>,
}

impl Asked {
    fn is_late(&self) -> bool {
        let end = self.end.and_then(|end| end.checked_add(self.waited.get()));
        end.is_none_or(|end| Instant::now() > end)
    }
}

impl HookHost for Asked {
    fn ask(&self, request: &str) -> String {
        let began = Instant::now();
        let answer = self.host.api(request);
        self.waited.set(self.waited.get().saturating_add(began.elapsed()));
        self.calls.set(self.calls.get().saturating_add(1));
        answer
    }

    fn log(&self, text: &str) {
        let mut lines = self.lines.borrow_mut();
        if lines.len() < LINES_MAX {
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let end = text.floor_char_boundary(LINE_BYTES_MAX);
            let text = text.get(..end).unwrap_or_default().to_owned();
            lines.push(LogLine { level: LogLevel::Info, text });
        }
    }

    fn is_over(&self) -> bool {
        self.is_late() || self.host.stops()
    }
}

/// Runs it for one record. Nothing ends it: what is late is refused when it comes back, or given up with its statement before.
pub(super) fn run(code: &Registration<dyn NativeHook>, event: HookEvent, call: Call, own: Duration) -> Report {
    let started = Instant::now();
    let Call { held, now_ms, host, .. } = call;
    let asked = Asked {
        host,
        end: started.checked_add(own),
        calls: Cell::new(0),
        waited: Cell::new(Duration::ZERO),
        lines: RefCell::default(),
    };
    let ran = code.run(HookContext::new(event, held, now_ms, &asked));
    let made = match ran {
        Ok(_) | Err(_) if asked.is_late() => Err(Fault::Time),
        Ok(input) if is_too_long(&input) => Err(Fault::Answer),
        Ok(input) => Ok(Made { input, returned: None }),
        Err(HookError::Refused(refusal)) => Err(Fault::Thrown(thrown(refusal))),
        Err(HookError::Failed(why)) => Err(Fault::Native(why)),
    };
    let (calls, waited, log) = (asked.calls.get(), asked.waited.get(), asked.lines.into_inner());
    Report { made, log, took: started.elapsed(), calls, waited, memory: None }
}

fn thrown(refusal: Refusal) -> Thrown {
    let Refusal { mut message, code, status, is_fixed } = refusal;
    message.truncate(message.floor_char_boundary(LINE_BYTES_MAX));
    Thrown { message, code, status: status.filter(|status| (400..600).contains(status)), is_fixed }
}

fn is_too_long(left: &serde_json::Map<String, Value>) -> bool {
    // A value of a record has as many bytes as its text at least, but for what its text escapes.
    fn bytes(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes).sum::<usize>() + items.len(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + bytes(value)).sum(),
        }
    }
    left.iter().map(|(key, value)| key.len() + bytes(value)).sum::<usize>() > LEFT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_extension::{Extension, Extensions, Manifest, Version};
    use serde_json::json;

    struct Silent;

    impl Host for Silent {
        fn api(&self, request: &str) -> String {
            std::thread::sleep(Duration::from_millis(30));
            json!({"ok": request.contains("accounts"), "value": 7, "message": "no", "code": "X", "status": 403})
                .to_string()
        }

        fn uuid(&self) -> Option<String> {
            None
        }
    }

    struct Told;

    impl NativeHook for Told {
        fn run(&self, context: &mut HookContext<'_>) -> Result<(), HookError> {
            let what = context.input.get("what").and_then(Value::as_str).unwrap_or_default().to_owned();
            match what.as_str() {
                "count" => {
                    let count = context.api().count("accounts", json!({}))?;
                    context.input.insert("count".to_owned(), count.into());
                }
                "denied" => drop(context.api().count("others", json!({}))?),
                "late" => std::thread::sleep(Duration::from_millis(400)),
                "long" => drop(context.input.insert("text".to_owned(), "x".repeat(5 << 20).into())),
                "panic" => panic!("a value"),
                "lines" => (0..1_000).for_each(|_| context.log(&"\u{1b}y".repeat(3_000))),
                _ => return Err(HookError::refuse("no".repeat(3_000))),
            }
            Ok(())
        }
    }

    fn ran(what: &str) -> Report {
        let extension = Extension::new(Manifest::new("e", Version::new(1, 0, 0))).hook("h", Told);
        let extensions = Extensions::resolve(vec![extension]).unwrap();
        let held = json!({"input": {"what": what}, "object": "o"}).as_object().unwrap().clone();
        let call = Call { held, now_ms: 0, seed: 0, host: Rc::new(Silent) };
        run(extensions.hook("h").unwrap(), HookEvent::BeforeInsert, call, Duration::from_millis(200))
    }

    #[test]
    fn hooks_in_rust_end_in_the_reports_of_scripts() {
        // Time that it waits is not its own.
        let report = ran("count");
        assert_eq!((report.made.unwrap().input.get("count"), report.calls), (Some(&json!(7)), 1));
        assert!(report.waited >= Duration::from_millis(30));
        let denied = Thrown { message: "no".into(), code: Some("X".into()), status: Some(403), is_fixed: false };
        assert_eq!(ran("denied").made, Err(Fault::Thrown(denied)));
        assert_eq!(ran("late").made, Err(Fault::Time));
        assert_eq!(ran("long").made, Err(Fault::Answer));
        assert_eq!(ran("panic").made, Err(Fault::Native("it panicked".into())));
        let lines = ran("lines").log;
        assert!(
            lines.len() == 100 && lines.iter().all(|line| line.text.len() <= 2_000 && !line.text.contains('\u{1b}'))
        );
        let Err(Fault::Thrown(thrown)) = ran("refuse").made else { panic!("it went on") };
        assert_eq!(thrown.message.len(), 2_000);
    }
}
