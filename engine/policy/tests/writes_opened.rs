//! What metadata opens for writes, and what a write's rules look at: the payload, or the record as it will be stored.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_metadata::model::TenancyPosture;
use querygate_policy::write::RefusalCode;
use querygate_types::{Error, ErrorCode};
use serde_json::{Value, json};
use stacks::{all, rows, set, stack, text, world};
use support::World;

/// The stack with further objects, all of whose records everybody may change.
fn opened(objects: Value, datasources: Value) -> World {
    let mut stack = stack(json!([set("s1", json!({"objects": {"*": all()}}))]), json!([]));
    stack["objects"].as_array_mut().unwrap().extend(objects.as_array().unwrap().clone());
    stack["datasources"] = datasources;
    let mut rows = rows();
    for object in objects.as_array().unwrap() {
        let name = object["name"].as_str().unwrap();
        rows[name] = json!([{"id": "a", "title": "x", "about": "a", "parent": "a", "owner_id": "ada"}]);
    }
    World::new(&stack, TenancyPosture::Single, rows)
}

fn object(name: &str, more: Value) -> Value {
    let mut object =
        json!({"name": name, "label": name, "sharingModel": "public_read_write", "fields": {"title": text()}});
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

#[test]
fn a_table_of_others_is_written_where_object_and_datasource_say_so() {
    let datasource = |name: &str, allows: bool| {
        json!({"name": name, "label": name, "driver": "sqlite", "config": {}, "schemaMode": "external",
            "external": {"allowWrites": allows}})
    };
    let mapped = |name: &str, datasource: &str, writable: bool| {
        object(name, json!({"datasource": datasource, "external": {"writable": writable}}))
    };
    let world = opened(
        json!([mapped("t_both", "open", true), mapped("t_one", "open", false), mapped("t_other", "closed", true)]),
        json!([datasource("open", true), datasource("closed", false)]),
    );
    for (object, expected) in
        [("t_both", "ok"), ("t_one", "EXTERNAL_WRITE_FORBIDDEN"), ("t_other", "EXTERNAL_WRITE_FORBIDDEN")]
    {
        for change in ["create", "edit", "delete"] {
            assert_eq!(world.write("ada", &["s1"], object, change, "a", json!({})), expected, "{object} {change}");
        }
        // Who may not write hears of no setting.
        assert_eq!(world.write("ada", &[], object, "edit", "a", json!({})), "PERMISSION_DENIED", "{object}");
    }
}

#[test]
fn objects_of_the_platform_are_not_written() {
    let world = opened(json!([object("t_own", json!({})), object("sys_team", json!({}))]), json!([]));
    for (object, expected) in [("t_own", "ok"), ("sys_team", "PERMISSION_DENIED")] {
        for change in ["create", "edit", "delete"] {
            assert_eq!(world.write("ada", &["s1"], object, change, "a", json!({})), expected, "{object} {change}");
        }
    }
}

#[test]
fn clients_use_the_methods_that_are_open_to_them() {
    let enabled = |name: &str, enable: Value| object(name, json!({"enable": enable}));
    let mut parts = enabled("t_part", json!({"apiMethods": ["get", "list"]}));
    parts["fields"]["parent"] = json!({"type": "master_detail", "label": "P", "reference": "t_some"});
    let world = opened(
        json!([
            enabled("t_some", json!({"apiMethods": ["get", "list", "update", "delete"]})),
            enabled("t_none", json!({"apiMethods": []})),
            enabled("t_off", json!({"apiEnabled": false})),
            parts,
        ]),
        json!([]),
    );
    let closed = "OBJECT_API_METHOD_NOT_ALLOWED";
    for (object, change, expected) in [
        ("t_some", "create", closed),
        ("t_some", "edit", "ok"),
        ("t_none", "create", closed),
        ("t_none", "edit", closed),
        ("t_none", "delete", closed),
        ("t_off", "edit", "OBJECT_API_DISABLED"),
        ("t_part", "delete", closed),
        // The parts go with it: their own methods bind clients only.
        ("t_some", "delete", "ok"),
    ] {
        assert_eq!(world.write("ada", &["s1"], object, change, "a", json!({})), expected, "{object} {change}");
    }
}

#[test]
fn a_cascade_stops_at_what_is_not_written() {
    let mut parts = object("t_part", json!({"datasource": "far", "external": {"writable": false, "columnMap": {}}}));
    let reference = |kind: &str| json!({"type": kind, "label": "P", "reference": "t_whole"});
    for kind in ["master_detail", "lookup"] {
        parts["fields"]["parent"] = reference(kind);
        let far = json!([{"name": "far", "label": "far", "driver": "sqlite", "config": {}, "schemaMode": "external"}]);
        let world = opened(json!([object("t_whole", json!({})), parts]), far);
        let found = world.write("ada", &["s1"], "t_whole", "delete", "a", json!({}));
        assert_eq!(found, "EXTERNAL_WRITE_FORBIDDEN", "{kind}");
    }
}

#[test]
fn rights_look_at_the_payload_and_checks_at_the_image() {
    let fields = json!({
        "title": text(),
        "status": {"type": "text", "label": "S", "defaultValue": "new"},
        "grade": {"type": "number", "label": "G", "readonly": true, "defaultValue": 3},
        "since": {"type": "datetime", "label": "N", "defaultValue": "NOW()"},
        "by": {"type": "lookup", "label": "B", "reference": "sys_user", "defaultValue": "current_user"},
    });
    let decide = |operation: &str, check: &str, change: &str, payload: Value| {
        let mut set = set("s1", json!({"objects": {"*": all()}, "fields": {"t_made.status": {"editable": false}}}));
        set["rowLevelSecurity"] = json!([{"name": "p", "object": "t_made", "operation": operation, "check": check}]);
        let mut stack = stack(json!([set]), json!([]));
        let made = object("t_made", json!({"fields": fields}));
        stack["objects"].as_array_mut().unwrap().push(made);
        let stored = json!({"id": "a", "owner_id": "bo", "created_by": "bo", "updated_by": "bo",
            "updated_at": "2020-01-01T00:00:00.000Z"});
        let world = World::new(&stack, TenancyPosture::Single, json!({"t_made": [stored]}));
        world.write("ada", &["s1"], "t_made", change, "a", payload)
    };
    for (operation, check, change, payload, expected) in [
        // A default needs no right on its field; a value of the caller does.
        ("insert", "status == 'new'", "create", json!({}), "ok"),
        ("insert", "status == 'old'", "create", json!({}), "PERMISSION_DENIED"),
        ("insert", "true", "create", json!({"status": "new"}), "PERMISSION_DENIED"),
        // What is dropped from the payload leaves the default.
        ("insert", "grade == 3", "create", json!({"grade": 9}), "ok"),
        ("insert", "grade == 9", "create", json!({"grade": 9}), "PERMISSION_DENIED"),
        ("insert", "by == current_user.id", "create", json!({}), "ok"),
        ("insert", "since == created_at", "create", json!({}), "ok"),
        // Stamps.
        ("insert", "created_by == current_user.id && updated_by == current_user.id", "create", json!({}), "ok"),
        ("insert", "created_at >= '2026-01-01T00:00:00Z' && updated_at == created_at", "create", json!({}), "ok"),
        ("insert", "created_by == 'bo'", "create", json!({"created_by": "bo"}), "PERMISSION_DENIED"),
        ("update", "updated_by == current_user.id", "edit", json!({"title": "z"}), "ok"),
        ("update", "updated_by == 'bo'", "edit", json!({"title": "z"}), "PERMISSION_DENIED"),
        ("update", "created_by == 'bo' && owner_id == 'bo'", "edit", json!({"title": "z"}), "ok"),
        ("update", "updated_at == '2026-01-01T00:00:00Z'", "edit", json!({}), "ok"),
        ("update", "updated_at < '2026-01-01T00:00:00Z'", "edit", json!({}), "PERMISSION_DENIED"),
    ] {
        assert_eq!(decide(operation, check, change, payload.clone()), expected, "{operation} {check} {payload}");
    }
}

#[test]
fn a_mask_is_not_stored_in_place_of_what_it_hides() {
    let world = world(json!([set("s1", json!({"objects": {"*": all()}}))]));
    for (payload, expected) in [
        (json!({"phone": "138****5678"}), "VALIDATION_ERROR"),
        (json!({"phone": "13812345678"}), "ok"),
        (json!({"phone": ""}), "ok"),
        (json!({"phone": "****"}), "VALIDATION_ERROR"),
        (json!({"pin": "••••••••"}), "VALIDATION_ERROR"),
        (json!({"pin": "••••"}), "ok"),
    ] {
        assert_eq!(world.write("ada", &["s1"], "t_write", "edit", "n", payload.clone()), expected, "{payload}");
    }
}

#[test]
fn every_refusal_has_the_error_of_its_kind() {
    for (code, name, sqlstate) in [
        (RefusalCode::PermissionDenied, "PERMISSION_DENIED", "42501"),
        (RefusalCode::Forbidden, "FORBIDDEN", "42501"),
        (RefusalCode::ExternalWriteForbidden, "EXTERNAL_WRITE_FORBIDDEN", "42501"),
        (RefusalCode::ApiDisabled, "OBJECT_API_DISABLED", "42P01"),
        (RefusalCode::ApiMethodNotAllowed, "OBJECT_API_METHOD_NOT_ALLOWED", "55000"),
        (RefusalCode::DeleteRestricted, "DELETE_RESTRICTED", "23503"),
        (RefusalCode::InvalidField, "INVALID_FIELD", "42703"),
        (RefusalCode::ComputedField, "INVALID_FIELD", "428C9"),
        (RefusalCode::ValidationError, "VALIDATION_ERROR", "23514"),
    ] {
        assert_eq!((code.name(), code.error().sqlstate()), (name, sqlstate));
    }
    let refusal = querygate_policy::write::Refusal {
        code: RefusalCode::DeleteRestricted,
        message: "still used".to_owned(),
        vendor: None,
        field: None,
    };
    let error = Error::from(refusal);
    assert_eq!((error.code(), error.message()), (ErrorCode::ForeignKeyViolation, "still used"));
}
