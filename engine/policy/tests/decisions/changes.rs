//! Changes as row policies and their checks bound them.

use super::*;

#[test]
fn writes_are_bounded_by_policies_checks_and_ownership() {
    let with = |policies: Value, fields: Value| {
        set(
            "s",
            json!({"objects": {"t_write": all(), "t_private": all(), "t_log": all()}, "rowLevelSecurity": policies, "fields": fields}),
        )
    };
    let check = |operation: &str, check: &str| json!({"name": format!("c{}", check.len()), "object": "t_write", "operation": operation, "check": check});
    let none = json!({});
    for (policies, fields, change, row, patch, expected) in [
        // The select policies bound a write without a policy of its own.
        (json!([policy("t_write", "select", "level == 1")]), &none, "edit", "a", json!({"title": "z"}), "ok"),
        (
            json!([policy("t_write", "select", "level == 1")]),
            &none,
            "edit",
            "b",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        (json!([policy("t_write", "select", "level == 1")]), &none, "delete", "b", json!({}), "PERMISSION_DENIED"),
        // An own policy bounds it, and the row must be readable as well.
        (json!([policy("t_write", "update", "level == 2")]), &none, "edit", "b", json!({"title": "z"}), "ok"),
        (
            json!([policy("t_write", "update", "level == 2")]),
            &none,
            "edit",
            "a",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        (
            json!([policy("t_write", "update", "level == 2"), policy("t_write", "select", "level == 1")]),
            &none,
            "edit",
            "b",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        (
            json!([policy("t_write", "update", "missing == 2")]),
            &none,
            "edit",
            "b",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        // A bound that names a hidden field refuses every row; reads do not have this limit.
        (
            json!([policy("t_write", "select", "level == 1")]),
            &json!({"t_write.level": {"readable": false}}),
            "edit",
            "a",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        (json!([]), &json!({"t_write.level": {"readable": false}}), "edit", "a", json!({"title": "z"}), "ok"),
        // Widening by an authored policy for the very operation.
        (
            json!([policy("t_private", "update", "level == 2")]),
            &none,
            "edit_private",
            "b",
            json!({"title": "z"}),
            "PERMISSION_DENIED",
        ),
        (
            json!([policy("t_private", "delete", "level == 2")]),
            &none,
            "edit_private",
            "b",
            json!({"title": "z"}),
            "FORBIDDEN",
        ),
        // Checks on the image.
        (json!([check("update", "level < 5")]), &none, "edit", "a", json!({"level": 4}), "ok"),
        (json!([check("update", "level < 5")]), &none, "edit", "a", json!({"level": 5}), "PERMISSION_DENIED"),
        (
            json!([check("update", "level < 5"), check("update", "level > 10")]),
            &none,
            "edit",
            "a",
            json!({"level": 11}),
            "ok",
        ),
        (json!([check("update", "missing == 5")]), &none, "edit", "a", json!({"level": 1}), "PERMISSION_DENIED"),
        (json!([check("insert", "owner_id == current_user.id")]), &none, "create", "", json!({"title": "z"}), "ok"),
        (json!([check("insert", "level == 1")]), &none, "create", "", json!({"title": "z"}), "PERMISSION_DENIED"),
    ] {
        let world = world(json!([with(policies.clone(), fields.clone())]));
        let (object, change) = if change == "edit_private" { ("t_private", "edit") } else { ("t_write", change) };
        assert_eq!(
            world.write("ada", &["s"], object, change, row, patch.clone()),
            expected,
            "{policies} {fields} {change} {row} {patch}"
        );
    }
}

/// A policy without a check holds what is stored to its bound, as a check of the same words would. Those of reads do not.
#[test]
fn a_policy_without_a_check_binds_what_is_stored() {
    let check = |operation: &str, using: &str, check: &str| json!({"name": "c", "object": "t_write", "operation": operation, "using": using, "check": check});
    let own = |operation: &str, using: &str| policy("t_write", operation, using);
    for (policies, change, row, patch, expected) in [
        (json!([own("insert", "level == 1")]), "create", "", json!({"title": "z"}), "PERMISSION_DENIED"),
        (json!([own("insert", "level == 1")]), "create", "", json!({"level": 1}), "ok"),
        (json!([own("all", "level == 1")]), "create", "", json!({"level": 2}), "PERMISSION_DENIED"),
        (json!([own("all", "level == 1")]), "create", "", json!({"level": 1}), "ok"),
        (json!([own("all", "level == 1")]), "edit", "a", json!({"level": 2}), "PERMISSION_DENIED"),
        (json!([own("all", "level == 1")]), "edit", "a", json!({"title": "z"}), "ok"),
        (json!([own("update", "level == 1")]), "edit", "a", json!({"level": 2}), "PERMISSION_DENIED"),
        (json!([own("update", "level == 1")]), "create", "", json!({"level": 2}), "ok"),
        // One of several is enough, by its check or by its bound.
        (json!([own("all", "level == 1"), own("update", "level == 3")]), "edit", "a", json!({"level": 3}), "ok"),
        (
            json!([own("all", "level == 1"), check("update", "level == 1", "level == 4")]),
            "edit",
            "a",
            json!({"level": 4}),
            "ok",
        ),
        (
            json!([own("all", "level == 1"), check("update", "level == 1", "level == 4")]),
            "edit",
            "a",
            json!({"level": 1}),
            "ok",
        ),
        (
            json!([own("all", "level == 1"), check("update", "level == 1", "level == 4")]),
            "edit",
            "a",
            json!({"level": 2}),
            "PERMISSION_DENIED",
        ),
        // A check takes the place of its own policy's bound.
        (json!([check("all", "level == 1", "true")]), "edit", "a", json!({"level": 2}), "ok"),
        (json!([check("all", "level == 1", "level == 2")]), "create", "", json!({"level": 1}), "PERMISSION_DENIED"),
        // What cannot be applied passes nothing.
        (json!([own("insert", "missing == 1")]), "create", "", json!({"level": 1}), "PERMISSION_DENIED"),
        // Rules of reads and deletes say nothing of what is stored.
        (json!([own("select", "level == 1")]), "create", "", json!({"level": 2}), "ok"),
        (json!([own("select", "level == 1")]), "edit", "a", json!({"level": 2}), "ok"),
        (json!([own("delete", "level == 1")]), "edit", "a", json!({"level": 2}), "ok"),
    ] {
        let rights = json!({"objects": {"t_write": all()}, "rowLevelSecurity": policies});
        let world = world(json!([set("s", rights)]));
        assert_eq!(
            world.write("ada", &["s"], "t_write", change, row, patch.clone()),
            expected,
            "{policies} {change} {row} {patch}"
        );
    }
}
