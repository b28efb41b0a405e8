//! A description made anew, put into one that people have edited since. What they changed stays.

use serde_json::{Map, Value};

/// What became of the parts that both changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// Places where an edit stands against a change of the source; the edit stayed.
    pub(super) kept: Vec<String>,
}

impl Merged {
    /// `ours` with what changed from `base` to `theirs`. Lists of things with a `name` are merged by it.
    pub(super) fn merge(&mut self, base: Option<&Value>, ours: &Value, theirs: &Value, at: &str) -> Value {
        if ours == theirs || base == Some(theirs) {
            return ours.clone();
        }
        if base == Some(ours) {
            return theirs.clone();
        }
        match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => {
                Value::Object(self.members(base.and_then(Value::as_object), ours, theirs, at))
            }
            (Value::Array(ours), Value::Array(theirs)) => match (by_name(ours), by_name(theirs)) {
                (Some(ours), Some(theirs)) => {
                    let base = base.and_then(Value::as_array).and_then(|base| by_name(base));
                    let merged = self.members(base.as_ref(), &ours, &theirs, at);
                    Value::Array(merged.into_iter().map(|(_, item)| item).collect())
                }
                (_, _) => self.keep(ours.clone().into(), at),
            },
            (ours, _) => self.keep(ours.clone(), at),
        }
    }

    fn keep(&mut self, ours: Value, at: &str) -> Value {
        self.kept.push(at.to_owned());
        ours
    }

    fn members(
        &mut self,
        base: Option<&Map<String, Value>>,
        ours: &Map<String, Value>,
        theirs: &Map<String, Value>,
        at: &str,
    ) -> Map<String, Value> {
        let mut merged = Map::new();
        let place = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
        for (key, own) in ours {
            let before = base.and_then(|base| base.get(key));
            match theirs.get(key) {
                Some(new) => {
                    let value = self.merge(before, own, new, &place(key));
                    merged.insert(key.clone(), value);
                }
                // The source no longer has it, and it was not edited.
                None if before == Some(own) => {}
                None => {
                    if before.is_some() {
                        self.kept.push(place(key));
                    }
                    merged.insert(key.clone(), own.clone());
                }
            }
        }
        for (key, new) in theirs {
            let is_new = base.is_none_or(|base| !base.contains_key(key));
            if is_new && !ours.contains_key(key) {
                merged.insert(key.clone(), new.clone());
            }
        }
        merged
    }
}

/// The items by their `name` (that of a package stands in its manifest), if each has one of its own.
fn by_name(items: &[Value]) -> Option<Map<String, Value>> {
    let mut named = Map::new();
    for item in items {
        let name = item.get("name").or_else(|| item.get("manifest")?.get("id"))?.as_str()?;
        if named.insert(name.to_owned(), item.clone()).is_some() {
            return None;
        }
    }
    Some(named)
}

/// Puts back what `ours` says of the types of objects and fields that a merged stack keeps, since they were edited, though the source no
/// longer has them: without it they would have other types than they were given.
pub(super) fn keep_types(stack: &Value, source: &Value, ours: &Value, new: &mut Value) {
    let entry = |object: &str| ours.get("querygate")?.get("tables")?.get(object);
    let Some(tables) = new.pointer_mut("/querygate/tables").and_then(Value::as_object_mut) else { return };
    for object in objects(stack) {
        let Some(name) = object.get("name").and_then(Value::as_str) else { continue };
        let Some(own) = entry(name) else { continue };
        let named = |other: &&Value| other.get("name").and_then(Value::as_str) == Some(name);
        let Some(described) = objects(source).find(named) else {
            tables.entry(name).or_insert_with(|| own.clone());
            continue;
        };
        let lost = |field: &str| described.get("fields").is_none_or(|fields| fields.get(field).is_none());
        let fields = object.get("fields").and_then(Value::as_object).into_iter().flat_map(|fields| fields.keys());
        for field in fields.filter(|field| lost(field)) {
            for part in ["columnTypes", "enums"] {
                let Some(kept) = own.get(part).and_then(|part| part.get(field)) else { continue };
                let entry = tables.entry(name).or_insert_with(|| Value::Object(Map::new()));
                let Some(entry) = entry.as_object_mut() else { continue };
                let types = entry.entry(part).or_insert_with(|| Value::Object(Map::new()));
                if let Some(types) = types.as_object_mut() {
                    types.entry(field.as_str()).or_insert_with(|| kept.clone());
                }
            }
        }
    }
}

/// Objects of all packages.
fn objects(stack: &Value) -> impl Iterator<Item = &Value> {
    let packages = stack.get("packages").and_then(Value::as_array).into_iter().flatten();
    packages.filter_map(|package| package.get("manifest")?.get("objects")?.as_array()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(base: Value, ours: Value, theirs: Value) -> (Value, Vec<String>) {
        let mut merged = Merged::default();
        let value = merged.merge(Some(&base), &ours, &theirs, "");
        (value, merged.kept)
    }

    #[test]
    fn edits_stay_and_changes_of_the_source_come_in() {
        let base = json!({"objects": [
            {"name": "a", "fields": {"x": {"type": "text"}, "gone": {"type": "text"}, "y": {"type": "text"}}},
            {"name": "dropped", "fields": {}},
        ]});
        let ours = json!({"objects": [
            {"name": "a", "label": "Mine", "fields": {"x": {"type": "text", "maskingRule": "email"}, "gone": {"type": "text"}}},
            {"name": "dropped", "fields": {}},
        ], "rules": [1]});
        let theirs = json!({"objects": [
            {"name": "a", "fields": {"x": {"type": "text"}, "y": {"type": "text"}, "new": {"type": "date"}}},
            {"name": "b", "fields": {}},
        ]});
        let (value, kept) = merged(base, ours, theirs);
        assert_eq!(
            value,
            json!({"objects": [
                {"name": "a", "label": "Mine", "fields": {"x": {"type": "text", "maskingRule": "email"}, "new": {"type": "date"}}},
                {"name": "b", "fields": {}},
            ], "rules": [1]})
        );
        assert!(kept.is_empty());
    }

    #[test]
    fn what_is_kept_of_a_source_keeps_its_types() {
        let stack = |objects: Value| json!({"packages": [{"manifest": {"id": "local.shop", "objects": objects}}]});
        let tables = |tables: Value| json!({"querygate": {"tables": tables}});
        let kept = stack(json!([
            {"name": "shop_paid", "fields": {"id": {}}},
            {"name": "shop_orders", "fields": {"id": {}, "gone": {}}},
        ]));
        let source = stack(json!([{"name": "shop_orders", "fields": {"id": {}}}]));
        let ours = tables(json!({
            "shop_paid": {"columnTypes": {"id": "bigint"}},
            "shop_orders": {"columnTypes": {"id": "bigint", "gone": "smallint"}},
            "shop_dropped": {"columnTypes": {"id": "bigint"}},
        }));
        let mut new = tables(json!({"shop_orders": {"columnTypes": {"id": "integer"}}}));
        keep_types(&kept, &source, &ours, &mut new);
        let expected = tables(json!({
            "shop_orders": {"columnTypes": {"id": "integer", "gone": "smallint"}},
            "shop_paid": {"columnTypes": {"id": "bigint"}},
        }));
        assert_eq!(new, expected);
    }

    #[test]
    fn an_edit_against_a_change_stays_and_is_named() {
        let field = |kind: &str| json!({"fields": {"x": {"type": kind}}});
        let (value, kept) = merged(field("text"), field("email"), field("number"));
        assert_eq!((value, kept), (field("email"), vec!["fields.x.type".to_owned()]));
        let (value, kept) = merged(field("text"), field("email"), json!({"fields": {}}));
        assert_eq!((value, kept), (field("email"), vec!["fields.x".to_owned()]));
    }
}
