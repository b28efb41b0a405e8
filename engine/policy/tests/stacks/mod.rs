//! A small stack with one object of each kind of sharing, its rows, and what sets of rights are made of.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use super::support::World;
use querygate_metadata::model::TenancyPosture;
use serde_json::{Value, json};

/// One object of each kind of sharing, with rows of ada, bo and nobody.
pub fn world(permissions: Value) -> World {
    World::new(&stack(permissions, json!([])), TenancyPosture::Single, rows())
}

pub fn text() -> Value {
    json!({"type": "text", "label": "T"})
}

pub fn stack(permissions: Value, sharing: Value) -> Value {
    let object = |name: &str, model: Value, extra: Value| {
        let mut object = json!({"name": name, "label": name, "fields": {"title": text(), "level": {"type": "number", "label": "L"}}});
        if !model.is_null() {
            object["sharingModel"] = model;
        }
        for (key, value) in extra.as_object().unwrap() {
            match key.as_str() {
                "fields" => object["fields"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone()),
                _ => object[key] = value.clone(),
            }
        }
        object
    };
    let master = |target: &str| json!({"type": "master_detail", "label": "M", "reference": target, "required": true});
    json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "objects": [
            object("t_private", json!("private"), json!({})),
            object("t_unset", json!(null), json!({})),
            object("t_read", json!("public_read"), json!({})),
            object("t_write", json!("public_read_write"), json!({"fields": {
                "phone": {"type": "text", "label": "P", "maskingRule": "phone"},
                "salary": {"type": "number", "label": "S", "requiredPermissions": ["see_pay"]},
                "iban": {"type": "text", "label": "I", "maskingRule": "bank_account", "requiredPermissions": ["see_pay"]},
                "pin": {"type": "password", "label": "P"},
                "trace": {"type": "text", "label": "X", "internal": true},
            }})),
            object("t_secluded", json!("public_read_write"), json!({"access": {"default": "private"}})),
            object("t_guarded", json!("public_read_write"), json!({"requiredPermissions": ["see_pay"]})),
            object("t_log", json!("public_read_write"), json!({"managedBy": "append-only"})),
            object("t_line", json!("controlled_by_parent"), json!({"fields": {"parent": master("t_private")}})),
            object("t_subline", json!("controlled_by_parent"), json!({"fields": {"parent": master("t_line")}})),
            object("t_loop", json!("controlled_by_parent"), json!({"fields": {"parent": master("t_loop")}})),
            object("t_twice", json!("controlled_by_parent"), json!({"fields": {"one": master("t_write"), "two": master("t_read")}})),
            object("t_orphan", json!("controlled_by_parent"), json!({})),
            object("t_note", json!("public_read"), json!({"fields": {
                "about": {"type": "lookup", "label": "A", "reference": "t_write"},
            }})),
        ],
        "positions": [{"name": "boss", "label": "Boss"}],
        "capabilities": [{"name": "see_pay", "label": "Pay", "scope": "org"}],
        "permissions": permissions,
        "sharingRules": sharing,
    })
}

pub fn rows() -> Value {
    let owned = json!([
        {"id": "a", "owner_id": "ada", "title": "x", "level": 1, "organization_id": "o1"},
        {"id": "b", "owner_id": "bo", "title": "y", "level": 2, "organization_id": "o2"},
        {"id": "n", "owner_id": null, "title": null, "level": null, "organization_id": null},
    ]);
    let detail = json!([
        {"id": "da", "owner_id": null, "parent": "a", "title": null},
        {"id": "db", "owner_id": null, "parent": "b", "title": null},
        {"id": "dn", "owner_id": null, "parent": null, "title": null},
    ]);
    json!({
        "t_private": owned, "t_unset": owned, "t_read": owned, "t_write": owned, "t_secluded": owned,
        "t_guarded": owned, "t_log": owned, "t_line": detail,
        "t_subline": [{"id": "sa", "parent": "da"}, {"id": "sb", "parent": "db"}],
        "t_loop": [{"id": "l", "parent": "l"}],
        "t_twice": [{"id": "t", "one": "elsewhere", "two": "elsewhere"}],
        "t_orphan": [{"id": "o"}],
        "t_note": [{"id": "na", "owner_id": "ada", "about": "a"}, {"id": "nb", "owner_id": "bo", "about": "b"}],
    })
}

pub fn set(name: &str, body: Value) -> Value {
    let mut set = json!({"name": name, "label": name, "objects": {}});
    for (key, value) in body.as_object().unwrap() {
        set[key] = value.clone();
    }
    set
}

pub fn all() -> Value {
    json!({"allowRead": true, "allowCreate": true, "allowEdit": true, "allowDelete": true})
}

pub fn policy(object: &str, operation: &str, using: &str) -> Value {
    json!({"name": format!("{object}_{operation}_{}", using.len()).replace('*', "any"), "object": object, "operation": operation, "using": using})
}
