//! What a script leaves behind, read as data that is not trusted.

use querygate_metadata::model::HookCapability;
use serde_json::{Map, Value};

/// A longer answer is none.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a script made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Made {
    /// `ctx.input` as it was left.
    pub input: Map<String, Value>,
    /// What it returned, if that is a record.
    pub returned: Option<Map<String, Value>>,
}

/// An error that a script threw.
#[derive(Debug, Clone, PartialEq)]
pub struct Thrown {
    pub message: String,
    pub code: Option<String>,
    /// An HTTP status of an error.
    pub status: Option<u16>,
    /// Whether the message is said to be without anything of a record. A script cannot say so.
    pub is_fixed: bool,
}

/// Why a call left nothing behind.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    Thrown(Thrown),
    /// It is no script.
    Syntax(String),
    /// Its time was over.
    Time,
    /// It took more memory than it may; the engine throws null then, as a script can.
    Memory,
    /// It waits for something that does not come.
    Unfinished,
    /// It used a capability that it does not declare.
    Undeclared(HookCapability),
    /// What it left is no record.
    Answer,
    /// The engine's own error.
    Engine(String),
    /// One in Rust failed.
    Native(String),
}

impl Fault {
    /// In words for operators, without what a script said.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Thrown(_) => "it threw an error",
            Self::Syntax(_) => "it is no JavaScript",
            Self::Time => "its time was over",
            Self::Memory => "it took more memory than it may, or threw null",
            Self::Unfinished => "it waits for something that does not come",
            Self::Undeclared(HookCapability::ApiRead) => "it does not declare the capability 'api.read'",
            Self::Undeclared(HookCapability::ApiWrite) => "it does not declare the capability 'api.write'",
            Self::Undeclared(HookCapability::ApiTransaction) => "it does not declare the capability 'api.transaction'",
            Self::Undeclared(HookCapability::CryptoUuid) => "it does not declare the capability 'crypto.uuid'",
            Self::Undeclared(HookCapability::Log) => "it does not declare the capability 'log'",
            Self::Answer => "what it left is no record",
            Self::Engine(_) => "the engine failed",
            Self::Native(_) => "its extension failed",
        }
    }
}

/// Reads what the prelude says of a call.
pub(crate) fn read(text: &str) -> Result<Made, Fault> {
    if text.len() > ANSWER_BYTES_MAX {
        return Err(Fault::Answer);
    }
    let Ok(Value::Object(mut answer)) = querygate_types::json::value::value(text) else { return Err(Fault::Answer) };
    if let Some(Value::String(why)) = answer.get("syntax") {
        return Err(Fault::Syntax(why.clone()));
    }
    if answer.get("thrown") == Some(&Value::Bool(true)) {
        return Err(thrown(&answer));
    }
    let returned = match answer.shift_remove("returned") {
        Some(Value::Object(returned)) => Some(returned),
        Some(_) | None => None,
    };
    match answer.shift_remove("input") {
        Some(Value::Object(input)) => Ok(Made { input, returned }),
        Some(_) | None => Err(Fault::Answer),
    }
}

fn thrown(answer: &Map<String, Value>) -> Fault {
    if answer.get("memory") == Some(&Value::Bool(true)) {
        return Fault::Memory;
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let status = answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    Fault::Thrown(Thrown {
        message: text("message").unwrap_or_default(),
        code: text("code"),
        status: status.filter(|status| (400..600).contains(status)),
        is_fixed: false,
    })
}
