//! Hooks in Rust. They run where scripts of the metadata do, by the same order and conditions, and what they ask of other records goes
//! the same way: as a question or a change with somebody's rights, in the transaction of the change.

use super::Row;
use super::panic_guard::{Panic, catch_panic};
use super::registration::Registration;
pub use querygate_metadata::model::{HookCapability, HookEvent};
use serde_json::{Map, Value, json};

/// What runs when records are added, changed, deleted or asked for. Called on a thread of its own, which it may block.
pub trait NativeHook: Send + Sync {
    /// What it uses beside its record. A call of what is not listed ends the statement.
    fn capabilities(&self) -> &[HookCapability] {
        &[]
    }

    /// Runs for one record. What it leaves in [`HookContext::input`] is stored, before a change.
    ///
    /// # Errors
    /// What refuses the record, or why that cannot be said.
    fn run(&self, context: &mut HookContext<'_>) -> Result<(), HookError>;
}

/// Why a hook does not let its change go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookError {
    Refused(Refusal),
    /// It could not say: why, for operators.
    Failed(String),
}

/// What a hook tells who is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    /// For programs.
    pub code: Option<String>,
    /// An HTTP status of an error.
    pub status: Option<u16>,
    /// Whether the message says nothing of any record, so that everybody may hear it.
    pub is_fixed: bool,
}

impl HookError {
    /// Refuses the record. The message is heard by who reads the whole object; others hear that a hook refused.
    #[must_use]
    pub fn refuse(message: impl Into<String>) -> Self {
        Self::Refused(Refusal { message: message.into(), code: None, status: None, is_fixed: false })
    }

    /// The same, with a message that says nothing of any record: everybody hears it.
    #[must_use]
    pub fn refuse_openly(message: &'static str) -> Self {
        Self::Refused(Refusal { message: message.to_owned(), code: None, status: None, is_fixed: true })
    }

    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(Refusal { code: Some(code.into()), ..refusal }),
            Self::Failed(why) => Self::Failed(why),
        }
    }
}

/// Why a call for other records was refused. Passed on as it is, it is the answer of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRefused {
    pub message: String,
    pub code: Option<String>,
    pub status: Option<u16>,
}

impl From<CallRefused> for HookError {
    fn from(CallRefused { message, code, status }: CallRefused) -> Self {
        Self::Refused(Refusal { message, code, status, is_fixed: false })
    }
}

/// Where a hook's calls go. The gate has one, and so has the [harness](super::harness).
pub trait HookHost {
    /// A question or a change, as a JSON text; so is the answer.
    fn ask(&self, request: &str) -> String;
    /// A line for operators.
    fn log(&self, text: &str);
    /// Whether the hook's time is over, or its statement has ended.
    fn is_over(&self) -> bool;
}

/// A record, and what its hook may do. The same as `ctx` of a script.
pub struct HookContext<'h> {
    event: HookEvent,
    /// The record's values as they are given; what is put here before a change is stored, and what is taken away is as if it was not
    /// given.
    pub input: Row,
    held: Map<String, Value>,
    now_ms: i64,
    host: &'h dyn HookHost,
}

impl<'h> HookContext<'h> {
    /// `held`: as of a script's `ctx`: `object`, `input`, `previous`, `result`, `session`, `user`, `dispatch`.
    #[must_use]
    pub fn new(event: HookEvent, mut held: Map<String, Value>, now_ms: i64, host: &'h dyn HookHost) -> Self {
        let input = match held.shift_remove("input") {
            Some(Value::Object(input)) => input,
            Some(_) | None => Map::new(),
        };
        Self { event, input, held, now_ms, host }
    }

    #[must_use]
    pub const fn event(&self) -> HookEvent {
        self.event
    }

    /// The object's name.
    #[must_use]
    pub fn object(&self) -> &str {
        self.text("object").unwrap_or_default()
    }

    /// The stored record; `None`: it is a new one.
    #[must_use]
    pub fn previous(&self) -> Option<&Row> {
        self.held.get("previous").and_then(Value::as_object)
    }

    /// After a change the record as it is stored, after a question what was found. Copies.
    #[must_use]
    pub fn result(&self) -> Option<&Value> {
        self.held.get("result")
    }

    /// The id of who changes or asks.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.session("userId").and_then(Value::as_str).unwrap_or_default()
    }

    /// The organization of who changes or asks.
    #[must_use]
    pub fn organization_id(&self) -> Option<&str> {
        self.session("tenantId").and_then(Value::as_str)
    }

    /// Positions of who changes or asks.
    pub fn positions(&self) -> impl Iterator<Item = &str> {
        self.session("positions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The statement's time: milliseconds since 1970.
    #[must_use]
    pub const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Whether its time is over, or its statement has ended. What takes long asks now and then.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.host.is_over()
    }

    /// Writes a line for operators.
    pub fn log(&self, text: &str) {
        self.host.log(text);
    }

    /// Other records.
    #[must_use]
    pub fn api(&self) -> HookApi<'h> {
        HookApi { host: self.host }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.held.get(key).and_then(Value::as_str)
    }

    fn session(&self, key: &str) -> Option<&Value> {
        self.held.get("session")?.get(key)
    }
}

/// Asks for other records and changes them, as a script's `ctx.api`: queries are QueryAST, rights are those of the hook's `runAs`.
#[derive(Clone, Copy)]
pub struct HookApi<'h> {
    host: &'h dyn HookHost,
}

impl HookApi<'_> {
    /// Records (`api.read`).
    ///
    /// # Errors
    /// The question was refused.
    pub fn find(&self, object: &str, query: Value) -> Result<Vec<Row>, CallRefused> {
        match self.call("find", object, vec![query])? {
            Value::Array(found) => Ok(found.into_iter().map(record).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// One record, or none (`api.read`).
    ///
    /// # Errors
    /// The question was refused.
    pub fn find_one(&self, object: &str, query: Value) -> Result<Option<Row>, CallRefused> {
        match self.call("findOne", object, vec![query])? {
            Value::Object(found) => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// How many records (`api.read`).
    ///
    /// # Errors
    /// The question was refused.
    pub fn count(&self, object: &str, query: Value) -> Result<u64, CallRefused> {
        Ok(self.call("count", object, vec![query])?.as_u64().unwrap_or_default())
    }

    /// Adds a record, and gives it as it is stored (`api.write`).
    ///
    /// # Errors
    /// The change was refused.
    pub fn insert(&self, object: &str, values: Row) -> Result<Row, CallRefused> {
        self.call("insert", object, vec![values.into()]).map(record)
    }

    /// Changes a record, and gives it as it is stored (`api.write`).
    ///
    /// # Errors
    /// The change was refused.
    pub fn update(&self, object: &str, id: &str, values: Row) -> Result<Row, CallRefused> {
        self.call("update", object, vec![id.into(), values.into()]).map(record)
    }

    /// Deletes a record (`api.write`).
    ///
    /// # Errors
    /// The change was refused.
    pub fn delete(&self, object: &str, id: &str) -> Result<(), CallRefused> {
        self.call("delete", object, vec![id.into()]).map(drop)
    }

    /// Changes the records of a filter, which is not empty (`api.write`); how many.
    ///
    /// # Errors
    /// The change was refused.
    pub fn update_many(&self, object: &str, filter: Row, values: Row) -> Result<u64, CallRefused> {
        let given = vec![json!({ "where": filter }), values.into()];
        Ok(self.call("updateMany", object, given)?.as_u64().unwrap_or_default())
    }

    /// Deletes the records of a filter, which is not empty (`api.write`); how many.
    ///
    /// # Errors
    /// The change was refused.
    pub fn delete_many(&self, object: &str, filter: Row) -> Result<u64, CallRefused> {
        Ok(self.call("deleteMany", object, vec![json!({ "where": filter })])?.as_u64().unwrap_or_default())
    }

    /// Undoes what the work changed where it fails (`api.transaction`).
    ///
    /// # Errors
    /// The work's own; there is no transaction to begin or to end.
    pub fn transaction<T>(&self, work: impl FnOnce(&Self) -> Result<T, HookError>) -> Result<T, HookError> {
        let number = self.ask("begin", Value::Null, Vec::new())?;
        match work(self) {
            Ok(made) => self.ask("commit", Value::Null, vec![number]).map(|_| made).map_err(HookError::from),
            Err(error) => {
                self.ask("rollback", Value::Null, vec![number])?;
                Err(error)
            }
        }
    }

    fn call(&self, method: &str, object: &str, given: Vec<Value>) -> Result<Value, CallRefused> {
        self.ask(method, object.into(), given)
    }

    fn ask(&self, method: &str, object: Value, given: Vec<Value>) -> Result<Value, CallRefused> {
        let request = json!({"method": method, "object": object, "given": given}).to_string();
        let mut answer = match querygate_types::json::value::value(&self.host.ask(&request)) {
            Ok(Value::Object(answer)) => answer,
            Ok(_) | Err(_) => Map::new(),
        };
        if answer.get("ok") == Some(&Value::Bool(true)) {
            return Ok(answer.shift_remove("value").unwrap_or_default());
        }
        let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        let status = answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        Err(CallRefused { message: text("message").unwrap_or_default(), code: text("code"), status })
    }
}

fn record(value: Value) -> Row {
    match value {
        Value::Object(record) => record,
        _ => Map::new(),
    }
}

impl Registration<dyn NativeHook> {
    /// What it uses; nothing where it panics.
    #[must_use]
    pub fn capabilities(&self) -> &[HookCapability] {
        catch_panic(|| self.code.capabilities()).unwrap_or_default()
    }

    /// Runs for one record, and gives back its values.
    ///
    /// # Errors
    /// The hook's own; it panicked.
    pub fn run(&self, mut context: HookContext<'_>) -> Result<Row, HookError> {
        match catch_panic(|| self.code.run(&mut context)) {
            Ok(ran) => ran.map(|()| context.input),
            Err(Panic) => Err(HookError::Failed("it panicked".to_owned())),
        }
    }
}
