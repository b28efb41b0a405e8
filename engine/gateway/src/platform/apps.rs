//! Apps with the entries that a principal can follow. Decides by what the principal may read.

use super::Resolved;
use super::documents::Documents;
use serde_json::Value;

/// Keys of a navigation entry that hold further ones.
const INNER: [&str; 2] = ["navigation", "children"];

pub(super) fn items(resolved: &Resolved, documents: &Documents) -> Vec<(String, Value)> {
    let evaluator = resolved.evaluator();
    let sees = |object: &str| evaluator.decide_read(object).is_allowed();
    let mut apps = documents.items("app");
    if !resolved.administers() {
        for (_, app) in &mut apps {
            prune(app, &sees);
        }
    }
    apps
}

/// Takes out the entries of objects that are not seen.
fn prune(entry: &mut Value, sees: &impl Fn(&str) -> bool) {
    for key in INNER {
        if let Some(Value::Array(entries)) = entry.get_mut(key) {
            entries.retain(|entry| entry.get("objectName").and_then(Value::as_str).is_none_or(sees));
            entries.iter_mut().for_each(|entry| prune(entry, sees));
        }
    }
}
