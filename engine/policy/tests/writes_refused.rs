//! Codes with which single writes are refused: where gate and policy both fail, where a reference is emptied, and where records are referred
//! to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_metadata::model::TenancyPosture;
use querygate_policy::CompiledPolicy;
use querygate_policy::write::{WriteObstacle, WriteOperation};
use serde_json::{Value, json};
use stacks::{all, rows, set, stack, text, world};
use support::{World, snapshot};

#[test]
fn a_row_that_fails_gate_and_policy_is_refused_with_the_code_of_the_policy() {
    let policy = |using: &str| json!([{"name": "p", "object": "t_unset", "operation": "select", "using": using}]);
    let set = |using: &str| {
        let mut set = set("s1", json!({"objects": {"t_unset": all()}}));
        set["rowLevelSecurity"] = policy(using);
        world(json!([set]))
    };
    for (using, row, expected) in [
        ("level == 1", "a", "ok"),
        ("level == 1", "b", "PERMISSION_DENIED"),
        // Unreadable rows of others fail the bound, which is asked as the caller.
        ("level == 2", "b", "PERMISSION_DENIED"),
        ("level == 2", "a", "PERMISSION_DENIED"),
    ] {
        let world = set(using);
        assert_eq!(world.write("ada", &["s1"], "t_unset", "edit", row, json!({})), expected, "{using} {row}");
        assert_eq!(world.write("ada", &["s1"], "t_unset", "delete", row, json!({})), expected, "{using} {row}");
    }
    // Readable to all: the row rule passes, and the gate has its own code.
    let mut readable = set("level == 2");
    readable.facts(&[(
        "sys_record_share",
        json!({"object_name": "t_unset", "record_id": "b", "recipient_type": "user", "recipient_id": "ada", "access_level": "read"}),
    )]);
    assert_eq!(readable.write("ada", &["s1"], "t_unset", "edit", "b", json!({})), "FORBIDDEN");
    assert_eq!(readable.write("ada", &["s1"], "t_unset", "delete", "b", json!({})), "FORBIDDEN");
}

#[test]
fn emptying_a_reference_passes_the_rules_of_the_record_that_holds_it() {
    let rows = |check: &str| {
        let target =
            json!({"name": "t_target", "label": "T", "sharingModel": "public_read_write", "fields": {"title": text()}});
        let child = json!({"name": "t_child", "label": "C", "sharingModel": "controlled_by_parent", "fields": {
            "parent": {"type": "master_detail", "label": "M", "reference": "t_master", "required": true},
            "about": {"type": "lookup", "label": "A", "reference": "t_target", "deleteBehavior": "set_null"},
            "tags": {"type": "lookup", "label": "L", "reference": "t_target", "multiple": true},
        }});
        let master = json!({"name": "t_master", "label": "M", "sharingModel": "private", "fields": {"title": text()}});
        let mut stack = stack(json!([]), json!([]));
        stack["objects"].as_array_mut().unwrap().extend([target, child, master]);
        let mut set =
            set("s1", json!({"objects": {"t_target": all(), "t_child": {"allowRead": true}, "t_master": all()}}));
        if !check.is_empty() {
            set["rowLevelSecurity"] =
                json!([{"name": "p", "object": "t_child", "operation": "update", "check": check}]);
        }
        stack["permissions"] = json!([set]);
        let mut rows = rows();
        rows["t_target"] = json!([{"id": "mine"}, {"id": "theirs"}, {"id": "listed"}]);
        rows["t_master"] = json!([{"id": "ma", "owner_id": "ada"}, {"id": "mb", "owner_id": "bo"}]);
        rows["t_child"] = json!([
            {"id": "c1", "parent": "ma", "about": "mine", "tags": []},
            {"id": "c2", "parent": "mb", "about": "theirs", "tags": []},
            {"id": "c3", "parent": "ma", "about": null, "tags": ["listed", "other"]},
        ]);
        World::new(&stack, TenancyPosture::Single, rows)
    };
    let delete = |check: &str, id: &str| rows(check).write("ada", &["s1"], "t_target", "delete", id, json!({}));
    assert_eq!(delete("", "mine"), "ok", "no edit right is needed");
    assert_eq!(delete("", "theirs"), "PERMISSION_DENIED", "the master is another's");
    assert_eq!(delete("about != null", "mine"), "PERMISSION_DENIED", "the check sees the emptied reference");
    assert_eq!(delete("about == null", "mine"), "ok");
    assert_eq!(delete("about == null", "listed"), "ok", "one member less");
}

/// A table whose key is `code`, of this type, and one whose rows refer to it and have this key.
fn keyed(key: &str, child_key: Value) -> Value {
    let rights = json!({"allowRead": true, "allowCreate": true, "allowEdit": true, "allowDelete": true});
    json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "datasources": [{"name": "far", "label": "F", "driver": "sqlite", "config": {}, "schemaMode": "external",
            "external": {"allowWrites": true}}],
        "objects": [
            {"name": "t_part", "label": "P", "datasource": "far", "external": {"writable": true}, "systemFields": false,
                "sharingModel": "public_read_write", "fields": {"code": {"type": key, "label": "C"}}},
            {"name": "t_use", "label": "U", "datasource": "far", "external": {"writable": true}, "systemFields": false,
                "sharingModel": "public_read_write", "fields": {"id": {"type": "text", "label": "I"},
                    "part": {"type": "lookup", "label": "P", "reference": "t_part", "deleteBehavior": "restrict"}}},
        ],
        "permissions": [{"name": "s", "label": "S", "objects": {"t_part": rights, "t_use": rights}}],
        "querygate": {"tables": {"t_part": {"primaryKey": ["code"]}, "t_use": {"primaryKey": child_key}}},
    })
}

/// The codes of deletes of the parts 7 and 8, to the first of which a record refers.
fn deletes(stack: &Value, seven: Value, eight: Value) -> [String; 2] {
    let rows = json!({"t_part": [{"id": "a", "code": seven.clone()}, {"id": "b", "code": eight}],
        "t_use": [{"id": "u", "part": seven}]});
    let world = World::new(stack, TenancyPosture::Single, rows);
    ["a", "b"].map(|row| world.write("ada", &["s"], "t_part", "delete", row, json!({})))
}

#[test]
fn a_key_of_any_name_and_type_finds_what_refers_to_it() {
    let expected = ["DELETE_RESTRICTED", "ok"];
    assert_eq!(deletes(&keyed("text", json!(["id"])), json!("7"), json!("8")), expected);
    assert_eq!(deletes(&keyed("number", json!(["id"])), json!(7), json!(8)), expected);
}

/// Without a key the rows that refer to a record cannot be looked at: no delete is carried out, whether or not there are any.
#[test]
fn rows_without_a_key_keep_what_they_refer_to() {
    let keyless = keyed("text", json!([]));
    let policy = CompiledPolicy::compile(snapshot(&keyless), Vec::new());
    let obstacles = |operation, table: &str| policy.change_obstacles("t_part", operation, false, |name| name == table);
    let expected = [WriteObstacle::KeylessDependent("t_use".to_owned())];
    assert_eq!(obstacles(WriteOperation::Delete, "t_use"), expected);
    assert_eq!(obstacles(WriteOperation::Delete, "t_part"), [], "an object without a table has no rows");
    assert_eq!(obstacles(WriteOperation::Update, "t_use"), []);
    let own = |only_inserts| policy.change_obstacles("t_use", WriteOperation::Insert, only_inserts, |_| true);
    assert_eq!((own(false), own(true)), (vec![WriteObstacle::NoKey], vec![]));
}
