//! One call of a script: what it is given, and what came of it.

use super::answer::{Fault, Made};
use serde_json::{Map, Value};
use std::rc::Rc;
use std::time::Duration;

/// What a script asks of its surroundings while it runs.
pub trait Host {
    /// A question or a change, as a JSON text; so is the answer.
    fn api(&self, request: &str) -> String;
    /// Whether the script is to end now, whatever it would make of the last answer.
    fn stops(&self) -> bool {
        false
    }
    /// A random UUID; `None` where there is no randomness.
    fn uuid(&self) -> Option<String>;
}

/// What a script is given.
#[derive(Clone)]
pub struct Call {
    /// What `ctx` holds beside its functions: `event`, `object`, `input`, `previous`, `submitted`, `result`, `session`, `user`, `dispatch`.
    pub held: Map<String, Value>,
    /// The statement's time, at which the clock stands: milliseconds since 1970.
    pub now_ms: i64,
    /// What `Math.random` is drawn from.
    pub seed: u32,
    pub host: Rc<dyn Host>,
}

/// How much a line of a script matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the levels are")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// A line that a script wrote for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

/// What came of a call.
#[derive(Debug)]
pub struct Report {
    pub made: Result<Made, Fault>,
    pub log: Vec<LogLine>,
    /// From its start to its end.
    pub took: Duration,
    /// Questions and changes that it asked for, and the time that it waited for their answers.
    pub calls: u32,
    pub waited: Duration,
    /// Bytes that it had at its end, with what the engine has of its own; of a sandbox that measures.
    pub memory: Option<u64>,
}
