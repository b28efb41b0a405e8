//! The vendor's published query cases as worlds: one object for each of their fixtures.

use querygate_metadata::model::Protocol;
use querygate_tests::harness::Fixture;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// A file of the vendor's data. Where there is none, a test says so; the variable makes it a failure.
pub(crate) fn shared(file: &str) -> Option<Value> {
    let root = std::env::var_os("QUERYGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("data/objectstack").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no {file}");
            println!("SKIPPED: {} is absent; no published case was run", path.display());
            None
        }
    }
}

/// Values JSON cannot hold, as a JSON client sends them.
pub(crate) fn decode(value: &Value) -> Option<Value> {
    match value {
        Value::Object(object) => match object.get("@js").and_then(Value::as_str) {
            Some("bigint") => serde_json::from_str(object["value"].as_str().unwrap()).ok(),
            Some("Date") => Some(object["value"].clone()),
            Some(_) => None,
            None => {
                let members = object.iter().map(|(key, value)| Some((key.clone(), decode(value)?)));
                members.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
        },
        Value::Array(values) => values.iter().map(decode).collect::<Option<Vec<_>>>().map(Value::Array),
        other => Some(other.clone()),
    }
}

fn field(declared: &Value) -> Value {
    let mut field = match declared {
        Value::String(name) => json!({ "type": name }),
        // The fixture's object has another name here.
        other => serde_json::from_str(&other.to_string().replace("text_door_probe", "conf_text_door")).unwrap(),
    };
    let map = field.as_object_mut().unwrap();
    // The fixture's own word for a text, or for several.
    if map["type"] == "string" {
        let several = map.remove("multiple") == Some(json!(true));
        map.insert("type".to_owned(), json!(if several { "tags" } else { "text" }));
    }
    let reference = matches!(map["type"].as_str(), Some("lookup" | "master_detail" | "tree"));
    if reference && !map.contains_key("reference") {
        map.insert("reference".to_owned(), json!("conf_logic"));
    }
    if let Some(summary) = map.get_mut("summaryOperations").and_then(Value::as_object_mut) {
        summary.insert("relationshipField".to_owned(), json!("f_lookup"));
    }
    map.entry("label").or_insert(json!("l"));
    map.remove("name");
    field
}

/// One object for each fixture of the published cases.
pub(crate) fn world(conformance: &Value) -> Fixture {
    let (mut objects, mut grants) = (Vec::new(), Map::new());
    let fixtures = conformance["fixtures"].as_object().unwrap();
    let fields_of = |fixture: &Value| fixture.get("fields").unwrap_or(&fixture["object"]["fields"]).clone();
    for (name, fixture) in fixtures {
        let fields = fields_of(fixture);
        let declared = fields.as_object().unwrap().iter().filter(|(name, _)| *name != "id");
        let fields: Map<String, Value> = declared.map(|(name, own)| (name.clone(), field(own))).collect();
        objects.push(
            json!({"name": format!("conf_{name}"), "label": name, "sharingModel": "public_read", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": fields}),
        );
        let all = json!({"allowRead": true, "allowCreate": true, "viewAllRecords": true, "modifyAllRecords": true});
        grants.insert(format!("conf_{name}"), all);
    }
    let stack = json!({
        "manifest": {"id": "test.conf", "namespace": "conf", "version": "1.0.0", "type": "app", "name": "conf",
            "engines": {"protocol": "^17"}},
        "objects": objects,
        "permissions": [{"name": "conf_reader", "label": "r", "objects": grants}],
    });
    let mut world = Fixture { protocol: Protocol::V17_4, ..Fixture::new(stack, Vec::new()) };
    let snapshot = world.snapshot();
    for (name, fixture) in fixtures {
        let object = snapshot.object(&format!("conf_{name}")).unwrap();
        let rows = fixture["rows"].as_array().cloned().unwrap_or_default().into_iter().enumerate().map(|(at, row)| {
            let mut row = row;
            let row = row.as_object_mut().unwrap();
            row.retain(|field, _| object.field(field).is_some());
            row.entry("id").or_insert_with(|| json!(format!("r{at}")));
            // A driver's own text of a list.
            if let Some(list) = row.get("v_multi").and_then(Value::as_str) {
                let list = serde_json::from_str(list).unwrap();
                row.insert("v_multi".to_owned(), list);
            }
            Value::Object(row.clone())
        });
        let table = Fixture::declared(&snapshot, &object.name, &rows.collect());
        world.tables.push(table);
    }
    world
}
