//! Runs one hook, validation or mask as the gate does, in a unit test of its author. Opens nothing.

use super::Row;
use super::hook::{HookContext, HookError, HookEvent, HookHost, NativeHook};
use super::manifest::Version;
use super::mask::NativeMask;
use super::registration::Registration;
use super::validation::{NativeValidation, Violation, Written};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::sync::Arc;

/// Records that answer what a hook asks for, by equality alone. What it changes is written down, and stored nowhere.
#[derive(Debug, Default)]
pub struct GivenRecords {
    records: Map<String, Value>,
    calls: RefCell<Vec<String>>,
    log: RefCell<Vec<String>>,
}

impl GivenRecords {
    /// Lists of records by the names of their objects.
    ///
    /// # Errors
    /// It is something else.
    pub fn new(records: Value) -> Result<Self, String> {
        match records {
            Value::Object(records) if records.values().all(Value::is_array) => Ok(Self { records, ..Self::default() }),
            _ => Err("records are a JSON object of lists".to_owned()),
        }
    }

    /// What was asked so far: method, object and what was given.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Lines that were written.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Answers a call, which is a JSON text.
    #[must_use]
    pub fn answer(&self, request: &str) -> String {
        let request: Value = serde_json::from_str(request).unwrap_or_default();
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let given = request.get("given").cloned().unwrap_or_default();
        let (method, object) = (text("method"), text("object"));
        self.calls.borrow_mut().push(format!("{method} {object} {given}"));
        let first = given.get(0).cloned().unwrap_or_default();
        self.answered(&method, &object, first, given.get(1)).to_string()
    }

    fn answered(&self, method: &str, object: &str, first: Value, second: Option<&Value>) -> Value {
        let unknown =
            |message: &str| json!({"ok": false, "message": message, "code": "NOT_IMPLEMENTED", "status": 501});
        let reads = |shown: fn(Vec<Value>) -> Value| match self.found(object, &first) {
            Some(found) => json!({"ok": true, "value": shown(found)}),
            None => unknown("this test knows equality alone"),
        };
        match method {
            "find" => reads(Value::Array),
            "findOne" => reads(|found| found.into_iter().next().unwrap_or_default()),
            "count" => reads(|found| found.len().into()),
            // By id and values, or by a record.
            "update" if !first.is_object() => json!({"ok": true, "value": second}),
            "insert" | "update" | "upsert" => json!({"ok": true, "value": first}),
            "delete" => json!({"ok": true, "value": true}),
            "updateMany" | "deleteMany" => json!({"ok": true, "value": 0}),
            "begin" => json!({"ok": true, "value": self.calls.borrow().len()}),
            "commit" | "rollback" => json!({"ok": true, "value": null}),
            _ => unknown("this test does not answer it"),
        }
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
}

impl HookHost for GivenRecords {
    fn ask(&self, request: &str) -> String {
        self.answer(request)
    }

    fn log(&self, text: &str) {
        self.log.borrow_mut().push(text.to_owned());
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// A record on which something is tried.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    pub record: Row,
    /// The stored record of an update.
    pub previous: Option<Row>,
    pub user_id: String,
    pub positions: Vec<String>,
    pub now_ms: i64,
}

impl Trial {
    /// A new record.
    #[must_use]
    pub fn of(record: Value) -> Self {
        let record = if let Value::Object(record) = record { record } else { Map::new() };
        Self { record, user_id: "test".to_owned(), ..Self::default() }
    }

    /// An update of this record.
    #[must_use]
    pub fn over(mut self, previous: Value) -> Self {
        self.previous = if let Value::Object(previous) = previous { Some(previous) } else { None };
        self
    }

    /// What a hook makes of the record's values.
    ///
    /// # Errors
    /// As of [`NativeHook::run`]; it panicked.
    pub fn run(
        &self,
        hook: impl NativeHook + 'static,
        event: HookEvent,
        records: &GivenRecords,
    ) -> Result<Row, HookError> {
        let mut held = Map::new();
        held.insert("object".to_owned(), "test".into());
        held.insert("input".to_owned(), self.record.clone().into());
        held.insert("previous".to_owned(), self.previous.clone().map_or(Value::Null, Value::Object));
        if event.is_after() {
            held.insert("result".to_owned(), self.record.clone().into());
        }
        let session = json!({"userId": self.user_id, "positions": self.positions, "tenantId": null});
        held.insert("session".to_owned(), session);
        let hook: Arc<dyn NativeHook> = Arc::new(hook);
        registration(hook).run(HookContext::new(event, held, self.now_ms, records))
    }

    /// What a validation finds wrong with the record.
    ///
    /// # Errors
    /// As of [`NativeValidation::check`]; it panicked.
    pub fn check(&self, validation: impl NativeValidation + 'static) -> Result<Vec<Violation>, String> {
        let validation: Arc<dyn NativeValidation> = Arc::new(validation);
        registration(validation).check(&Written {
            record: &self.record,
            previous: self.previous.as_ref(),
            now_ms: self.now_ms,
        })
    }
}

/// What a mask makes of a text, asked twice.
///
/// # Errors
/// As of [`NativeMask::mask`]; it panicked, is too long, or is not the same the second time.
pub fn mask(mask: impl NativeMask + 'static, text: &str) -> Result<String, String> {
    let code: Arc<dyn NativeMask> = Arc::new(mask);
    let mask = registration(code);
    let apply = || mask.apply(text).map_err(|error| error.cause().unwrap_or_default().to_owned());
    let (first, second) = (apply()?, apply()?);
    if first == second { Ok(first) } else { Err("equal texts have different masks".to_owned()) }
}

fn registration<T: ?Sized>(code: Arc<T>) -> Registration<T> {
    Registration::new("test", "test", Version::new(0, 0, 0), code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Tier;

    impl NativeHook for Tier {
        fn run(&self, context: &mut HookContext<'_>) -> Result<(), HookError> {
            let account = context.input.get("account").cloned().unwrap_or_default();
            let found = context.api().find_one("accounts", json!({"where": {"id": account}}))?;
            let Some(found) = found else { return Err(HookError::refuse_openly("no such account").with_code("NONE")) };
            assert!(context.input.get("amount").is_none(), "an amount");
            context.input.insert("tier".to_owned(), found.get("tier").cloned().unwrap_or_default());
            context.log("seen");
            Ok(())
        }
    }

    #[test]
    fn a_hook_is_run_on_a_record() {
        let given = GivenRecords::new(json!({"accounts": [{"id": "a1", "tier": "gold"}]})).unwrap();
        let run = |record| Trial::of(record).run(Tier, HookEvent::BeforeInsert, &given);
        assert_eq!(Value::Object(run(json!({"account": "a1"})).unwrap()), json!({"account": "a1", "tier": "gold"}));
        assert_eq!(given.lines(), ["seen"]);
        assert!(given.calls()[0].starts_with("findOne accounts "), "{:?}", given.calls());
        match run(json!({"account": "a2"})) {
            Err(HookError::Refused(refusal)) => assert!(refusal.is_fixed && refusal.code.as_deref() == Some("NONE")),
            other => panic!("{other:?}"),
        }
        assert_eq!(run(json!({"account": "a1", "amount": 1})), Err(HookError::Failed("it panicked".into())));
    }

    struct Even;

    impl NativeValidation for Even {
        fn check(&self, written: &Written<'_>) -> Result<Vec<Violation>, String> {
            let n = written.record.get("n").and_then(Value::as_u64).ok_or("n is no number")?;
            assert!(n < 100, "too large");
            Ok(if n % 2 == 0 { Vec::new() } else { vec![Violation::of("n", "odd").with_message("x".repeat(9_000))] })
        }
    }

    #[test]
    fn a_validation_is_asked_of_a_record() {
        let check = |record| Trial::of(record).check(Even);
        assert_eq!(check(json!({"n": 2})), Ok(Vec::new()));
        let found = check(json!({"n": 3})).unwrap();
        assert_eq!((found[0].code, found[0].message.as_ref().unwrap().len()), ("odd", 2_000));
        assert_eq!(check(json!({})), Err("n is no number".into()));
        assert_eq!(check(json!({"n": 200})), Err("it panicked".into()));
    }

    struct Letters(AtomicU64);

    impl NativeMask for Letters {
        fn mask(&self, text: &str) -> Result<String, String> {
            match text {
                "long" => Ok("x".repeat(100_000)),
                "panic" => panic!("with a value"),
                "none" => Err("no".to_owned()),
                "other" => Ok(self.0.fetch_add(1, Ordering::Relaxed).to_string()),
                text => Ok("#".repeat(text.len())),
            }
        }
    }

    #[test]
    fn a_mask_is_put_over_a_text_twice() {
        let over = |text| mask(Letters(AtomicU64::new(0)), text);
        assert_eq!(over("abc").unwrap(), "###");
        for (text, expected) in [("long", "too long"), ("panic", "panicked"), ("none", "no"), ("other", "different")] {
            let told = over(text).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
