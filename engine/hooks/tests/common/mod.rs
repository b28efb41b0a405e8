//! Scripts with what they are given in tests.

#![allow(clippy::unwrap_used, reason = "tests panic")]

use querygate_hooks::{Call, Host};
use querygate_metadata::model::{HookCapability, HookScript};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

/// Answers every question with how many there were.
#[derive(Default)]
pub(crate) struct Counting(std::cell::Cell<u32>);

impl Host for Counting {
    fn api(&self, request: &str) -> String {
        self.0.set(self.0.get() + 1);
        let request: Value = serde_json::from_str(request).unwrap();
        if self.0.get() > 1_000 {
            return json!({"ok": false, "message": "too many questions", "code": "LIMIT", "status": 429}).to_string();
        }
        json!({"ok": true, "value": {"n": self.0.get(), "method": request["method"]}}).to_string()
    }

    fn uuid(&self) -> Option<String> {
        Some("00000000-0000-4000-8000-000000000001".to_owned())
    }
}

pub(crate) fn script(source: &str, capabilities: &[HookCapability]) -> HookScript {
    HookScript {
        source: source.to_owned(),
        capabilities: capabilities.to_vec(),
        cpu: Duration::from_millis(250),
        wall: Duration::from_secs(30),
        memory: 32 << 20,
    }
}

pub(crate) fn call(input: &Value) -> Call {
    let held = json!({
        "event": "beforeInsert", "object": "orders", "input": input, "previous": null,
        "session": {"userId": "u1", "positions": ["clerk"]}, "user": {"id": "u1", "email": "u1@example.org"},
        "dispatch": {"mode": "record", "index": 0},
    });
    Call {
        held: held.as_object().unwrap().clone(),
        now_ms: 1_773_576_000_000,
        seed: 7,
        host: Rc::new(Counting::default()),
    }
}
