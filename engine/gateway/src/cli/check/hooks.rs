//! What a check says of scripts of hooks that are no JavaScript, with their places. Runs none of them.

use querygate_hooks::{Call, Fault, Host, Sandbox};
use querygate_metadata::model::{Hook, HookScript, Snapshot};
use querygate_metadata::{Diagnostic, Severity};
use serde_json::{Map, json};
use std::rc::Rc;

/// Answers nothing: no script gets so far.
struct Nobody;

impl Host for Nobody {
    fn api(&self, _: &str) -> String {
        "{}".to_owned()
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

pub(super) fn findings(snapshot: &Snapshot) -> Vec<Diagnostic> {
    if snapshot.hooks.is_empty() {
        return Vec::new();
    }
    let mut sandbox = Sandbox::new();
    let mut found = Vec::new();
    for declared in &snapshot.hooks {
        // Those that cannot be read are named with the objects that they close.
        let Ok(hook) = Hook::read(declared) else { continue };
        let Some(why) = hook.body.script().and_then(|script| mistake(&mut sandbox, script)) else { continue };
        let message = format!("the script of hook '{}' is no JavaScript: {why}", declared.name);
        let mut finding = Diagnostic::at(Severity::Warning, &declared.location, &message);
        finding.hint = Some("Changes that it is called for fail with 38000.".to_owned());
        found.push(finding);
    }
    found
}

/// Why a script cannot be read. It is read as a whole before it begins, and ends there.
fn mistake(sandbox: &mut Sandbox, script: &HookScript) -> Option<String> {
    let script = HookScript { source: format!("return;\n{}", script.source), ..script.clone() };
    let held: Map<_, _> = [("input".to_owned(), json!({}))].into_iter().collect();
    let call = Call { held, now_ms: 0, seed: 0, host: Rc::new(Nobody) };
    match sandbox.run(&script, &call).made {
        Err(Fault::Syntax(why)) => Some(why),
        Ok(_) | Err(_) => None,
    }
}
