//! A hook as its declaration says it, in closed words: what it is for, and the script that it runs. Compiles no condition, runs nothing.

use super::{Declared, Dialect, Expression};
use serde_json::{Map, Value};
use std::time::Duration;

/// What one call of a script may take where its declaration says nothing, and at most.
const CPU: Duration = Duration::from_millis(250);
const CPU_MAX: Duration = Duration::from_secs(5);
const WALL_MAX: Duration = Duration::from_secs(30);
/// Own time of one in Rust, where its declaration says nothing.
const NATIVE_TIME: Duration = Duration::from_secs(5);
/// What stands before the name of something in Rust.
const NATIVE_PREFIX: &str = "native:";
const MEMORY: usize = 32 << 20;
const MEGABYTES_MAX: u64 = 64;
const PRIORITY: i64 = 100;
/// The key under which a declaration keeps the filter that Querygate's own part of metadata gives its hook. No declaration of ObjectStack
/// has it.
pub const HOOK_FILTER: &str = "$querygate.filter";
const RETRIES: u32 = 3;
const RETRIES_MAX: u64 = 10;
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the events are")]
pub enum HookEvent {
    BeforeFind,
    AfterFind,
    BeforeInsert,
    AfterInsert,
    BeforeUpdate,
    AfterUpdate,
    BeforeDelete,
    AfterDelete,
}

impl HookEvent {
    const ALL: [Self; 8] = [
        Self::BeforeFind,
        Self::AfterFind,
        Self::BeforeInsert,
        Self::AfterInsert,
        Self::BeforeUpdate,
        Self::AfterUpdate,
        Self::BeforeDelete,
        Self::AfterDelete,
    ];

    /// As metadata spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeFind => "beforeFind",
            Self::AfterFind => "afterFind",
            Self::BeforeInsert => "beforeInsert",
            Self::AfterInsert => "afterInsert",
            Self::BeforeUpdate => "beforeUpdate",
            Self::AfterUpdate => "afterUpdate",
            Self::BeforeDelete => "beforeDelete",
            Self::AfterDelete => "afterDelete",
        }
    }

    /// The event of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// Whether it is after what it is about.
    #[must_use]
    pub const fn is_after(self) -> bool {
        match self {
            Self::AfterFind | Self::AfterInsert | Self::AfterUpdate | Self::AfterDelete => true,
            Self::BeforeFind | Self::BeforeInsert | Self::BeforeUpdate | Self::BeforeDelete => false,
        }
    }
}

/// What a script may use beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the capabilities are")]
pub enum HookCapability {
    ApiRead,
    ApiWrite,
    ApiTransaction,
    CryptoUuid,
    Log,
}

impl HookCapability {
    const ALL: [Self; 5] = [Self::ApiRead, Self::ApiWrite, Self::ApiTransaction, Self::CryptoUuid, Self::Log];

    /// The capability of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// As metadata spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiRead => "api.read",
            Self::ApiWrite => "api.write",
            Self::ApiTransaction => "api.transaction",
            Self::CryptoUuid => "crypto.uuid",
            Self::Log => "log",
        }
    }
}

/// What an error in a hook means for the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Abort,
    Log,
}

/// For whom a hook's own questions and changes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    Inherit,
    User,
    System,
}

/// The name of something in Rust, behind `native:`.
#[must_use]
pub fn native_name(text: &str) -> Option<&str> {
    text.strip_prefix(NATIVE_PREFIX)
}

/// What a hook runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookBody {
    Script(HookScript),
    Native(NativeHandler),
}

/// A hook in Rust: `handler: native:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeHandler {
    /// Without `native:`.
    pub name: String,
    /// Time that it may take itself.
    pub own: Duration,
    /// Time until it is over, with what it waits for.
    pub wall: Duration,
}

/// The script of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookScript {
    /// The body of a JavaScript function of `ctx`.
    pub source: String,
    pub capabilities: Vec<HookCapability>,
    /// Time that the script itself may take.
    pub cpu: Duration,
    /// Time until it is over, with what it waits for.
    pub wall: Duration,
    /// Bytes.
    pub memory: usize,
}

/// A hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub name: String,
    /// Names of objects, or `*`.
    pub targets: Vec<String>,
    pub events: Vec<HookEvent>,
    /// Low first.
    pub priority: i64,
    pub condition: Option<Expression>,
    /// Of one of reads: the rows that it leaves, in a row policy's words. It stands for the script where that does not run.
    pub filter: Option<Expression>,
    /// Of one after a change: whether it runs when the change is committed, and no statement waits for it.
    pub is_async: bool,
    pub on_error: OnError,
    pub run_as: RunAs,
    /// Of an asynchronous one: how often it is tried again, and the time before the first time.
    pub retries: u32,
    pub backoff: Duration,
    pub body: HookBody,
}

impl HookBody {
    /// The script, where it is one.
    #[must_use]
    pub fn script(&self) -> Option<&HookScript> {
        match self {
            Self::Script(script) => Some(script),
            Self::Native(_) => None,
        }
    }

    /// Time that it may take itself.
    #[must_use]
    pub fn own_time(&self) -> Duration {
        match self {
            Self::Script(script) => script.cpu,
            Self::Native(handler) => handler.own,
        }
    }

    /// Time until it is over, with what it waits for.
    #[must_use]
    pub fn wall_time(&self) -> Duration {
        match self {
            Self::Script(script) => script.wall,
            Self::Native(handler) => handler.wall,
        }
    }
}

impl Hook {
    /// Reads a declaration.
    ///
    /// # Errors
    /// What of it is not known here, so that the hook cannot be run.
    pub fn read(declared: &Declared) -> Result<Self, String> {
        let Value::Object(hook) = &declared.value else { return Err("it is no map".to_owned()) };
        let targets = names(hook, "object")?;
        let events = names(hook, "events")?;
        let event = |name: String| HookEvent::of(&name).ok_or_else(|| format!("there is no event '{name}'"));
        let events = events.into_iter().map(event).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() || events.is_empty() {
            return Err("it has no object or no event".to_owned());
        }
        let retry = match hook.get("retryPolicy") {
            Some(Value::Object(retry)) => retry.clone(),
            Some(_) | None => Map::new(),
        };
        let retries = whole(&retry, "maxRetries")?.map(|times| times.min(RETRIES_MAX) as u32);
        let backoff = whole(&retry, "backoffMs")?.map(|ms| Duration::from_millis(ms).min(BACKOFF_MAX));
        Ok(Self {
            name: declared.name.clone(),
            targets,
            events,
            priority: hook.get("priority").map_or(Some(PRIORITY), Value::as_i64).ok_or("its priority is no number")?,
            condition: condition(hook, "condition", declared)?,
            filter: condition(hook, HOOK_FILTER, declared)?,
            is_async: flag(hook, "async")?,
            on_error: match text(hook, "onError")? {
                None | Some("abort") => OnError::Abort,
                Some("log") => OnError::Log,
                Some(other) => return Err(format!("there is no onError '{other}'")),
            },
            run_as: match text(hook, "runAs")? {
                None | Some("inherit") => RunAs::Inherit,
                Some("user") => RunAs::User,
                Some("system") => RunAs::System,
                Some(other) => return Err(format!("there is no runAs '{other}'")),
            },
            retries: retries.unwrap_or(RETRIES),
            backoff: backoff.unwrap_or(BACKOFF),
            body: body(hook)?,
        })
    }
}

fn body(hook: &Map<String, Value>) -> Result<HookBody, String> {
    let native = hook.get("handler").and_then(Value::as_str).and_then(native_name);
    match (native, hook.get("body")) {
        (None, _) => script(hook).map(HookBody::Script),
        (Some(_), Some(_)) => Err("it has a body and a native handler".to_owned()),
        (Some(name), None) => {
            let given = whole(hook, "timeoutMs")?.map(|ms| Duration::from_millis(ms).min(WALL_MAX));
            let (own, wall) = (given.unwrap_or(NATIVE_TIME), given.unwrap_or(WALL_MAX));
            Ok(HookBody::Native(NativeHandler { name: name.to_owned(), own, wall }))
        }
    }
}

fn script(hook: &Map<String, Value>) -> Result<HookScript, String> {
    let body = match hook.get("body") {
        Some(Value::Object(body)) => body,
        Some(_) | None => return Err("it has no body, and code of a host is not run".to_owned()),
    };
    match text(body, "language")? {
        Some("js") => {}
        Some(_) | None => return Err("its body is not JavaScript".to_owned()),
    }
    let source = text(body, "source")?.ok_or("its body has no source")?.to_owned();
    let mut capabilities = Vec::new();
    if body.contains_key("capabilities") {
        for name in names(body, "capabilities")? {
            capabilities.push(HookCapability::of(&name).ok_or_else(|| format!("there is no capability '{name}'"))?);
        }
    }
    let wall = whole(hook, "timeoutMs")?.map_or(WALL_MAX, |ms| Duration::from_millis(ms).min(WALL_MAX));
    let cpu = whole(body, "timeoutMs")?.map_or(CPU, |ms| Duration::from_millis(ms).min(CPU_MAX));
    let memory = whole(body, "memoryMb")?.map_or(MEMORY, |mb| (mb.clamp(1, MEGABYTES_MAX) as usize) << 20);
    Ok(HookScript { source, capabilities, cpu: cpu.min(wall), wall, memory })
}

fn condition(hook: &Map<String, Value>, key: &str, declared: &Declared) -> Result<Option<Expression>, String> {
    let of = |source: &str| Expression {
        dialect: Dialect::Cel,
        source: source.to_owned(),
        location: declared.location.clone(),
    };
    match hook.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(of(source))),
        Some(Value::Object(envelope)) => match (text(envelope, "dialect")?, text(envelope, "source")?) {
            (None | Some("cel"), Some(source)) => Ok(Some(of(source))),
            (_, _) => Err("its condition is not CEL".to_owned()),
        },
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => Err("its condition is not CEL".to_owned()),
    }
}

/// One text or a list of texts.
fn names(map: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("its '{key}' is no list of names");
    match map.get(key) {
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Err(wrong()),
    }
}

fn text<'m>(map: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its '{key}' is no text")),
    }
}

fn flag(map: &Map<String, Value>, key: &str) -> Result<bool, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("its '{key}' is neither true nor false")),
    }
}

fn whole(map: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("its '{key}' is no whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Location;
    use serde_json::json;

    fn read(value: Value) -> Result<Hook, String> {
        Hook::read(&Declared { name: "h".into(), value, location: Location::default() })
    }

    #[test]
    fn a_hook_is_read_with_its_bounds() {
        let body =
            json!({"language": "js", "source": "x", "capabilities": ["log"], "timeoutMs": 99999, "memoryMb": 999});
        let hook = read(json!({"object": ["a", "b"], "events": ["beforeInsert"], "body": body,
            "condition": "record.a == 1", "priority": 7, "onError": "log", "runAs": "system"}));
        let hook = hook.unwrap();
        assert_eq!(
            (hook.targets.len(), hook.priority, hook.on_error, hook.run_as),
            (2, 7, OnError::Log, RunAs::System)
        );
        assert_eq!(hook.condition.unwrap().source, "record.a == 1");
        let script = hook.body.script().unwrap();
        assert_eq!((script.cpu, script.memory), (CPU_MAX, 64 << 20));
    }

    #[test]
    fn a_native_handler_is_a_name() {
        let hook =
            read(json!({"object": "a", "events": ["beforeInsert"], "handler": "native:tier", "timeoutMs": 90_000}));
        let handler = NativeHandler { name: "tier".into(), own: WALL_MAX, wall: WALL_MAX };
        assert_eq!(hook.unwrap().body, HookBody::Native(handler));
        let body = json!({"language": "js", "source": "x"});
        let both = read(json!({"object": "a", "events": ["beforeInsert"], "handler": "native:tier", "body": body}));
        assert!(both.unwrap_err().contains("a body and a native handler"));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let js = json!({"language": "js", "source": "x"});
        let cases = [
            (json!({"object": "a", "events": ["beforeInsert"], "handler": "f"}), "code of a host"),
            (
                json!({"object": "a", "events": ["beforeInsert"], "body": {"language": "expression", "source": "1"}}),
                "not JavaScript",
            ),
            (json!({"object": "a", "events": ["onSave"], "body": js}), "no event 'onSave'"),
            (json!({"object": "a", "body": js}), "'events' is no list"),
            (
                json!({"object": "a", "events": ["afterFind"], "body": {"language": "js", "source": "", "capabilities": ["net"]}}),
                "no capability 'net'",
            ),
            (json!({"object": "a", "events": ["afterFind"], "body": js, "runAs": "root"}), "no runAs 'root'"),
            (
                json!({"object": "a", "events": ["afterFind"], "body": js, "condition": {"dialect": "cron", "source": "*"}}),
                "not CEL",
            ),
        ];
        for (value, expected) in cases {
            let reason = read(value.clone()).unwrap_err();
            assert!(reason.contains(expected), "{value}: {reason}");
        }
    }
}
