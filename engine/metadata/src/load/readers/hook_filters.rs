//! What is said of hooks beside the stack: `querygate.hooks`. A filter in CEL stands for a hook of reads where its script does not run.

use super::shapes;
use crate::model::{Declared, HOOK_FILTER, Snapshot};
use crate::read::At;
use serde_json::Value;

/// The filter of a hook, by its name.
pub(in crate::load) struct FilterDraft<'a> {
    hook: String,
    filter: String,
    at: At<'a>,
}

/// Reads the entries of `querygate`.
pub(in crate::load) fn read_filters<'a>(own: &At<'a>) -> Vec<FilterDraft<'a>> {
    let Some(hooks) = own.open().and_then(|map| map.get("hooks")?.open()) else { return Vec::new() };
    let read = |(hook, at): (&str, At<'a>)| {
        let filter = at.map(&shapes::OWN_HOOK)?.required("filter")?.text()?;
        Some(FilterDraft { hook: hook.to_owned(), filter, at })
    };
    hooks.entries().filter_map(read).collect()
}

/// Adds filters to their hooks, where these are read ([`Hook::filter`](crate::model::Hook)).
pub(in crate::load) fn add_filters(snapshot: &mut Snapshot, drafts: Vec<FilterDraft<'_>>) {
    for FilterDraft { hook, filter, at } in drafts {
        let mut found = false;
        for declared in snapshot.hooks.iter_mut().filter(|declared| declared.name == hook) {
            found = true;
            add(declared, &filter);
        }
        if !found {
            at.unresolved(format!("there is no hook '{hook}'"), None);
        }
    }
}

fn add(declared: &mut Declared, filter: &str) {
    if let Value::Object(value) = &mut declared.value {
        value.insert(HOOK_FILTER.to_owned(), filter.into());
    }
}
