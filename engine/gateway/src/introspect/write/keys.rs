//! Keys as `querygate.tables` has them: their fields, and their names where these are not the usual ones.

use super::{AllNames, Found, FoundKey, FoundReference, Names};
use querygate_types::ReferentialAction;
use serde_json::{Value, json};

impl Names {
    /// The fields of a key. `None`: it has a column without one, or none at all.
    fn of(&self, columns: &[String]) -> Option<Vec<String>> {
        let fields = columns.iter().map(|column| self.fields.get(column).cloned()).collect::<Option<Vec<_>>>();
        fields.filter(|fields| !fields.is_empty())
    }

    /// What a key over these fields is called where nothing is said: `orders_id_line_key`.
    fn usual(&self, fields: &[String], end: &str) -> String {
        [self.short.as_str()]
            .into_iter()
            .chain(fields.iter().map(String::as_str))
            .chain([end])
            .collect::<Vec<_>>()
            .join("_")
    }
}

pub(super) fn primary(table: &Found, own: &Names) -> Option<Value> {
    // Without a word, a field `id` is the key.
    if table.primary_key.is_empty() && own.fields.values().any(|field| field == "id") {
        return Some(json!([]));
    }
    let fields = own.of(&table.primary_key)?;
    let name = table.primary_key_name.as_ref().filter(|name| **name != own.usual(&[], "pkey"));
    Some(name.map_or_else(|| json!(fields), |name| json!({"name": name, "columns": fields})))
}

pub(super) fn unique(key: &FoundKey, own: &Names) -> Option<Value> {
    let fields = own.of(&key.columns)?;
    let usual = own.usual(&fields, if key.is_index { "idx" } else { "key" });
    let name = key.name.as_ref().filter(|name| **name != usual);
    if name.is_none() && !key.is_index {
        return Some(json!(fields));
    }
    let mut entry = json!({"columns": fields});
    if let Some(name) = name {
        entry["name"] = json!(name);
    }
    if key.is_index {
        entry["index"] = json!(true);
    }
    Some(entry)
}

pub(super) fn foreign(key: &FoundReference, own: &Names, names: &AllNames<'_>) -> Option<Value> {
    let (target, theirs) = names.get(key.table.as_str())?;
    let referenced = theirs.of(if key.referenced.is_empty() { &target.primary_key } else { &key.referenced })?;
    let columns = own.of(&key.columns).filter(|columns| columns.len() == referenced.len())?;
    let mut entry = json!({"columns": columns, "references": theirs.object, "referencedColumns": referenced});
    if let (Some(name), false) = (&key.name, has_usual_name(key, own)) {
        entry["name"] = json!(name);
    }
    for (event, action) in [("onDelete", key.on_delete), ("onUpdate", key.on_update)] {
        if action != ReferentialAction::NoAction {
            entry[event] = json!(action.words().to_lowercase().replace(' ', "_"));
        }
    }
    Some(entry)
}

/// Whether a foreign key has no name but the usual one.
pub(super) fn has_usual_name(key: &FoundReference, own: &Names) -> bool {
    let usual = own.of(&key.columns).map(|fields| own.usual(&fields, "fkey"));
    key.name.as_ref().is_none_or(|name| Some(name) == usual.as_ref())
}
