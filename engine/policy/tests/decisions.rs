//! Decision tables over small stacks: for every rule what it allows and what it denies.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

#[path = "decisions/changes.rs"]
mod changes;
mod stacks;
mod support;

use querygate_metadata::model::TenancyPosture;
use querygate_policy::Layer;
use serde_json::{Value, json};
use stacks::{all, policy, rows, set, stack, world};
use support::World;

const DENIED: &str = "denied";

#[test]
fn object_rights_are_a_union_and_an_explicit_entry_replaces_the_wildcard() {
    let world = world(json!([
        set("wild", json!({"objects": {"*": {"allowRead": true}}})),
        set("except", json!({"objects": {"*": {"allowRead": true}, "t_write": {"allowCreate": true}}})),
        set("named", json!({"objects": {"t_secluded": {"allowRead": true}}})),
        set("viewer", json!({"objects": {"*": {"viewAllRecords": true}}})),
        set("modifier", json!({"objects": {"*": {"modifyAllRecords": true}}})),
        set("none", json!({})),
    ]));
    for (sets, object, expected) in [
        (&["wild"][..], "t_write", "a b n"),
        (&["except"], "t_write", DENIED),
        (&["except", "wild"], "t_write", "a b n"),
        (&["except"], "t_read", "a b n"),
        (&["wild"], "t_secluded", DENIED),
        (&["named"], "t_secluded", "a b n"),
        (&["viewer"], "t_secluded", "a b n"),
        (&["modifier"], "t_secluded", "a b n"),
        (&["none"], "t_write", DENIED),
        (&["unknown_set"], "t_write", DENIED),
        (&["admin_full_access"], "t_write", "a b n"),
        (&["admin_full_access"], "t_nothing", DENIED),
    ] {
        assert_eq!(world.visible("ada", sets, object), expected, "{sets:?} {object}");
    }
    for (sets, change, expected) in [
        (&["modifier"][..], "create", "PERMISSION_DENIED"),
        (&["modifier"], "edit", "ok"),
        (&["modifier"], "delete", "ok"),
        (&["viewer"], "edit", "PERMISSION_DENIED"),
        (&["except"], "create", "ok"),
        (&["except"], "edit", "PERMISSION_DENIED"),
    ] {
        assert_eq!(
            world.write("bo", sets, "t_write", change, "n", json!({"title": "z"})),
            expected,
            "{sets:?} {change}"
        );
    }
}

#[test]
fn required_permissions_bind_administrators_too() {
    let world = world(json!([
        set("reader", json!({"objects": {"t_guarded": all()}})),
        set("pay", json!({"systemPermissions": ["see_pay"]})),
    ]));
    for (sets, expected) in [
        (&["reader"][..], DENIED),
        (&["reader", "pay"], "a b n"),
        (&["admin_full_access"], DENIED),
        (&["admin_full_access", "pay"], "a b n"),
        (&["pay"], DENIED),
    ] {
        assert_eq!(world.visible("ada", sets, "t_guarded"), expected, "{sets:?}");
        let write = if expected == DENIED { "PERMISSION_DENIED" } else { "ok" };
        assert_eq!(world.write("ada", sets, "t_guarded", "edit", "a", json!({"title": "z"})), write, "{sets:?}");
    }
}

#[test]
fn ownership_narrows_by_the_org_wide_default_and_depth() {
    let everything = ["t_private", "t_unset", "t_read", "t_write"];
    let entries = |entry: Value| json!({"objects": everything.iter().map(|o| ((*o).to_owned(), entry.clone())).collect::<serde_json::Map<_, _>>()});
    let mut deep = all();
    deep["readScope"] = json!("org");
    let mut wide = all();
    wide["writeScope"] = json!("org");
    let mut world = world(json!([set("own", entries(all())), set("deep", entries(deep)), set("wide", entries(wide))]));
    for dependent in ["t_line", "t_note"] {
        world.rows.0.remove(dependent);
    }
    for (sets, object, visible, edit, delete) in [
        (&["own"][..], "t_private", "a", "ok", "ok"),
        (&["own"], "t_unset", "a", "ok", "ok"),
        (&["own"], "t_read", "a b n", "ok", "ok"),
        (&["own"], "t_write", "a b n", "ok", "ok"),
        (&["own", "deep"], "t_private", "a b n", "ok", "ok"),
        (&["wide"], "t_private", "a", "ok", "ok"),
    ] {
        assert_eq!(world.visible("ada", sets, object), visible, "{sets:?} {object}");
        assert_eq!(world.write("ada", sets, object, "edit", "a", json!({"title": "z"})), edit, "{sets:?} {object}");
        assert_eq!(world.write("ada", sets, object, "delete", "a", json!({})), delete, "{sets:?} {object}");
    }
    for (sets, object, row, edit) in [
        (&["own"][..], "t_private", "b", "FORBIDDEN"),
        (&["own"], "t_private", "n", "FORBIDDEN"),
        (&["own"], "t_read", "b", "FORBIDDEN"),
        (&["own"], "t_write", "b", "ok"),
        (&["deep"], "t_private", "b", "FORBIDDEN"),
        // Readability is not required where no policy bounds the write.
        (&["wide"], "t_private", "b", "ok"),
        (&["wide"], "t_private", "n", "ok"),
    ] {
        assert_eq!(
            world.write("ada", sets, object, "edit", row, json!({"title": "z"})),
            edit,
            "{sets:?} {object} {row}"
        );
        assert_eq!(world.write("ada", sets, object, "delete", row, json!({})), edit, "{sets:?} {object} {row}");
    }
}

#[test]
fn shares_widen_reads_and_edits_but_never_deletes() {
    let rule = |name: &str, condition: &str, level: &str, recipient: Value| json!({"name": name, "label": name, "type": "criteria", "object": "t_private", "accessLevel": level, "condition": condition, "sharedWith": recipient});
    let permissions = json!([set("own", json!({"objects": {"t_private": all(), "t_read": all()}}))]);
    for (rules, user, visible, edit_b) in [
        (json!([]), "ada", "a", "FORBIDDEN"),
        (
            json!([rule("r", "record.level == 2", "read", json!({"type": "user", "value": "ada"}))]),
            "ada",
            "a b",
            "FORBIDDEN",
        ),
        (json!([rule("r", "record.level == 2", "edit", json!({"type": "user", "value": "ada"}))]), "ada", "a b", "ok"),
        (
            json!([rule("r", "record.level == 2", "read", json!({"type": "user", "value": "bo"}))]),
            "ada",
            "a",
            "FORBIDDEN",
        ),
        (
            json!([rule("r", "record.level == 2", "read", json!({"type": "position", "value": "boss"}))]),
            "boss",
            "b",
            "FORBIDDEN",
        ),
        (
            json!([rule("r", "record.level == 2", "read", json!({"type": "position", "value": "boss"}))]),
            "ada",
            "a",
            "FORBIDDEN",
        ),
        (
            json!([rule("r", "true", "read", json!({"type": "unit_and_subordinates", "value": "top"}))]),
            "ada",
            "a b n",
            "FORBIDDEN",
        ),
        (json!([rule("r", "true", "read", json!({"type": "business_unit", "value": "top"}))]), "ada", "a", "FORBIDDEN"),
        (
            json!([rule("r", "true", "read", json!({"type": "business_unit", "value": "west"}))]),
            "ada",
            "a b n",
            "FORBIDDEN",
        ),
        (
            json!([rule("r", "true", "read", json!({"type": "business_unit", "value": "past"}))]),
            "ada",
            "a",
            "FORBIDDEN",
        ),
        (
            json!([rule("r", "record.level + 1 == 3", "read", json!({"type": "user", "value": "ada"}))]),
            "ada",
            "a",
            "FORBIDDEN",
        ),
        (json!([]), "manual_read", "b", "FORBIDDEN"),
        (json!([]), "manual_edit", "b", "ok"),
    ] {
        let mut world = World::new(&stack(permissions.clone(), rules.clone()), TenancyPosture::Single, rows());
        world.facts(&[
            ("sys_user_position", json!({"user_id": "boss", "position": "boss"})),
            ("sys_business_unit", json!({"id": "top"})),
            ("sys_business_unit", json!({"id": "west", "parent_business_unit_id": "top"})),
            ("sys_business_unit_member", json!({"business_unit_id": "west", "user_id": "ada"})),
            ("sys_business_unit_member", json!({"business_unit_id": "past", "user_id": "ada", "effective_to": "2020-01-01T00:00:00Z"})),
            ("sys_record_share", json!({"object_name": "t_private", "record_id": "b", "recipient_type": "user", "recipient_id": "manual_read", "access_level": "read"})),
            ("sys_record_share", json!({"object_name": "t_private", "record_id": "b", "recipient_type": "user", "recipient_id": "manual_edit", "access_level": "edit"})),
        ]);
        assert_eq!(world.visible(user, &["own"], "t_private"), visible, "{rules} {user}");
        assert_eq!(
            world.write(user, &["own"], "t_private", "edit", "b", json!({"title": "z"})),
            edit_b,
            "{rules} {user}"
        );
        assert_eq!(world.write(user, &["own"], "t_private", "delete", "b", json!({})), "FORBIDDEN", "{rules} {user}");
    }
}

#[test]
fn row_policies_are_ored_drop_out_and_deny_when_all_dropped() {
    let rls = |policies: Value| set("rls", json!({"objects": {"*": all()}, "rowLevelSecurity": policies}));
    let held = |position: &str| json!({"name": "p", "object": "t_write", "operation": "select", "using": "level == 1", "positions": [position]});
    let off = json!({"name": "p", "object": "t_write", "operation": "select", "using": "level == 1", "enabled": false});
    for (policies, expected) in [
        (json!([]), "a b n"),
        (json!([policy("t_read", "select", "level == 1")]), "a b n"),
        (json!([policy("t_write", "update", "level == 1")]), "a b n"),
        (json!([off]), "a b n"),
        (json!([held("boss")]), "a b n"),
        (json!([held("everyone")]), "a"),
        (json!([policy("t_write", "select", "level == 1")]), "a"),
        (json!([policy("t_write", "all", "level == 1")]), "a"),
        (json!([policy("*", "select", "level == 1")]), "a"),
        (json!([policy("t_write", "select", "level == 1"), policy("t_write", "select", "title == 'y'")]), "a b"),
        (json!([policy("t_write", "select", "title != 'x'")]), "b n"),
        (json!([policy("t_write", "select", "owner_id == current_user.id")]), "a"),
        // Drops out: alone it denies all, beside another it adds nothing.
        (json!([policy("t_write", "select", "missing == 1")]), ""),
        (json!([policy("t_write", "select", "not CEL at all")]), ""),
        (json!([policy("t_write", "select", "title == current_user.region")]), ""),
        (json!([policy("t_write", "select", "missing == 1"), policy("t_write", "select", "level == 1")]), "a"),
        (json!([policy("t_write", "select", "true")]), "a b n"),
        (json!([policy("t_write", "select", "false")]), ""),
    ] {
        let world = world(json!([rls(policies.clone())]));
        assert_eq!(world.visible("ada", &["rls"], "t_write"), expected, "{policies}");
        // The administrator holds the policy's set beside its own: row policies bind it too.
        assert_eq!(world.visible("ada", &["rls", "admin_full_access"], "t_write"), expected, "{policies}");
    }
    let world = world(json!([rls(json!([policy("t_secluded", "select", "false")]))]));
    assert_eq!(world.visible("ada", &["rls"], "t_secluded"), DENIED, "a wildcard does not reach it");
    assert_eq!(world.visible("ada", &["rls", "admin_full_access"], "t_secluded"), "a b n", "bypassed where private");
}

#[test]
fn details_follow_their_masters() {
    let objects = json!({"t_private": all(), "t_line": all(), "t_subline": all(), "t_loop": all(), "t_twice": all(), "t_orphan": all(), "t_write": all(), "t_read": all()});
    let mut reader = objects.clone();
    reader["t_private"] = json!({"allowRead": true});
    let details = json!({"t_line": all(), "t_subline": all()});
    let world = world(json!([
        set("details", json!({"objects": details})),
        set("editor", json!({"objects": objects})),
        set("reader", json!({"objects": reader})),
        set("rls", json!({"rowLevelSecurity": [policy("t_private", "select", "level == 2")]})),
    ]));
    for (user, sets, object, expected) in [
        ("ada", &["editor"][..], "t_line", "da"),
        ("bo", &["editor"], "t_line", "db"),
        ("eve", &["editor"], "t_line", ""),
        ("ada", &["editor"], "t_subline", "sa"),
        ("bo", &["editor"], "t_subline", "sb"),
        ("ada", &["editor", "rls"], "t_line", ""),
        ("bo", &["editor", "rls"], "t_line", "db"),
        ("ada", &["editor"], "t_loop", ""),
        ("ada", &["editor"], "t_twice", ""),
        ("ada", &["editor"], "t_orphan", ""),
        // Without a grant on the master object there is no master to read.
        ("ada", &["details"], "t_line", ""),
        ("bo", &["details"], "t_subline", ""),
        // viewAll on the master shows every detail that has one.
        ("ada", &["admin_full_access"], "t_line", "da db"),
    ] {
        assert_eq!(world.visible(user, sets, object), expected, "{user} {sets:?} {object}");
    }
    for (user, sets, object, row, expected) in [
        ("ada", &["editor"][..], "t_line", "da", "ok"),
        ("ada", &["editor"], "t_line", "db", "PERMISSION_DENIED"),
        ("ada", &["editor"], "t_line", "dn", "PERMISSION_DENIED"),
        ("ada", &["reader"], "t_line", "da", "PERMISSION_DENIED"),
        ("ada", &["editor"], "t_subline", "sa", "ok"),
        ("ada", &["reader"], "t_subline", "sa", "PERMISSION_DENIED"),
        ("ada", &["editor"], "t_loop", "l", "PERMISSION_DENIED"),
        ("ada", &["editor"], "t_twice", "t", "PERMISSION_DENIED"),
    ] {
        assert_eq!(
            world.write(user, sets, object, "edit", row, json!({"title": "z"})),
            expected,
            "{user} {sets:?} {row}"
        );
        assert_eq!(world.write(user, sets, object, "delete", row, json!({})), expected, "{user} {sets:?} {row}");
    }
    for (sets, parent, expected) in [
        (&["editor"][..], json!("a"), "ok"),
        (&["editor"], json!("b"), "PERMISSION_DENIED"),
        (&["reader"], json!("a"), "PERMISSION_DENIED"),
        (&["editor"], json!("nowhere"), "PERMISSION_DENIED"),
        (&["editor"], json!(null), "PERMISSION_DENIED"),
    ] {
        let payload = json!({"parent": parent, "title": "z"});
        assert_eq!(world.write("ada", sets, "t_line", "create", "", payload), expected, "{sets:?} {parent}");
    }
    // Moving a detail needs both masters.
    assert_eq!(world.write("ada", &["editor"], "t_line", "edit", "da", json!({"parent": "b"})), "PERMISSION_DENIED");
}

#[test]
fn fields_are_hidden_masked_and_locked() {
    let fields =
        |readable: bool, editable: bool| json!({"t_write.title": {"readable": readable, "editable": editable}});
    let world = world(json!([
        set("plain", json!({"objects": {"t_write": all()}})),
        set("shut", json!({"fields": fields(false, false)})),
        set("open", json!({"fields": fields(true, true)})),
        set("look", json!({"fields": fields(true, false)})),
        set("pay", json!({"systemPermissions": ["see_pay"]})),
    ]));
    for (sets, hidden, masked, edit_title) in [
        (&["plain"][..], "salary trace", "iban phone pin", "ok"),
        (&["plain", "shut"], "salary title trace", "iban phone pin", "PERMISSION_DENIED"),
        (&["plain", "shut", "look"], "salary trace", "iban phone pin", "PERMISSION_DENIED"),
        (&["plain", "shut", "open"], "salary trace", "iban phone pin", "ok"),
        (&["plain", "pay"], "trace", "phone pin", "ok"),
        (&["admin_full_access"], "salary trace", "iban phone pin", "ok"),
    ] {
        let decision = world.decision("ada", sets, "t_write");
        assert_eq!(support::join(decision.hidden_fields()), hidden, "{sets:?}");
        assert_eq!(support::join(decision.masks().keys()), masked, "{sets:?}");
        assert_eq!(world.write("ada", sets, "t_write", "edit", "a", json!({"title": "z"})), edit_title, "{sets:?}");
    }
    for (sets, patch, expected) in [
        (&["plain"][..], json!({"salary": 1}), "PERMISSION_DENIED"),
        (&["plain", "pay"], json!({"salary": 1}), "ok"),
        (&["plain"], json!({"phone": "138****5678"}), "VALIDATION_ERROR"),
        (&["plain"], json!({"phone": "13812345678"}), "ok"),
        (&["plain"], json!({"nothing": 1}), "INVALID_FIELD"),
        (&["plain"], json!({"level": 1}), "ok"),
    ] {
        assert_eq!(world.write("ada", sets, "t_write", "edit", "a", patch.clone()), expected, "{sets:?} {patch}");
    }
}

#[test]
fn ownership_changes_need_the_transfer_right() {
    let owner = set("s", json!({"objects": {"t_write": all(), "t_log": all()}}));
    let world = world(json!([owner, set("t", json!({"objects": {"t_write": {"allowTransfer": true}}}))]));
    for (sets, change, row, patch, expected) in [
        (&["s"][..], "create", "", json!({"owner_id": "ada"}), "ok"),
        (&["s"], "create", "", json!({"owner_id": "bo"}), "PERMISSION_DENIED"),
        (&["s", "t"], "create", "", json!({"owner_id": "bo"}), "ok"),
        (&["s"], "edit", "a", json!({"owner_id": "ada"}), "ok"),
        (&["s"], "edit", "a", json!({"owner_id": "bo"}), "PERMISSION_DENIED"),
        (&["s", "t"], "edit", "a", json!({"owner_id": "bo"}), "ok"),
        (&["admin_full_access"], "edit", "a", json!({"owner_id": "bo"}), "ok"),
    ] {
        assert_eq!(
            world.write("ada", sets, "t_write", change, row, patch.clone()),
            expected,
            "{sets:?} {change} {patch}"
        );
    }
    for (change, row, expected) in
        [("create", "", "ok"), ("edit", "a", "PERMISSION_DENIED"), ("delete", "a", "PERMISSION_DENIED")]
    {
        assert_eq!(
            world.write("ada", &["s"], "t_log", change, row, json!({"title": "z"})),
            expected,
            "append-only {change}"
        );
    }
}

#[test]
fn deletes_run_their_cascade_as_the_caller() {
    let deleter = json!({"t_private": all(), "t_line": all(), "t_write": all(), "t_note": {"allowRead": true}});
    let mut keeps_lines = deleter.clone();
    keeps_lines["t_line"] = json!({"allowRead": true, "allowEdit": true});
    let locked = json!({"objects": deleter, "fields": {"t_note.about": {"readable": true, "editable": false}}});
    let world = world(json!([
        set("deleter", json!({"objects": deleter})),
        set("keeps_lines", json!({"objects": keeps_lines})),
        set("locked", locked),
        set("sublines", json!({"objects": {"t_subline": all()}})),
    ]));
    for (user, sets, object, row, expected) in [
        // A detail of a detail must be deletable as well.
        ("ada", &["deleter", "sublines"][..], "t_private", "a", "ok"),
        ("ada", &["deleter"], "t_private", "a", "PERMISSION_DENIED"),
        ("ada", &["keeps_lines", "sublines"], "t_private", "a", "PERMISSION_DENIED"),
        // An emptied reference needs no edit right, but passes the owner gate and the field's right.
        ("ada", &["deleter"], "t_write", "a", "ok"),
        ("ada", &["deleter"], "t_write", "b", "FORBIDDEN"),
        ("ada", &["deleter"], "t_write", "n", "ok"),
        ("ada", &["locked"], "t_write", "a", "PERMISSION_DENIED"),
        ("bo", &["deleter"], "t_write", "b", "ok"),
    ] {
        assert_eq!(
            world.write(user, sets, object, "delete", row, json!({})),
            expected,
            "{user} {sets:?} {object} {row}"
        );
    }
}

#[test]
fn the_tenant_wall_stands_before_every_grant() {
    let permissions = json!([set("s", json!({"objects": {"t_write": all(), "t_line": all(), "t_private": all()}}))]);
    for (posture, organization, sets, visible) in [
        (TenancyPosture::Single, None, &["s"][..], "a b n"),
        (TenancyPosture::Isolated, Some("o1"), &["s"], "a"),
        (TenancyPosture::Isolated, None, &["s"], ""),
        (TenancyPosture::Group, Some("o2"), &["s"], "b"),
        (TenancyPosture::Group, None, &["s"], ""),
        (TenancyPosture::Isolated, None, &["s", "admin_full_access"], ""),
        (TenancyPosture::Isolated, Some("o2"), &["s", "admin_full_access"], "b"),
    ] {
        let mut world = World::new(&stack(permissions.clone(), json!([])), posture, rows());
        world.organization = organization.map(str::to_owned);
        assert_eq!(world.visible("ada", sets, "t_write"), visible, "{posture:?} {organization:?}");
    }
    let mut world = World::new(&stack(permissions, json!([])), TenancyPosture::Isolated, rows());
    world.organization = Some("o1".to_owned());
    for (change, row, patch, expected) in [
        ("create", "", json!({"title": "z"}), "ok"),
        ("create", "", json!({"organization_id": "o2"}), "PERMISSION_DENIED"),
        ("edit", "a", json!({"title": "z"}), "ok"),
        ("edit", "a", json!({"organization_id": "o2"}), "PERMISSION_DENIED"),
        ("edit", "b", json!({"title": "z"}), "PERMISSION_DENIED"),
    ] {
        assert_eq!(
            world.write("ada", &["s"], "t_write", change, row, patch.clone()),
            expected,
            "{change} {row} {patch}"
        );
    }
}

#[test]
fn what_cannot_be_read_refuses() {
    let mut world = world(json!([set("s", json!({"objects": {"t_line": all(), "t_private": all()}}))]));
    assert_eq!(world.write("ada", &["s"], "t_line", "edit", "da", json!({"title": "z"})), "ok");
    world.broken = true;
    assert_eq!(world.write("ada", &["s"], "t_line", "edit", "da", json!({"title": "z"})), "PERMISSION_DENIED");
    assert_eq!(world.write("ada", &["s"], "t_nothing", "create", "", json!({})), "PERMISSION_DENIED");
}

#[test]
fn memberships_hold_in_their_period_only() {
    let mut world = world(json!([
        set("s", json!({"objects": {"t_write": all()}})),
        set("boss", json!({"objects": {"t_read": all()}}))
    ]));
    world.facts(&[
        (
            "sys_user_permission_set",
            json!({"user_id": "now", "permission_set_id": "s", "valid_from": "2025-01-01T00:00:00Z"}),
        ),
        (
            "sys_user_permission_set",
            json!({"user_id": "past", "permission_set_id": "s", "valid_until": "2025-01-01T00:00:00Z"}),
        ),
        (
            "sys_user_permission_set",
            json!({"user_id": "future", "permission_set_id": "s", "valid_from": "2030-01-01T00:00:00Z"}),
        ),
        ("sys_user_position", json!({"user_id": "by_position", "position": "boss"})),
        ("sys_position_permission_set", json!({"position_id": "boss", "permission_set_id": "s"})),
        ("sys_user_position", json!({"user_id": "ex_boss", "position": "boss", "valid_until": "2025-01-01T00:00:00Z"})),
    ]);
    for (user, write, read) in [
        ("now", "a b n", DENIED),
        ("past", DENIED, DENIED),
        ("future", DENIED, DENIED),
        // A position brings the sets bound to it and the set of its own name.
        ("by_position", "a b n", "a b n"),
        ("ex_boss", DENIED, DENIED),
    ] {
        assert_eq!(world.visible(user, &[], "t_write"), write, "{user}");
        assert_eq!(world.visible(user, &[], "t_read"), read, "{user}");
    }
}

#[test]
fn principals_who_differ_in_values_share_a_shape_and_the_layers_come_in_order() {
    let world = world(json!([
        set("own", json!({"objects": {"t_private": all(), "t_line": all()}})),
        set("deep", json!({"objects": {"t_private": {"readScope": "org"}}})),
    ]));
    for object in ["t_private", "t_line"] {
        let shape = |user: &str, sets: &[&str]| world.decision(user, sets, object).shape_fingerprint();
        assert_eq!(shape("ada", &["own"]), shape("bo", &["own"]), "{object}");
        assert_ne!(shape("ada", &["own"]), shape("ada", &["own", "deep"]), "{object}");
    }
    let decision = world.decision("ada", &["own"], "t_private");
    let layers: Vec<Layer> = decision.layers().iter().map(|l| l.layer).collect();
    assert!(layers.is_sorted() && layers.len() == 10, "{layers:?}");
    let permit = decision.permit().unwrap();
    assert_eq!((permit.object(), permit.user_id()), ("t_private", "ada"));
    assert!(world.decision("ada", &[], "t_private").permit().is_err());
}
